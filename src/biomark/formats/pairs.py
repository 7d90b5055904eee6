"""Formats that are folders, with a text and a file of mentions for each document."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from biomark.errors import FormatError
from biomark.formats.base import Sink


def folder_to_write(sink: Sink, format_name: str, suffixes: Collection[str]) -> Path:
    """The folder that a sink names; it is made if it is not there.

    Args:
        sink: where documents go.
        format_name: the format's name, for messages.
        suffixes: of the format's files, which are no names of folders.

    Raises:
        FormatError: if the sink is a stream or a file, or the folder cannot be made.
    """
    folder = sink.path
    if folder is None or folder.is_file() or folder.suffix in suffixes:
        raise FormatError(f"{format_name} is written into a folder; name one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder
