"""What was rejected, as JSON Lines: an object for each thing, with what is wrong and where."""

from __future__ import annotations

import json
from typing import Any

from biomark.spans import Rejected, Span

_MOST_RAW = 1_000  # characters of what was rejected; a broken file may be a line of gigabytes


def line_of(rejected: Rejected) -> bytes:
    """One reject as a line.

    The fields are `reason`, `source`, `line` (from 1), `document`, `start` and `end` (code points of the document) and
    `raw` (at most 1,000 characters of what was rejected); those that are not known are left out.
    """
    window = rejected.window
    fields: dict[str, object] = {
        "reason": rejected.reason,
        "source": rejected.source,
        "line": rejected.line,
        "document": rejected.document_id,
        "start": None if window is None else window.start,
        "end": None if window is None else window.end,
        "raw": rejected.raw[:_MOST_RAW] or None,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    # Halves of characters, which UTF-8 does not have, become escapes.
    return json.dumps(known, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def rejected_of(line: bytes) -> Rejected:
    """The reject of a line that `line_of` wrote.

    Raises:
        ValueError: if it is no such line.
    """
    values: Any = json.loads(line)
    if not isinstance(values, dict) or not isinstance(values.get("reason"), str):
        raise ValueError("this line holds no reject")
    window = Span(values["start"], values["end"]) if "start" in values else None
    return Rejected(
        values["reason"],
        values.get("raw", ""),
        values.get("document"),
        values.get("source"),
        values.get("line"),
        window,
    )
