"""Selection of the files of a folder that are read: every file that may contain documents, once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from biomark.formats import brat, chemdner, i2b2, parquet
from biomark.formats.bc2gm import sentences_beside
from biomark.runtime.files import PART, REJECTS, RUN

_BESIDE_TEXT = (".ann", ".a1", ".a2")
_SETTINGS = ("annotation.conf", "visual.conf", "tools.conf", "kb_shortcuts.conf")  # brat's


def files_of(folder: Path, unreadable: Callable[[OSError], None]) -> list[Path]:
    """Return the files of a folder and its subfolders, sorted by path.

    Hidden files, files of unfinished runs (`.part`), brat's settings, and annotations that are read together with
    their text are left out.

    Args:
        folder: an existing folder.
        unreadable: is called with the error for each folder that cannot be listed.
    """
    files: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        siblings = set(names)
        files += (Path(place, name) for name in names if not _left_out(Path(place, name), siblings))
    return sorted(files)


def _left_out(path: Path, siblings: set[str]) -> bool:
    if path.name.startswith(".") or path.name.endswith((PART, PART + RUN, PART + REJECTS)) or path.name in _SETTINGS:
        return True
    if path.name.endswith(parquet.MENTIONS):
        return path.name.removesuffix(parquet.MENTIONS) + parquet.SUFFIX in siblings
    if path.name.removesuffix(".gz").endswith(chemdner.ANNOTATIONS):
        return chemdner.abstracts_beside(path) is not None
    if path.suffix in _BESIDE_TEXT:
        return path.with_suffix(".txt").name in siblings
    if path.suffix == i2b2.SUFFIX:
        text = i2b2.text_of(path)
        return text.is_file() and not brat.annotated(text)  # otherwise brat's annotations are read instead
    return path.name.removesuffix(".gz").endswith(".eval") and sentences_beside(path) is not None
