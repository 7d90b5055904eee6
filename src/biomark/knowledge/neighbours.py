"""Nearest names by their vectors, computed with an encoder that the store contains.

A store that was built with an encoder has, for each type, a vector of every distinct form of its names. The vector is
the encoder's output for the form in 8 bits. Only the directions of vectors are compared, so each vector is scaled to
the full range of 8 bits, and the scale is not kept.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from biomark.embedding import Vectors
from biomark.embedding.exported import Exported, ExportedEncoder
from biomark.errors import KnowledgeError
from biomark.knowledge.entries import NameKind
from biomark.knowledge.store import Store
from biomark.runtime.machine import cores

LAST_KIND = NameKind.MENTION
"""The last kind of names with vectors; names of later kinds (related, broad) alone give no identifier."""
_BLOCK = 4096  # vectors that are stored and compared together: 6 MB for vectors of 384 values in float32
_STEP = 256  # names between two reports of progress
_MOST = 50  # the largest number of nearest names

_ID = "<i8"
_Bytes = NDArray[np.int8]
_FORMS = """
SELECT min(name.id), form FROM name JOIN concept ON concept.id = name.concept
WHERE type = ? AND kind <= ? GROUP BY form ORDER BY form
"""


def write(
    database: sqlite3.Connection,
    exported: Exported,
    starting: Callable[[int], Callable[[int], None]] = lambda names: lambda done: None,
) -> None:
    """Write an encoder and the vectors of all names into a store that is being built.

    Args:
        database: a connection to the store, which has all its names.
        exported: the encoder.
        starting: receives the number of forms, and returns a function that receives the number of forms encoded so far.

    Raises:
        ModelError: if the encoder cannot be used.
        KnowledgeError: if the encoder is too large for a store.
    """
    run = database.execute
    run("BEGIN")
    try:
        row = exported.name, exported.weights, exported.tokenizer, exported.max_tokens
        run("INSERT INTO encoder VALUES (?, ?, ?, ?)", row)
    except (sqlite3.DataError, OverflowError) as error:
        size = len(exported.weights)
        raise KnowledgeError(f"encoder {exported.name}: too large for a store ({size:,} bytes)") from error
    run("INSERT INTO about VALUES ('encoder', ?)", (exported.name,))
    encoder = ExportedEncoder(exported, threads=cores())
    counted = "SELECT count(*) FROM (SELECT DISTINCT type, form FROM name JOIN concept ON concept.id = name.concept"
    typed = f"{counted} WHERE kind <= ? AND type <> '')"
    progress = starting(run(typed, (int(LAST_KIND),)).fetchone()[0])
    done = 0
    for (entity_type,) in run("SELECT DISTINCT type FROM concept WHERE type <> '' ORDER BY type").fetchall():
        rows = iter(run(_FORMS, (entity_type, int(LAST_KIND))))
        while block := list(islice(rows, _BLOCK)):
            vectors = []
            for start in range(0, len(block), _STEP):
                vectors.append(_in_bytes(encoder.embed([form for _, form in block[start : start + _STEP]])))
                progress(done + start + len(vectors[-1]))
            done += len(block)
            names = np.array([name_id for name_id, _ in block], dtype=_ID)
            run(
                "INSERT INTO vectors VALUES (?, ?, ?)",
                (entity_type, names.tobytes(), np.concatenate(vectors).tobytes()),
            )
    run("COMMIT")


def _in_bytes(vectors: Vectors) -> _Bytes:
    """Scale each vector so that its largest absolute value is 127, and round it to int8."""
    largest = np.abs(vectors).max(axis=1, keepdims=True).clip(1e-9)
    scaled: _Bytes = np.rint(vectors * (127 / largest)).astype(np.int8)
    return scaled


def probability(cosine: float, margin: float, likeness: float) -> float:
    """Return the probability that a mention has an identifier, by a logistic regression.

    The regression was fitted on the mentions of the development splits that no other step answers
    (docs/experiments.md), with the encoder all-MiniLM-L6-v2.

    Args:
        cosine: the cosine of the mention and the identifier's nearest name.
        margin: this cosine minus that of the best other identifier; may be negative.
        likeness: the identifier's probability in the step `fuzzy`, or 0.
    """
    return 1 / (1 + math.exp(7.18 - 5.32 * cosine - 4.84 * margin - 7.51 * likeness))


@dataclass(frozen=True, slots=True)
class _VectorBlock:
    """Vectors, int8 (N, H), and their Euclidean lengths, float32 (N)."""

    values: _Bytes
    lengths: Vectors


class Neighbours:
    """Exact search for the nearest names among all vectors of a store.

    The encoder and the vectors of a type are loaded on first use (H bytes per name).

    Args:
        store: an open store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of_type = lru_cache(None)(self._load)

    def near(self, form: str, entity_type: str) -> Sequence[tuple[int, float]]:
        """Return the names of a type that are nearest to a form, with their cosines.

        Returns:
            Up to 50 pairs of a name's id and its cosine, the nearest first; each stands for all names of its form.
            Empty if the store has no encoder.

        Raises:
            KnowledgeError: if the store is damaged.
            ModelError: if its encoder cannot be used.
        """
        encoder = self._encoder
        if encoder is None or not form:
            return ()
        names, blocks = self._of_type(entity_type)
        if not blocks:
            return ()
        (vector,) = encoder.embed([form])
        if any(block.values.shape[1] != len(vector) for block in blocks):
            raise self._store.damaged("its vectors do not fit its encoder")
        cosines = np.concatenate([(block.values.astype(np.float32) @ vector) / block.lengths for block in blocks])
        best = np.argpartition(-cosines, min(_MOST, len(names)) - 1)[:_MOST]
        ranked = best[np.lexsort((names[best], -cosines[best]))]
        return [(int(names[row]), float(cosines[row])) for row in ranked]

    def nearest(self, forms: Sequence[str], entity_type: str, most: int) -> list[list[int]]:
        """Return the ids of the `most` names of a type that are nearest to each form, the nearest first.

        Raises:
            KnowledgeError, ModelError: as for `near`.
        """
        encoder = self._encoder
        names, blocks = self._of_type(entity_type)
        if encoder is None or not blocks:
            return [[] for _ in forms]
        nearest_ids: list[list[int]] = []
        for start in range(0, len(forms), _STEP):
            vectors = encoder.embed(forms[start : start + _STEP])  # (F, H)
            if any(block.values.shape[1] != vectors.shape[1] for block in blocks):
                raise self._store.damaged("its vectors do not fit its encoder")
            parts = [(vectors @ block.values.astype(np.float32).T) / block.lengths for block in blocks]
            cosines = np.concatenate(parts, axis=1)  # (F, names)
            best = np.argpartition(-cosines, min(most, len(names)) - 1, axis=1)[:, :most]
            order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1, kind="stable")
            nearest_ids += names[np.take_along_axis(best, order, axis=1)].tolist()
        return nearest_ids

    @cached_property
    def _encoder(self) -> ExportedEncoder | None:
        exported = self._store.exported_encoder()
        return None if exported is None else ExportedEncoder(exported)

    def _load(self, entity_type: str) -> tuple[NDArray[np.int64], tuple[_VectorBlock, ...]]:
        """Return the ids of the names of a type, int64 (N), and their vectors in blocks."""
        ids: list[NDArray[np.int64]] = []
        blocks: list[_VectorBlock] = []
        for names, vectors in self._store.vectors(entity_type):
            try:
                ids.append(np.frombuffer(names, dtype=_ID))
                values = np.frombuffer(vectors, dtype=np.int8).reshape(len(ids[-1]), -1)
            except ValueError as error:
                raise self._store.damaged(f"its vectors: {error}") from error
            blocks.append(_VectorBlock(values, np.linalg.norm(values.astype(np.float32), axis=1).clip(1.0)))
        return np.concatenate(ids) if ids else np.zeros(0, dtype=np.int64), tuple(blocks)
