"""The page on which people look at mentions and correct them: its modules as one HTML file, which loads nothing.

The modules import names of each other alone (`import { a } from "./b.js";`), so that they can stand one after the
other in one script. Each top-level name is therefore unique among them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
_SLOT = "$documents"


def frame(settings: Mapping[str, object], *, api: str = "") -> tuple[str, str]:
    """What stands before and behind the documents, which are objects of JSON, a line each (`line`).

    Args:
        settings: what the page's script is to know, as values of JSON.
        api: the base of a service's addresses, relative to the page's own; empty: the page asks nobody.
    """
    style, code = part("page.css"), script()
    policy = {
        "default-src": "'none'",
        "script-src": _hash(code),
        "style-src": _hash(style),
        "img-src": "data:",
        "connect-src": "'self'" if api else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    slots = {
        "policy": "; ".join(f"{what} {whom}" for what, whom in policy.items()),
        "style": style,
        "settings": line({**settings, "api": api}).strip(),
        "script": code,
    }
    before, behind = (_filled(half, slots) for half in part("page.html").split(_SLOT))
    return before, behind


def line(values: Mapping[str, object]) -> str:
    """An object as a line of JSON that can stand inside of a `script` element."""
    return json.dumps(values, ensure_ascii=False).replace("<", "\\u003c") + "\n"


@cache
def script(first: str = "main.js") -> str:
    """A module and all that it imports as one script, each behind those that it imports itself."""
    order: dict[str, str] = {}

    def add(name: str) -> None:
        if name in order:
            return
        order[name] = ""  # modules may import each other
        text = part(name)
        for other in _IMPORT.findall(text):
            add(other)
        del order[name]
        order[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(first)
    return "\n".join(order.values())


def part(name: str) -> str:
    """A file of this folder."""
    return files("biomark.page").joinpath(name).read_text("utf-8")


def _filled(text: str, slots: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: slots[match[1]], text)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


__all__ = ["frame", "line", "part", "script"]
