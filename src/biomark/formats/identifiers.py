"""Identifiers as files join them in one field, and documents' ids as names of files."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from urllib.parse import quote, unquote

from biomark.errors import FormatError

_SEPARATORS = re.compile(r"[|,;]")
# tmVar writes a variant's form with bars inside: c|SUB|T|920|G
_VARIANT = re.compile(r"[A-Za-z]\|[A-Za-z]+\|")
_LONGEST_NAME = 240  # bytes; file systems take 255, suffixes included


def split_ids(identifier: str) -> tuple[str, ...]:
    """The identifiers of a field such as `D001|D002`; `-1` and `-` mean none."""
    if _VARIANT.match(identifier):
        return (identifier,)
    ids = (piece.strip() for piece in _SEPARATORS.split(identifier))
    return tuple(id for id in ids if id not in ("", "-", "-1"))


def file_name(id: str) -> str:
    """A document's id as the name of a file: what no file system takes is written `%XX`.

    Raises:
        FormatError: if the name is too long for a file.
    """
    name = "".join(character if _safe(character) else quote(character, safe="") for character in id)
    name = "%2E" + name[1:] if name.startswith(".") else name or "%"
    if len(name.encode()) > _LONGEST_NAME:
        raise FormatError(f"document {id!r:.80}: the id is too long for the name of a file")
    return name


def file_stem(path: PurePath) -> str:
    """The id that `file_name` made a file's name of; any other name is the id itself.

    Args:
        path: without suffix, relative to the folder that is read.
    """
    name = decoded(path.as_posix())
    id = "" if name == "%" else unquote(name)
    try:
        return id if file_name(id) == name else name
    except FormatError:  # a path of many folders
        return name


def decoded(name: str) -> str:
    """A file's name as a text: bytes that are not UTF-8 are written as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _safe(character: str) -> bool:
    return character not in '/\\:*?"<>|%' and character.isprintable()
