"""Documents, mentions and spans made of whatever a user has at hand, and their form as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark import formats
from biomark.errors import SpanError
from biomark.spans import Document, Entity, Infons, Passage, Relation, Span, halves

SPAN = Span(0, 4)


def test_numbers_of_numpy_become_those_of_python() -> None:
    span = Span(np.int64(0), np.uint8(4))  # type: ignore[arg-type]
    mention = Entity([span], np.str_("disease"), ids=[np.int64(7124)], score=np.float32(0.5))  # type: ignore[arg-type, list-item]
    assert (mention.spans, mention.ids, mention.score) == ((SPAN,), ("7124",), 0.5)
    assert {type(value) for value in (span.start, span.end, mention.score, mention.type)} == {int, float, str}
    json.dumps(Document(np.int64(17), np.str_("gout"), entities=[mention]).to_dict())  # type: ignore[arg-type]


def test_lists_become_tuples_and_a_number_an_id() -> None:
    document = Document(
        17,  # type: ignore[arg-type]
        "gout",
        passages=[Passage(SPAN, "title")],  # type: ignore[arg-type]
        sentences=[SPAN],  # type: ignore[arg-type]
        infons={"year": "1999"},  # type: ignore[arg-type]
    )
    assert document == Document("17", "gout", (Passage(SPAN, "title"),), (SPAN,), infons=Infons({"year": "1999"}))
    assert hash(document) == hash(Document("17", "gout", document.passages, document.sentences, infons=document.infons))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Span(1.0, 2), r"an offset must be a whole number, got 1\.0 \(float\)"),
        (lambda: Span(0, float("nan")), "whole number, got nan"),
        (lambda: Span(None, 2), "whole number, got None"),
        (lambda: Span("0", 2), "whole number, got '0'"),
        (lambda: Span(True, 2), r"whole number, got True \(bool\)"),
        (lambda: Span(np.float64(1), 2), "whole number"),
        (lambda: Span(np.int64(4), np.int64(4)), "0 <= start < end, got start 4 and end 4"),
        (lambda: Span(-1, 2), "0 <= start < end, got start -1 and end 2"),
        (lambda: Span(3, 2), "0 <= start < end, got start 3 and end 2"),
        (lambda: Entity((), "disease"), "at least one span"),
        (
            lambda: Entity([Span(5, 6), Span(0, 4)], "disease"),
            "the parts of an entity must be in order and must not overlap",
        ),
        (
            lambda: Entity([Span(0, 4), Span(3, 6)], "disease"),
            "the parts of an entity must be in order and must not overlap",
        ),
        (lambda: Entity([SPAN, SPAN], "disease"), "the parts of an entity must be in order and must not overlap"),
        (lambda: Entity([SPAN], "disease", score=-0.1), r"must be in \[0, 1\], got -0\.1"),
        (lambda: Entity(SPAN, "disease"), r"the spans of an entity must be a list of Span objects, got Span\("),
        (lambda: Entity([(0, 4)], "disease"), r"a list of Span objects, got \(0, 4\)"),
        (lambda: Entity([SPAN], None), "the type of an entity must be a string, got None"),
        (lambda: Entity([SPAN], b"disease"), "the type of an entity must be a string, got b'disease'"),
        (lambda: Entity([SPAN], "disease", "MESH:D006073"), "the ids of an entity must be a list of strings"),
        (lambda: Entity([SPAN], "disease", None), "the ids of an entity must be a list of strings, got None"),
        (lambda: Entity([SPAN], "disease", (float("nan"),)), "an identifier must be a string, got nan"),
        (lambda: Entity([SPAN], "disease", score=float("nan")), r"the score of an entity must be in \[0, 1\], got nan"),
        (lambda: Entity([SPAN], "disease", score=np.float32("nan")), r"must be in \[0, 1\], got nan"),
        (lambda: Entity([SPAN], "disease", score=1.5), r"must be in \[0, 1\], got 1.5"),
        (lambda: Entity([SPAN], "disease", score="0.5"), r"a number in \[0, 1\] or None, got '0\.5'"),
        (lambda: Entity([SPAN], "disease", score=True), r"a number in \[0, 1\] or None, got True"),
        (lambda: Entity([SPAN], "disease", infons={"a": 1}), "infons must be strings"),
        (lambda: Infons(5), "infons must be a mapping of strings, got 5"),
        (lambda: Passage((0, 4), "title"), r"the span of a passage must be a Span, got \(0, 4\)"),
        (lambda: Passage(SPAN, None), "the kind of a passage"),
        (lambda: Relation("CID", ("D1", "D2x")), "pairs of a role and an identifier"),
        (lambda: Document(None, "gout"), "the id of a document must be a string, got None"),
        (lambda: Document(float("nan"), "gout"), "the id of a document must be a string, got nan"),
        (lambda: Document("1", None), r"document 1: the text must be a str, got None \(NoneType\)"),
        (lambda: Document("1", b"gout"), "document 1: the text must be a str, got b'gout'"),
        (
            lambda: Document("1", "gout", entities=None),
            "document 1: entities must be a list of Entity objects, got None",
        ),
        (lambda: Document("1", "gout", entities=["gout"]), "document 1: entities must be a list of Entity objects"),
        (lambda: Document("1", "gout", sentences=[(0, 4)]), "document 1: sentences must be a list of Span objects"),
        (
            lambda: Document("1", "gout", entities=[Entity([Span(0, 5)], "x")]),
            r"document 1: x at 0-5 lies beyond the end of the text \(4 code points\)",
        ),
        (
            lambda: Document("1", "gout", alternatives=[Entity([Span(0, 1), Span(4, 6)], "x")]),
            "document 1: x at 0-6 lies beyond the end of the text",
        ),
        (
            lambda: Document("1", "gout", passages=[Passage(Span(0, 5), "title")]),
            r"document 1: passages reach beyond the end of the text \(4 code points\)",
        ),
        (
            lambda: Document("1", "gout", sentences=[Span(0, 2), Span(2, 5)]),
            "document 1: sentences reach beyond the end of the text",
        ),
        (
            lambda: Document("1", "gout", passages=[Passage(Span(2, 4), "abstract"), Passage(Span(0, 2), "title")]),
            "document 1: passages must be in order and must not overlap",
        ),
        (
            lambda: Document("1", "gout", passages=[Passage(Span(0, 3), "title"), Passage(Span(2, 4), "abstract")]),
            "document 1: passages must be in order and must not overlap",
        ),
        (
            lambda: Document("1", "gout", sentences=[Span(2, 4), Span(0, 2)]),
            "document 1: sentences must be in order and must not overlap",
        ),
        (
            lambda: Document("1", "gout", sentences=[Span(0, 3), Span(2, 4)]),
            "document 1: sentences must be in order and must not overlap",
        ),
    ],
)
def test_odd_values_are_told(make: Callable[[], object], told: str) -> None:
    with pytest.raises(SpanError, match=told):
        make()


def test_what_touches_is_apart_and_may_reach_the_end() -> None:
    """Offsets count code points: the emoji is one, and the combining accent is one of its own."""
    text = "İ😀e\u0301"
    touching = (Span(0, 1), Span(1, 4))
    document = Document(
        "1",
        text,
        passages=tuple(Passage(span, "x") for span in touching),
        sentences=touching,
        entities=(Entity(touching, "x"), Entity((Span(0, 4),), "y"), Entity((Span(1, 2),), "x")),
    )
    assert [entity.extent.of(text) for entity in document.entities] == [text, text, "😀"]


def test_a_bare_document_has_no_mentions_and_all_else() -> None:
    mention, passages = Entity((SPAN,), "disease"), (Passage(SPAN, "title"),)
    rest = Document("1", "gout", passages, (SPAN,), infons=Infons({"year": "1999"}))
    full = Document(
        "1",
        "gout",
        passages,
        (SPAN,),
        (mention,),
        (mention,),
        (Relation("CID", (("gene", "7"),)),),
        rest.infons,
    )
    assert full.bare() == rest
    assert rest.bare() == rest


def mentions(text: str) -> st.SearchStrategy[list[Entity]]:
    places = st.lists(st.integers(0, len(text)), min_size=2, max_size=6, unique=True).map(sorted)
    spans = places.map(lambda p: tuple(Span(a, b) for a, b in zip(p[::2], p[1::2], strict=False)))
    scores = st.none() | st.floats(0, 1)
    infons = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
    return st.lists(st.builds(Entity, spans, st.text(max_size=5), st.lists(st.text(max_size=5)), scores, infons))


TEXT = "İ and 😀 of ß, TNF-α\nin e\u0301"


@given(mentions(TEXT), mentions(TEXT), st.text(max_size=5))
def test_what_to_dict_makes_gives_the_document_back(entities: list, alternatives: list, kind: str) -> None:
    document = Document(
        "1",
        TEXT,
        (Passage(Span(0, 3), kind, {"a": "b"}), Passage(Span(3, 9), "x")),  # type: ignore[arg-type]
        (Span(0, 5), Span(6, len(TEXT))),
        entities,  # type: ignore[arg-type]
        alternatives,  # type: ignore[arg-type]
        (Relation("CID", (("", "D1"), ("gene", "7"))), Relation("none", ())),
        Infons({"year": "1999"}),
    )
    values = json.loads(json.dumps(document.to_dict()))
    assert Document.from_dict(values) == document
    assert [values["text"] for values in values["entities"]] == [e.mention(TEXT) for e in document.entities]
    line = json.dumps(values).encode()
    assert list(formats.read(io.BytesIO(line), "jsonl")) == [document]  # a line of JSON Lines


def test_a_document_without_anything_has_its_entities_still() -> None:
    assert Document("1", "gout").to_dict() == {"id": "1", "text": "gout", "entities": []}


@pytest.mark.parametrize(
    "values",
    [
        5,
        None,
        [],
        {},
        {"id": "1"},
        {"id": "1", "text": "gout", "entities": 5},
        {"id": "1", "text": "gout", "entities": [{"type": "x"}]},
        {"id": "1", "text": "gout", "entities": [{"spans": [[0]], "type": "x"}]},
        {"id": "1", "text": "gout", "entities": [{"spans": [[0, 9]], "type": "x"}]},
        {"id": "1", "text": "gout", "passages": [{"start": 0}]},
        {"id": "1", "text": "gout", "relations": [{"type": "CID", "arguments": [1]}]},
    ],
)
def test_other_values_make_no_document(values: object) -> None:
    with pytest.raises(SpanError):
        Document.from_dict(values)  # type: ignore[arg-type]


def test_a_slice_has_its_whole_mentions_with_offsets_from_its_beginning() -> None:
    text = "Asthma. Gout and İleus."
    document = Document(
        "1",
        text,
        passages=(Passage(Span(0, len(text)), "abstract"),),
        sentences=(Span(0, 7), Span(8, len(text))),
        entities=tuple(Entity((span,), "disease") for span in (Span(0, 6), Span(8, 12), Span(17, 22))),
    )
    part = document.slice(Span(8, 20))
    assert part.text == "Gout and İle"
    assert [entity.mention(part.text) for entity in part.entities] == ["Gout"]
    assert part.passages == (Passage(Span(0, 12), "abstract"),)
    assert part.sentences == (Span(0, 12),)


@pytest.mark.parametrize(
    ("text", "span", "cut"),
    [("one twos six", Span(0, 12), 8), ("αβγδ", Span(0, 4), 2), ("xx a b", Span(3, 6), 4), ("ab", Span(0, 2), 1)],
)
def test_a_span_is_halved_at_the_white_space_nearest_to_its_middle(text: str, span: Span, cut: int) -> None:
    assert halves(text, span) == (Span(span.start, cut), Span(cut, span.end))
