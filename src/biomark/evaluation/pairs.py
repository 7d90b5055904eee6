"""Gold and predicted documents side by side, made comparable and checked."""

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
DEEPEST = 500  # mentions over one place: so many have to be looked at for each mention there
Tell = Callable[[str], None]


def ignore(message: str) -> None:
    """The default for `tell`: nobody listens."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A document with the mentions to compare: types under biomark's names, scored types only.

    Attributes:
        document: as gold has it.
        gold: its gold mentions.
        predicted: its predicted mentions.
        alternatives: what may stand for the gold mentions that it overlaps (BC2GM's official score).
        gold_entities: the gold mentions as they are annotated, with identifiers and repetitions.
        predicted_entities: the predicted ones likewise.
    """

    document: Document
    gold: Mentions
    predicted: Mentions
    alternatives: Mentions
    gold_entities: tuple[Entity, ...] = ()
    predicted_entities: tuple[Entity, ...] = ()

    def unmatched(self) -> tuple[Mentions, Mentions]:
        """The gold mentions that were not found, and the predicted ones that are wrong (strict).

        A mention matches one with the same spans and type. Where there are alternatives, the count
        is that of BioCreative II's official script (`alt_eval.perl`): a gold mention is found if any
        prediction equals it, or equals an alternative that overlaps it; a prediction is wrong if it
        equals neither a gold mention nor any alternative. So a second prediction for a gold mention
        that is found already is neither right nor wrong, and one prediction may find two gold mentions.
        """
        predicted, accepted = set(self.predicted), set(self.gold) | set(self.alternatives)
        found = predicted.intersection(self.gold)
        answers = Mentions(predicted.intersection(self.alternatives))
        found |= {g for g in self.gold if answers.of_type(g.type).touched_by(g)}
        return self.gold.without(found), self.predicted.without(accepted)


class Gold:
    """The gold documents, held in memory; predictions stream past them.

    Args:
        documents: in any order, each id once.
        types: the types to score; empty: those that gold annotates. A system that predicts more types
            than a corpus annotates is thus not blamed for them. Gold without any mention is scored
            for whatever is predicted.
        type_map: spelling in the files → name of the type, before biomark's own aliases.
        style: "standard"; or "bc2gm", which accepts alternatives (see `Pair.unmatched`) and looks at no
            white space at the ends of a mention.
        tell: is called with what the reader of a score should know.

    Raises:
        UsageError: if two documents have the same id, there is no such style, or more than `DEEPEST` mentions of a
            document lie over one place of its text.
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
            raise UsageError(f"no corpus style {style!r}; there are {', '.join(STYLES)}")
        self.style = style
        self._type_map = type_map
        self._names: dict[str, str] = {type.casefold(): type for type in types}
        self._documents: dict[str, Document] = {}
        for document in documents:
            if document.id in self._documents:
                raise UsageError(f"gold has two documents {document.id}; give each an id of its own")
            self._documents[document.id] = self._named(document)
        annotated = Counter(e.type for d in self._documents.values() for e in d.entities)
        self.types = tuple(dict.fromkeys(types)) or tuple(sorted(annotated))
        if absent := [type for type in self.types if type not in annotated]:
            tell(f"gold has no mention of {', '.join(absent)}; it annotates {_counted(annotated) or 'nothing'}")
        if not self.types:
            tell("gold has no mention at all: every prediction is wrong, and a score of 0 says little")
        scored = {id: self._of_scored_types(d.entities) for id, d in self._documents.items()}
        self._mentions = {id: _comparable(entities, "gold", id) for id, entities in scored.items()}
        given = sum(map(len, scored.values()))
        _tell_merged("gold mentions", given - sum(map(len, self._mentions.values())), tell)

    def __len__(self) -> int:
        return len(self._documents)

    def pair(self, predicted: Iterable[Document], *, tell: Tell = ignore) -> Iterator[Pair]:
        """Each gold document with its predictions; those without any come last.

        White space at the end of a text, and which white space stands between words, do not matter.

        Raises:
            SpanError: if the texts of a document differ.
            UsageError: if two documents have the same id, more than `DEEPEST` mentions of a document lie over one
                place of its text, or no document has an id of gold.
        """
        seen: set[str] = set()
        surplus: list[str] = []
        given = kept = 0
        found: Counter[str] = Counter()
        for prediction in predicted:
            document = self._documents.get(prediction.id)
            if document is None:
                surplus.append(prediction.id)
                continue
            if prediction.id in seen:
                raise UsageError(f"there are two predicted documents {prediction.id}; give each an id of its own")
            seen.add(prediction.id)
            _check_texts(document, prediction)
            named = self._named(prediction)
            entities = self._of_scored_types(named.entities)
            pair = self._pair(document, entities)
            given, kept = given + len(entities), kept + len(pair.predicted)
            found.update(e.type for e in named.entities)
            yield pair
        if not seen:
            raise UsageError(_no_match(list(self._documents), surplus))
        missing = [id for id in self._documents if id not in seen]
        yield from (self._pair(self._documents[id], ()) for id in missing)
        if missing:
            lost = sum(len(self._mentions[id]) for id in missing)
            tell(f"gold documents without predictions, whose {lost} mentions are all missed: {_few(missing)}")
        if surplus:
            tell(f"predicted documents that are not in gold, which count for nothing: {_few(surplus)}")
        if left_out := Counter({type: n for type, n in found.items() if not self._is_scored(type)}):
            tell(f"predicted types that are not scored (see `types`): {_counted(left_out)}")
        if never := [type for type in self.types if type not in found]:
            tell(f"scored types that are never predicted (see `types`): {', '.join(never)}")
        _tell_merged("predicted mentions", given - kept, tell)

    def digest(self) -> str:
        """The first 12 digits of the SHA-256 of all scored mentions (and alternatives)."""
        sha = hashlib.sha256()
        for id in sorted(self._documents):
            pair = self._pair(self._documents[id], ())
            for mention in (*pair.gold, *pair.alternatives):
                spans = ",".join(f"{span.start}-{span.end}" for span in mention.spans)
                sha.update(f"{id}\t{spans}\t{mention.type}\n".encode())
        return sha.hexdigest()[:12]

    def _pair(self, document: Document, predicted: tuple[Entity, ...]) -> Pair:
        alternatives = Mentions(self._of_scored_types(document.alternatives) if self.style == "bc2gm" else ())
        gold = self._of_scored_types(document.entities)
        found = _comparable(predicted, "predicted", document.id)
        return Pair(document, self._mentions[document.id], found, alternatives, gold, predicted)

    def _is_scored(self, type: str) -> bool:
        return not self.types or type in self.types

    def _of_scored_types(self, entities: Iterable[Entity]) -> tuple[Entity, ...]:
        return tuple(entity for entity in entities if self._is_scored(entity.type))

    def _named(self, document: Document) -> Document:
        """The document with biomark's names of types, a user's own as gold spells them first; `ALTGENE` is an
        alternative of `GENE`."""
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
    """The entity without white space at its ends, as BC2GM's offsets do not count any."""
    mention = entity.extent.of(text)
    if len(entity.spans) > 1 or mention == mention.strip() or not mention.strip():
        return entity
    start = entity.start + len(mention) - len(mention.lstrip())
    return replace(entity, spans=(Span(start, start + len(mention.strip())),))


