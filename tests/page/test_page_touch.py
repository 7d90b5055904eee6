"""Corrections on the page by touch alone, on a phone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_cases import example

from biomark import formats
from biomark.spans import Document
from browser import Opened, kinds, state, window
from conftest import HANG

pytest_plugins = ("page_fixtures",)

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
_PLACE = """([words, part]) => {
  for (const span of document.querySelectorAll("article .text p > span")) {
    const node = Array.from(span.childNodes).find((child) => child.nodeType === Node.TEXT_NODE);
    const at = node?.data.indexOf(words) ?? -1;
    if (at < 0) continue;
    span.scrollIntoView({ block: "center" });
    const range = new Range();
    range.setStart(node, at);
    range.setEnd(node, at + words.length);
    const { left, right, top, bottom } = range.getClientRects()[0];
    return [left + (right - left) * part, (top + bottom) / 2];
  }
}"""


@pytest.fixture
def phone(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A page of two documents on a phone, as Playwright's `Page`."""
    path = tmp_path / "page.html"
    formats.write([example(), Document("pm-2", "Gout is old. " * 300)], path)
    with window(browser, **PHONE) as context:
        opened = Opened(context)
        yield opened.go(path)
    assert opened.problems == []


def place(page: Any, words: str, part: float = 0.5) -> tuple[float, float]:
    """Where words stand in the window; `part` goes from their beginning (0) to their end (1)."""
    x, y = page.evaluate(_PLACE, [words, part])
    return x, y


def tap_words(page: Any, words: str) -> None:
    page.touchscreen.tap(*place(page, words))
    page.locator("#inspector h2", has_text=words).wait_for()


def drag(page: Any, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """A finger that goes from one place to another one."""
    session = page.context.new_cdp_session(page)
    for share in range(7):
        x, y = (a + (b - a) * min(share, 5) / 5 for a, b in zip(begin, end, strict=True))
        kind = {0: "touchStart", 6: "touchEnd"}.get(share, "touchMove")
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_timeout(700)  # a tap sooner than any finger can make it is dropped by the browser


def drag_edge(page: Any, edge: str, words: str, part: float) -> None:
    """Take an edge of the selected mention by its handle, and bring it to a place; the finger is beside the edge."""
    x, y = place(page, words, part)
    dx, dy, hx, hy = page.locator(f".handle[data-edge={edge}]").evaluate("""(element) => {
      const { left, top, height } = element.getBoundingClientRect();
      const area = getComputedStyle(element, "::before");
      const [w, h, l, t] = ["width", "height", "left", "top"].map((name) => parseFloat(area[name]));
      return [l + w / 2, t + h / 2 - height / 2, left + l + w / 2, top + t + h / 2];
    }""")
    drag(page, (hx, hy), (x + dx + 1, y + dy))


def select(page: Any, words: str, part: str = "") -> None:
    """Select words as a phone does by a long press: the page is told by `selectionchange` and nothing else."""
    page.evaluate(
        """([words, part]) => {
          const spans = Array.from(document.querySelectorAll("p > span"));
          const node = spans.find((span) => span.textContent.includes(words)).firstChild;
          const start = node.data.indexOf(words);
          getSelection().setBaseAndExtent(node, start, node, start + (part || words).length);
        }""",
        [words, part],
    )
    page.locator("#inspector h2", has_text=part or words).wait_for()


def wait_for_mention(page: Any, words: str, entity_type: str) -> None:
    """Wait until a mention is marked: a browser makes a click of a tap only some time after the finger was lifted."""
    limit = time.monotonic() + HANG
    while (words, entity_type) not in kinds(page):
        assert time.monotonic() < limit, kinds(page)
        page.wait_for_timeout(20)


def test_two_taps_mark_a_word(phone: Any) -> None:
    tap_words(phone, "lowers")
    phone.locator("#inspector .chip", has_text="treatment").tap()
    wait_for_mention(phone, "lowers", "treatment")


def test_a_second_tap_lets_the_word_go(phone: Any) -> None:
    tap_words(phone, "lowers")
    phone.touchscreen.tap(*place(phone, "lowers"))
    phone.locator("body:not(.selecting)").wait_for()
    assert len(kinds(phone)) == len(example().entities)


def test_words_are_marked_that_a_long_press_has_selected(phone: Any) -> None:
    select(phone, "followed", "fol")
    select(phone, "followed")
    phone.locator("#inspector .chip", has_text="test").tap()
    wait_for_mention(phone, "followed", "test")


def test_what_is_selected_stays_selected_beside_a_chosen_mention(phone: Any) -> None:
    tap_words(phone, "Zileuton")
    select(phone, "lowers")
    assert phone.locator(".handle").count() == 0
    assert phone.evaluate("String(getSelection())") == "lowers"


def test_a_mention_is_dropped_and_brought_back(phone: Any) -> None:
    tap_words(phone, "Zileuton")
    phone.locator("#inspector button", has_text="Drop").tap()
    assert "Zileuton" not in [words for words, _ in kinds(phone)]
    phone.locator("#undo").tap()
    wait_for_mention(phone, "Zileuton", "chemical")


def test_a_mention_gets_another_type(phone: Any) -> None:
    tap_words(phone, "Zileuton")
    phone.locator("#inspector .chip", has_text="treatment").tap()
    wait_for_mention(phone, "Zileuton", "treatment")


def test_a_finger_moves_both_edges_and_each_way_is_one_step(phone: Any) -> None:
    tap_words(phone, "Zileuton")
    drag_edge(phone, "end", "lowers", 1)
    wait_for_mention(phone, "Zileuton lowers", "chemical")
    drag_edge(phone, "start", "Zileuton lowers", 4.5 / 15)
    (words,) = [words for words, type in kinds(phone) if type == "chemical"]
    assert words.endswith("lowers")
    assert len(words) < len("Zileuton lowers")
    phone.locator("#undo").tap()
    wait_for_mention(phone, "Zileuton lowers", "chemical")
    phone.locator("#undo").tap()
    wait_for_mention(phone, "Zileuton", "chemical")
    assert state(phone)[0]["entities"][0] == {
        "spans": [[0, 8]],
        "text": "Zileuton",
        "type": "chemical",
        "ids": ["MESH:C063449"],
        "score": 0.95,
    }


def test_what_is_tapped_stays_above_the_controls(phone: Any) -> None:
    phone.locator("article").nth(1).scroll_into_view_if_needed()
    phone.touchscreen.tap(180, 640)
    phone.locator("body.selecting").wait_for()
    sheet = phone.locator("#inspector").bounding_box()
    words = phone.evaluate("""() => {
      const [range] = CSS.highlights.get("target");
      return range.getBoundingClientRect().bottom;
    }""")
    assert words <= sheet["y"]


def test_targets_are_as_large_as_a_finger(phone: Any) -> None:
    tap_words(phone, "Zileuton")
    sizes = phone.evaluate("""() => {
      const targets = document.querySelectorAll("button:not(.link), select, .handle, .check, .chip");
      return Array.from(targets).filter((one) => one.matches(".handle") || one.getClientRects().length).map((one) => {
        const size = one.matches(".handle") ? getComputedStyle(one, "::before") : one.getBoundingClientRect();
        return [one.outerHTML.slice(0, 80), parseFloat(size.width), parseFloat(size.height)];
      });
    }""")
    assert len(sizes) > 15
    assert [size for size in sizes if min(size[1:]) < 43.9] == []
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
