"""The page of a real service: files of all formats, a token, identifiers, folders, and work after a reload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from biomark import formats
from biomark.knowledge.building import build
from biomark.knowledge.normalization import Normalizer
from biomark.knowledge.store import Store
from biomark.recognizers.normalizing import NormalizingRecognizer
from biomark.spans import Document, Entity, Passage, Span
from browser import Opened, drop, kinds, press, state, window
from knowledge_cases import Terms, entry
from service import served, service
from terms import TermRecognizer

pytest_plugins = ("page_fixtures",)

TEXT = "Zileuton in asthma. It helped Dr. Weiß, İrem and 😀."
NOTE = Document(
    "n-1",
    TEXT,
    (Passage(Span(0, len(TEXT)), "note"),),
    entities=(Entity((Span(12, 18),), "problem", ("MESH:D001249",)),),
)
Visit = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def visit(browser: Any) -> Visit:
    """Open the page of a service with `TermRecognizer`; nothing but the service is asked, and nothing goes wrong."""

    @contextmanager
    def visited(own: Any = None, problems: tuple[str, ...] = ()) -> Iterator[Any]:
        with served(own or service()) as address, window(browser) as context:
            opened = Opened(context)
            home = f"http://{address.host}:{address.port}/"
            yield opened.go(home)
            assert [one for one in opened.requests if not one.startswith((home, "data:", "blob:"))] == []
            assert all(any(known in problem for known in problems) for problem in opened.problems)

    return visited


def files(folder: Path, *documents: Document) -> dict[str, Path]:
    """Documents in several formats."""
    found = {name: folder / f"notes.{name}" for name in ("bioc.xml", "bioc.json", "pubtator", "jsonl")}
    for path in found.values():
        formats.write(documents, path)
    return found


def test_mentions_of_files_are_kept_on_demand_in_every_format(visit: Visit, tmp_path: Path) -> None:
    with visit() as page:
        page.locator("#start .check", has_text="Keep the mentions").locator("input").check()
        page.locator("#start input[type=file]").set_input_files(list(files(tmp_path, NOTE).values()))
        page.locator("article").nth(3).wait_for()
        found = state(page)
    assert [d["id"] for d in found] == ["n-1", "n-1-2", "n-1-3", "n-1-4"]
    assert {d["text"].strip() for d in found} == {TEXT}
    assert [[(e["text"], e["type"], e["ids"]) for e in d["entities"]] for d in found] == [
        [("asthma", "problem", ["MESH:D001249"])]
    ] * 4
    assert all(next(TEXT[a:b] for a, b in d["sentences"]) == "Zileuton in asthma." for d in found)


def test_the_page_is_compared_with_files_of_every_format(visit: Visit, tmp_path: Path) -> None:
    with visit() as page:
        drop(page, notes__jsonl=files(tmp_path, NOTE)["jsonl"].read_text("utf-8"))
        page.locator("article").wait_for()
        formats.write(NOTE, tmp_path / "brat", "brat")
        for gold in (*files(tmp_path, NOTE).values(), list((tmp_path / "brat").iterdir())):
            page.locator("#compare").click()
            page.locator("dialog input[type=file]").set_input_files(gold)
            page.locator("dialog").wait_for(state="detached")
            assert page.locator(".counts .kind").all_text_contents() == ["1 wrong", "1 type"]
            page.locator("#compare").click()
            page.locator("dialog button", has_text="End the comparison").click()
            page.locator(".counts").wait_for(state="detached")
        (tmp_path / "odd.bin").write_text("nothing")
        page.locator("#compare").click()
        page.locator("dialog input[type=file]").set_input_files(tmp_path / "brat" / "n-1.ann")
        page.locator("dialog .message", has_text="its text, n-1.txt, is missing").wait_for()


def test_what_was_there_before_corrections_survives_a_reload(visit: Visit) -> None:
    with visit() as page:
        drop(page, a__txt="Zileuton in asthma, or TNF-α.", b__txt="No asthma.")
        page.locator("article").nth(1).wait_for()
        before = state(page)
        page.locator(".editable").first.focus()
        press(page, "n", "Delete", "n", "7", "n", "Shift+ArrowLeft", "4", "f", "o", "1", "j", "n", "7", "Delete")
        page.locator("#saved", has_text="Saved in this browser").wait_for()
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert state(page) != before
        page.locator("#compare").click()
        page.locator("dialog button", has_text="before your corrections").click()
        assert page.locator(".counts").nth(0).locator(".kind").count() > 0
        assert page.locator(".counts").nth(1).locator(".kind").all_text_contents() == ["1 missing"]
        again = page.evaluate(
            """async () => {
              const { app } = await biomark;
              return app.uncorrected.map(({ id, entities }) => [id, entities.map((e) => [e.type, e.score, e.spans])]);
            }"""
        )
    assert again == [[d["id"], [[e["type"], e["score"], e["spans"]] for e in d["entities"]]] for d in before]


def test_two_windows_do_not_overwrite_each_others_documents(visit: Visit) -> None:
    with visit() as page:
        other = page.context.new_page()
        other.goto(page.url)
        other.wait_for_selector("html[data-ready]")
        for window_, name in ((page, "a"), (other, "b"), (page, "c")):
            drop(window_, **{f"{name}__txt": f"No asthma in {name}."})
            window_.locator("article", has_text=f"in {name}.").wait_for()
        for window_ in (page, other):
            window_.locator(".editable").first.focus()
            press(window_, "n", "Shift+ArrowRight")
            window_.locator("#saved", has_text="Saved in this browser").wait_for()
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert [(d["id"], d["entities"][0]["text"]) for d in state(page)] == [
            ("a", "asthma in"),
            ("b", "asthma in"),
            ("c", "asthma"),
        ]


def test_the_page_asks_for_the_token_and_sends_it(visit: Visit) -> None:
    token = "0123456789abcdef"
    with visit(service(token=token), problems=("401",)) as page:
        page.locator("#start .message", has_text="send the token").wait_for()
        page.locator("#start input[type=password]").fill(token)
        page.locator("#start input[type=password]").press("Tab")
        page.locator("#start option", has_text="terms").wait_for(state="attached")
        assert page.locator("#start .message").text_content() == ""
        page.locator("#start textarea").fill("No asthma.")
        page.locator("#start button[type=submit]").click()
        page.locator("article").wait_for()
        page.locator("#add").click()  # another form sends it as well
        page.locator("dialog textarea").fill("asthma")
        page.locator("dialog button[type=submit]").click()
        page.locator("article").nth(1).wait_for()
        assert [[e["text"] for e in d["entities"]] for d in state(page)] == [["asthma"], ["asthma"]]


def test_identifiers_of_a_term_store_are_given_on_demand(visit: Visit, tmp_path: Path) -> None:
    from biomark.serve.app import ServedModel, Service

    build([Terms([entry("MESH:D001249", "disease", "asthma")])], tmp_path / "store", reject=pytest.fail)
    found = NormalizingRecognizer(TermRecognizer(), Normalizer(Store(tmp_path / "store")))
    with visit(Service({"terms": ServedModel(TermRecognizer(), found)})) as page:
        wanted = page.locator("#start .check", has_text="identifiers")
        wanted.wait_for()
        drop(page, a__txt="asthma")
        page.locator("article").wait_for()
        page.locator("#add").click()
        page.locator("dialog .check", has_text="identifiers").locator("input").uncheck()
        page.locator("dialog textarea").fill("asthma")
        page.locator("dialog button[type=submit]").click()
        page.locator("article").nth(1).wait_for()
        assert [[e.get("ids") for e in d["entities"]] for d in state(page)] == [[["MESH:D001249"]], [None]]
        page.locator(".piece").first.click(position={"x": 4, "y": 8})
        assert page.locator("#inspector .ids code").text_content() == "MESH:D001249"


def test_the_types_to_look_for_are_chosen(visit: Visit) -> None:
    class Cautious(TermRecognizer):
        default_types = ("disease", "gene")

        def annotate(self, documents: Any, types: Any = None, *, min_score: Any = None) -> Any:
            return super().annotate(documents, types or self.default_types, min_score=min_score)

    with visit(service(Cautious())) as page:
        page.locator("#start .wanted").wait_for()
        boxes = page.locator("#start .wanted input")
        assert [boxes.nth(n).is_checked() for n in range(3)] == [True, False, True]
        drop(page, a__txt="Zileuton, ALOX5 and asthma.")
        page.locator("article").wait_for()
        page.locator("#add").click()
        page.locator("dialog .wanted label", has_text="chemical").click()
        page.locator("dialog .wanted label", has_text="gene").click()
        press(page, "Escape")
        drop(page, b__txt="Zileuton, ALOX5 and asthma.")  # as the form was left
        page.locator("article").nth(1).wait_for()
        assert [[e["type"] for e in d["entities"]] for d in state(page)] == [
            ["gene", "disease"],
            ["chemical", "disease"],
        ]
        page.locator("#add").click()
        for name in ("chemical", "disease"):
            page.locator("dialog .wanted label", has_text=name).click()
        page.locator("dialog textarea").fill("asthma")
        page.locator("dialog button[type=submit]").click()
        page.locator("dialog .message", has_text="No type is chosen; choose at least one.").wait_for()


def drag(page: Any, path: Path) -> None:
    """Drag a file or folder onto the page. The browser drops it only once the page has answered that it takes it."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    page.evaluate("document.addEventListener('drop', () => (globalThis.arrived = true), true)")
    while not page.evaluate("globalThis.arrived"):
        for kind in ("dragEnter", "dragOver", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})
            page.wait_for_timeout(300)


def test_a_folder_of_notes_is_dropped(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    for name, text in (("b/n", "asthma"), ("a/n", "No asthma."), ("c", "aspirin")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text(text)
    (folder / "a" / "n.ann").write_text("T1\tproblem 3 9\tasthma\n")
    (folder / ".hidden").write_text("x")
    with visit() as page:
        drag(page, folder)
        page.locator("article").nth(2).wait_for()
        assert [(d["id"], d["text"]) for d in state(page)] == [("c", "aspirin"), ("n", "No asthma."), ("n-2", "asthma")]
        assert kinds(page) == [("aspirin", "chemical")]
        assert state(page)[1]["entities"][0]["type"] == "problem"
