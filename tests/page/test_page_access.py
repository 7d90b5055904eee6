"""The page for all people, on all screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_cases import example

from biomark import formats
from biomark.spans import Document, Entity, Span
from browser import Opened, drop, press, window

pytest_plugins = ("page_fixtures",)


ODD = Document("<b>" + "x" * 90, "السكري 😀 " + "a" * 300, entities=(Entity((Span(0, 6),), "a type " * 20),))


def violations(page: Any) -> list[tuple[str, str]]:
    """What axe finds on a page that keeps people out."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1000, 2000])
def test_nothing_keeps_anybody_out(browser: Any, scheme: str, width: int, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    formats.write([example(), ODD], path)
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "reduced_motion": "reduce"}
    with window(browser, bypass_csp=True, **options) as context:
        page = Opened(context).go(path)
        page.locator(".editable").first.focus()
        press(page, "n")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_state_keeps_anybody_out(browser: Any, scheme: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    formats.write([example(), ODD], path)
    with window(browser, bypass_csp=True, viewport={"width": 360, "height": 740}, color_scheme=scheme) as context:
        page = Opened(context).go(path)
        for state in ("add", "take", "help", "compare"):
            page.locator(f"#{state}").click()
            assert (state, violations(page)) == (state, [])
            press(page, "Escape")
        drop(page, a__xml="<x/>")
        page.locator("dialog .message").wait_for()
        assert violations(page) == []
        press(page, "Escape")
        page.locator(".editable").first.focus()
        press(page, "n", "Delete", "Escape")
        page.locator("#compare").click()
        page.locator("dialog button", has_text="before your corrections").click()
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
