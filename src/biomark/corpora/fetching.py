"""Fetch the files of a corpus: download them, or copy them from a local folder.

Interrupted downloads are resumed, failed ones are retried, and files are checked against the catalogue's
checksums before they get their final names. Only the members that the catalogue lists are extracted from an
archive, each to the catalogue's path, so that names in the archive cannot lead elsewhere.
"""

from __future__ import annotations

import hashlib
import http.client
import lzma
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from biomark.corpora import Corpus, CorpusFile
from biomark.errors import CorpusError
from biomark.runtime.files import file_sum

Progress = Callable[[str, int, int | None], None]
"""A function that receives the address, the number of bytes so far, and the total number (None: unknown)."""

_BLOCK = 1 << 16
_TRIES = 5
_TIMEOUT = 60  # seconds without any data from the server
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses of temporary failures, which are retried


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file of a corpus and the way it was fetched.

    Attributes:
        path: the path of the file.
        how: `there` (the file already existed), `downloaded` or `copied`.
        difference: a difference from the catalogue's checksum, or None; only copies may differ.
    """

    path: Path
    how: str
    difference: str | None = None


def fetch(
    corpus: Corpus, to: Path, *, source: Path | None = None, progress: Progress | None = None, pause: float = 1.0
) -> tuple[Fetched, ...]:
    """Fetch all files of a corpus into a corpora folder.

    Args:
        corpus: a corpus of the catalogue.
        to: the corpora folder; it is created if it does not exist.
        source: a local folder to copy from, either a corpora folder or one with the files alone; None: download.
        progress: receives the progress of downloads.
        pause: seconds before the second attempt of a download, doubled for each further attempt.

    Returns:
        The files; a copy that differs from the catalogue's file is accepted, with the difference.

    Raises:
        CorpusError: if a file is missing, cannot be downloaded, or has a wrong checksum; files that were
            fetched before remain.
    """
    done = []
    missing = []
    for name, file in corpus.files.items():
        target = to / name
        if target.is_dir() or (target.is_file() and _difference(target, file) is None):
            done.append(Fetched(target, "there"))
        elif source is None:
            missing.append(name)
        elif (existing := _beside(source, name)) is None:
            raise CorpusError(f"{source}: lacks {name} (and {Path(name).name}); name a folder that has the corpus")
        elif existing.is_dir():
            shutil.copytree(existing, target)
            done.append(Fetched(target, "copied"))
        else:
            with existing.open("rb") as handle, _appearing(target) as part:
                _copy(handle, part)
            done.append(Fetched(target, "copied", _difference(target, file)))
    done += _downloads(corpus, missing, to, progress, pause)
    return tuple(done)


def _beside(source: Path, name: str) -> Path | None:
    """Return the path of a file or folder in a corpora folder, or in a folder of one corpus; None if neither exists."""
    return next((path for path in (source / name, source / Path(name).name) if path.exists()), None)


def _downloads(
    corpus: Corpus, names: list[str], to: Path, progress: Progress | None, pause: float
) -> Iterator[Fetched]:
    """Download files; each archive is downloaded once for all of its files."""
    without = [name for name in names if not corpus.files[name].url]
    if without:
        raise CorpusError(
            f"{corpus.name}: no address has {', '.join(without)}; copy them from a local folder (`source`). "
            f"{corpus.notes}"
        )
    for url in dict.fromkeys(corpus.files[name].url for name in names):
        wanted = [name for name in names if corpus.files[name].url == url]
        key = hashlib.sha256(url.encode()).hexdigest()[:12]
        archive = to / ".downloads" / f"{key}-{Path(urllib.parse.urlsplit(url).path).name}"
        download(url, archive, progress=progress, pause=pause)
        try:
            for name in wanted:
                with _appearing(to / name, check=corpus.files[name]) as part:
                    _unpack(archive, corpus.files[name].member, part)
                yield Fetched(to / name, "downloaded")
        finally:
            archive.unlink()


def download(
    url: str, path: Path, *, progress: Progress | None = None, tries: int = _TRIES, pause: float = 1.0
) -> None:
    """Download a file; an interrupted download, even of an earlier run, is resumed.

    Args:
        url: an address with the scheme http or https.
        path: the file to write, which appears after the download is complete.
        progress: receives the progress after each block.
        tries: the number of attempts.
        pause: seconds before the second attempt, doubled for each further attempt.

    Raises:
        CorpusError: if the server refuses the request, or all attempts fail; the partial download is kept.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise CorpusError(f"{url}: not a web address (http, https)")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(tries):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            _try(url, part, progress)
            part.with_suffix(".validator").unlink(missing_ok=True)
            part.replace(path)
            return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _PASSING:
                raise CorpusError(f"{url}: the server answers {error.code} {error.reason}") from error
            reason = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
    raise CorpusError(
        f"{url}: {tries} attempts failed, the last with: {reason}; run the command again to resume the download"
    )


