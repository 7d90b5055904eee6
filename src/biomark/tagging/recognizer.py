"""The recognizer of tagging models: one pass over a window yields all types, or the one that an instruction names.

`TaggingRecognizer` turns documents into batches and tags into entities. A function computes the tags, so that an
exported model (`load_onnx`, without torch) and a network in training share everything else.
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
from biomark.errors import ModelError
from biomark.recognizers import Annotated, in_groups
from biomark.runtime.machine import cores
from biomark.spans import Document, Rejected, Span
from biomark.tagging.calibration import Calibrator, MentionCandidate, candidates, entities
from biomark.tagging.guidelines import Guidelines, check_guideline
from biomark.tagging.repair import repaired
from biomark.tagging.text import (
    Batch,
    Floats,
    Output,
    Window,
    WindowedDocument,
    collate,
    log_softmax,
    read_document,
)
from biomark.tagging.words import OWN_WORDING, Frame, WordReader, Words

# Computes the output of the network for a batch.
Forward = Callable[[Batch], Output]

WEIGHTS, TOKENIZER, CARD = "model.onnx", "tokenizer.json", "model.json"
PREFERENCE = "preference"  # an input of networks with guidelines that versions before 0.2.0 exported


@dataclass(frozen=True, slots=True)
class Batching:
    """The batch sizes in which windows are computed.

    Attributes:
        pieces: the greatest number of word pieces of a batch, padding counted; a longer window is a batch of its own.
        threads: the number of batches that are computed at the same time.
    """

    pieces: int = 1024
    threads: int = 1


_ONE_THREAD = Batching()


@dataclass(frozen=True, slots=True)
class _PendingDocuments:
    """Documents that were read together or rejected, and the batches that are being computed for them."""

    documents: list[WindowedDocument | Annotated]
    batches: list[tuple[list[Window], Future[Output]]]


@dataclass(frozen=True, slots=True)
class _Query:
    """The types of one call of `annotate`.

    Attributes:
        types: the types to find.
        frames: the frames in which every window is read.
        heads: for each frame, the indexes of the network's heads whose logits belong to `types`, in their order.
    """

    types: tuple[str, ...]
    frames: tuple[Frame, ...]
    heads: tuple[list[int], ...]


def _logits(by_frame: Mapping[tuple[int, Frame], Floats], words: Words, query: _Query) -> Floats:
    """Return the logits for the words of a passage, (W, types, 3)."""
    frames = zip(query.frames, query.heads, strict=True)
    result: Floats = np.concatenate([by_frame[id(words), frame][:, heads] for frame, heads in frames], axis=1)
    return result


class TaggingRecognizer:
    """A recognizer that tags the windows of documents with a network; see `biomark.tagging.text`.

    Args:
        reader: the word reader of the model's tokenizer.
        forward: runs the network; it is called from several threads if `batching` has several.
        types: the types of the logits' second axis, under biomark's names. If the reader gives instructions, the types
            that the model was trained on; every window is then read once for each requested type, which may be any.
        default_types: those of `types` that `annotate` looks for if its caller names none; empty: all.
        min_score: the lowest score, in [0, 1], of a mention that is kept, unless `annotate` gets another one; or that
            of each type.
        calibrators: the functions that turn scores into probabilities, by type.
        guidelines: the annotation guidelines between which the network's gate decides; None: it has learnt one.
        max_pieces: the greatest number of word pieces of a window.
        batching: how windows are computed together.
    """

    def __init__(
        self,
        reader: WordReader,
        forward: Forward,
        types: Sequence[str],
        *,
        default_types: Sequence[str] = (),
        min_score: float | Mapping[str, float] = 0.0,
        calibrators: Mapping[str, Calibrator] | None = None,
        guidelines: Guidelines | None = None,
        max_pieces: int = 128,
        batching: Batching = _ONE_THREAD,
    ) -> None:
        self._reader = reader
        self._forward = forward
        self._types = tuple(types)
        self._default_types = tuple(default_types) or self._types
        self._min_score = min_score
        self._calibrators = dict(calibrators or {})
        self._guidelines = guidelines
        self._max_pieces = max_pieces
        self._batching = batching
        # Code points of text whose windows are sorted by length into batches together: more takes memory and saves
        # padding, of which windows that are read one by one have none.
        self.characters_at_once = 60_000 if batching.pieces > 1 else 10_000

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that the model was trained on, or None if it follows instructions, which may name any type."""
        return None if self._reader.instructions else self._types

    @property
    def default_types(self) -> tuple[str, ...]:
        """The types that `annotate` looks for if its caller names none."""
        return self._default_types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; entities have scores and lie inside one passage.

        Without `types` the recognizer looks for its default types. It always decides between all of them (see
        `biomark.tagging.repair`), so that the mentions of one type do not depend on the other requested types.
        """
        wanted = self._query(types).types
        every = (
            types if self._reader.instructions or not wanted else tuple(dict.fromkeys((*self._default_types, *wanted)))
        )
        return (
            replace(annotated, document=self._with_entities(annotated.document, possible, wanted, min_score))
            for annotated, possible in self.considered(documents, every)
        )

    def considered(
        self, documents: Iterable[Document], types: Sequence[str] | None = None
    ) -> Iterator[tuple[Annotated, list[MentionCandidate]]]:
        """Yield each document without mentions, and its candidates; the arguments are those of `annotate`."""
        return self._stream(iter(documents), self._query(types))

    def _with_entities(
        self, document: Document, possible: Iterable[MentionCandidate], wanted: Sequence[str], min_score: float | None
    ) -> Document:
        def least(entity_type: str) -> float:
            return self._least(entity_type) if min_score is None else min_score

        # A higher lowest score removes mentions, but changes none.
        likely = entities(possible, self._calibrators.get, lambda t: min(least(t), self._least(t)))
        # The other types, such as clinical problems, belong to another annotation scheme and overlap the default ones.
        by_default = [entity for entity in likely if entity.type in self._default_types]
        others = [entity for entity in likely if entity.type not in self._default_types]
        mentions = [*repaired(document, by_default), *repaired(document, others)]
        kept = [e for e in mentions if (e.score or 0.0) >= least(e.type) and e.type in wanted]
        return replace(document, entities=tuple(sorted(kept, key=lambda e: (e.start, e.end))))

    def _least(self, entity_type: str) -> float:
        if isinstance(self._min_score, Mapping):
            return self._min_score.get(entity_type, 0.0)
        return self._min_score

    def _query(self, types: Sequence[str] | None) -> _Query:
        if self._reader.instructions:  # an instruction can name any type
            wanted = self._default_types if types is None else tuple(types)
            frames = tuple(self._reader.frame(entity_type) for entity_type in wanted)
            return _Query(wanted, frames, tuple([0] for _ in wanted))
        wanted = types_wanted(self._default_types if types is None else types, self._types)
        return _Query(wanted, (self._reader.frame(),), ([self._types.index(entity_type) for entity_type in wanted],))

    def _stream(
        self, documents: Iterator[Document], query: _Query
    ) -> Iterator[tuple[Annotated, list[MentionCandidate]]]:
        pool = ThreadPoolExecutor(self._batching.threads)
        try:
            # While one group is computed, the group before it is decoded and the next one is read.
            before: _PendingDocuments | None = None
            for documents_ in in_groups(documents, self.characters_at_once):
                group = self._begin([self._read(document, query) for document in documents_], pool)
                if before is not None:
                    yield from self._finish(before, query)
                before = group
            if before is not None:
                yield from self._finish(before, query)
        finally:  # an interrupt waits for the batches that are being computed, not for those in the queue
            pool.shutdown(cancel_futures=True)

    def _read(self, document: Document, query: _Query) -> WindowedDocument | Annotated:
        """Return a document split into windows, or, if it cannot be split, the document with the reason."""
        document = document.bare()
        try:
            return read_document(document, self._reader, self._max_pieces, query.frames)
        except Exception as error:  # whatever a tokenizer raises on odd text must not stop the rest
            reason = f"cannot be split into words: {error}"
            window = Span(0, len(document.text)) if document.text else None
            return Annotated(document, (Rejected(reason, document_id=document.id, window=window),))

    def _begin(self, documents: list[WindowedDocument | Annotated], pool: ThreadPoolExecutor) -> _PendingDocuments:
        """Submit the windows of documents to the network, in batches."""
        batches = self._batches([w for read in documents if isinstance(read, WindowedDocument) for w in read.windows])
        return _PendingDocuments(documents, [(batch, pool.submit(self._compute, batch)) for batch in batches])

    def _compute(self, batch: Sequence[Window]) -> Output:
        return self._forward(collate(batch))

    def _finish(self, group: _PendingDocuments, query: _Query) -> Iterator[tuple[Annotated, list[MentionCandidate]]]:
        """Yield each document of a group with its candidates."""
        outputs: dict[int, Output] = {}  # by id() of a window, of which it is the only one
        for batch, future in group.batches:
            logits, gate = future.result()
            row = 0
            for n, window in enumerate(batch):
                outputs[id(window)] = Output(logits[row : row + window.end - window.start], gate[n : n + 1])
                row += window.end - window.start
        for read in group.documents:
            if isinstance(read, Annotated):
                yield read, []
                continue
            by_frame = self._by_frame(read, [outputs.pop(id(window)) for window in read.windows])
            texts = [words for words in read.words if len(words) and query.types]
            passages = [(log_softmax(_logits(by_frame, words, query)), words) for words in texts]
            yield Annotated(read.document), candidates(read.document.text, passages, query.types)

    def _by_frame(self, read: WindowedDocument, outputs: Sequence[Output]) -> dict[tuple[int, Frame], Floats]:
        """Join the windows of a document; return (W, heads, 3) by the id() of the words of a passage, and frame."""
        mixed = [output.logits[:, 0] for output in outputs]
        if self._guidelines is not None and outputs:
            gates = self._guidelines.gates(np.concatenate([output.gate for output in outputs]))
            mixed = [self._guidelines.mixed(output.logits, gate) for output, gate in zip(outputs, gates, strict=True)]
        by_frame: dict[tuple[int, Frame], Floats] = {}
        for window, values in zip(read.windows, mixed, strict=True):
            key = (id(window.words), window.frame)
            if key not in by_frame:
                by_frame[key] = np.zeros((len(window.words), *values.shape[1:]), dtype=np.float32)
            kept = slice(window.keep_start - window.start, window.keep_end - window.start)
            by_frame[key][window.keep_start : window.keep_end] = values[kept]
        return by_frame

    def _batches(self, windows: Sequence[Window]) -> Iterator[list[Window]]:
        """Yield batches of windows of similar length, longest first, each of at most `Batching.pieces` with padding."""
        batch: list[Window] = []
        for window in sorted(windows, key=lambda w: -w.length):
            if batch and batch[0].length * (len(batch) + 1) > self._batching.pieces:
                yield batch
                batch = []
            batch.append(window)
        if batch:
            yield batch


def load_onnx(folder: Path, *, threads: int | None = None, guideline: str = "") -> TaggingRecognizer:
    """Load the recognizer in a folder that `biomark export` wrote; this needs onnxruntime, not torch.

    Args:
        folder: the model folder with `model.onnx`, `tokenizer.json` and `model.json`.
        threads: the number of windows computed at the same time; None: as many as this process may use cores.
        guideline: the corpus whose guideline the model follows for the types that the corpus annotates, or whose name
            its instructions contain. Empty: the model weighs the guidelines by their probability in each window
            (see `biomark.tagging.guidelines`), or its instructions name no corpus.

    Raises:
        UsageError: if the model has not learnt the guideline.
        ModelError: if a file is missing or cannot be used.
    """
    for name in (WEIGHTS, TOKENIZER, CARD):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder}: {name} is missing; export the model again with: biomark export MODEL -o FOLDER"
            )
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        types, max_pieces = [str(entity_type) for entity_type in card["types"]], int(card["max_pieces"])
        default_types = [str(entity_type) for entity_type in card.get("default_types", types)]
        wording = str(card.get("wording", OWN_WORDING)) if card.get("instruction") else ""
        min_score: float | dict[str, float] = card["min_score"]  # a calibrated model has one for each type
        calibrators = {
            str(entity_type): Calibrator(*map(float, weights))
            for entity_type, weights in card.get("calibration", {}).items()
        }
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        network = session(folder / WEIGHTS)
    except Exception as error:  # the libraries raise bare Exceptions of their own
        raise ModelError(f"{folder}: cannot be loaded: {error}") from error

    inputs = [array.name for array in network.get_inputs()]
    if PREFERENCE in inputs:
        raise ModelError(
            f"{folder}: was exported by an older version of biomark; export the run again with: biomark export"
        )
    annotated: Mapping[str, Sequence[str]] = card.get("guidelines") or {}  # the types by corpus
    named = card.get("corpora") or ()
    check_guideline(folder, guideline, named or annotated)

    def forward(batch: Batch) -> Output:
        arrays = batch._asdict()
        logits, *gate = network.run(None, {name: arrays[name] for name in inputs})
        return Output(logits, *gate) if annotated else Output.of_one_guideline(logits, batch)

    return TaggingRecognizer(
        WordReader(tokenizer, wording=wording, corpus=guideline if named else ""),
        forward,
        types,
        default_types=default_types,
        min_score=min_score,
        calibrators=calibrators,
        guidelines=Guidelines.of(annotated, types, guideline) if annotated else None,
        max_pieces=max_pieces,
        # One window at a time: int8 activations share their scale within a batch, so larger batches would make a
        # document's mentions and scores depend on the documents beside it.
        batching=Batching(1, threads or cores()),
    )
