"""Sentences and documents that corpora share, so that no model learns from what it is scored on.

Two sentences are shared if their letters and digits are the same, or most of their runs of eight letters, as those
of copies are that were tokenised or edited otherwise. A long sentence is shared, too, if most of its runs are in a
longer one, with which it was joined. An index of the runs finds the pairs, so that the time grows with the length of
the texts and not with its square.
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
_FREQUENT = 50  # sentences; a run that more of them have names no candidates
_CHUNK = 20_000  # sentences that are looked up together
_PUBMED = re.compile(r"(?:\w+-)?(\d{5,8})|P(\d{8})[TA]\d+")  # a corpus' name before it; a sentence of BC2GM
_NEWEST = 50_000_000  # no PubMed id is as high yet; identifiers of old MEDLINE are

Runs = NDArray[np.uint64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SharedSentence:
    """A sentence of one split and the sentence of another one that it equals or resembles.

    Attributes:
        document: the id of its document.
        span: where it stands there.
        other_document: the id of the other one's document.
        other_span: where that stands there.
        similarity: the share of their runs of letters that both have; 1 for equal ones.
    """

    document: str
    span: Span
    other_document: str
    other_span: Span
    similarity: float


@dataclass(frozen=True, slots=True)
class SharedDocument:
    """Two documents with one PubMed id."""

    document: str
    other_document: str
    pubmed_id: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a split shares with another one.

    Attributes:
        split: its name.
        other: the other one's name.
        sentences: a row for each pair of sentences.
        documents: a row for each pair of documents with one PubMed id.
    """

    split: str
    other: str
    sentences: tuple[SharedSentence, ...] = ()
    documents: tuple[SharedDocument, ...] = ()

    @property
    def sentence_count(self) -> int:
        """How many of the split's sentences are shared."""
        return len({(shared.document, shared.span) for shared in self.sentences})

    @property
    def document_ids(self) -> tuple[str, ...]:
        """The split's documents that share a sentence or the PubMed id, in order."""
        ids = [*(shared.document for shared in self.documents), *(shared.document for shared in self.sentences)]
        return tuple(dict.fromkeys(ids))


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a corpus without what others share with it.

    Attributes:
        documents: that are left, some of them without the sentences in question.
        left_out: the ids of documents that are left out whole.
        sentences: the ids of documents of which sentences are left out, and where these stood.
        overlaps: why: with each of the others' splits that the corpus shares anything with.
    """

    documents: tuple[Document, ...]
    left_out: tuple[str, ...]
    sentences: Mapping[str, tuple[Span, ...]]
    overlaps: tuple[Overlap, ...]


def facts(kept: Mapping[str, Kept]) -> dict[str, object]:
    """What corpora share with others and what to leave out of each, by its name, as JSON can hold it."""
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


class _Sentence(NamedTuple):
    split: str
    place: int  # of its document in the split
    document: str
    span: Span
    letters: str


# The place of a document in its split, the name of the other split, what they share.
_Row = tuple[int, str, SharedSentence | SharedDocument]


class Index:
    """The sentences of some splits, to compare others with.

    Args:
        splits: the documents of each, by its name.
        options: what counts as the same. Of a sentence about twice as long as the shortest that is compared,
            `similarity` is the share of its runs that a longer one has.

    Raises:
        UsageError: if an option is out of its range.
    """

    def __init__(self, splits: Mapping[str, Iterable[Document]], options: OverlapOptions = DEFAULTS) -> None:
        if options.letters < _RUN:
            raise UsageError(f"letters must be at least {_RUN}, not {options.letters}: runs of {_RUN} are compared")
        if not 0 < options.similarity <= 1:
            raise UsageError(f"similarity is a share, above 0 and up to 1, not {options.similarity}")
        self._options = options
        self._sentences: list[_Sentence] = []
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

    def _of(self, document: Document, split: str, place: int) -> Iterator[_Sentence]:
        for span in with_sentences(document).sentences:
            letters = letters_of(span.of(document.text))
            if len(letters) >= self._options.letters:
                yield _Sentence(split, place, document.id, span, letters)

    def compare(self, documents: Sequence[Document], split: str = "") -> Kept:
        """What documents share with the index' splits, and what is left of them without it.

        A document is left out whole if it has the PubMed id of one of theirs, or if they have at least half of its
        sentences that are compared; of others the sentences are left out. Full texts have sentences such as
        "All authors read and approved the final manuscript", which are no reason to leave out the rest.

        Args:
            documents: of a split.
            split: its name.
        """
        rows = sorted(self._shared(documents, split), key=lambda row: row[0])
        spans: dict[int, set[Span]] = defaultdict(set)
        whole = {place for place, _, shared in rows if isinstance(shared, SharedDocument)}
        for place, _, shared in rows:
            if isinstance(shared, SharedSentence):
                spans[place].add(shared.span)
        for place, its in spans.items():
            if 2 * len(its) >= sum(1 for _ in self._of(documents[place], split, place)):
                whole.add(place)
        parts = {place: tuple(sorted(its)) for place, its in spans.items() if place not in whole}
        kept = [without(d, parts.get(place, ())) for place, d in enumerate(documents) if place not in whole]
        left_out = tuple(documents[place].id for place in sorted(whole))
        sentences = {documents[place].id: its for place, its in sorted(parts.items())}
        return Kept(tuple(kept), left_out, sentences, self._overlaps(rows, split))

    def _overlaps(self, rows: Sequence[_Row], split: str) -> tuple[Overlap, ...]:
        overlaps = []
        for other in self.splits:
            shared = [what for _, name, what in rows if name == other]
            sentences = tuple(what for what in shared if isinstance(what, SharedSentence))
            its = tuple(what for what in shared if isinstance(what, SharedDocument))
            if shared:
                overlaps.append(Overlap(split, other, sentences, its))
        return tuple(overlaps)

    def _shared(self, documents: Sequence[Document], split: str) -> Iterator[_Row]:
        sentences: list[_Sentence] = []
        for place, document in enumerate(documents):
            sentences += self._of(document, split, place)
            number = pubmed_id(document)
            for other, other_id in self._by_pubmed.get(number, ()):
                yield place, other, SharedDocument(document.id, other_id, number)
        for begin in range(0, len(sentences), _CHUNK):
            chunk = sentences[begin : begin + _CHUNK]
            for n, m, similarity in self._alike(chunk):
                own, its = chunk[n], self._sentences[m]
                shared = SharedSentence(own.document, own.span, its.document, its.span, round(similarity, 3))
                yield own.place, its.split, shared

    def _alike(self, chunk: Sequence[_Sentence]) -> Iterator[tuple[int, int, float]]:
        """Pairs of sentences, by their places in the chunk and in the index, and their similarity."""
        for n, m in self._candidates([sentence.letters for sentence in chunk]):
            own, its = chunk[n].letters, self._sentences[m].letters
            similarity = 1.0 if own == its else self._similarity_of(own, its)
            if similarity >= self._options.similarity:
                yield n, m, similarity

    def _similarity_of(self, one: str, other: str) -> float:
        parts, others = ({text[n : n + _RUN] for n in range(len(text) - _RUN + 1)} for text in (one, other))
        less = min(len(parts), len(others))
        return len(parts & others) / (less if self._is_long(less) else len(parts | others))

    def _is_long(self, runs: Any) -> Any:
        """Whether numbers of runs are those of a sentence that is also found joined to another one."""
        return runs >= 2 * self._options.letters - _RUN

    def _candidates(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Pairs that may be alike: all that are, but for those that are not equal and have frequent runs alone."""
        runs, owners = _runs(texts)
        first = np.searchsorted(self._runs, runs, side="left")
        counts = np.searchsorted(self._runs, runs, side="right") - first
        frequent = np.bincount(owners[counts > _FREQUENT], minlength=len(texts))
        sizes = np.bincount(owners, minlength=len(texts))
        rare = (counts > 0) & (counts <= _FREQUENT)
        first, counts, owners = first[rare], counts[rare], owners[rare]
        # The places of all rows of the index that have each run: first, first + 1, … first + count - 1.
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
    """The letters and digits of a text: small ones without accents, Greek ones spelled out, all else left off."""
    return text.translate(_LETTERS)


def pubmed_id(document: Document) -> str:
    """The PubMed id that a document's id is or ends in, such as `biored-10788334`; "" if it looks like none."""
    match = _PUBMED.fullmatch(document.id)
    number = (match[1] or match[2]).lstrip("0") if match else ""
    return number if number and int(number) < _NEWEST else ""


class _Letters(dict[int, str]):
    """What becomes of each code point, found out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        plain = spelled_out(character) or unicodedata.normalize("NFKD", character.casefold())
        self[code] = kept = "".join(c for c in plain if c.isalnum())
        return kept


_LETTERS = _Letters()


def _runs(texts: Sequence[str]) -> tuple[Runs, Numbers]:
    """(R,) hashes of all runs of letters, in order, and (R,) the text of each; a text has each run once."""
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
