"""Entities ↔ marked text: a sentence with signs, such as `<mark>` and `</mark>`, around each mention.

A model is trained to answer with marked text (Keloth et al. 2024). `encode` writes it, `decode` reads a faithful
answer, and `align` extracts from any other answer the mentions that have one certain place in the source. `unmarked`
reads marked text without a source. A `Signs` defines the signs; the default signs are marks.
"""

from __future__ import annotations

from biomark.marks.careless import Aligned, align, unmarked
from biomark.marks.faithful import Marked, decode, encode
from biomark.marks.signs import CLOSE, OPEN, Signs, mark, type_named

__all__ = ["CLOSE", "OPEN", "Aligned", "Marked", "Signs", "align", "decode", "encode", "mark", "type_named", "unmarked"]
