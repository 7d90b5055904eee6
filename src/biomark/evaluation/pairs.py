"""Pair gold and predicted documents, after checking their texts and mapping their types to biomark's names."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from biomark.entity_types import with_canonical_types
from biomark.errors import SpanError, UsageError
from biomark.evaluation.mentions import Mentions
from biomark.spans import Document, Entity, Span

STYLES = ("standard", "bc2gm")
DEEPEST = 500  # mentions that may cover one offset; comparing them takes time quadratic in their number
Tell = Callable[[str], None]


def ignore(message: str) -> None:
    """Discard a message; the default for `tell`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A document with the mentions to compare: scored types only, under biomark's names.

    Attributes:
        document: the gold document.
        gold: the distinct gold mentions.
        predicted: the distinct predicted mentions.
        alternatives: mentions that are accepted in place of the gold mentions that they overlap (BC2GM's official
            score).
        gold_entities: the gold mentions as annotated, with identifiers and repetitions.
        predicted_entities: the predicted mentions with identifiers and repetitions.
    """

    document: Document
    gold: Mentions
    predicted: Mentions
    alternatives: Mentions
    gold_entities: tuple[Entity, ...] = ()
    predicted_entities: tuple[Entity, ...] = ()

    def unmatched(self) -> tuple[Mentions, Mentions]:
        """Return the missed gold mentions and the wrong predicted mentions under the strict scheme.

        A mention matches one with the same spans and type. Where there are alternatives, the count
        is that of BioCreative II's official script (`alt_eval.perl`): a gold mention is matched if any
        prediction equals it, or equals an alternative that overlaps it; a prediction is wrong if it
        equals neither a gold mention nor any alternative. So a second prediction for a matched gold
        mention is neither a true nor a false positive, and one prediction may match two gold mentions.
        """
        predicted, accepted = set(self.predicted), set(self.gold) | set(self.alternatives)
        matched = predicted.intersection(self.gold)
        answers = Mentions(predicted.intersection(self.alternatives))
        matched |= {g for g in self.gold if answers.of_type(g.type).touched_by(g)}
        return self.gold.without(matched), self.predicted.without(accepted)


class Gold:
    """The gold documents, held in memory, with which streamed predictions are paired.

    Args:
        documents: the gold documents in any order, with unique ids.
        types: the types to score; empty: those that gold annotates, so that predictions of other types
            do not count as errors, or all predicted types if gold has no mention.
        type_map: spelling in the files → name of the type; it takes precedence over biomark's aliases.
        style: "standard"; or "bc2gm", which accepts alternatives (see `Pair.unmatched`) and ignores
            white space at the ends of a mention.
        tell: receives each remark for the reader of the scores.

    Raises:
        UsageError: if two documents have the same id, the style is unknown, or more than `DEEPEST` mentions of a
            document cover one offset.
    """

    def __init__(
        self,
        documents: Iterable[Document],
        *,
        types: Sequence[str] = (),
        type_map: Mapping[str, str] | None = None,
        style: str = "standard",
        tell: Tell = ignore,
    ) -> None:
        if style not in STYLES:
            raise UsageError(f"unknown corpus style {style!r}; choose from {', '.join(STYLES)}")
        self.style = style
        self._type_map = type_map
        self._names: dict[str, str] = {entity_type.casefold(): entity_type for entity_type in types}
        self._documents: dict[str, Document] = {}
        for document in documents:
            if document.id in self._documents:
                raise UsageError(f"gold has two documents with the id {document.id}; give each document a unique id")
            self._documents[document.id] = self._named(document)
        annotated = Counter(e.type for d in self._documents.values() for e in d.entities)
        self.types = tuple(dict.fromkeys(types)) or tuple(sorted(annotated))
        if absent := [entity_type for entity_type in self.types if entity_type not in annotated]:
            tell(f"gold has no mention of {', '.join(absent)}; it annotates {_counted(annotated) or 'nothing'}")
        if not self.types:
            tell("gold has no mention, so every prediction is wrong and a score of 0 carries little information")
        if len(self._documents) == 1:
            tell(
                "gold is one document, so the intervals have no width and do not show how scores vary between documents"
            )
        scored = {document_id: self._of_scored_types(d.entities) for document_id, d in self._documents.items()}
        self._mentions = {
            document_id: _comparable(entities, "gold", document_id) for document_id, entities in scored.items()
        }
        scored_count = sum(map(len, scored.values()))
        _tell_merged("gold mentions", scored_count - sum(map(len, self._mentions.values())), tell)

    def __len__(self) -> int:
        return len(self._documents)

    def pair(self, predicted: Iterable[Document], *, tell: Tell = ignore) -> Iterator[Pair]:
        """Yield each gold document with its predictions; gold documents without predictions come last.

        Texts may differ in white space at the end, and in the kind of each white-space character.

        Args:
            predicted: a stream of documents in any order.
            tell: receives each remark for the reader of the scores.

        Raises:
            SpanError: if the texts of a document differ.
            UsageError: if two documents have the same id, more than `DEEPEST` mentions of a document cover one
                offset, or no document has an id of gold.
        """
        seen: set[str] = set()
        surplus: list[str] = []
        predicted_count = distinct_count = 0
        predicted_types: Counter[str] = Counter()
        for prediction in predicted:
            document = self._documents.get(prediction.id)
            if document is None:
                surplus.append(prediction.id)
                continue
            if prediction.id in seen:
                raise UsageError(
                    f"there are two predicted documents with the id {prediction.id}; give each document a unique id"
                )
            seen.add(prediction.id)
            _check_texts(document, prediction)
            named = self._named(prediction)
            entities = self._of_scored_types(named.entities)
            pair = self._pair(document, entities)
            predicted_count, distinct_count = predicted_count + len(entities), distinct_count + len(pair.predicted)
            predicted_types.update(e.type for e in named.entities)
            yield pair
        if not seen:
            raise UsageError(_no_match(list(self._documents), surplus))
        missing = [document_id for document_id in self._documents if document_id not in seen]
        yield from (self._pair(self._documents[document_id], ()) for document_id in missing)
        if missing:
            lost = sum(len(self._mentions[document_id]) for document_id in missing)
            tell(f"gold documents without predictions, whose {lost} mentions all count as missed: {_few(missing)}")
        if surplus:
            tell(f"predicted documents that are not in gold and are not scored: {_few(surplus)}")
        if left_out := Counter(
            {entity_type: n for entity_type, n in predicted_types.items() if not self._is_scored(entity_type)}
        ):
            tell(f"predicted types that are not scored (see `types`): {_counted(left_out)}")
        if never := [entity_type for entity_type in self.types if entity_type not in predicted_types]:
            tell(f"scored types that are never predicted (see `types`): {', '.join(never)}")
        _tell_merged("predicted mentions", predicted_count - distinct_count, tell)

    def digest(self) -> str:
        """Return the first 12 hexadecimal digits of the SHA-256 of all scored mentions and alternatives."""
        sha = hashlib.sha256()
        for document_id in sorted(self._documents):
            pair = self._pair(self._documents[document_id], ())
            for mention in (*pair.gold, *pair.alternatives):
                spans = ",".join(f"{span.start}-{span.end}" for span in mention.spans)
                sha.update(f"{document_id}\t{spans}\t{mention.type}\n".encode())
        return sha.hexdigest()[:12]

    def _pair(self, document: Document, predicted: tuple[Entity, ...]) -> Pair:
        alternatives = Mentions(self._of_scored_types(document.alternatives) if self.style == "bc2gm" else ())
        gold = self._of_scored_types(document.entities)
        predicted_mentions = _comparable(predicted, "predicted", document.id)
        return Pair(document, self._mentions[document.id], predicted_mentions, alternatives, gold, predicted)

    def _is_scored(self, entity_type: str) -> bool:
        return not self.types or entity_type in self.types

    def _of_scored_types(self, entities: Iterable[Entity]) -> tuple[Entity, ...]:
        return tuple(entity for entity in entities if self._is_scored(entity.type))

    def _named(self, document: Document) -> Document:
        """Return the document with biomark's names of types, and users' own types in the spelling that gold uses first.

        An alternative of type `ALTGENE` gets the type of `GENE`.
        """
        names = self._names.values()
        others = tuple(replace(e, type=e.type.removeprefix("ALT")) for e in document.alternatives)
        others = with_canonical_types(replace(document, entities=others), self._type_map, names).entities
        document = with_canonical_types(replace(document, alternatives=others), self._type_map, names)
        for entity in document.entities:
            self._names.setdefault(entity.type.casefold(), entity.type)
        if self.style == "bc2gm":
            document = replace(
                document,
                entities=tuple(_trimmed(e, document.text) for e in document.entities),
                alternatives=tuple(_trimmed(e, document.text) for e in document.alternatives),
            )
        return document


def _trimmed(entity: Entity, text: str) -> Entity:
    """Return the entity without white space at its ends, because BC2GM's offsets do not count white space."""
    mention = entity.extent.of(text)
    if len(entity.spans) > 1 or mention == mention.strip() or not mention.strip():
        return entity
    start = entity.start + len(mention) - len(mention.lstrip())
    return replace(entity, spans=(Span(start, start + len(mention.strip())),))


