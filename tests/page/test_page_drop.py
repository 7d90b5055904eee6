"""Files that are dropped on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from page_cases import Running

from biomark.formats import html
from browser import Opened, drop, kinds, state, window

pytest_plugins = ("page_fixtures",)

ANN = "T1\tDisease 0 4\tGout\n#1\tAnnotatorNotes T1\tsure\n"


@pytest.fixture(params=["file", "service"])
def page(request: Any, browser: Any, tmp_path: Path, service: Running) -> Any:
    """An empty page, as a file and as that of a service."""
    (tmp_path / "page.html").write_text(html.page([]))
    with window(browser) as context:
        opened = Opened(context)
        yield opened.go(tmp_path / "page.html" if request.param == "file" else service.address)
    assert opened.problems == []


def test_pairs_of_brat_are_read_in_any_order(page: Any) -> None:
    drop(page, b__ann=ANN, a__txt="Gout is old.", a__ann=ANN, b__txt="Gout 😀.")
    page.locator("article").nth(1).wait_for()
    assert [(d["id"], [e["text"] for e in d["entities"]], d["infons"]) for d in state(page)] == [
        ("b", ["Gout"], {"brat": "#1\tAnnotatorNotes T1\tsure"}),
        ("a", ["Gout"], {"brat": "#1\tAnnotatorNotes T1\tsure"}),
    ]
    assert page.locator("dialog").count() == 0


def test_a_file_without_its_partner_is_named_and_the_rest_is_read(page: Any) -> None:
    drop(page, note__ann=ANN)
    message = "note.ann: its text, note.txt, is missing; choose or drop both files together"
    page.locator("#start .message", has_text=message).wait_for()
    drop(page, a__ann=ANN + "nonsense\n", lost__ann=ANN, a__txt="Gout is old.")
    page.locator("dialog .message").wait_for()
    first, second = page.locator("dialog .message").text_content().split("\n")
    assert first == "lost.ann: its text, lost.txt, is missing; choose or drop both files together"
    assert second.startswith("a.ann, line 3: not a brat annotation")
    assert kinds(page) == [("Gout", "Disease")]


def test_texts_are_read_beside_pairs(page: Any) -> None:
    drop(page, c__txt="No gout.", a__txt="Gout is old.", a__ann=ANN)
    page.locator("article").nth(1).wait_for()
    assert [d["id"] for d in state(page)] == ["a", "c"]


def test_other_formats_of_the_page_alone_are_named_in_a_message(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(html.page([]))
    with window(browser) as context:
        page = Opened(context).go(tmp_path / "page.html")
        drop(page, a__xml="<collection/>", b__jsonl=json.dumps({"id": "b", "text": "Gout."}))
        page.locator("dialog .message", has_text="a.xml: without a service the page reads").wait_for()
        assert [d["id"] for d in state(page)] == ["b"]
