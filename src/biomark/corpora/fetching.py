"""Getting the files of a corpus: downloaded, or taken from a local folder.

Downloads go on where they broke off, are tried again, and are checked against the catalogue's
checksums before a file appears under its name. Of an archive only the members that the catalogue
lists are unpacked, each to the catalogue's own path, so that no name in it can lead elsewhere.
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
"""Is called with the address, the bytes that are there and the bytes in all (None: not known)."""

_BLOCK = 1 << 16
_TRIES = 5
_TIMEOUT = 60  # seconds without any answer
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses worth another try


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file of a corpus and how it got there.

    Attributes:
        path: where it lies.
        how: `there` (it was already), `downloaded` or `copied`.
        difference: how it differs from the catalogue's, or None; only copies may differ.
    """

    path: Path
    how: str
    difference: str | None = None


def fetch(
    corpus: Corpus, to: Path, *, source: Path | None = None, progress: Progress | None = None, pause: float = 1.0
) -> tuple[Fetched, ...]:
    """Bring all files of a corpus into a corpora folder.

    Args:
        corpus: a row of the catalogue.
        to: the corpora folder; made if it is not there.
        source: a local corpora folder, or one with the files alone, to copy from; None: download.
        progress: is told of downloads.
        pause: seconds before the second try of a download; doubled for each further one.

    Returns:
        The files; a copy that differs from the catalogue's is taken, and says so.

    Raises:
        CorpusError: if a file is missing, cannot be downloaded, or has a wrong checksum; what was
            fetched before stays.
    """
    done = []
    missing = []
    for name, file in corpus.files.items():
        target = to / name
        if target.is_dir() or (target.is_file() and _difference(target, file) is None):
            done.append(Fetched(target, "there"))
        elif source is None:
            missing.append(name)
        elif (found := _beside(source, name)) is None:
            raise CorpusError(f"{source} has no {name} (nor {Path(name).name})")
        elif found.is_dir():
            shutil.copytree(found, target)
            done.append(Fetched(target, "copied"))
        else:
            with found.open("rb") as handle, _appearing(target) as part:
                _copy(handle, part)
            done.append(Fetched(target, "copied", _difference(target, file)))
    done += _downloads(corpus, missing, to, progress, pause)
    return tuple(done)


def _beside(source: Path, name: str) -> Path | None:
    """A file (or folder) of a corpora folder, or of a folder that has the files of the corpus alone."""
    return next((path for path in (source / name, source / Path(name).name) if path.exists()), None)


def _downloads(
    corpus: Corpus, names: list[str], to: Path, progress: Progress | None, pause: float
) -> Iterator[Fetched]:
    """Download files, those of one archive together."""
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
    """Download a file; a download that broke off, even in an earlier run, goes on.

    Args:
        url: http or https.
        path: appears when all is there.
        progress: is told of each block.
        tries: how often in all.
        pause: seconds before the second try; doubled for each further one.

    Raises:
        CorpusError: if the server refuses it, or each try failed; what has come is kept for next time.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise CorpusError(f"{url}: not an address of the web (http, https)")
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
    raise CorpusError(f"{url}: {tries} tries failed, the last with: {reason}; try again, it goes on from where it was")


def _try(url: str, part: Path, progress: Progress | None) -> None:
    """One request, for what is missing of `part`.

    Raises:
        OSError, HTTPException: if it fails or breaks off.
    """
    note = part.with_suffix(".validator")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "biomark"})
    if have and note.exists():
        # Only the rest of the very same version: If-Range makes the server send all if it changed.
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", note.read_text())
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Nothing is missing, or the part is of another version: begin anew.
        error.close()
        part.unlink()
        raise OSError("the part that was there does not fit") from error
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise OSError("the server sent another range than was asked for")
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
            raise OSError(f"broke off after {have} of {total} bytes")


def _note_version(note: Path, headers: http.client.HTTPMessage) -> None:
    """Keep what identifies this version of the file: a strong ETag, or its date."""
    etag = headers.get("ETag", "")
    version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    if version:
        note.write_text(version)
    else:
        note.unlink(missing_ok=True)


def _unpack(archive: Path, member: str, out: IO[bytes]) -> None:
    """Write one member of a zip or tar archive, or the whole file if `member` is empty.

    Raises:
        CorpusError: if the archive is damaged, or has no such regular file, or more than one.
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
        raise CorpusError(f"{archive.name}: what came is neither a zip nor a tar archive")


def _only(names: list[str], member: str, archive: Path) -> str:
    """The name that is `member` or ends in it."""
    found = [name for name in names if f"/{name}".endswith(f"/{member}") and not name.startswith("__MACOSX")]
    if len(found) != 1:
        raise CorpusError(f"{archive.name}: {len(found)} files in it are called {member}; there are {names[:9]}")
    return found[0]


@contextmanager
def _appearing(target: Path, *, check: CorpusFile | None = None) -> Iterator[IO[bytes]]:
    """A file that appears under its name when all is written and, if asked, its checksum is right."""
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            yield out
        difference = _difference(part, check) if check else None
        if difference:
            raise CorpusError(f"{target}: what came is not the catalogue's file: {difference}; it was thrown away")
        os.replace(part, target)
    except OSError as error:
        raise CorpusError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _difference(path: Path, file: CorpusFile) -> str | None:
    """How a file's checksum differs from the catalogue's, if that has one."""
    if not file.sha256:
        return None
    found = file_sum(path)
    return None if found == file.sha256 else f"its sha256 is {found}, the catalogue's {file.sha256}"


def _copy(inside: IO[bytes], out: IO[bytes]) -> None:
    shutil.copyfileobj(inside, out, _BLOCK)
