"""`biomark serve` with `TermRecognizer` as its model, which takes a moment for each document and fails at some.

python slow_service.py SECONDS ARGUMENTS...
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
SECONDS = float(sys.argv[1])
sys.argv[1:2] = []


class Slow(TermRecognizer):
    """Waits; raises an error that holds the text, where the text holds "FAILING"."""

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        for found in super().annotate(documents, types, min_score=min_score):
            time.sleep(SECONDS)
            if "FAILING" in found.document.text:
                raise ValueError(found.document.text)
            yield found


models.load = lambda *how, **more: Slow()  # type: ignore[assignment]
cli.main()
