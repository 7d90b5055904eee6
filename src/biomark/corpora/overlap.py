"""Sentences and documents that corpora share, so that no model is trained on the data it is scored on.

Two sentences are shared if they have the same letters and digits, or most of their runs of eight letters in common,
as copies with another tokenisation or small edits do. A long sentence is also shared if most of its runs are in a
longer one, of which it is a part. An index of the runs finds the pairs in time linear in the length of the texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biomark.corpora.settings import OverlapOptions
from biomark.errors import UsageError
from biomark.spans import Document, Span
from biomark.text.edits import without
from biomark.text.greek import spelled_out
from biomark.text.sentences import with_sentences

DEFAULTS = OverlapOptions()
_RUN = 8  # letters
_FREQUENT = 50  # sentences; a run in more sentences is too frequent to propose candidates
_CHUNK = 20_000  # sentences that are looked up together
_PUBMED = re.compile(r"(?:\w+-)?(\d{5,8})|P(\d{8})[TA]\d+")  # with a corpus' name as prefix; ids of BC2GM's sentences
_NEWEST = 50_000_000  # above all PubMed ids so far; MEDLINE's old identifiers are higher

Runs = NDArray[np.uint64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SharedSentence:
    """A sentence of one split and an equal or similar sentence of another split.

    Attributes:
        document: the id of the sentence's document.
        span: the span of the sentence in its document.
        other_document: the id of the other sentence's document.
        other_span: the span of the other sentence in its document.
        similarity: the share of common runs of letters, in (0, 1]; 1 for equal sentences.
    """

    document: str
    span: Span
    other_document: str
    other_span: Span
    similarity: float


@dataclass(frozen=True, slots=True)
class SharedDocument:
    """Two documents with the same PubMed id."""

    document: str
    other_document: str
    pubmed_id: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """The sentences and documents that two splits share.

    Attributes:
        split: the name of the split.
        other: the name of the other split.
        sentences: the pairs of equal or similar sentences.
        documents: the pairs of documents with the same PubMed id.
    """

    split: str
    other: str
    sentences: tuple[SharedSentence, ...] = ()
    documents: tuple[SharedDocument, ...] = ()

    @property
    def sentence_count(self) -> int:
        """The number of the split's sentences that are shared."""
        return len({(shared.document, shared.span) for shared in self.sentences})

    @property
    def document_ids(self) -> tuple[str, ...]:
        """The ids of the split's documents that share their PubMed id, then of those that share a sentence."""
        ids = [*(shared.document for shared in self.documents), *(shared.document for shared in self.sentences)]
        return tuple(dict.fromkeys(ids))


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """A split without the sentences and documents that it shares with other splits.

    Attributes:
        documents: the remaining documents, without their shared sentences.
        left_out: the ids of the documents that were removed as a whole.
        sentences: document id → the spans of its removed sentences in the original text.
        overlaps: the overlap with each other split that shares anything.
    """

    documents: tuple[Document, ...]
    left_out: tuple[str, ...]
    sentences: Mapping[str, tuple[Span, ...]]
    overlaps: tuple[Overlap, ...]


def facts(kept: Mapping[str, Deduplicated]) -> dict[str, object]:
    """Return the overlaps of splits, and the documents and sentences to leave out of each, as a JSON object.

    Args:
        kept: split name → the result of `Index.compare`.
    """
    pairs = [
        {
            "split": name,
            "other": overlap.other,
            "documents": len(overlap.document_ids),
            "sentences": overlap.sentence_count,
            "shared_documents": [asdict(shared) for shared in overlap.documents],
            "shared_sentences": [
                asdict(shared) | {"span": _ends(shared.span), "other_span": _ends(shared.other_span)}
                for shared in overlap.sentences
            ],
        }
        for name, result in kept.items()
        for overlap in result.overlaps
    ]
    leave_out = {
        name: {
            "documents": result.left_out,
            "sentences": {
                document_id: [_ends(span) for span in spans] for document_id, spans in result.sentences.items()
            },
        }
        for name, result in kept.items()
    }
    return {"pairs": pairs, "leave_out": leave_out}


def _ends(span: Span) -> tuple[int, int]:
    return span.start, span.end


