"""Which files of a folder are read: all that may hold documents, each once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from biomark.formats import brat, i2b2, parquet
from biomark.formats.bc2gm import sentences_beside
from biomark.runtime.files import PART, REJECTS, RUN

_BESIDE_TEXT = (".ann", ".a1", ".a2")
_SETTINGS = ("annotation.conf", "visual.conf", "tools.conf", "kb_shortcuts.conf")  # brat's


def files_of(folder: Path, unreadable: Callable[[OSError], None]) -> list[Path]:
    """The files of a folder and of those in it, in the order of their paths.

    Left out are hidden ones, those of unfinished runs (`.part`), brat's settings, and annotations that are read
    with the text beside them.

    Args:
        folder: is there.
        unreadable: is called with folders that cannot be listed.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        there = set(names)
        found += (Path(place, name) for name in names if not _left_out(Path(place, name), there))
    return sorted(found)


def _left_out(path: Path, there: set[str]) -> bool:
    if path.name.startswith(".") or path.name.endswith((PART, PART + RUN, PART + REJECTS)) or path.name in _SETTINGS:
        return True
    if path.name.endswith(parquet.MENTIONS):
        return path.name.removesuffix(parquet.MENTIONS) + parquet.SUFFIX in there
    if path.suffix in _BESIDE_TEXT:
        return path.with_suffix(".txt").name in there
    if path.suffix == i2b2.SUFFIX:
        text = i2b2.text_of(path)
        return text.is_file() and not brat.annotated(text)  # which would be read for it
    return path.name.removesuffix(".gz").endswith(".eval") and sentences_beside(path) is not None