def _comparable(entities: Iterable[Entity], side: str, id: str) -> Mentions:
    """The mentions of a document, unless they overlap so much that comparing them would never end."""
    mentions = Mentions(entities)
    deepest, place = mentions.depth()
    if deepest > DEEPEST:
        raise UsageError(
            f"document {id}: {deepest:,} {side} mentions lie over one another at offset {place}; at most {DEEPEST} "
            "can be compared there: leave out mentions that are nested, or the document"
        )
    return mentions


def _check_texts(gold: Document, predicted: Document) -> None:
    """Raise if offsets into one text do not hold in the other."""
    a, b = (re.sub(r"\s", " ", text.rstrip()) for text in (gold.text, predicted.text))
    if a == b:
        return
    place = next(i for i, (x, y) in enumerate(zip_longest(a, b)) if x != y)
    raise SpanError(
        f"document {gold.id}: the texts of gold and predictions differ from offset {place} on: gold has "
        f"{a[place : place + 30]!r}, the predictions {b[place : place + 30]!r}; annotate the text that gold has"
    )


def _tell_merged(what: str, count: int, tell: Tell) -> None:
    if count:
        tell(f"{what} with the same spans and type as another one, which count once: {count}")


def _counted(types: Counter[str]) -> str:
    return ", ".join(f"{type} ({count})" for type, count in sorted(types.items(), key=lambda item: (-item[1], item[0])))


def _no_match(gold: Sequence[str], predicted: Sequence[str]) -> str:
    if not gold:
        return "gold has no document, so there is nothing to score"
    if not predicted:
        return f"there is no predicted document; gold has {_few(gold)}"
    return (
        "no predicted document has the id of a gold document, so there is nothing to score; "
        f"gold has {_few(gold)}, the predictions have {_few(predicted)}: give documents the ids that they have in gold"
    )


def _few(ids: Sequence[str]) -> str:
    return f"{len(ids)} ({', '.join(ids[:5])}{', …' if len(ids) > 5 else ''})"
