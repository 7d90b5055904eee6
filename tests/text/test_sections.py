"""Parts of documents that get no mentions: passages by their names, references of plain text by their heading."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import biomark
from biomark import models
from biomark.errors import UsageError
from biomark.spans import Document, Entity, Infons, Passage, Span
from biomark.text.sections import leave_out
from conftest import Outcome, TermRecognizer

BODY = "Asthma is common.\n\n"
ENTRIES = "1. Moss J. Asthma in mice. J Moss 2001;3:4-5.\n2. Fern L. On\n   asthma. doi:10.1/fern\n"


def left(document: Document, *names: str) -> list[str]:
    """The parts of a text that are left alone."""
    made = leave_out(document, names)
    return [] if made is None else [span.of(document.text) for span in made.spans]


def structured(*parts: tuple[str, str, dict[str, str]]) -> Document:
    text, passages = "", []
    for kind, content, infons in parts:
        passages.append(Passage(Span(len(text), len(text) + len(content)), kind, Infons(infons)))
        text += content + "\n"
    return Document("1", text, tuple(passages))


ARTICLE = structured(
    ("title", "Asthma", {}),
    ("abstract", "We did.", {"label": "METHODS"}),
    ("paragraph", "Mice had asthma.", {"section": "2. Methods"}),
    ("table", "asthma\t5", {"section_type": "RESULTS"}),
    ("ref", "Moss J. Asthma.", {"section_type": "REF"}),
)


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["references"], ["Moss J. Asthma."]),
        (["References", "table"], ["asthma\t5", "Moss J. Asthma."]),
        (["methods"], ["We did.", "Mice had asthma."]),
        (["results"], ["asthma\t5"]),
        (["appendix"], []),
    ],
)
def test_passages_by_their_names(names: list[str], parts: list[str]) -> None:
    assert left(ARTICLE, *names) == parts


@pytest.mark.parametrize(
    "heading",
    ["References", "REFERENCES:", "  Bibliography ", "## References", "7. Literature cited", "References and notes"],
)
@pytest.mark.parametrize(
    "entries", [ENTRIES, "\n" + ENTRIES.replace("1. ", "[1] "), "Moss J (2001a) Asthma. J Moss 3:4."]
)
def test_a_list_of_references_in_plain_text(heading: str, entries: str) -> None:
    text = f"{BODY}{heading}\n{entries}"
    assert left(Document("1", text), "references") == [f"{heading}\n{entries}"]
    inside = Document("1", text, (Passage(Span(0, len(text)), "text"),))
    assert left(inside, "references") == [f"{heading}\n{entries}"]


def test_what_follows_the_list_is_read() -> None:
    text = f"{BODY}References\n{ENTRIES}\nAppendix A\nAsthma again."
    assert left(Document("1", text), "references") == [f"References\n{ENTRIES}\n"]


@pytest.mark.parametrize(
    "text",
    [
        "See the references below.\nAsthma.",
        "References\nThe asthma of his references was asked for.\nThey came.\nAll were good.",
        "References",
        f"{BODY}Preferences\n{ENTRIES}",
        "",
    ],
)
def test_what_is_no_list_of_references(text: str) -> None:
    assert left(Document("1", text), "references") == []


def test_headings_without_end() -> None:
    assert left(Document("1", "References\n" * 50_000), "references") == []
    assert left(Document("1", "References\nx\n" * 50_000 + ENTRIES), "references") != []


@pytest.mark.parametrize("skip", ["references", ["References"], " references , table"])
def test_they_get_no_mentions_and_the_text_stays(skip: str | list[str], recognizer: TermRecognizer) -> None:
    texts = [f"{BODY}References\n{ENTRIES}", BODY, f"References\n{ENTRIES}"]
    found = list(biomark.annotate([*texts, ARTICLE], model=recognizer, skip=skip))
    assert [document.text for document in found] == [*texts, ARTICLE.text]
    assert [len(document.entities) for document in found] == [1, 1, 0, 2 if "table" in skip else 3]
    assert [document.passages for document in found] == [(), (), (), ARTICLE.passages]


@pytest.mark.parametrize("skip", [",", "references,,table", ["references", ""]])
def test_a_part_without_a_name_is_told(skip: str | list[str], recognizer: TermRecognizer) -> None:
    with pytest.raises(UsageError, match="`skip`"):
        biomark.annotate("asthma", model=recognizer, skip=skip)


def test_on_the_command_line(
    biomark: Callable[..., Outcome], recognizer: TermRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load", lambda *_: recognizer)
    text = f"{BODY}References\n{ENTRIES}".encode()
    every = biomark("annotate", stdin=text)
    some = biomark("annotate", "--skip", "references", stdin=text)
    assert [len(json.loads(outcome.out)["entities"]) for outcome in (every, some)] == [3, 1]


@given(
    st.lists(st.sampled_from(["References\n", ENTRIES, BODY, "Appendix\n", "\n", "7. "]), max_size=8),
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 20)), max_size=5),
)
def test_what_is_left_alone_and_what_is_read_make_up_the_text(pieces: list[str], places: list[tuple[int, int]]) -> None:
    text = "".join(pieces)
    document = Document("1", text)
    made = leave_out(document, ["references"])
    if made is None:
        return
    read = [passage.span for passage in made.document.passages]
    assert sum(map(len, {*read, *made.spans})) == len(text)
    entities = tuple(Entity((Span(at, at + n),), "disease") for at, n in places if at + n <= len(text))
    restored = made.restored(Document("1", text, entities=entities), document)
    assert set(restored.entities) == {e for e in entities if not any(span.overlaps(e.extent) for span in made.spans)}
