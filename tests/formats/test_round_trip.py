"""Read, write, read: equal documents for every file of the corpora and for generated documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark import formats
from biomark.formats.conll import Token, tagged_document
from biomark.spans import Document, Entity, Infons, Passage, Rejected, Span
from format_cases import ANY_TEXT, TEXTS, documents, parsed, through, written

FILES = {
    "pubtator": [
        *(f"bc5cdr/{split}.pubtator" for split in ("train", "devel", "test")),
        *(f"ncbi_disease/{split}.pubtator" for split in ("train", "devel", "test")),
        *(f"{name}/{split}.pubtator" for name in ("nlm_gene", "species800", "linnaeus") for split in ("train", "test")),
        "nlm_chem/test.pubtator",
        "gnormplus/train.pubtator",
        "bioid/train.pubtator",
        "tmvar3/train.pubtator",
    ],
    "bioc_xml": [f"bc5cdr/{split}.bioc.xml" for split in ("train", "devel", "test")],
    "brat": ["ncbi_disease/brat_test"],
    "conll": [
        *(
            f"iob/{name}/{split}.tsv"
            for name in ("ncbi_disease", "bc5cdr_chemical", "bc5cdr_disease", "bc2gm", "linnaeus")
            for split in ("train", "devel", "test")
        ),
        *(f"iob/jnlpba/{split}.tsv" for split in ("devel", "test")),
    ],
    "bc2gm": ["bc2gm/train.in", "bc2gm/test.in"],
    "jsonl": [
        f"clinical/{name}.{split}.jsonl" for name in ("mtsamples", "vaers") for split in ("train", "valid", "test")
    ],
}
# Malformed lines of the originals. Rejected: the mention's text is not at its offsets …
REJECTED = {
    "bioid/train.pubtator": [8199],
    "gnormplus/train.pubtator": [611, *range(2565, 2575), *range(2756, 2776), 3421, 3423, 3424, 3425],
    "nlm_gene/train.pubtator": [*range(10628, 10638)],
    "tmvar3/train.pubtator": [*range(337, 343), 346, *range(348, 353), 356, 359, *range(361, 365), *range(366, 369)],
    "bc5cdr/train.bioc.xml": [11425, 18590, 53449],
    "bc5cdr/devel.bioc.xml": [9919],
    # Of train.GENE.eval the second, of train.ALTGENE.eval the others.
    "bc2gm/train.in": [787, 1790, 2236, 7954],
    # … or a second document with an id, of which all lines go: 4557 to 4570.
    "ncbi_disease/train.pubtator": [4557],
}
# Not written again: those, and empty lines at the beginning and of two in a row the second.
DROPPED = {
    **REJECTED,
    "ncbi_disease/train.pubtator": [1, *range(4557, 4571)],
    "ncbi_disease/devel.pubtator": [1],
    "linnaeus/test.pubtator": [638],
}
# Written otherwise: the mention's column has white space or letters in another case than its text.
CHANGED = {"ncbi_disease/train.pubtator": [3249], "nlm_gene/train.pubtator": [5955]}
# Without the empty line that ends a document at the end of the file.
UNENDED = ("ncbi_disease/train.pubtator", "ncbi_disease/devel.pubtator", "ncbi_disease/test.pubtator")


def every_file() -> list[tuple[str, str]]:
    return [(format, name) for format, names in FILES.items() for name in names]


@pytest.mark.parametrize("format", ["brat", "text"])
def test_a_text_that_begins_like_a_byte_order_mark(format: str, tmp_path: Path) -> None:
    text = "\ufeffGout"
    formats.write([Document("a", text)], tmp_path / "out", format)
    assert [document.text for document in formats.read(tmp_path / "out", format)] == [text]


def test_the_list_of_files_is_complete(corpora: Path) -> None:
    suffixes = {"**/*.pubtator", "**/*.bioc.xml", "iob/*/*.tsv", "bc2gm/*.in", "clinical/*.jsonl"}
    found = {str(path.relative_to(corpora)) for suffix in suffixes for path in corpora.glob(suffix)}
    listed = {name for _, name in every_file()} - {"ncbi_disease/brat_test"}
    assert {name for name in found if "outputs" not in name} == listed


@pytest.mark.parametrize(("format", "name"), every_file())
def test_corpus_file(format: str, name: str, corpora: Path, tmp_path: Path) -> None:
    rejects: list[Rejected] = []
    documents = list(formats.read(corpora / name, reject=rejects.append))
    assert sorted(reject.line or 0 for reject in rejects) == REJECTED.get(name, [])
    copy = tmp_path / ("brat" if format == "brat" else Path(name).name)
    assert not formats.write(documents, copy, format)
    assert list(formats.read(copy, format)) == documents
    if format == "pubtator":
        assert_same_bytes(name, (corpora / name).read_bytes(), copy.read_bytes())


def assert_same_bytes(name: str, original: bytes, copy: bytes) -> None:
    """The lines of both are the same, but for those that the tables above name."""
    dropped, changed = set(DROPPED.get(name, [])), CHANGED.get(name, [])
    if not (dropped or changed or name in UNENDED):
        assert original == copy
    end = b"\n" if name in UNENDED else b""
    kept = [(n, line) for n, line in enumerate((original + end).split(b"\n"), 1) if n not in dropped]
    lines = copy.split(b"\n")
    assert len(lines) == len(kept)
    assert [n for (n, line), other in zip(kept, lines, strict=True) if line != other] == changed


@given(documents())
@settings(max_examples=150, deadline=None)
def test_jsonl_holds_everything(document: Document) -> None:
    again, lost = through(document, "jsonl")
    assert again == document
    assert not lost


@pytest.mark.parametrize("format", ["bioc_json", "bioc_xml"])
@given(document=documents())
@settings(max_examples=150, deadline=None)
def test_bioc_holds_everything(format: str, document: Document) -> None:
    again, lost = through(document, format)
    controls = lost.pop("control characters, which XML cannot hold (written as blanks)", 0)
    if lost:
        assert set(lost) == {"sentence offsets (sentences that cross passages)"}
        document, again = replace(document, sentences=()), replace(again, sentences=())
    if controls:
        assert format == "bioc_xml"
        assert [len(again.text), len(again.entities)] == [len(document.text), len(document.entities)]
    else:
        # Mentions come in the order of the passages that they begin in.
        assert sorted(again.entities, key=repr) == sorted(document.entities, key=repr)
        assert sorted(again.alternatives, key=repr) == sorted(document.alternatives, key=repr)
        assert replace(again, entities=(), alternatives=()) == replace(document, entities=(), alternatives=())


def words(document: Document) -> list[str]:
    """The mentions without white space, those of white space alone left out."""
    return [word for entity in document.entities if (word := "".join(entity.mention(document.text).split()))]


@given(document=documents())
@settings(max_examples=60, deadline=None)
def test_brat_holds_text_and_mentions(document: Document, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("brat")
    lost = formats.write([document], folder, "brat")
    if document.text:
        (again,) = formats.read(folder, "brat")
        assert (again.id, again.text) == (document.id, document.text)
        if not any("line ends" in what for what in lost):
            assert again.entities == document.entities
        assert words(again) == words(document)
    assert lost["passages"] == len(document.passages)


@given(documents())
@settings(max_examples=150, deadline=None)
def test_pubtator_holds_extents_types_and_identifiers(document: Document) -> None:
    document = replace(document, relations=())
    again, _ = through(document, "pubtator")
    # The character between title and abstract is a line end, all other line ends are blanks.
    cut = len(again.passages[0].span) if len(again.passages) > 1 else -1
    flat_text = document.text.replace("\n", " ").replace("\r", " ")
    assert again.text.replace("\n", " ") == flat_text[: len(again.text)]
    assert len(again.text) in (len(flat_text), cut)
    assert [(e.extent, e.type) for e in again.entities] == [(e.extent, e.type) for e in document.entities]


@given(documents())
@settings(max_examples=150, deadline=None)
def test_conll_holds_text_and_flat_mentions(document: Document) -> None:
    again, lost = through(document, "conll")
    assert (again.id, again.text) == (document.id, document.text)
    kept = {(e.extent.of(document.text).strip(), e.type) for e in document.entities if len(e.spans) == 1}
    assert {(e.extent.of(again.text), e.type) for e in again.entities} <= kept
    left_out = lost["mentions that are nested, discontinuous or across sentences (left out)"]
    assert len(again.entities) + left_out == len(document.entities)
    if not lost["white space at the ends of sentences"]:
        assert set(document.sentences) <= set(again.sentences)
    twice, _ = through(again, "conll")
    assert twice == again


@given(
    st.lists(st.lists(st.tuples(st.sampled_from(["a", "B-2", "α", "🙂", "|"]), st.booleans()), min_size=1), min_size=1)
)
@settings(max_examples=50, deadline=None)
def test_conll_of_plain_tokens_keeps_every_offset(sentences: list[list[tuple[str, bool]]]) -> None:
    tokens = [[Token(text, "B-X" if marked else "O") for text, marked in sentence] for sentence in sentences]
    document = tagged_document("d", tokens)
    assert [e.mention(document.text) for e in document.entities] == [t for s in sentences for t, marked in s if marked]
    assert through(document, "conll")[0] == document


@given(text=TEXTS.map(lambda text: text.replace("\n", " ").replace("\r", " ").strip()).filter(bool), data=st.data())
@settings(max_examples=60, deadline=None)
def test_bc2gm_holds_sentences_and_mentions(
    text: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    solid = st.sampled_from([i for i, character in enumerate(text) if not character.isspace()])
    start, last = sorted((data.draw(solid), data.draw(solid)))
    entity = Entity((Span(start, last + 1),), "GENE")
    document = Document("S1", text, sentences=(Span(0, len(text)),), entities=(entity,))
    path = tmp_path_factory.mktemp("bc2gm") / "x.in"
    assert not formats.write([document], path)
    assert list(formats.read(path)) == [document]


@given(ANY_TEXT.filter(lambda text: text and "\0" not in text and not text.startswith("\ufeff")))
@settings(max_examples=60, deadline=None)
def test_text_is_kept_to_the_character(text: str) -> None:
    data, _ = written([Document("d", text)], "text")
    assert data == text.encode()
    assert [document.text for document in parsed(data, "text")[0]] == [text]


def test_passages_and_ids_survive_between_formats() -> None:
    document = Document(
        "12",
        "Gout.\nColchicine helps.",
        (Passage(Span(0, 5), "title"), Passage(Span(6, 23), "abstract")),
        entities=(
            Entity((Span(0, 4),), "Disease", ("D006073",)),
            Entity((Span(6, 16),), "Chemical", ("D003078", "CHEBI:23359"), infons=Infons({"parts": "x|y"})),
        ),
    )
    again = document
    for format in ("bioc_xml", "pubtator", "jsonl", "bioc_json", "pubtator"):
        again, lost = through(again, format)
        assert again == document
        assert not lost
