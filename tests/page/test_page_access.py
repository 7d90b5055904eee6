"""The page for all people, on all screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_cases import example

from biomark import formats
from browser import Opened, press, window

pytest_plugins = ("page_fixtures",)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000, 2000])
def test_nothing_keeps_anybody_out(browser: Any, scheme: str, width: int, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    path = tmp_path / "page.html"
    formats.write([example()], path)
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "reduced_motion": "reduce"}
    with window(browser, bypass_csp=True, **options) as context:
        page = Opened(context).go(path)
        page.locator(".editable").first.focus()
        press(page, "n")
        found = axe.Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
