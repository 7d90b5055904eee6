"""i2b2 2010: notes and concept files in pairs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark import formats
from biomark.errors import FormatError
from biomark.spans import Document, Entity, Span
from conftest import Outcome
from format_cases import ANY_TEXT, documents, read

NOTE = """Admission Date :
2011-03-04
The patient denied chest   pain , but had the  "Burning" cough .
CT of the
abdomen was normal ; Aspirin 81 mg was given .
"""
CONCEPTS = """c="chest pain" 3:3 3:4||t="problem"
c="the "burning" cough" 3:8 3:10||t="problem"
c="ct of the abdomen" 4:0 5:0||t="test"
c="aspirin" 5:4 5:4||t="treatment"
"""
MENTIONS = [
    ("problem", "chest   pain"),
    ("problem", 'the  "Burning" cough'),
    ("test", "CT of the\nabdomen"),
    ("treatment", "Aspirin"),
]


def pair(folder: Path, text: str = NOTE, concepts: str = CONCEPTS, id: str = "record-1") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{id}.txt").write_bytes(text.encode())
    (folder / f"{id}.con").write_bytes(concepts.encode())
    return folder


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(entity.type, entity.mention(document.text)) for entity in document.entities]


@pytest.mark.parametrize("name", ["", "record-1.txt", "record-1.con"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_concepts_get_exact_offsets(tmp_path: Path, name: str, ends: str) -> None:
    pair(tmp_path, NOTE.replace("\n", ends), CONCEPTS.replace("\n", ends))
    for format in (None, "i2b2"):
        (document,), rejects = read(tmp_path / name if name else tmp_path, format)
        assert not rejects
        assert (document.id, document.text) == ("record-1", NOTE.replace("\n", ends))
        assert mentions(document) == [(type, words.replace("\n", ends)) for type, words in MENTIONS]


@pytest.mark.parametrize("concepts", ["concept", "concepts"])
def test_texts_and_concepts_in_folders_of_their_own(tmp_path: Path, concepts: str) -> None:
    pair(tmp_path / "beth")
    for folder, name in (("txt", "record-1.txt"), (concepts, "record-1.con")):
        (tmp_path / "beth" / folder).mkdir()
        (tmp_path / "beth" / name).rename(tmp_path / "beth" / folder / name)
    (tmp_path / "beth" / "ast").mkdir()
    (tmp_path / "beth" / "ast" / "record-1.ast").write_text('c="chest pain" 3:3 3:4||t="problem"||a="absent"\n')
    found = {}
    for path, format in ((tmp_path, None), (tmp_path, "i2b2"), (tmp_path / "beth" / "txt" / "record-1.txt", None)):
        (document,), rejects = read(path, format)
        assert mentions(document) == MENTIONS
        found[path, format] = (document.id, [Path(r.source or "").name for r in rejects])
    assert list(found.values()) == [
        ("beth/txt/record-1", ["record-1.ast"]),  # named, as whatever is in no known format
        ("beth/txt/record-1", []),
        ("record-1", []),
    ]


def test_a_note_without_concepts_has_no_mentions_and_concepts_need_their_note(tmp_path: Path) -> None:
    pair(tmp_path, id="a")
    (tmp_path / "b.txt").write_text("Nothing .\n")
    (tmp_path / "c.con").write_text(CONCEPTS)
    for format in (None, "i2b2"):
        found, (missing,) = read(tmp_path, format)
        assert [(d.id, len(d.entities)) for d in found] == [("a", 4), ("b", 0)]
        assert missing.source == str(tmp_path / "c.txt")
        assert "cannot be read" in missing.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            'c="chest pain" 9:3 9:4||t="problem"',
            '"chest pain" (9:3 9:4) lies outside the text, whose lines are numbered',
        ),
        ('c="chest pain" 0:3 0:4||t="problem"', "lies outside the text, whose lines are numbered from 1 to 6"),
        (
            'c="cough" 2:1 2:1||t="problem"',
            '"cough" (2:1 2:1) lies outside line 2 of the text, which has 1 word, numb',
        ),
        ('c="cough" 6:0 6:0||t="problem"', "lies outside line 6 of the text, which has no words"),
        (
            'c="dyspnoea" 3:3 3:4||t="problem"',
            'the concept "dyspnoea" (3:3 3:4) differs from the text, which has "chest pain"',
        ),
        ('c="chest pain" 3:4 3:3||t="problem"', "ends before it begins"),
        (
            'c="chest pain" 3:3||t="problem"',
            'not a concept of i2b2 2010; a line must look like c="the cough" 12:3 12:4||t=',
        ),
        ("chest pain", "not a concept of i2b2 2010"),
        ('c="a" 99999999999999999999:1 1:1||t="problem"', "not a concept"),
    ],
)
def test_a_concept_that_cannot_be_placed_is_named_and_the_others_are_read(
    tmp_path: Path, line: str, reason: str
) -> None:
    pair(tmp_path, concepts=f"{CONCEPTS}\n{line}\n")
    (document,), (reject,) = read(tmp_path)
    assert mentions(document) == MENTIONS
    assert reason in reject.reason
    assert (reject.source, reject.line, reject.document_id) == (str(tmp_path / "record-1.con"), 6, "record-1")
    assert reject.raw == line


def test_words_are_counted_as_most_concepts_count_them(tmp_path: Path) -> None:
    pair(tmp_path, " No  fever , no   cough\n", 'c="fever" 1:3 1:3||t="problem"\nc="cough" 1:8 1:8||t="problem"\n')
    (document,), rejects = read(tmp_path)
    assert not rejects
    assert mentions(document) == [("problem", "fever"), ("problem", "cough")]


def test_what_is_written_is_as_in_the_release(tmp_path: Path) -> None:
    (document,), _ = read(pair(tmp_path / "in"))
    assert not formats.write([document], tmp_path / "out", "i2b2")
    assert (tmp_path / "out" / "record-1.txt").read_text() == NOTE
    assert (tmp_path / "out" / "record-1.con").read_text() == CONCEPTS
    with pytest.raises(FormatError, match="the output of i2b2 must be a folder"):
        formats.write([document], tmp_path / "out.con")


def test_mentions_are_written_as_the_whole_words_that_they_touch(tmp_path: Path) -> None:
    text = "No (asthma), no fever ."
    spans = [(Span(4, 10),), (Span(15, 22),), (Span(2, 3),), (Span(0, 2), Span(16, 21))]
    document = Document("a", text, entities=tuple(Entity(span, "problem") for span in spans))
    lost = formats.write([document], tmp_path / "out", "i2b2")
    assert (tmp_path / "out" / "a.con").read_text().splitlines() == [
        'c="(asthma)," 1:1 1:1||t="problem"',
        'c="fever" 1:3 1:3||t="problem"',
        'c="no (asthma), no fever" 1:0 1:3||t="problem"',
    ]
    assert lost == {
        "mentions that end inside words or in white space (written as whole words)": 2,
        "mentions of white space alone (left out)": 1,
        "gaps of discontinuous mentions (written from first to last part)": 1,
    }


@st.composite
def notes(draw: st.DrawFn) -> Document:
    """Documents whose mentions are whole words, as those of the release are."""
    words = st.sampled_from(["the", '"Q"', "İ", "α-1", "😀", "||t=", "3:4", "e\u0301", "\u2028", "\xa0", "c="])
    text, places = "", []
    for word, gap in draw(st.lists(st.tuples(words, st.sampled_from([" ", "  ", "\n", "\r\n", "\t", "\n\n"])))):
        places.append((len(text), len(text) + len(word)))
        text += word + gap
    ends = sorted(draw(st.lists(st.integers(0, len(places)), max_size=6)))
    types = st.sampled_from(["problem", "treatment", "test", 'own "type"'])
    spans = [Span(places[a][0], places[b - 1][1]) for a, b in pairwise(ends) if a < b]
    return Document("note 1", text, entities=tuple(Entity((span,), draw(types)) for span in spans))


@given(document=notes())
@settings(max_examples=100, deadline=None)
def test_notes_come_back_as_they_were(document: Document, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("i2b2")
    assert not formats.write([document], folder, "i2b2")
    if document.text:
        assert list(formats.read(folder)) == [document]


@given(document=documents(ANY_TEXT))
@settings(max_examples=100, deadline=None)
def test_any_document_is_written_so_that_it_is_read(
    document: Document, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("i2b2")
    lost = formats.write([document], folder, "i2b2")
    if document.text:
        (again,) = formats.read(folder, "i2b2")
        assert (again.id, again.text) == (document.id, document.text)
        left = lost["mentions of white space alone (left out)"]
        assert len(again.entities) == len(document.entities) - left
        twice = folder / "twice"
        assert not formats.write([again], twice, "i2b2")
        assert list(formats.read(twice, "i2b2")) == [again]


def test_notes_are_annotated_evaluated_and_learnt_from(
    tmp_path: Path, biomark: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pair(Path("gold"))
    pair(Path("gold"), "No fever .\n", 'c="fever" 1:1 1:1||t="problem"\n', id="record-2")
    done = biomark("annotate", "gold", "-o", "out", "--to", "i2b2", "--types", "disease,chemical")
    assert done.status == 0, done
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *("record-1.con", "record-1.txt", "record-2.con", "record-2.txt")
    ]
    assert biomark("annotate", "gold", "-o", "gold", "--to", "i2b2", "--overwrite").status == 2  # input and output
    same = biomark("evaluate", "gold", "gold", "--json")
    assert '"f1": 1.0' in same.out
    made = biomark("demonstrations", "gold", "-o", "demos.jsonl", "--types", "problem")
    assert made.status == 0, made
    assert "No <mark>fever</mark> ." in Path("demos.jsonl").read_text()
    assert biomark("convert", "gold", "back", "--to", "i2b2").status == 0
    assert Path("back/record-1.con").read_text() == CONCEPTS
    assert list(formats.read(Path("back"))) == list(formats.read(Path("gold")))
