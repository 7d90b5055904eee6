"""Conversion between documents and data sets of Hugging Face: BigBIO's `kb` schema, and columns of tokens and BIO tags.

BigBIO (Fries et al. 2022, arXiv 2206.15076) has one schema for corpora of mentions, identifiers and relations. Scripts
for token classification read tokens and tags; biomark adds the tokens' offsets.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from biomark.errors import FormatError, MissingExtraError, SpanError
from biomark.formats import Reject, raise_rejected
from biomark.formats.conll import Token, tagged_document, tokens_and_tags
from biomark.formats.losses import GAPS, add, count_losses
from biomark.spans import Document, Entity, Infons, Passage, Rejected, Relation, Span
from biomark.text.sentences import with_sentences

if TYPE_CHECKING:
    from datasets import Dataset

_KEPT = {"events": "bigbio_events", "coreferences": "bigbio_coreferences"}  # columns, and infons that hold them as JSON
_HOLDS = ("passages", "mentions", GAPS, "identifiers", "relations", "document infons")


def from_bigbio(rows: Iterable[Mapping[str, Any]], *, reject: Reject = raise_rejected) -> Iterator[Document]:
    """Yield the documents of a data set in BigBIO's `kb` schema.

    Passages are placed at their offsets, with blanks between them. Events and coreferences become infons, as JSON.

    Args:
        rows: a `Dataset`, or mappings of the same form.
        reject: is called with each row or mention that cannot be read; the others are converted. By default the first
            reject raises `FormatError`.
    """
    for number, row in enumerate(rows, 1):
        is_row = isinstance(row, Mapping)
        document_id = str(row.get("document_id") or row.get("id") or number) if is_row else str(number)
        try:
            yield _document(document_id, row, reject)
        except (SpanError, KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            reason = f"row {number} does not have the form of BigBIO's kb schema: {problem}"
            reject(Rejected(reason, document_id=document_id))


def _document(document_id: str, row: Mapping[str, Any], reject: Reject) -> Document:
    text, passages = _text(row["passages"])
    entities = []
    for values in row["entities"]:
        try:
            entities.append(_entity(values, text))
        except (SpanError, KeyError, TypeError, ValueError) as error:
            reject(Rejected(f"a mention cannot be read: {error}", raw=str(values), document_id=document_id))
    relations = [
        Relation(r["type"], (("arg1", r["arg1_id"]), ("arg2", r["arg2_id"])), Infons({"id": r["id"]}))
        for r in row.get("relations") or ()
    ]
    kept = {infon: json.dumps(row[key], ensure_ascii=False) for key, infon in _KEPT.items() if row.get(key)}
    return Document(
        document_id, text, tuple(passages), entities=tuple(entities), relations=tuple(relations), infons=Infons(kept)
    )


def _text(rows: Sequence[Mapping[str, Any]]) -> tuple[str, list[Passage]]:
    """Return the text of all rows, and the passages with a type; `to_bigbio` writes other text without a type."""
    pieces: list[str] = []
    passages = []
    length = 0
    for row in sorted(rows, key=lambda row: row["offsets"][0][0]):
        ((start, end),) = row["offsets"]
        text = "".join(row["text"])
        if start < length or end - start != len(text):
            raise SpanError(f"the passage at {start}-{end} has {len(text)} characters, or overlaps the one before it")
        pieces += (" " * (start - length), text)
        length = end
        if row["type"] and text:
            passages.append(Passage(Span(start, end), row["type"]))
    return "".join(pieces), passages


def _entity(values: Mapping[str, Any], text: str) -> Entity:
    spans = tuple(sorted(Span(start, end) for start, end in values["offsets"]))
    if spans[-1].end > len(text):
        raise SpanError(f"{spans[-1].start}-{spans[-1].end} lies beyond the end of the text ({len(text)} code points)")
    words = [span.of(text) for span in spans]
    expected = list(values["text"])
    if expected and sorted(expected) != sorted(words) and expected != [" ".join(words)]:
        raise SpanError(f"at {spans[0].start}-{spans[-1].end} the text has {words!r:.200}, not {expected!r:.200}")
    ids = tuple(":".join(filter(None, (n.get("db_name"), n["db_id"]))) for n in values.get("normalized") or ())
    return Entity(spans, values["type"], ids, infons=Infons({"id": values["id"]}))


def to_bigbio(documents: Iterable[Document], *, lost: Counter[str] | None = None) -> Dataset:
    """Convert documents into a data set in BigBIO's `kb` schema.

    Text outside of passages becomes passages without a type, which `from_bigbio` reads as text outside of passages.

    Args:
        documents: any number; all of them are held in memory.
        lost: is increased by what the schema cannot hold, such as scores, as counts by kind.

    Raises:
        MissingExtraError: if datasets is not installed.
    """
    datasets = _datasets()
    counts: Counter[str] = Counter() if lost is None else lost
    rows = [_row(number, document, counts) for number, document in enumerate(documents)]
    return datasets.Dataset.from_list(rows, features=_features(datasets))


def _row(number: int, document: Document, lost: Counter[str]) -> dict[str, object]:
    count_losses(document, lost, holds=_HOLDS, infons=("id",))
    add(lost, "document infons", len(document.infons.without(*_KEPT.values())))
    add(lost, "passages without a kind", sum(not passage.kind for passage in document.passages))
    ids = _mention_ids(document, number)
    known = set(ids)
    pairs = [
        r for r in document.relations if len(r.arguments) == 2 and {argument for _, argument in r.arguments} <= known
    ]
    add(lost, "relations that are not between two mentions", len(document.relations) - len(pairs))
    return {
        "id": str(number),
        "document_id": document.id,
        "passages": [
            {
                "id": f"{number}_P{n}",
                "type": kind,
                "text": [span.of(document.text)],
                "offsets": [[span.start, span.end]],
            }
            for n, (span, kind) in enumerate(_pieces(document))
        ],
        "entities": [
            {
                "id": mention_id,
                "type": entity.type,
                "text": [span.of(document.text) for span in entity.spans],
                "offsets": [[span.start, span.end] for span in entity.spans],
                "normalized": [_normalized(identifier) for identifier in entity.ids],
            }
            for mention_id, entity in zip(ids, document.entities, strict=True)
        ],
        **{column: json.loads(document.infons.get(infon, "[]")) for column, infon in _KEPT.items()},
        "relations": [
            {
                "id": relation.infons.get("id", f"{number}_R{n}"),
                "type": relation.type,
                "arg1_id": relation.arguments[0][1],
                "arg2_id": relation.arguments[1][1],
                "normalized": [],
            }
            for n, relation in enumerate(pairs)
        ],
    }


def _pieces(document: Document) -> Iterator[tuple[Span, str]]:
    """Yield the passages with their kinds, and other text that is not blank with an empty kind."""
    place = 0
    for passage in (*document.passages, None):
        start = len(document.text) if passage is None else passage.span.start
        between = document.text[place:start]
        # `from_bigbio` restores blanks between passages, but not at the end of the text.
        if between.strip(" ") or (between and passage is None):
            yield Span(place, start), ""
        if passage is not None:
            yield passage.span, passage.kind
            place = passage.span.end


def _mention_ids(document: Document, number: int) -> list[str]:
    """Return the ids of mentions: those in their infons if all are present and distinct, else new ones."""
    ids = [entity.infons.get("id", "") for entity in document.entities]
    if all(ids) and len(set(ids)) == len(ids):
        return ids
    return [f"{number}_T{n}" for n in range(len(ids))]


def _normalized(identifier: str) -> dict[str, str]:
    name, _, local = identifier.partition(":")
    return {"db_name": name, "db_id": local} if name and local else {"db_name": "", "db_id": identifier}


def _features(datasets: Any) -> Any:
    """Return the features of BigBIO's `kb` schema, equal to those in the package of BigBIO."""
    string, list_of = datasets.Value("string"), datasets.List
    offsets, texts = list_of(list_of(datasets.Value("int32"))), list_of(string)
    normalized = list_of({"db_name": string, "db_id": string})
    located = {"id": string, "type": string, "text": texts, "offsets": offsets}
    trigger = {"text": texts, "offsets": offsets}
    return datasets.Features(
        {
            "id": string,
            "document_id": string,
            "passages": list_of(located),
            "entities": list_of({**located, "normalized": normalized}),
            "events": list_of(
                {
                    "id": string,
                    "type": string,
                    "trigger": trigger,
                    "arguments": list_of({"role": string, "ref_id": string}),
                }
            ),
            "coreferences": list_of({"id": string, "entity_ids": texts}),
            "relations": list_of(
                {"id": string, "type": string, "arg1_id": string, "arg2_id": string, "normalized": normalized}
            ),
        }
    )


