"""Files that are written beside their place, under `NAME.part`, and take it when they are whole.

One process at a time has a `.part`: it is locked, and neither a link nor a second name of another file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from platformdirs import user_cache_path

from biomark.errors import FormatError
from biomark.runtime.interrupts import uninterrupted

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, which has no such locks
    fcntl = None  # type: ignore[assignment]

PART = ".part"
RUN = ".json"  # what the name of a `.part` that a later run may take up has beside it, with what run it is of
REJECTS = ".rejects"  # what it has beside it, with what was rejected
_NEW = ".new"
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def file_sum(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settle(path: Path) -> None:
    """Have what is at a place on the disk, and not in the system's memory alone, when this returns.

    A file and its name are waited for; of a folder, all that the system has to write.

    Raises:
        OSError: if the disk does not take it.
    """
    if path.is_dir():
        if hasattr(os, "sync"):
            os.sync()
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    if fcntl is not None:  # Windows opens no folders
        folder = os.open(path.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def replace_file(path: Path, content: bytes, *, settled: bool = False) -> None:
    """Put a file in the place of another at once: whatever happens, the old or the new one is there, and whole.

    Args:
        path: of the file.
        content: of the new one.
        settled: see `Part.keep`.

    Raises:
        FormatError: if it cannot be written.
    """
    with uninterrupted():
        part = Part(path, _NEW)
        try:
            part.empty()
            part.file.write(content)
            part.keep(settled=settled)
        except OSError as error:
            part.discard()
            raise FormatError(f"{path}: cannot be written: {error.strerror or error}") from error


class Part:
    """A file that becomes another one when it is whole.

    Args:
        target: the other one; its folder is made if it is not there.
        suffix: what the name has beside the target's.

    Attributes:
        path: where it is written.
        file: open for reading and writing; what an earlier process left there is still in it.

    Raises:
        FormatError: if it is a link or no plain file, if another process is writing it, or if it cannot be opened.
    """

    def __init__(self, target: Path, suffix: str = PART) -> None:
        self.target = target
        self.path = target.with_name(target.name + suffix)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self.file = _opened_alone(self.path)
        except OSError as error:
            raise FormatError(f"{target}: cannot be written: {error.strerror or error}") from error

    def empty(self) -> None:
        """Take out what an earlier process left."""
        self.file.seek(0)
        self.file.truncate()

    def keep(self, *, settled: bool = False) -> None:
        """Put the file in the target's place.

        Args:
            settled: whether it is on the disk before, and its name when this returns: a power cut loses neither.
        """
        with uninterrupted():
            self.file.flush()
            if settled:
                os.fsync(self.file.fileno())
            if fcntl is None:  # pragma: no cover - Windows moves no open file
                self.file.close()
            self.path.replace(self.target)
            self.file.close()
            if settled:
                settle(self.target)

    def discard(self, *streams: IO[bytes] | IO[str]) -> None:
        """Remove the file.

        Args:
            streams: that write into it; they are closed.
        """
        with uninterrupted(), suppress(OSError):
            if fcntl is not None:  # while the lock is held, so that it is not another process's
                self.path.unlink(missing_ok=True)
            for stream in (*streams, self.file):
                with suppress(OSError, ValueError):
                    stream.close()
            if fcntl is None:  # pragma: no cover - Windows removes no open file
                self.path.unlink(missing_ok=True)


def _opened_alone(path: Path) -> IO[bytes]:
    """A file that no other process has open so; made if it is not there."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
        except OSError as error:
            if path.is_symlink():
                raise FormatError(f"{path}: is a link, through which nothing is written; remove it") from error
            raise
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
                raise FormatError(f"{path}: is no file of its own (a link or a device); remove it")
            _lock(descriptor, path)
            with suppress(FileNotFoundError):
                if os.path.samestat(facts, path.stat(follow_symlinks=False)):
                    return os.fdopen(descriptor, "r+b")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process has just finished or removed it; this one makes a new one


def _lock(descriptor: int, path: Path) -> None:
    if fcntl is None:  # pragma: no cover - Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FormatError(f"{path}: another run is writing this file; wait for it, or name another output") from error
    except OSError:  # a file system without locks
        return


def cache_folder() -> Path:
    """The folder in which biomark keeps what it can compute or fetch again: the platform's for caches.

    On Linux, the environment variable `XDG_CACHE_HOME` chooses another place.
    """
    return user_cache_path("biomark", appauthor=False)
