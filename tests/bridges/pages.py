"""The code on a page of the documentation, as its reader would copy it."""

from __future__ import annotations

import re

from conftest import ROOT


def code(page: str, place: int = 0) -> str:
    """A block of Python code on a page.

    Args:
        page: the name of a file in docs/.
        place: which of the page's blocks, from 0.
    """
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)[
        place
    ]
