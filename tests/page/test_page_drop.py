"""Files that are dropped on the page."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from page_cases import Running, saved

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


def packed(method: int = zipfile.ZIP_DEFLATED, **files: str) -> bytes:
    """A ZIP archive of files; in a name, `__` stands for a dot and `_in_` for a slash."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, text in files.items():
            own = name if "/" in name else name.replace("_in_", "/").replace("__", ".")
            archive.writestr(own, text)
    return content.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_are_unpacked_folder_by_folder(page: Any, method: int) -> None:
    notes = {"a__txt": "Gout is old.", "a__ann": ANN, "week_in_a__txt": "Gout is new 😀.", "week_in_a__ann": ANN}
    hidden = {"__MACOSX/a.txt": "no", "week/.hidden.txt": "no"}
    drop(page, notes__zip=packed(method, **notes, **hidden))
    page.locator("article").nth(1).wait_for()
    assert [(d["text"], [e["text"] for e in d["entities"]]) for d in state(page)] == [
        ("Gout is old.", ["Gout"]),
        ("Gout is new 😀.", ["Gout"]),
    ]


def test_the_archive_that_the_page_writes_is_read_again(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(html.page([]))
    found = []
    files: dict[str, Any] = {"b__ann": ANN, "a__txt": "Gout is old.", "a__ann": ANN, "b__txt": "Gout 😀."}
    for _ in range(2):
        with window(browser) as context:
            page = Opened(context).go(tmp_path / "page.html")
            drop(page, **files)
            page.locator("article").nth(1).wait_for()
            found.append(sorted(state(page), key=lambda document: document["id"]))
            files = {"taken__zip": saved(page, "brat", tmp_path).read_bytes()}
    assert found[0] == found[1]


def test_what_is_wrong_with_an_archive_is_said_and_the_rest_is_read(page: Any) -> None:
    whole = packed(a__txt="Gout is old.", a__ann=ANN)
    drop(page, cut__zip=whole[:-9], empty__zip=b"", good__zip=whole)
    page.locator("dialog .message").wait_for()
    assert page.locator("dialog .message").text_content().split("\n") == [
        "cut.zip: is not a complete ZIP archive; get the file again",
        "empty.zip: is not a complete ZIP archive; get the file again",
    ]
    assert kinds(page) == [("Gout", "Disease")]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_of_an_archive_that_cannot_be_read_is_named_and_the_others_are_read(page: Any, method: int) -> None:
    def changed(whole: bytes, at: int, byte: int) -> bytes:
        return whole[:at] + bytes([whole[at] ^ byte]) + whole[at + 1 :]

    whole = packed(method, b__txt="Asthma is older.", a__txt="Gout is old.", a__ann=ANN)
    damaged = changed(whole, 30 + len("b.txt") + 3, 0x20)
    encrypted = changed(whole, whole.index(b"PK\x01\x02") + 8, 1)
    drop(page, bent__zip=damaged, shut__zip=encrypted)
    page.locator("dialog .message").wait_for()
    assert page.locator("dialog .message").text_content().split("\n") == [
        "bent.zip: b.txt is damaged; get the file again",
        "shut.zip: b.txt is encrypted; unpack the archive and choose the files",
    ]
    assert [(d["text"], [e["text"] for e in d["entities"]]) for d in state(page)] == [("Gout is old.", ["Gout"])] * 2
