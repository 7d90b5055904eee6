"""The exceptions that biomark raises.

BiomarkError
├── UsageError              an invalid option, or an unknown name of a type, format, corpus or model
│   └── MissingExtraError   a library of an optional extra is not installed
├── SpanError               offsets that do not fit their text, or invalid values in a document (also a ValueError)
├── FormatError             a file that cannot be read or written at all
├── CorpusError             a corpus that cannot be located, fetched or verified
├── KnowledgeError          a term store that does not exist, cannot be built, or cannot be read
├── ChatError               a model server that cannot be reached or refuses requests, or a failing cache of answers
└── ModelError              a model folder that is incomplete, or that does not fit its use

A single invalid document raises no exception: readers and recognizers report it as a
`biomark.spans.Rejected` and continue with the next one.
"""

from __future__ import annotations

from biomark.screen import visible


class BiomarkError(Exception):
    """The base of all errors.

    The message names the problem, its place and the remedy; `str` replaces control characters, so that it is safe to
    print in a terminal.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class UsageError(BiomarkError):
    """An invalid argument or option; the message lists the valid ones."""


class MissingExtraError(UsageError):
    """An optional library is not installed.

    Args:
        library: the module that could not be imported.
        extra: the name of biomark's extra that installs it.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; install biomark with its extra: pip install '.[{extra}]'")


class SpanError(BiomarkError, ValueError):
    """Offsets that are reversed, empty, negative or beyond the end of the text, or invalid values in a document."""


class FormatError(BiomarkError):
    """A file that cannot be read or written: a wrong format, a binary file, invalid UTF-8, or no such file."""


class CorpusError(BiomarkError):
    """A corpus whose files are missing, cannot be fetched, or have a wrong checksum."""


class KnowledgeError(BiomarkError):
    """A term store that does not exist or cannot be read, or a source from which no store can be built."""


class ModelError(BiomarkError):
    """A model folder that lacks a file, or a model that does not support the requested use."""


class ChatError(BiomarkError):
    """A language model's server that cannot be reached or refuses all requests, or a cache of answers that fails."""