def _try(url: str, part: Path, progress: Progress | None) -> None:
    """Make one request for the missing bytes of `part`.

    Raises:
        OSError, HTTPException: if the request fails or is interrupted.
    """
    note = part.with_suffix(".validator")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "biomark"})
    if have and note.exists():
        # Request only the missing bytes of the same version: with If-Range a changed file is sent whole.
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", note.read_text())
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # The part is complete or of another version: start again.
        error.close()
        part.unlink()
        raise OSError("the partial download does not fit the server's file") from error
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise OSError("the server sent another range than requested")
        have = have if resumed else 0
        _note_version(note, response.headers)
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if resumed else "wb") as out:
            while block := response.read(_BLOCK):
                out.write(block)
                have += len(block)
                if progress:
                    progress(url, have, total)
        if total is not None and have != total:
            raise OSError(f"the connection ended after {have} of {total} bytes")


def _note_version(note: Path, headers: http.client.HTTPMessage) -> None:
    """Keep the identifier of this version of the file: a strong ETag, or its date."""
    etag = headers.get("ETag", "")
    version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    if version:
        note.write_text(version)
    else:
        note.unlink(missing_ok=True)


def _unpack(archive: Path, member: str, out: IO[bytes]) -> None:
    """Write one member of a zip or tar archive, or the whole file if `member` is empty.

    Raises:
        CorpusError: if the archive is damaged, or does not have exactly one such regular file.
    """
    if not member:
        with archive.open("rb") as whole:
            _copy(whole, out)
        return
    try:
        _unpack_member(archive, member, out)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise CorpusError(f"{archive.name}: the archive is damaged: {error}; fetch it again") from error


def _unpack_member(archive: Path, member: str, out: IO[bytes]) -> None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            names = [info.filename for info in zipped.infolist() if not info.is_dir()]
            with zipped.open(_only(names, member, archive)) as inside:
                _copy(inside, out)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tarred:
            name = _only([info.name for info in tarred if info.isfile()], member, archive)
            extracted = tarred.extractfile(name)
            if extracted is not None:
                with extracted as inside:
                    _copy(inside, out)
    else:
        raise CorpusError(f"{archive.name}: the download is neither a zip nor a tar archive; check its address")


def _only(names: list[str], member: str, archive: Path) -> str:
    """Return the only name that equals `member` or ends in it."""
    matches = [name for name in names if f"/{name}".endswith(f"/{member}") and not name.startswith("__MACOSX")]
    if len(matches) != 1:
        raise CorpusError(
            f"{archive.name}: expected one file named {member}, got {len(matches)}; the archive has {names[:9]}"
        )
    return matches[0]


@contextmanager
def _appearing(target: Path, *, check: CorpusFile | None = None) -> Iterator[IO[bytes]]:
    """Open a file that gets its final name after it was written and, if `check` is given, its checksum is right."""
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            yield out
        difference = _difference(part, check) if check else None
        if difference:
            raise CorpusError(
                f"{target}: the download differs from the catalogue's file ({difference}) and was deleted; "
                "fetch it again"
            )
        os.replace(part, target)
    except OSError as error:
        raise CorpusError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _difference(path: Path, file: CorpusFile) -> str | None:
    """Return a sentence about a difference from the catalogue's checksum; None if it agrees or is unknown."""
    if not file.sha256:
        return None
    checksum = file_sum(path)
    return None if checksum == file.sha256 else f"its sha256 is {checksum}, the catalogue's {file.sha256}"


def _copy(inside: IO[bytes], out: IO[bytes]) -> None:
    shutil.copyfileobj(inside, out, _BLOCK)
