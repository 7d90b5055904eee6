"""Answers that were paid or waited for, kept in a SQLite file, so that a run that was killed goes on where it was.

The key of an answer is a hash of all that may change it. Of the request nothing else is kept; the answer
itself may repeat the text that was asked about, so that the file is for its owner alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from biomark.errors import ChatError
from biomark.prompted.chat.likelihood import Rows
from biomark.spans import Entity

_TABLE = (
    "CREATE TABLE IF NOT EXISTS answer (key BLOB PRIMARY KEY, texts TEXT NOT NULL, finished INTEGER NOT NULL,"
    " read INTEGER NOT NULL, written INTEGER NOT NULL, scores TEXT NOT NULL) WITHOUT ROWID"
)
_WAIT = 60.0  # seconds for another process that writes


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer of a model, and what it took.

    Attributes:
        texts: one for each choice.
        finished: whether all of them ended by themselves.
        read, written: tokens.
        estimated: whether the server did not tell the tokens.
        entities: see `biomark.prompted.chat.Reply`.
        tokens: of the only text; None: the server does not tell them.
        silent: why there is no answer although the server responded; such a response is not kept.
    """

    texts: tuple[str, ...]
    finished: bool
    read: int
    written: int
    estimated: bool = False
    entities: tuple[tuple[Entity, ...], ...] | None = None
    tokens: Rows | None = None
    silent: str | None = None


def key_of(facts: Mapping[str, object]) -> bytes:
    """The key of whatever JSON can hold, the same in any order of its keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=True).encode()).digest()


class Cache:
    """Answers by key; each is on disk when `put` returns. Several processes may share the file.

    Args:
        path: is made if it is not there.

    Raises:
        ChatError: if it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT, 0o600))
        except OSError as error:
            raise ChatError(
                f"{path}: cannot keep answers here ({error.strerror}); name another file (`cache`)"
            ) from error
        self._database = sqlite3.connect(path, timeout=_WAIT, check_same_thread=False, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute(_TABLE)
            self._database.execute("SELECT key, texts, finished, read, written, scores FROM answer LIMIT 1").fetchall()
        except sqlite3.DatabaseError as error:
            self.close()
            raise ChatError(f"{path}: is no cache of answers ({error}); name another file (`cache`)") from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def get(self, key: bytes) -> Kept | None:
        """The answer of a key, if it is there."""
        rows = self._run("SELECT texts, finished, read, written, scores FROM answer WHERE key = ?", key)
        if not rows:
            return None
        texts, finished, read, written, scores = rows[0]
        more = json.loads(scores) or {}
        kept = Kept(tuple(json.loads(texts)), bool(finished), read, written)
        if "tokens" in more:
            return replace(kept, tokens=tuple((size, logprob) for size, logprob in more["tokens"]))
        if "entities" in more:
            return replace(kept, entities=tuple(tuple(map(Entity.from_dict, one)) for one in more["entities"]))
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer."""
        more: dict[str, object] = {}
        if kept.tokens is not None:
            more["tokens"] = kept.tokens
        if kept.entities is not None:
            more["entities"] = [[entity.to_dict("") for entity in one] for one in kept.entities]
        row = (key, json.dumps(kept.texts), kept.finished, kept.read, kept.written, json.dumps(more or None))
        self._run("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?)", *row)

    def _run(self, statement: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise ChatError(
                f"{self._path}: the cache of answers fails ({error}); name another file (`cache`)"
            ) from error