def to_tokens(documents: Iterable[Document], *, lost: Counter[str] | None = None) -> Dataset:
    """Convert documents into a data set for token classification, with a row for each sentence.

    The columns are `document_id`, `tokens`, `offsets` (a pair of code points in the document for each token) and
    `ner_tags` (BIO tags, as `ClassLabel`). Of nested and crossing mentions the longest are kept. Documents without
    sentences are split into sentences.

    Args:
        documents: any number; all of them are held in memory.
        lost: is increased by what BIO tags cannot hold, as counts by kind.

    Raises:
        MissingExtraError: if datasets is not installed.
    """
    datasets = _datasets()
    counts: Counter[str] = Counter() if lost is None else lost
    rows = [row for document in documents for row in _token_rows(document, counts)]
    types = sorted({tag[2:] for row in rows for tag in row["ner_tags"] if tag != "O"})
    names = ["O", *(f"{letter}-{entity_type}" for entity_type in types for letter in "BI")]
    string, list_of = datasets.Value("string"), datasets.List
    features = datasets.Features(
        {
            "document_id": string,
            "tokens": list_of(string),
            "offsets": list_of(list_of(datasets.Value("int32"))),
            "ner_tags": list_of(datasets.ClassLabel(names=names)),
        }
    )
    return datasets.Dataset.from_list(rows, features=features)


