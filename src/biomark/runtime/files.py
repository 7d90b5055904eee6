"""Atomic writing of files: content goes into `NAME.part`, which replaces `NAME` when it is complete.

Only one process at a time writes a `.part`: it is locked, and it is neither a symbolic nor a hard link.
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
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: if the file cannot be read.
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
        path: the path of the file.
        content: the new content.
        settled: see `PartialFile.keep`.

    Raises:
        FormatError: if it cannot be written.
    """
    with uninterrupted():
        part = PartialFile(path, _NEW)
        try:
            part.empty()
            part.file.write(content)
            part.keep(settled=settled)
        except OSError as error:
            part.discard()
            raise FormatError(f"{path}: cannot be written: {error.strerror or error}") from error


class PartialFile:
    """An incomplete file that replaces its target when it is complete.

    Args:
        target: the path of the complete file; its folder is created if it does not exist.
        suffix: the suffix of the incomplete file's name.

    Attributes:
        path: the path of the incomplete file.
        file: the incomplete file, open for reading and writing, with the content that an earlier process left.

    Raises:
        FormatError: if the incomplete file is a link or not a regular file, if another process is writing it, or if it
            cannot be opened.
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
        """Delete the content that an earlier process left."""
        self.file.seek(0)
        self.file.truncate()

    def keep(self, *, settled: bool = False) -> None:
        """Put the file in the target's place.

        Args:
            settled: whether to wait until the content and the name are on the disk, so that a power cut loses neither.
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
        """Delete the incomplete file.

        Args:
            streams: streams that write into it, which are closed.
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
    """Open a file that no other process has opened with this function; create it if it does not exist."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
        except OSError as error:
            if path.is_symlink():
                raise FormatError(f"{path}: is a link, which biomark does not write through; remove it") from error
            raise
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
                raise FormatError(f"{path}: is not a regular file (but a link or a device); remove it")
            _lock(descriptor, path)
            with suppress(FileNotFoundError):
                if os.path.samestat(facts, path.stat(follow_symlinks=False)):
                    return os.fdopen(descriptor, "r+b")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process has just finished or removed it, so the loop creates a new one


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
    """Return biomark's folder within the platform's folder for caches, whose content can be computed or fetched again.

    On Linux, the environment variable `XDG_CACHE_HOME` sets another place.
    """
    return user_cache_path("biomark", appauthor=False)
