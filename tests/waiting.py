"""The command line with `TermRecognizer` as its model, which stops after some documents until it is killed.

    python waiting.py DOCUMENTS ARGUMENTS...

When it has found the mentions of so many documents, it prints a line to standard output and waits.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from biomark import cli, models
from biomark.recognizers import Annotated
from biomark.spans import Document
from terms import TermRecognizer

# A shell that runs the tests in the background has them ignore interrupts, and so would this process.
signal.signal(signal.SIGINT, signal.default_int_handler)
WAIT_AFTER = int(sys.argv[1])
sys.argv[1:2] = []


class Waiting(TermRecognizer):
    """Waits after some documents."""

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        for number, found in enumerate(super().annotate(documents, types, min_score=min_score)):
            if number == WAIT_AFTER:
                sys.stdout.write("waiting\n")
                sys.stdout.flush()
                while True:  # a signal that arrives just before a call that waits is noticed only after the call
                    time.sleep(0.05)
            yield found


models.load = lambda *how: Waiting()  # type: ignore[assignment,misc]
cli.main()