def _comparable(entities: Iterable[Entity], side: str, document_id: str) -> Mentions:
    """Return the mentions of a document; raise UsageError if more than `DEEPEST` of them cover one offset."""
    mentions = Mentions(entities)
    deepest, place = mentions.depth()
    if deepest > DEEPEST:
        raise UsageError(
            f"document {document_id}: {deepest:,} {side} mentions overlap at offset {place}, but at most {DEEPEST} "
            "can be compared there; remove nested mentions, or the document"
        )
    return mentions


def _check_texts(gold: Document, predicted: Document) -> None:
    """Raise SpanError if the texts differ in more than white space, so that their offsets differ."""
    a, b = (re.sub(r"\s", " ", text.rstrip()) for text in (gold.text, predicted.text))
    if a == b:
        return
    place = next(i for i, (x, y) in enumerate(zip_longest(a, b)) if x != y)
    raise SpanError(
        f"document {gold.id}: the texts of gold and predictions differ from offset {place} on: gold has "
        f"{a[place : place + 30]!r}, the predictions have {b[place : place + 30]!r}; annotate the text of gold"
    )


def _tell_merged(what: str, count: int, tell: Tell) -> None:
    if count:
        tell(f"{what} with the same spans and type as another one, which count once: {count}")


def _counted(types: Counter[str]) -> str:
    return ", ".join(
        f"{entity_type} ({count})" for entity_type, count in sorted(types.items(), key=lambda item: (-item[1], item[0]))
    )


def _no_match(gold: Sequence[str], predicted: Sequence[str]) -> str:
    if not gold:
        return "gold has no documents, so there is nothing to score"
    if not predicted:
        return f"the predictions have no documents; gold has {_few(gold)}"
    return (
        "no predicted document has the id of a gold document, so there is nothing to score; "
        f"gold has {_few(gold)}, the predictions have {_few(predicted)}; use gold's ids in the predictions"
    )


def _few(ids: Sequence[str]) -> str:
    return f"{len(ids)} ({', '.join(ids[:5])}{', …' if len(ids) > 5 else ''})"
