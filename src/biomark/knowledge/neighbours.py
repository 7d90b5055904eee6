"""Names whose vectors are near a text's, by an encoder that the store carries in itself.

A store that was built with one has, for each type, a vector of every different form of its names. It is what the
encoder, as it is kept there, says of the form, in 8 bits: only directions count, so that each vector is scaled to use
all of them, and the scale is not kept.
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
from biomark.knowledge.entries import Kind
from biomark.knowledge.store import Store
from biomark.runtime.machine import cores

LAST_KIND = Kind.MENTION
"""Names of kinds after this one (related, broad) give no identifier by themselves."""
_BLOCK = 4096  # vectors that are kept, and compared, together: 6 MB of 384 values as they are compared
_STEP = 256  # names between two steps of progress
_MOST = 50  # names

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
        database: with all names.
        exported: the encoder.
        starting: is told how many forms there are; what it returns is then told how many have their vectors by now.

    Raises:
        ModelError: if the encoder cannot be used.
        KnowledgeError: if it is too large for a store.
    """
    run = database.execute
    run("BEGIN")
    try:
        row = exported.name, exported.weights, exported.tokenizer, exported.max_tokens
        run("INSERT INTO encoder VALUES (?, ?, ?, ?)", row)
    except (sqlite3.DataError, OverflowError) as error:
        raise KnowledgeError(f"encoder {exported.name}: too large for a store: {len(exported.weights):,} B") from error
    run("INSERT INTO about VALUES ('encoder', ?)", (exported.name,))
    encoder = ExportedEncoder(exported, threads=cores())
    counted = "SELECT count(*) FROM (SELECT DISTINCT type, form FROM name JOIN concept ON concept.id = name.concept"
    typed = f"{counted} WHERE kind <= ? AND type <> '')"
    progress = starting(run(typed, (int(LAST_KIND),)).fetchone()[0])
    done = 0
    for (type,) in run("SELECT DISTINCT type FROM concept WHERE type <> '' ORDER BY type").fetchall():
        rows = iter(run(_FORMS, (type, int(LAST_KIND))))
        while block := list(islice(rows, _BLOCK)):
            vectors = []
            for start in range(0, len(block), _STEP):
                vectors.append(_in_bytes(encoder.embed([form for _, form in block[start : start + _STEP]])))
                progress(done + start + len(vectors[-1]))
            done += len(block)
            names = np.array([id for id, _ in block], dtype=_ID)
            run("INSERT INTO vectors VALUES (?, ?, ?)", (type, names.tobytes(), np.concatenate(vectors).tobytes()))
    run("COMMIT")


def _in_bytes(vectors: Vectors) -> _Bytes:
    """Each vector times what makes its largest value 127."""
    largest = np.abs(vectors).max(axis=1, keepdims=True).clip(1e-9)
    found: _Bytes = np.rint(vectors * (127 / largest)).astype(np.int8)
    return found


def probability(cosine: float, margin: float, likeness: float) -> float:
    """How likely it is that a mention has an identifier: a logistic rule, learnt on the development splits.

    The mentions that it was learnt of are those that no other step answers (docs/experiments.md), and the encoder
    all-MiniLM-L6-v2.

    Args:
        cosine: of the mention and the identifier's nearest name.
        margin: by how much this is more than that of the best other identifier; may be negative.
        likeness: the probability that the step `fuzzy` gives it, or 0.
    """
    return 1 / (1 + math.exp(7.18 - 5.32 * cosine - 4.84 * margin - 7.51 * likeness))


@dataclass(frozen=True, slots=True)
class _Block:
    """Vectors, int8 (N, H), and their lengths, float32 (N)."""

    values: _Bytes
    lengths: Vectors


class Neighbours:
    """Looks for the nearest vectors, one after the other and so exactly.

    The encoder and the vectors of a type are loaded when they are first asked for (H bytes a name).

    Args:
        store: open.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of_type = lru_cache(None)(self._load)

    def near(self, form: str, type: str) -> Sequence[tuple[int, float]]:
        """The names of a type that are nearest to a form, with the cosines; none if the store has no encoder.

        Returns:
            Ids of names, one for each form, the nearest first.

        Raises:
            KnowledgeError: if the store is broken.
            ModelError: if its encoder cannot be used.
        """
        encoder = self._encoder
        if encoder is None or not form:
            return ()
        names, blocks = self._of_type(type)
        if not blocks:
            return ()
        (asked,) = encoder.embed([form])
        if any(block.values.shape[1] != len(asked) for block in blocks):
            raise self._store.damaged("its vectors are not those of its encoder")
        cosines = np.concatenate([(block.values.astype(np.float32) @ asked) / block.lengths for block in blocks])
        best = np.argpartition(-cosines, min(_MOST, len(names)) - 1)[:_MOST]
        ranked = best[np.lexsort((names[best], -cosines[best]))]
        return [(int(names[row]), float(cosines[row])) for row in ranked]

    def nearest(self, forms: Sequence[str], type: str, most: int) -> list[list[int]]:
        """The ids of the names of a type that are nearest to each of many forms, the nearest first.

        Raises:
            KnowledgeError, ModelError: as for `near`.
        """
        encoder = self._encoder
        names, blocks = self._of_type(type)
        if encoder is None or not blocks:
            return [[] for _ in forms]
        found: list[list[int]] = []
        for start in range(0, len(forms), _STEP):
            asked = encoder.embed(forms[start : start + _STEP])  # (F, H)
            if any(block.values.shape[1] != asked.shape[1] for block in blocks):
                raise self._store.damaged("its vectors are not those of its encoder")
            parts = [(asked @ block.values.astype(np.float32).T) / block.lengths for block in blocks]
            cosines = np.concatenate(parts, axis=1)  # (F, names)
            best = np.argpartition(-cosines, min(most, len(names)) - 1, axis=1)[:, :most]
            order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1, kind="stable")
            found += names[np.take_along_axis(best, order, axis=1)].tolist()
        return found

    @cached_property
    def _encoder(self) -> ExportedEncoder | None:
        exported = self._store.exported_encoder()
        return None if exported is None else ExportedEncoder(exported)

    def _load(self, type: str) -> tuple[NDArray[np.int64], tuple[_Block, ...]]:
        """The ids of the names of a type, and their vectors."""
        ids: list[NDArray[np.int64]] = []
        blocks: list[_Block] = []
        for names, vectors in self._store.vectors(type):
            try:
                ids.append(np.frombuffer(names, dtype=_ID))
                values = np.frombuffer(vectors, dtype=np.int8).reshape(len(ids[-1]), -1)
            except ValueError as error:
                raise self._store.damaged(f"its vectors: {error}") from error
            blocks.append(_Block(values, np.linalg.norm(values.astype(np.float32), axis=1).clip(1.0)))
        return np.concatenate(ids) if ids else np.zeros(0, dtype=np.int64), tuple(blocks)
