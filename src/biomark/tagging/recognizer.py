"""Tagging: one pass of a network over a window yields all types, or the one that an instruction names.

`TaggingRecognizer` turns documents into batches and tags into entities; what computes the tags is
a function, so that an ONNX file (`load_onnx`, no torch) and a network in training share all else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from biomark.embedding.exported import session
from biomark.entity_types import types_wanted
from biomark.errors import ModelError, UsageError
from biomark.recognizers import Annotated, in_groups
from biomark.runtime.machine import cores
from biomark.spans import Document, Rejected, Span
from biomark.tagging.calibration import Calibrator, Candidate, candidates, entities
from biomark.tagging.repair import repaired
from biomark.tagging.text import (
    Batch,
    Floats,
    Read,
    Window,
    collate,
    log_softmax,
    read_document,
)
from biomark.tagging.words import OWN_WORDING, Frame, WordReader, Words

# Logits (W, N, 3) for the W words of a batch, in their order, and the N types of the model.
Forward = Callable[[Batch], Floats]

WEIGHTS, TOKENIZER, CARD = "model.onnx", "tokenizer.json", "model.json"
PREFERENCE = "preference"  # an input of networks that know guidelines: (corpora,) float32, added to the gate's logits
_PREFERRED = 1e4  # so much that no other guideline has a say where the preferred one knows the type


@dataclass(frozen=True, slots=True)
class _Group:
    """Documents that were read together (or could not be), and the batches that are under way for them."""

    documents: list[Read | Annotated]
    batches: list[tuple[list[Window], Future[Floats]]]


@dataclass(frozen=True, slots=True)
class _Asking:
    """What types are wanted, in which frames documents are read for them, and which heads then speak of them."""

    types: tuple[str, ...]
    frames: tuple[Frame, ...]
    heads: tuple[list[int], ...]


def _logits(found: Mapping[tuple[int, Frame], Floats], words: Words, asking: _Asking) -> Floats:
    """(W, types, 3) for the words of a passage."""
    asked = zip(asking.frames, asking.heads, strict=True)
    result: Floats = np.concatenate([found[id(words), frame][:, heads] for frame, heads in asked], axis=1)
    return result


class TaggingRecognizer:
    """Tags windows of documents; see `biomark.tagging.text`.

    Args:
        reader: of the model's tokenizer.
        forward: computes logits; is called from several threads if `threads` > 1.
        types: what the rows of the logits mean, under biomark's names. If the reader gives instructions, the
            types that the model was trained on: every window is read once for each type asked for, which may be any.
        default_types: those of `types` that are looked for where nobody names any; empty: all.
        min_score: mentions with a lower score are left out, unless `annotate` is told otherwise.
        calibrators: for types, what makes probabilities of their scores.
        max_pieces: word pieces a window.
        batch_pieces: word pieces a batch, padding counted; a longer window is a batch of its own.
        threads: batches computed at the same time.
    """

    # How much text is read before its windows are sorted by length into batches: memory grows with it, padding shrinks.
    characters_at_once = 60_000

    def __init__(
        self,
        reader: WordReader,
        forward: Forward,
        types: Sequence[str],
        *,
        default_types: Sequence[str] = (),
        min_score: float = 0.0,
        calibrators: Mapping[str, Calibrator] | None = None,
        max_pieces: int = 128,
        batch_pieces: int = 1024,
        threads: int = 1,
    ) -> None:
        self._reader = reader
        self._forward = forward
        self._types = tuple(types)
        self._default_types = tuple(default_types) or self._types
        self._min_score = min_score
        self._calibrators = dict(calibrators or {})
        self._max_pieces = max_pieces
        self._batch_pieces = batch_pieces
        self._threads = threads

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that the model was trained on; None if it follows instructions, which may name any type."""
        return None if self._reader.instructions else self._types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; entities have scores and lie inside one passage.

        Without `types` the model is asked for its default types. It always decides between all of these (see
        `biomark.tagging.repair`), so that what it finds of one does not depend on which others are asked for.
        """
        least = self._min_score if min_score is None else min_score
        wanted = self._asking(types).types
        every = (
            types if self._reader.instructions or not wanted else tuple(dict.fromkeys((*self._default_types, *wanted)))
        )
        return (
            replace(annotated, document=self._with_entities(annotated.document, found, wanted, least))
            for annotated, found in self.considered(documents, every)
        )

    def considered(
        self, documents: Iterable[Document], types: Sequence[str] | None = None
    ) -> Iterator[tuple[Annotated, list[Candidate]]]:
        """The documents without mentions, and for each one what may be mentions; arguments as for `annotate`."""
        return self._stream(iter(documents), self._asking(types))

    def _with_entities(
        self, document: Document, found: Iterable[Candidate], wanted: Sequence[str], least: float
    ) -> Document:
        # A higher score that is asked for leaves mentions out, but changes none.
        likely = entities(found, self._calibrators.get, min(least, self._min_score))
        # The other types, such as clinical problems, are of a scheme of their own and overlap the default ones.
        by_default = [entity for entity in likely if entity.type in self._default_types]
        others = [entity for entity in likely if entity.type not in self._default_types]
        mended = [*repaired(document, by_default), *repaired(document, others)]
        kept = [e for e in mended if (e.score or 0.0) >= least and e.type in wanted]
        return replace(document, entities=tuple(sorted(kept, key=lambda e: (e.start, e.end))))

    def _asking(self, types: Sequence[str] | None) -> _Asking:
        if self._reader.instructions:  # which can name any type
            wanted = self._default_types if types is None else tuple(types)
            frames = tuple(self._reader.frame(type) for type in wanted)
            return _Asking(wanted, frames, tuple([0] for _ in wanted))
        wanted = types_wanted(self._default_types if types is None else types, self._types)
        return _Asking(wanted, (self._reader.frame(),), ([self._types.index(type) for type in wanted],))

    def _stream(self, documents: Iterator[Document], asking: _Asking) -> Iterator[tuple[Annotated, list[Candidate]]]:
        pool = ThreadPoolExecutor(self._threads)
        try:
            # One group is computed while the one before it is decoded and the next one is read.
            before: _Group | None = None
            for documents_ in in_groups(documents, self.characters_at_once):
                group = self._begin([self._read(document, asking) for document in documents_], pool)
                if before is not None:
                    yield from self._finish(before, asking)
                before = group
            if before is not None:
                yield from self._finish(before, asking)
        finally:  # an interrupt waits for the windows that are being computed, not for those that are to be
            pool.shutdown(cancel_futures=True)

    def _read(self, document: Document, asking: _Asking) -> Read | Annotated:
        """A document ready for batches, or handed back where it cannot be read."""
        document = document.bare()
        try:
            return read_document(document, self._reader, self._max_pieces, asking.frames)
        except Exception as error:  # whatever a tokenizer raises on odd text must not stop the rest
            reason = f"cannot be split into words: {error}"
            window = Span(0, len(document.text)) if document.text else None
            return Annotated(document, (Rejected(reason, document_id=document.id, window=window),))

    def _begin(self, documents: list[Read | Annotated], pool: ThreadPoolExecutor) -> _Group:
        """Give the windows of some documents to the network."""
        batches = self._batches([w for read in documents if isinstance(read, Read) for w in read.windows])
        return _Group(documents, [(batch, pool.submit(self._compute, batch)) for batch in batches])

    def _compute(self, batch: Sequence[Window]) -> Floats:
        return self._forward(collate(batch))

    def _finish(self, group: _Group, asking: _Asking) -> Iterator[tuple[Annotated, list[Candidate]]]:
        """Put the tags of windows together and read the candidates off them."""
        found: dict[tuple[int, Frame], Floats] = {}  # (W, heads, 3) by id() of the words of a passage, and frame
        for batch, future in group.batches:
            values, row = future.result(), 0
            for window in batch:
                key = (id(window.words), window.frame)
                if key not in found:
                    found[key] = np.zeros((len(window.words), *values.shape[1:]), dtype=np.float32)
                begin, end = row + window.keep_start - window.start, row + window.keep_end - window.start
                found[key][window.keep_start : window.keep_end] = values[begin:end]
                row += window.end - window.start
        for read in group.documents:
            if isinstance(read, Annotated):
                yield read, []
                continue
            texts = [words for words in read.words if len(words) and asking.types]
            passages = [(log_softmax(_logits(found, words, asking)), words) for words in texts]
            yield Annotated(read.document), candidates(read.document.text, passages, asking.types)

    def _batches(self, windows: Sequence[Window]) -> Iterator[list[Window]]:
        """Windows of like length together, longest first, at most `batch_pieces` with padding."""
        batch: list[Window] = []
        for window in sorted(windows, key=lambda w: -w.length):
            if batch and batch[0].length * (len(batch) + 1) > self._batch_pieces:
                yield batch
                batch = []
            batch.append(window)
        if batch:
            yield batch


def check_guideline(folder: Path, name: str, known: Sequence[str]) -> None:
    """Refuse the name of a corpus that a model does not know.

    Args:
        folder: of the model.
        name: of the corpus; empty: none is asked for.
        known: those that there are.

    Raises:
        UsageError: with the known ones.
    """
    if name and name not in known:
        choice = f"choose from {', '.join(known)}" if known else "this model follows none by name"
        raise UsageError(f"{folder}: unknown guideline {name!r}; {choice}")


def load_onnx(folder: Path, *, threads: int | None = None, guideline: str = "") -> TaggingRecognizer:
    """The recognizer in a folder that `biomark export` made; needs onnxruntime, not torch.

    Args:
        folder: with `model.onnx`, `tokenizer.json` and `model.json`.
        threads: windows computed at the same time; None: as many as this process may use cores.
        guideline: the corpus whose guideline is followed for the types that it annotates, or that instructions name;
            empty: in each window the one that the model takes to be likely, or none.

    Raises:
        UsageError: if the model does not know the guideline.
        ModelError: if a file is missing or cannot be used.
    """
    for name in (WEIGHTS, TOKENIZER, CARD):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder}: {name} is missing; export the model again with: biomark export MODEL -o FOLDER"
            )
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        types, max_pieces = [str(type) for type in card["types"]], int(card["max_pieces"])
        default_types = [str(type) for type in card.get("default_types", types)]
        min_score, wording = (
            float(card["min_score"]),
            str(card.get("wording", OWN_WORDING)) if card.get("instruction") else "",
        )
        calibrators = {str(type): Calibrator(*map(float, found)) for type, found in card.get("calibration", {}).items()}
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        network = session(folder / WEIGHTS)
    except Exception as error:  # the libraries raise bare Exceptions of their own
        raise ModelError(f"{folder}: cannot be loaded: {error}") from error

    read = [array.name for array in network.get_inputs()]
    guidelines = [str(corpus) for corpus in card.get("guidelines", ())]
    named = [str(corpus) for corpus in card.get("corpora", ())]
    check_guideline(folder, guideline, named or guidelines)
    preference = np.array([_PREFERRED * (corpus == guideline) for corpus in guidelines], dtype=np.float32)

    def forward(batch: Batch) -> Floats:
        arrays = {**batch._asdict(), PREFERENCE: preference}
        (logits,) = network.run(None, {name: arrays[name] for name in read})
        result: Floats = logits
        return result

    return TaggingRecognizer(
        WordReader(tokenizer, wording=wording, corpus=guideline if named else ""),
        forward,
        types,
        default_types=default_types,
        min_score=min_score,
        calibrators=calibrators,
        max_pieces=max_pieces,
        # One window at a time: int8 activations get their scale from all that is computed together, and
        # so a document's mentions and scores do not depend on what is read beside it.
        batch_pieces=1,
        threads=threads or cores(),
    )