def _token_rows(document: Document, lost: Counter[str]) -> Iterator[dict[str, Any]]:
    count_losses(document, lost, holds=("sentence offsets", "mentions", GAPS))
    for sentence in tokens_and_tags(with_sentences(document), lost):
        yield {
            "document_id": document.id,
            "tokens": [span.of(document.text) for span, _ in sentence],
            "offsets": [[span.start, span.end] for span, _ in sentence],
            "ner_tags": [tag for _, tag in sentence],
        }


def from_tokens(
    dataset: Dataset, *, tokens: str = "tokens", tags: str = "ner_tags", reject: Reject = raise_rejected
) -> Iterator[Document]:
    """Yield the documents of a data set for token classification.

    Consecutive rows with the same `document_id` are one document, whose words are placed at their `offsets`, with
    blanks between them. Without these columns each row is a document, whose words are joined by blanks.

    Args:
        dataset: a data set with a column of words and one of BIO tags, as `ClassLabel` or as texts such as `B-disease`.
        tokens, tags: the names of these columns.
        reject: is called with each document that cannot be read; the others are converted. By default the first reject
            raises `FormatError`.

    Raises:
        FormatError: if a column is missing.
    """
    if missing := [name for name in (tokens, tags) if name not in dataset.column_names]:
        raise FormatError(f"the data set has no column {missing[0]!r}; it has {', '.join(dataset.column_names)}")
    names = getattr(getattr(dataset.features[tags], "feature", None), "names", None)
    for number, rows in enumerate(_grouped(dataset), 1):
        document_id = str(rows[0].get("document_id") or rows[0].get("id") or number)
        try:
            sentences = [
                (row[tokens], [tag if names is None else names[tag] for tag in row[tags]], row.get("offsets"))
                for row in rows
            ]
            yield _tagged(document_id, sentences)
        except (FormatError, SpanError, ValueError, TypeError, IndexError) as error:
            reject(Rejected(f"tokens and tags cannot be read: {error}", document_id=document_id))


def _grouped(dataset: Dataset) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the rows of each document; a row without `document_id` and `offsets` is a document of its own."""
    together: list[Mapping[str, Any]] = []
    located = {"document_id", "offsets"} <= set(dataset.column_names)
    for row in dataset:
        if together and not (located and row["document_id"] == together[0]["document_id"]):
            yield together
            together = []
        together.append(row)
    if together:
        yield together


def _tagged(document_id: str, sentences: Sequence[tuple[list[str], list[str], list[list[int]] | None]]) -> Document:
    starts = [place[0] for _, _, offsets in sentences for place in offsets or ()]
    tagged_sentences = []
    before = " " * starts[0] if starts else None
    following = iter(starts[1:])
    for words, tags, offsets in sentences:
        places: Sequence[list[int] | None] = offsets if offsets is not None else [None] * len(words)
        sentence = []
        for word, tag, place in zip(words, tags, places, strict=True):
            gap = 1 if place is None else next(following, place[1]) - place[1]
            if place is not None and (place[1] - place[0] != len(word) or gap < 0):
                raise SpanError(f"the word {word!r:.80} does not fit its offsets {place}")
            sentence.append(Token(word, tag, " " * gap))
        tagged_sentences.append(sentence)
    return tagged_document(document_id, tagged_sentences, before=before)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "datasets") from error
    return datasets
