"""A cache of answers in a SQLite file, so that an interrupted run continues without paying or waiting again.

The key of an answer is a hash of everything that may change it. The request itself is not stored; but an answer may
repeat the text of the question, so only the owner may read the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
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
_WAIT = 60.0  # seconds to wait while another process writes


@dataclass(frozen=True, slots=True)
class Kept:
    """The answers to a request, with the tokens that they used.

    Attributes:
        texts: the text of each choice.
        finished: whether all texts are complete.
        read, written: the numbers of tokens.
        estimated: whether these numbers are estimates, because the server did not report them.
        entities: see `biomark.prompted.chat.Reply`.
        tokens: the tokens of the only text; None: the server does not return them.
        silent: the reason why the response has no answer; such a response is not stored.
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
    """Return the key of facts: the SHA-256 of their JSON with sorted keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=True).encode()).digest()


class Cache:
    """Answers by key; an answer is on disk when `put` returns. Several processes may share the file.

    Args:
        path: the SQLite file, which is created if it does not exist.

    Raises:
        ChatError: if the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT, 0o600))
        except OSError as error:
            raise ChatError(
                f"{path}: cannot store answers here ({error.strerror}); name another file (`cache`)"
            ) from error
        self._database = sqlite3.connect(path, timeout=_WAIT, check_same_thread=False, isolation_level=None)
        try:
            self._prepare(time.monotonic() + _WAIT)
        except sqlite3.DatabaseError as error:
            self.close()
            raise ChatError(f"{path}: not a cache of answers ({error}); name another file (`cache`)") from error

    def _prepare(self, deadline: float) -> None:
        """Create the table, or check it; SQLite does not itself wait for another process that prepares a new file."""
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute(_TABLE)
                self._database.execute("SELECT key, texts, finished, read, written, scores FROM answer LIMIT 1").close()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def get(self, key: bytes) -> Kept | None:
        """Return the answer with a key, or None if there is none."""
        rows = self._run("SELECT texts, finished, read, written, scores FROM answer WHERE key = ?", key)
        if not rows:
            return None
        texts, finished, read, written, scores = rows[0]
        extras = json.loads(scores) or {}
        kept = Kept(tuple(json.loads(texts)), bool(finished), read, written)
        if "tokens" in extras:
            return replace(kept, tokens=tuple((size, logprob) for size, logprob in extras["tokens"]))
        if "entities" in extras:
            return replace(kept, entities=tuple(tuple(map(Entity.from_dict, one)) for one in extras["entities"]))
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """Store an answer."""
        extras: dict[str, object] = {}
        if kept.tokens is not None:
            extras["tokens"] = kept.tokens
        if kept.entities is not None:
            extras["entities"] = [[entity.to_dict("") for entity in one] for one in kept.entities]
        row = (key, json.dumps(kept.texts), kept.finished, kept.read, kept.written, json.dumps(extras or None))
        self._run("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?)", *row)

    def _run(self, statement: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise ChatError(
                f"{self._path}: the cache of answers fails ({error}); name another file (`cache`)"
            ) from error
