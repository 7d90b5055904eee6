"""Valid files of every format that biomark reads, with many mentions, for `fuzz.py` to change."""

from __future__ import annotations

import io
import json
import random
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from biomark import formats
from biomark.spans import Document, Entity, Passage, Span

WORDS = {
    "Disorder": "asthma",
    "Compound": "aspirin",
    "Molecule": "TNF-α",
    "Pyrexia": "İstanbul-fever",
    "Receptor": "interleukin-2 receptor β",
    "Tumour": "non-small cell lung cancer",
    "Poison": "😀-toxin",
    "Seizure": "e\u0301pilepsie",
}
_BETWEEN = ("of", "with", "and", "the", "was", "(n = 7)", "p < 0.05,", "1.", "—", "\u2028", "x" * 40)
Files = dict[str, bytes]
"""The files of a corpus by their names; the name without folder of the first one is what is read."""


def corpus(rng: random.Random, count: int, mentions: int) -> list[Document]:
    """Documents of a title and an abstract whose mentions have the types of their words."""
    return [_document(str(10_000 + number), rng, mentions) for number in range(count)]


def _document(document_id: str, rng: random.Random, mentions: int) -> Document:
    text, entities, title = "", [], 0
    for number in range(mentions):
        text += "".join(f"{word} " for word in rng.choices(_BETWEEN, k=rng.randrange(3)))
        entity_type, words = rng.choice(tuple(WORDS.items()))
        entities.append(Entity((Span(len(text), len(text) + len(words)),), entity_type))
        text += words + ("\n" if rng.random() < 0.1 or number == 2 else " ")
        title = title or (len(text) if text[-1] == "\n" else 0)
    text += "."
    passages = (Passage(Span(0, title - 1), "title"), Passage(Span(title, len(text)), "abstract")) if title else ()
    return Document(document_id, text, passages, entities=tuple(entities))


def _lines(make: Callable[[Document], object]) -> Callable[[list[Document]], bytes]:
    return lambda documents: b"".join(json.dumps(make(d), ensure_ascii=False).encode() + b"\n" for d in documents)


def _mentions(document: Document) -> list[tuple[int, int, str, str]]:
    return [(e.start, e.end, e.type, e.mention(document.text)) for e in document.entities]


def _pubmed(documents: list[Document]) -> bytes:
    articles = "".join(
        f'<PubmedArticle><PMID Version="1">{d.id}</PMID><ArticleTitle>a <i>b</i></ArticleTitle><Abstract>'
        f'<AbstractText Label="AIM">{d.text.replace("<", "&lt;")}</AbstractText></Abstract></PubmedArticle>'
        for d in documents
    )
    return f"<PubmedArticleSet>{articles}</PubmedArticleSet>".encode()


def _jats(documents: list[Document]) -> bytes:
    articles = "".join(
        f'<article><front><article-meta><article-id pub-id-type="pmc">{d.id}</article-id></article-meta></front><body>'
        f"<sec><title>Aim</title><p>{d.text.replace('<', '&lt;')}</p>"
        "<table><tr><td>1</td></tr></table></sec></body></article>"
        for d in documents
    )
    return f"<pmc-articleset>{articles}</pmc-articleset>".encode()


def _marked(documents: list[Document]) -> bytes:
    lines = []
    for document in documents:
        pieces, at = [], 0
        for start, end, _, words in _mentions(document):
            pieces.append(f"{document.text[at:start]}<mark>{words}</mark>")
            at = end
        lines.append("".join(pieces).replace("\n", " "))
    return "\n".join(lines).encode()


def _chemdner(documents: list[Document]) -> Files:
    blanks = str.maketrans("\n\r\t", "   ")
    abstracts = [f"{d.id}\tA title\t{d.text.translate(blanks)}\n" for d in documents]
    mentions = [
        f"{d.id}\tA\t{a}\t{b}\t{words.translate(blanks)}\t{t}\n" for d in documents for a, b, t, words in _mentions(d)
    ]
    return {"x.abstracts.txt": "".join(abstracts).encode(), "x.annotations.txt": "".join(mentions).encode()}


# Formats that biomark reads and does not write.
_FOREIGN: dict[str, Callable[[list[Document]], bytes]] = {
    "doccano": _lines(lambda d: {"id": d.id, "text": d.text, "label": [m[:3] for m in _mentions(d)]}),
    "prodigy": _lines(
        lambda d: {
            "text": d.text,
            "spans": [dict(zip(("start", "end", "label"), m, strict=False)) for m in _mentions(d)],
        }
    ),
    "langextract": _lines(
        lambda d: {
            "document_id": d.id,
            "text": d.text,
            "extractions": [
                {"extraction_class": t, "extraction_text": w, "char_interval": {"start_pos": a, "end_pos": b}}
                for a, b, t, w in _mentions(d)
            ],
        }
    ),
    "bern2": _lines(
        lambda d: {
            "pmid": d.id,
            "text": d.text,
            "annotations": [
                {"obj": t, "mention": w, "span": {"begin": a, "end": b}, "prob": 0.9, "id": ["mesh:D1"]}
                for a, b, t, w in _mentions(d)
            ],
        }
    ),
    "pubannotation": _lines(
        lambda d: {
            "sourceid": d.id,
            "text": d.text,
            "denotations": [{"id": f"T{a}", "span": {"begin": a, "end": b}, "obj": t} for a, b, t, _ in _mentions(d)],
            "attributes": [{"subj": f"T{m[0]}", "pred": "p", "obj": "x"} for m in _mentions(d)],
        }
    ),
    "json": lambda documents: json.dumps([d.to_dict() for d in documents], ensure_ascii=False, indent=1).encode(),
    "medline_xml": _pubmed,
    "jats_xml": _jats,
    "marked": _marked,
    "lines": lambda documents: "\n".join(d.text.replace("\n", " ") for d in documents).encode(),
}
NAMES = {
    "bc2gm": "x.in",
    "chemdner": "x.abstracts.txt",
    "parquet": "x.parquet",
    "archive": "x.tar.gz",
    "brat": "d",
    "i2b2": "d",
}


@cache
def files_of(name: str, variant: int, *, small: bool = False) -> Files:
    """The files of a corpus in a format, as they are before they are changed."""
    rng = random.Random(f"{name} {variant}")
    documents = corpus(rng, 2 if small else 5, 8 if small else 200)
    if name == "bc2gm":  # which holds genes alone
        documents = [replace(d, entities=tuple(replace(e, type="GENE") for e in d.entities)) for d in documents]
    if name in _FOREIGN:
        return {"x": _FOREIGN[name](documents)}
    if name == "archive":
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for inside in ("a.jsonl", "b.pubtator"):
                data = next(iter(files_of(inside[2:], variant, small=small).values()))
                member = tarfile.TarInfo(inside)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return {"x.tar.gz": stream.getvalue()}
    if name == "chemdner":
        return _chemdner(documents)
    if name not in NAMES:
        stream = io.BytesIO()
        formats.write(documents, stream, name)
        return {"x": stream.getvalue()}
    place = Path(f"{name}-{variant}")
    place.mkdir()
    formats.write(documents, place / NAMES[name], name)
    files = {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
    shutil.rmtree(place)
    return files
