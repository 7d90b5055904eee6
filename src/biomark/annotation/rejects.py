"""Rejects as JSON Lines: an object for each reject, with its reason and location."""

from __future__ import annotations

import json
from typing import Any

from biomark.spans import Rejected, Span

_MOST_RAW = 1_000  # characters of the rejected input; the only line of a broken file may have gigabytes


def line_of(rejected: Rejected) -> bytes:
    """Return a reject as a line of JSON, in UTF-8.

    The fields are `reason`, `source`, `line` (from 1), `document`, `start` and `end` (code points of the document) and
    `raw` (at most 1,000 characters of the rejected input); unknown ones are left out.
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
    # Lone surrogates, which UTF-8 cannot encode, become escapes.
    return json.dumps(known, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def rejected_of(line: bytes) -> Rejected:
    """Return the reject in a line that `line_of` wrote.

    Raises:
        ValueError: if the line is not a record of a reject.
    """
    values: Any = json.loads(line)
    if not isinstance(values, dict) or not isinstance(values.get("reason"), str):
        raise ValueError("this line is not a record of a reject")
    window = Span(values["start"], values["end"]) if "start" in values else None
    return Rejected(
        values["reason"],
        values.get("raw", ""),
        values.get("document"),
        values.get("source"),
        values.get("line"),
        window,
    )
