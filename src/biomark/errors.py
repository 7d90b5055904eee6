"""Every error that biomark raises on purpose.

BiomarkError
├── UsageError              a wrong option, an unknown name of a type, format, corpus or model
│   └── MissingExtraError   a library that an optional part needs is not installed
├── SpanError               offsets that do not fit their text, odd values in a document (also a ValueError)
├── FormatError             a file that cannot be read or written at all
├── CorpusError             a corpus that cannot be found, fetched or verified
├── KnowledgeError          a term store that is not there, cannot be built, or cannot be read
├── ChatError               a model's server that cannot be reached or refuses, a cache of answers that fails
└── ModelError              a model folder that is incomplete, or that does not fit its use

A single bad document is not an error: readers and recognizers hand it over as a
`biomark.spans.Rejected` and go on with the next one.
"""

from __future__ import annotations

from biomark.screen import visible


class BiomarkError(Exception):
    """The base of all errors; its message says what happened, where, and what to do, and is safe for a terminal."""

    def __str__(self) -> str:
        return visible(super().__str__())


class UsageError(BiomarkError):
    """What the caller asked for makes no sense; the message lists what would."""


class MissingExtraError(UsageError):
    """An optional library is not installed.

    Args:
        library: the module that could not be imported.
        extra: the name of the extra of biomark that installs it.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; install biomark with its extra: pip install '.[{extra}]'")


class SpanError(BiomarkError, ValueError):
    """Offsets that are reversed, empty, negative or beyond the end of the text; odd values in a document."""


class FormatError(BiomarkError):
    """A file that cannot be read or written: wrong format, no text, not UTF-8, not there."""


class CorpusError(BiomarkError):
    """A corpus that is not where it should be, or whose checksum is wrong."""


class KnowledgeError(BiomarkError):
    """A term store that is not there or cannot be read, or a source that no store can be built of."""


class ModelError(BiomarkError):
    """A model folder that lacks a file, or a model that cannot do what was asked."""


class ChatError(BiomarkError):
    """A language model's server that cannot be reached or refuses everything, or a cache that fails."""
