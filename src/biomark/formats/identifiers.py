"""Identifiers as files join them in one field, and documents' ids as names of files."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from urllib.parse import quote, unquote

from biomark.errors import FormatError

_SEPARATORS = re.compile(r"[|,;]")
# tmVar writes a variant as fields between semicolons: its form (with bars inside: c|SUB|T|920|G), its dbSNP number,
# its HGVS name, and what it belongs to: a gene, a disease, a group.
_FORM = re.compile(r"(?:tmVar:)?([A-Za-z]\|[A-Za-z]+\|.*)|tmVar:(.+)", re.DOTALL)
_DBSNP = re.compile(r"(?:RS#:(?:rs)?|rs)(\d+)")
_VARIANT = re.compile(
    r"(?:tmVar:)?[A-Za-z]\|[A-Za-z]+\||tmVar:|rs\d+;[A-Za-z]+:|(?:[^|]*;)?(?:RS#|HGVS|VariantGroup|CorrespondingGene):"
)
_NONE = ("", "-", "-1", "null", "None")
_LONGEST_NAME = 240  # bytes; file systems take 255, suffixes included


def split_ids(identifier: str) -> tuple[str, ...]:
    """The identifiers of a field such as `D001|D002`; `-1` and `-` mean none, and a variant has one."""
    if (variant := variant_id(identifier)) is not None:
        return (variant,) if variant else ()
    ids = (piece.strip() for piece in _SEPARATORS.split(identifier))
    return tuple(piece for piece in ids if piece not in _NONE)


def variant_id(identifier: str) -> str | None:
    """The identifier of a variant as tmVar writes it: dbSNP's number, else tmVar's form, else HGVS's name.

    What a variant belongs to is no identifier of it: empty if there is nothing else. None if it is no variant.
    """
    if not _VARIANT.match(identifier):
        return None
    fields = [field.strip() for field in identifier.split(";")]
    numbers = (f"rs{match[1]}" for field in fields if (match := _DBSNP.match(field)))
    forms = (match[1] or match[2] for field in fields if (match := _FORM.fullmatch(field)))
    names = (field for field in fields if field.startswith("HGVS:"))
    return next((name for ids in (numbers, forms, names) for name in ids), "")


def file_name(document_id: str) -> str:
    """A document's id as the name of a file: what no file system takes is written `%XX`.

    Raises:
        FormatError: if the name is too long for a file.
    """
    name = "".join(character if _safe(character) else quote(character, safe="") for character in document_id)
    name = "%2E" + name[1:] if name.startswith(".") else name or "%"
    if len(name.encode()) > _LONGEST_NAME:
        raise FormatError(f"document {document_id!r:.80}: the id is too long for the name of a file")
    return name


def no_file_name(document_id: str) -> str | None:
    """Why a document's id cannot be the name of a file; None if it can."""
    try:
        file_name(document_id)
    except FormatError:
        return "the id is too long for the name of a file"
    return None


def file_stem(path: PurePath) -> str:
    """The id that `file_name` made a file's name of; any other name is the id itself.

    Args:
        path: without suffix, relative to the folder that is read.
    """
    name = decoded(path.as_posix())
    document_id = "" if name == "%" else unquote(name)
    try:
        return document_id if file_name(document_id) == name else name
    except FormatError:  # a path of many folders
        return name


def decoded(name: str) -> str:
    """A file's name as a text: bytes that are not UTF-8 are written as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _safe(character: str) -> bool:
    return character not in '/\\:*?"<>|%' and character.isprintable()
