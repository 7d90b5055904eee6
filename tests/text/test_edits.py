"""Texts in the place of spans, with everything that is known of a document moved along."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.errors import SpanError
from biomark.spans import Document, Entity, Passage, Span
from biomark.text.edits import Edit, edited, without

TEXT = "TNF-α in asthma.\n\nIt was high."
DOCUMENT = Document(
    "1",
    TEXT,
    passages=(Passage(Span(0, 16), "title"), Passage(Span(18, 30), "abstract")),
    sentences=(Span(0, 16), Span(18, 30)),
    entities=(Entity((Span(0, 5),), "gene"), Entity((Span(9, 15),), "disease"), Entity((Span(0, 3), Span(9, 15)), "x")),
)


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(entity.type, entity.mention(document.text)) for entity in document.entities]


def test_what_lies_around_and_behind_an_edit_moves() -> None:
    changed = edited(DOCUMENT, [Edit(Span(4, 5), "alpha"), Edit(Span(16, 18), "\n12\n")])
    assert changed.text == "TNF-alpha in asthma.\n12\nIt was high."
    assert mentions(changed) == [("gene", "TNF-alpha"), ("disease", "asthma"), ("x", "TNF asthma")]
    assert [span.of(changed.text) for span in changed.sentences] == ["TNF-alpha in asthma.", "It was high."]
    assert [passage.span for passage in changed.passages] == list(changed.sentences)


def test_a_mention_that_is_edited_as_a_whole_is_the_new_text() -> None:
    assert mentions(edited(DOCUMENT, [Edit(Span(9, 15), "COPD")])) == [
        ("gene", "TNF-α"),
        ("disease", "COPD"),
        ("x", "TNF COPD"),
    ]


def test_mentions_that_an_edit_cuts_are_left_out() -> None:
    assert mentions(edited(DOCUMENT, [Edit(Span(2, 8), "")])) == [("disease", "asthma")]
    assert mentions(edited(DOCUMENT, [Edit(Span(6, 16), "new")])) == [("gene", "TNF-α")]


def test_parts_that_are_removed_leave_nothing_behind() -> None:
    rest = without(DOCUMENT, [Span(0, 16)])
    assert (rest.text, rest.entities, rest.sentences) == ("\n\nIt was high.", (), (Span(2, 14),))
    assert rest.passages == (Passage(Span(2, 14), "abstract"),)
    assert without(DOCUMENT, []) is DOCUMENT


def test_an_edit_over_a_border_is_the_first_ones() -> None:
    changed = edited(DOCUMENT, [Edit(Span(10, 20), "new")])
    assert changed.text == "TNF-α in anew was high."
    assert [span.of(changed.text) for span in changed.sentences] == ["TNF-α in anew", " was high."]
    assert mentions(changed) == [("gene", "TNF-α")]


@pytest.mark.parametrize("spans", [[Span(3, 5), Span(0, 2)], [Span(0, 3), Span(2, 4)], [Span(29, 31)]])
def test_edits_have_to_be_in_order_apart_and_inside(spans: list[Span]) -> None:
    with pytest.raises(SpanError, match="document 1: edits must be"):
        without(DOCUMENT, spans)


@given(st.text("ab cé", max_size=30), st.data())
def test_a_mention_beside_all_edits_keeps_its_text(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = [Span(a, b) for a, b in pairwise(places)]
    turns = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    entities = tuple(Entity((span,), "kept") for span, edit in zip(spans, turns, strict=True) if not edit)
    edits = [Edit(s, data.draw(st.text("xyz", max_size=3))) for s, edit in zip(spans, turns, strict=True) if edit]
    changed = edited(Document("1", text, entities=entities), edits)
    assert [e.mention(changed.text) for e in changed.entities] == [e.mention(text) for e in entities]
    assert len(changed.text) == len(text) + sum(len(edit.text) - len(edit.span) for edit in edits)
