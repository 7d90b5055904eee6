"""The page of a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from page_cases import Running

from browser import Opened, kinds, state, window

pytest_plugins = ("page_fixtures",)


def test_texts_and_files_go_to_the_service_and_nowhere_else(browser: Any, service: Running, tmp_path: Path) -> None:
    with window(browser) as context:
        opened = Opened(context)
        page = opened.go(service.address)
        page.locator("#start option").first.wait_for(state="attached")
        page.locator("#start button", has_text="A clinical note").click()
        page.locator("#start textarea").fill("😀 gout and gout")
        page.locator("#start button[type=submit]").click()
        page.locator("article").wait_for()
        assert kinds(page) == [("gout", "disease")] * 2
        assert state(page)[0]["entities"][0]["spans"] == [[2, 6]]

        page.locator("#add").click()
        page.locator("dialog option").first.wait_for(state="attached")
        page.locator("dialog select").select_option("any")
        page.locator("dialog input[placeholder^=such]").fill("joint trouble")
        for name, content in (("note-7.txt", "gout"), ("bad.xyz", "bad")):
            (tmp_path / name).write_text(content)
        page.locator("dialog input[type=file]").set_input_files(tmp_path / "bad.xyz")
        page.locator("dialog .message", has_text="bad.xyz: line 1 holds no document").wait_for()
        page.locator("dialog input[type=file]").set_input_files(tmp_path / "note-7.txt")
        page.locator("article").nth(1).wait_for()
        assert [(d["id"], [e["type"] for e in d["entities"]]) for d in state(page)] == [
            ("text 1", ["disease", "disease"]),
            ("note-7", ["joint trouble"]),
        ]
        assert service.asked[-1] == {
            "content": "gout",
            "format": "text",
            "sentences": True,
            "model": "any",
            "types": ["joint trouble"],
        }

        page.locator("#compare").click()
        page.locator("dialog button", has_text="Model any").click()
        page.locator(".counts").nth(1).wait_for()
        assert page.locator(".counts").nth(0).text_content() == "No differences"
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert [d["id"] for d in state(page)] == ["text 1", "note-7"]
        assert [
            address for address in opened.requests if not address.startswith((service.address, "data:", "blob:"))
        ] == []
        assert all("422" in problem for problem in opened.problems)
