"""Entities ↔ marked text: the sentence itself with signs, such as `<mark>` and `</mark>`, around each mention.

Marked text is what a model learns to write (Keloth et al. 2024) and what it answers. `encode` writes it, `decode`
reads a faithful answer back, and `align` finds in any other answer the mentions that have one certain place in the
source. `unmarked` reads marked text that has no source. A `Signs` defines the signs; the default signs are marks.
"""

from __future__ import annotations

from biomark.marks.careless import Aligned, align, unmarked
from biomark.marks.faithful import Marked, decode, encode
from biomark.marks.signs import CLOSE, OPEN, Signs, mark, type_named

__all__ = ["CLOSE", "OPEN", "Aligned", "Marked", "Signs", "align", "decode", "encode", "mark", "type_named", "unmarked"]
