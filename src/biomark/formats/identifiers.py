"""Identifiers that are joined in one field, and conversion between document ids and file names."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from urllib.parse import quote, unquote

from biomark.errors import FormatError

_SEPARATORS = re.compile(r"[|,;]")
# tmVar writes a variant as fields between semicolons: its form (which contains bars: c|SUB|T|920|G), its dbSNP number,
# its HGVS name, and related concepts: a gene, a disease, a group.
_FORM = re.compile(r"(?:tmVar:)?([A-Za-z]\|[A-Za-z]+\|.*)|tmVar:(.+)", re.DOTALL)
_DBSNP = re.compile(r"(?:RS#:(?:rs)?|rs)(\d+)")
_VARIANT = re.compile(
    r"(?:tmVar:)?[A-Za-z]\|[A-Za-z]+\||tmVar:|rs\d+;[A-Za-z]+:|(?:[^|]*;)?(?:RS#|HGVS|VariantGroup|CorrespondingGene):"
)
_NONE = ("", "-", "-1", "null", "None")
_LONGEST_NAME = 240  # bytes; file systems take 255, suffixes included


def split_ids(identifier: str) -> tuple[str, ...]:
    """Split a field such as `D001|D002` into identifiers; `-1` and `-` mean none, and a variant has one identifier."""
    if (variant := variant_id(identifier)) is not None:
        return (variant,) if variant else ()
    ids = (piece.strip() for piece in _SEPARATORS.split(identifier))
    return tuple(piece for piece in ids if piece not in _NONE)


def variant_id(identifier: str) -> str | None:
    """Return the identifier of a variant in tmVar's notation: dbSNP's number, else tmVar's form, else HGVS's name.

    Genes, diseases and groups are not identifiers of a variant. Returns "" if the field has nothing else, and None if
    it is not a variant.
    """
    if not _VARIANT.match(identifier):
        return None
    fields = [field.strip() for field in identifier.split(";")]
    numbers = (f"rs{match[1]}" for field in fields if (match := _DBSNP.match(field)))
    forms = (match[1] or match[2] for field in fields if (match := _FORM.fullmatch(field)))
    names = (field for field in fields if field.startswith("HGVS:"))
    return next((name for ids in (numbers, forms, names) for name in ids), "")


def file_name(document_id: str) -> str:
    """Convert a document's id into a file name; characters that file systems do not allow become `%XX`.

    Raises:
        FormatError: if the name is too long for a file.
    """
    name = "".join(character if _safe(character) else quote(character, safe="") for character in document_id)
    name = "%2E" + name[1:] if name.startswith(".") else name or "%"
    if len(name.encode()) > _LONGEST_NAME:
        raise FormatError(f"document {document_id!r:.80}: the id is too long for a file name")
    return name


def no_file_name(document_id: str) -> str | None:
    """Return the reason why a document's id cannot be a file name; None if it can."""
    try:
        file_name(document_id)
    except FormatError:
        return "the id is too long for a file name"
    return None


def file_stem(path: PurePath) -> str:
    """Return the document id of a file, the inverse of `file_name`; any other name is itself the id.

    Args:
        path: the path without suffix, relative to the folder that is read.
    """
    name = decoded(path.as_posix())
    document_id = "" if name == "%" else unquote(name)
    try:
        return document_id if file_name(document_id) == name else name
    except FormatError:  # a path with many folders
        return name


def decoded(name: str) -> str:
    """Return a file name as text; bytes that are not UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _safe(character: str) -> bool:
    return character not in '/\\:*?"<>|%' and character.isprintable()