class _IndexedSentence(NamedTuple):
    split: str
    place: int  # of its document in the split
    document: str
    span: Span
    letters: str


# The index of a document in its split, the name of the other split, and the shared sentence or document.
_Row = tuple[int, str, SharedSentence | SharedDocument]


class Index:
    """An index of the sentences of splits, with which other splits are compared.

    Args:
        splits: split name → documents.
        options: the criteria for shared sentences. For sentences about twice as long as the shortest one that is
            compared, `similarity` is the share of the shorter sentence's runs that the longer one has.

    Raises:
        UsageError: if an option is out of its range.
    """

    def __init__(self, splits: Mapping[str, Iterable[Document]], options: OverlapOptions = DEFAULTS) -> None:
        if options.letters < _RUN:
            raise UsageError(
                f"letters must be at least {_RUN}, got {options.letters}, because runs of {_RUN} letters are compared"
            )
        if not 0 < options.similarity <= 1:
            raise UsageError(f"similarity must be in (0, 1], got {options.similarity}")
        self._options = options
        self._sentences: list[_IndexedSentence] = []
        self._by_pubmed: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.splits = tuple(splits)
        for name, documents in splits.items():
            for place, document in enumerate(documents):
                self._sentences += self._of(document, name, place)
                if number := pubmed_id(document):
                    self._by_pubmed[number].append((name, document.id))
        self._by_letters: dict[str, list[int]] = defaultdict(list)
        for n, sentence in enumerate(self._sentences):
            self._by_letters[sentence.letters].append(n)
        self._runs, self._owners = _runs([sentence.letters for sentence in self._sentences])
        self._sizes = np.bincount(self._owners, minlength=len(self._sentences))

    def _of(self, document: Document, split: str, place: int) -> Iterator[_IndexedSentence]:
        for span in with_sentences(document).sentences:
            letters = letters_of(span.of(document.text))
            if len(letters) >= self._options.letters:
                yield _IndexedSentence(split, place, document.id, span, letters)

    def compare(self, documents: Sequence[Document], split: str = "") -> Deduplicated:
        """Compare documents with the splits of the index, and remove what they share.

        A document is removed as a whole if it shares its PubMed id, or at least half of its compared sentences;
        otherwise only the shared sentences are removed. Full texts share sentences such as "All authors read and
        approved the final manuscript", which do not justify removing the whole document.

        Args:
            documents: the documents of a split.
            split: the name of the split.
        """
        rows = sorted(self._shared(documents, split), key=lambda row: row[0])
        spans: dict[int, set[Span]] = defaultdict(set)
        whole = {place for place, _, shared in rows if isinstance(shared, SharedDocument)}
        for place, _, shared in rows:
            if isinstance(shared, SharedSentence):
                spans[place].add(shared.span)
        for place, shared_spans in spans.items():
            if 2 * len(shared_spans) >= sum(1 for _ in self._of(documents[place], split, place)):
                whole.add(place)
        parts = {place: tuple(sorted(shared_spans)) for place, shared_spans in spans.items() if place not in whole}
        kept = [without(d, parts.get(place, ())) for place, d in enumerate(documents) if place not in whole]
        left_out = tuple(documents[place].id for place in sorted(whole))
        sentences = {documents[place].id: shared_spans for place, shared_spans in sorted(parts.items())}
        return Deduplicated(tuple(kept), left_out, sentences, self._overlaps(rows, split))

    def _overlaps(self, rows: Sequence[_Row], split: str) -> tuple[Overlap, ...]:
        overlaps = []
        for other in self.splits:
            shared = [item for _, name, item in rows if name == other]
            sentences = tuple(item for item in shared if isinstance(item, SharedSentence))
            shared_documents = tuple(item for item in shared if isinstance(item, SharedDocument))
            if shared:
                overlaps.append(Overlap(split, other, sentences, shared_documents))
        return tuple(overlaps)

    def _shared(self, documents: Sequence[Document], split: str) -> Iterator[_Row]:
        sentences: list[_IndexedSentence] = []
        for place, document in enumerate(documents):
            sentences += self._of(document, split, place)
            number = pubmed_id(document)
            for other, other_id in self._by_pubmed.get(number, ()):
                yield place, other, SharedDocument(document.id, other_id, number)
        for begin in range(0, len(sentences), _CHUNK):
            chunk = sentences[begin : begin + _CHUNK]
            for n, m, similarity in self._alike(chunk):
                own, match = chunk[n], self._sentences[m]
                shared = SharedSentence(own.document, own.span, match.document, match.span, round(similarity, 3))
                yield own.place, match.split, shared

    def _alike(self, chunk: Sequence[_IndexedSentence]) -> Iterator[tuple[int, int, float]]:
        """Yield the indices of similar sentences in the chunk and in `_sentences`, with their similarity."""
        for n, m in self._candidates([sentence.letters for sentence in chunk]):
            own, other = chunk[n].letters, self._sentences[m].letters
            similarity = 1.0 if own == other else self._similarity_of(own, other)
            if similarity >= self._options.similarity:
                yield n, m, similarity

    def _similarity_of(self, first: str, second: str) -> float:
        parts, others = ({text[n : n + _RUN] for n in range(len(text) - _RUN + 1)} for text in (first, second))
        less = min(len(parts), len(others))
        return len(parts & others) / (less if self._is_long(less) else len(parts | others))

    def _is_long(self, runs: Any) -> Any:
        """Return whether a sentence with a number of runs is long enough to be matched inside a longer sentence."""
        return runs >= 2 * self._options.letters - _RUN

    def _candidates(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Return candidate pairs: all similar pairs, except unequal ones whose common runs are all frequent."""
        runs, owners = _runs(texts)
        first = np.searchsorted(self._runs, runs, side="left")
        counts = np.searchsorted(self._runs, runs, side="right") - first
        frequent = np.bincount(owners[counts > _FREQUENT], minlength=len(texts))
        sizes = np.bincount(owners, minlength=len(texts))
        rare = (counts > 0) & (counts <= _FREQUENT)
        first, counts, owners = first[rare], counts[rare], owners[rare]
        # The indices of all rows of the index that have each run: first, first + 1, … first + count - 1.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        codes = np.repeat(owners, counts) * len(self._sentences) + self._owners[np.repeat(first, counts) + within]
        codes, common = np.unique(codes, return_counts=True)
        own, its = np.divmod(codes, max(len(self._sentences), 1))
        less, more = np.minimum(sizes[own], self._sizes[its]), np.maximum(sizes[own], self._sizes[its])
        least = self._options.similarity * np.where(self._is_long(less), less, more)
        enough = common + frequent[own] >= least
        pairs = set(zip(own[enough].tolist(), its[enough].tolist(), strict=True))
        pairs.update((n, m) for n, text in enumerate(texts) for m in self._by_letters.get(text, ()))
        return sorted(pairs)


def letters_of(text: str) -> str:
    """Return the letters and digits of a text: in lower case, without accents, with Greek letters spelled out."""
    return text.translate(_LETTERS)


def pubmed_id(document: Document) -> str:
    """Return the PubMed id in a document's id such as `biored-10788334`; "" if it has none."""
    match = _PUBMED.fullmatch(document.id)
    number = (match[1] or match[2]).lstrip("0") if match else ""
    return number if number and int(number) < _NEWEST else ""


class _Letters(dict[int, str]):
    """A table from code points to their letters and digits, which is filled on first use."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        plain = spelled_out(character) or unicodedata.normalize("NFKD", character.casefold())
        self[code] = kept = "".join(c for c in plain if c.isalnum())
        return kept


_LETTERS = _Letters()


def _runs(texts: Sequence[str]) -> tuple[Runs, Numbers]:
    """Return the sorted hashes of all distinct runs of each text, uint64 (R,), and their texts' indices, int64 (R,)."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    counts = np.maximum(lengths - _RUN + 1, 0)
    owners = np.repeat(np.arange(len(texts), dtype=np.int64), counts)
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
    hashes = np.zeros(len(places), dtype=np.uint64)
    for n in range(_RUN):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[places + n]
        hashes ^= hashes >> np.uint64(29)
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = np.ones(len(hashes), dtype=bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
    return hashes[new], owners[new]
