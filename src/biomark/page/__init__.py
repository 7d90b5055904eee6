"""The page on which people view and correct mentions: one HTML file that loads no other file.

Its JavaScript modules import only names from each other (`import { a } from "./b.js";`), so that they can be
concatenated into one script. Each top-level name must therefore be unique among the modules.
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
    """Return the parts of the page before and after the documents, which are lines of JSON (`line`).

    Args:
        settings: settings of the page's script, as values of JSON.
        api: the base of a service's URLs, relative to the page's URL; empty: the page sends no requests.
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
        "policy": "; ".join(f"{directive} {source}" for directive, source in policy.items()),
        "style": style,
        "settings": line({**settings, "api": api}).strip(),
        "script": code,
    }
    before, after = (_filled(half, slots) for half in part("page.html").split(_SLOT))
    return before, after


def line(values: Mapping[str, object]) -> str:
    """Return an object as a line of JSON that is safe inside a `script` element."""
    return json.dumps(values, ensure_ascii=False).replace("<", "\\u003c") + "\n"


@cache
def script(first: str = "main.js") -> str:
    """Return a module and all modules that it imports as one script, each after its own imports."""
    order: dict[str, str] = {}

    def add(name: str) -> None:
        if name in order:
            return
        order[name] = ""  # ends the recursion if modules import each other
        text = part(name)
        for other in _IMPORT.findall(text):
            add(other)
        del order[name]
        order[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(first)
    return "\n".join(order.values())


def part(name: str) -> str:
    """Return the text of a file in this folder."""
    return files("biomark.page").joinpath(name).read_text("utf-8")


def _filled(text: str, slots: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: slots[match[1]], text)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


__all__ = ["frame", "line", "part", "script"]
