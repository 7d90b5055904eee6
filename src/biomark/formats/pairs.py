"""Formats whose output is a folder, with a text file and a file of mentions for each document."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from biomark.errors import FormatError
from biomark.formats.base import Sink


def folder_to_write(sink: Sink, format_name: str, suffixes: Collection[str]) -> Path:
    """Return the folder of a sink; it is created if it does not exist.

    Args:
        sink: the destination of the documents.
        format_name: the format's name, for messages.
        suffixes: the suffixes of the format's files; a path that ends in one of them is refused as a folder.

    Raises:
        FormatError: if the sink is a stream or a file, or the folder cannot be created.
    """
    folder = sink.path
    if folder is None or folder.is_file() or folder.suffix in suffixes:
        raise FormatError(f"the output of {format_name} must be a folder; name one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder
