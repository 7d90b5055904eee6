"""The settings of decoding with a generative model, from which the command line's options are made.

The module contains data only, so that the command line starts quickly. The modules that use the settings check them.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.errors import UsageError
from biomark.runtime.options import option

DECODINGS = ("marks", "generate")


@dataclass(frozen=True, slots=True)
class Asking:
    """The settings of decoding with a generative model; each field has its meaning.

    With `marks`, answers are faithful (see `biomark.generative.decoding`). With `generate` the model writes freely, as
    in the paper, and what can be placed in the text is taken; a model that was tuned to answer in another shape than
    marks is always asked so. A drafter changes no answer.

    Raises:
        UsageError: if the decoding is unknown, or the batch is empty.
    """

    decoding: str = option("marks", "marks: the answer copies the text exactly; generate: free text, as in the paper.")
    drafter: str | None = option(None, "A model, such as default, that proposes mentions, so that answers come faster.")
    batch: int = option(16, "Sentences asked about at once.")

    def __post_init__(self) -> None:
        if self.decoding not in DECODINGS:
            raise UsageError(f"unknown `decoding` {self.decoding!r}; choose from {', '.join(DECODINGS)}")
        if self.batch < 1:
            raise UsageError(f"`batch` must be at least 1 window, got {self.batch}")
