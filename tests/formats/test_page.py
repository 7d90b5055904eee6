"""The page in Chromium: what it shows, corrects, compares and gives away."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from format_cases import documents as any_documents
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark import formats
from biomark.demonstrations import demonstrations
from biomark.evaluation import evaluate
from biomark.formats import html
from biomark.page import frame, part, script
from biomark.screen import visible
from biomark.spans import Document, Entity, Passage, Relation, Span
from browser import Opened, chromium, window

TITLE = "Zileuton lowers 😀 leukotriene B4 in asthma"
REST = "Asthma and ALOX5: severe asthma of mice (ALOX5 again). Breast and ovarian cancer followed."
TEXT = f"{TITLE}\n{REST}"
EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>\x1b\u202e'


def mention(type: str, *words: str, nth: int = 0, **more: Any) -> Entity:
    spans = []
    for word in words:
        start = [m.start() for m in re.finditer(re.escape(word), TEXT)][nth]
        spans.append(Span(start, start + len(word)))
    return Entity(tuple(spans), type, **more)


def example() -> Document:
    return Document(
        "pm-1",
        TEXT,
        (Passage(Span(0, len(TITLE)), "title"), Passage(Span(len(TITLE) + 1, len(TEXT)), "abstract")),
        entities=(
            mention("chemical", "Zileuton", score=0.95, ids=("MESH:C063449",)),
            mention("disease", "asthma", score=0.9),
            mention("gene", "ALOX5", score=0.4),
            mention("disease", "severe asthma", score=0.8),
            mention("disease", "asthma", nth=1, score=0.3),
            mention("disease", "Breast", "cancer", score=0.7),
            mention("disease", "ovarian cancer", score=0.75),
        ),
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


Open = Callable[..., Opened]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page of documents; nothing may go wrong in it, and nothing but the file may be asked for."""
    opened: list[Opened] = []

    def open_(*documents: Document) -> Opened:
        path = tmp_path / "page.html"
        formats.write(documents, path)
        opened.append(Opened(context))
        opened[-1].go(path)
        return opened[-1]

    with window(browser, viewport={"width": 1280, "height": 900}) as context:
        yield open_
    for one in opened:
        assert one.problems == []
        assert [address for address in one.requests if not address.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def modules(browser: Any) -> Iterator[Any]:
    """The page's functions, as `m` of the window."""
    page = browser.new_page()
    names = (
        "Offsets, visible, documentOf, jsonOf, jsonLines, pubtator, biocJson, brat, csv, demonstrations, differences"
    )
    names += ", TextView, Types, pieceOf, piecesOf, readFile, pythonJson"
    code = script().removesuffix("globalThis.biomark = begin();\n") + f"globalThis.m = {{ {names} }};"
    page.add_script_tag(type="module", content=code)
    page.wait_for_function("globalThis.m")
    yield page
    page.close()


def state(page: Any) -> list[dict[str, Any]]:
    """The documents of the page, in JSON Lines form."""
    text = page.evaluate("async () => (await biomark).exported('jsonl')[0].text()")
    return [json.loads(line) for line in text.split("\n") if line]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def kinds(page: Any) -> list[tuple[str, str]]:
    """Words and type of each mention of the first document."""
    return [(e["text"], e["type"]) for e in state(page)[0]["entities"]]


# The file


def test_the_page_holds_all_that_it_needs_and_may_load_nothing() -> None:
    page = html.page([example()])
    assert not re.search(
        r"""(?<!data-)\bsrc\s*=|url\(|@import|https?:|innerHTML|insertAdjacentHTML|document\.write""", page
    )
    assert "connect-src 'none'" in page
    assert "default-src 'none'" in page
    assert "connect-src 'self'" in html.page(api="v1")
    assert page.count("</script>") == 3
    assert page.count("<script") == 3


def test_the_modules_have_no_name_twice_and_import_names_alone() -> None:
    names = re.findall(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", script(), re.MULTILINE)
    assert len(names) == len(set(names)) > 100
    assert "import {" not in script()
    assert not re.search(r"^import(?! \{[^}]*\} from \"\./\w+\.js\";$)", part("main.js"), re.MULTILINE)


def test_a_document_cannot_leave_its_line() -> None:
    page = html.page([Document(EVIL, EVIL, entities=(Entity((Span(0, 3),), EVIL),))])
    before, behind = frame(html._settings())
    line = page.removeprefix(before).removesuffix(behind)
    assert "<" not in line
    assert json.loads(line)["text"] == EVIL


def test_the_file_keeps_sentences_apart_that_the_document_does_not_have() -> None:
    line = html.page([Document("d", "One is. Two are.")]).split('id="documents">\n')[1].split("\n")[0]
    assert json.loads(line) == {"id": "d", "text": "One is. Two are.", "entities": [], "split": [[0, 7], [8, 16]]}


# Offsets and files


@settings(max_examples=20)
@given(st.lists(any_documents(), min_size=1, max_size=8))
def test_every_file_from_the_page_is_what_python_writes(modules: Any, documents: list[Document]) -> None:
    code = """(all) => all.map((values) => {
      const json = m.jsonOf(m.documentOf(values));
      return [m.jsonLines([json]), m.biocJson([json]), m.pubtator([json]), m.brat([json])];
    })"""
    found = modules.evaluate(code, [document.to_dict() for document in documents])
    for document, (*texts, brat) in zip(documents, found, strict=True):
        for format, text in zip(("jsonl", "bioc_json", "pubtator"), texts, strict=True):
            stream = io.BytesIO()
            rejects: list[object] = []
            formats.write(document, stream, format, reject=rejects.append)
            assert rejects or text == stream.getvalue().decode(), format
        assert dict(brat) == _folder(document)


def _folder(*documents: Document) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        formats.write(documents, Path(folder) / "brat", "brat")
        return {path.name: path.read_bytes().decode() for path in (Path(folder) / "brat").iterdir()}


def test_units_and_code_points(modules: Any) -> None:
    text = "a😀b𝒳𝒴 e\u0301İ"
    code = """(text) => {
      const offsets = new m.Offsets(text);
      const places = Array.from({ length: offsets.points + 1 }, (_, n) => offsets.unit(n));
      return [offsets.points, places.map((unit) => [unit, offsets.point(unit)])];
    }"""
    points, places = modules.evaluate(code, text)
    assert points == len(text)
    assert places == [[len(text[:n].encode("utf-16-le")) // 2, n] for n in range(len(text) + 1)]


def test_demonstrations_are_those_of_python(modules: Any) -> None:
    stop = TEXT.index(".") + 1
    sentences = (Span(0, len(TITLE)), Span(len(TITLE) + 1, stop), Span(stop + 1, len(TEXT)))
    document = Document("d", TEXT, sentences=sentences, entities=example().entities)
    code = """(values) => {
      const json = m.jsonOf(m.documentOf(values));
      return m.demonstrations([json], ["disease", "chemical"], (type) => type);
    }"""
    found = json.loads(modules.evaluate(code, document.to_dict()))
    expected = list(demonstrations([document], ["disease", "chemical"]))
    assert [(f["instruction"], f["input"], f["output"], f["document_id"], tuple(f["window"])) for f in found] == [
        (d.instruction, d.input, d.output, d.document_id, (d.window.start, d.window.end)) for d in expected
    ]
    assert any("<mark>severe asthma</mark>" in f["output"] for f in found)


def test_a_table_has_a_row_a_mention_and_no_formula(modules: Any) -> None:
    document = Document("=1+1", '"a", b\nc', entities=(Entity((Span(0, 3), Span(5, 8)), "@t", ("A", "B"), 1.0),))
    table = modules.evaluate("(values) => m.csv([m.jsonOf(m.documentOf(values))])", document.to_dict())
    assert table == (
        'document,passage,start,end,text,type,score,identifiers\r\n\'=1+1,,0,8,"""a"" b\nc",\'@t,1.0,A|B\r\n'
    )


def test_differences_are_the_mistakes_of_the_evaluation(modules: Any) -> None:
    gold = example()
    predicted = Document(
        gold.id,
        TEXT,
        entities=(
            mention("chemical", "Zileuton"),
            mention("gene", "asthma"),
            mention("gene", "ALOX5", nth=1),
            mention("disease", "asthma of mice"),
            mention("disease", "ovarian cancer"),
            mention("disease", "leukotriene"),
        ),
    )
    found = modules.evaluate(
        """([gold, predicted]) => {
          const [g, p] = [gold, predicted].map((values) => m.documentOf(values));
          const words = (d, e) => e && e.spans.map(([a, b]) => d.text.slice(a, b)).join(" ");
          return m.differences(g.entities, p.entities).map(([kind, a, b]) => [kind, words(g, a), words(p, b)]);
        }""",
        [gold.to_dict(), predicted.to_dict()],
    )
    mistakes = evaluate([gold], [predicted]).mistakes
    assert found == [
        [str(m.kind), m.gold.mention(TEXT) if m.gold else None, m.predicted.mention(TEXT) if m.predicted else None]
        for m in mistakes
    ]
    assert {kind for kind, *_ in found} == {"missing", "wrong", "boundary", "type"}


@settings(max_examples=20)
@given(st.lists(any_documents(), min_size=1, max_size=8))
def test_every_character_is_shown_with_just_the_mentions_over_it(modules: Any, documents: list[Document]) -> None:
    code = """(all) => all.map((values) => {
      const own = m.documentOf(values);
      const view = new m.TextView(new m.Types({}, [["#ffffff", "#000000"]]));
      view.show(own, own.entities);
      return Array.from(view.element.querySelectorAll("p > span"), (span) => {
        const { start, over } = m.pieceOf(span);
        return [span.textContent, own.offsets.point(start), over.map((e) => e.type)];
      });
    })"""
    found = modules.evaluate(code, [document.to_dict() for document in documents])
    for document, pieces in zip(documents, found, strict=True):
        for words, start, types in pieces:
            assert words == visible(document.text[start : start + len(words)])
            over = [e.type for e in document.entities if any(s.start <= start < s.end for s in e.spans)]
            assert sorted(types) == sorted(over)
        covered = {place for words, start, _ in pieces for place in range(start, start + len(words))}
        blank = {place for place, sign in enumerate(document.text) if sign.isspace() or sign == "\ufeff"}
        assert covered | blank == set(range(len(document.text)))


# What is shown


def test_text_ids_and_types_are_shown_as_text(show: Open) -> None:
    evil = Document(EVIL, EVIL, (Passage(Span(0, 5), EVIL),), entities=(Entity((Span(0, 9),), EVIL, (EVIL,)),))
    page = show(evil, Document("rtl", "السكري \x00")).page
    press(page, "Tab")
    page.locator(".editable").first.focus()
    press(page, "n")
    shown = visible(EVIL)
    assert page.locator("article h2").first.text_content() == shown
    assert page.locator("#inspector code").text_content() == shown
    assert shown in page.locator("#inspector .chip[aria-pressed=true]").text_content()
    assert page.locator("article").nth(1).locator("p").text_content() == "السكري ␀"
    assert page.locator("img").count() == 0


def test_types_and_score_act_at_once(show: Open) -> None:
    page = show(example()).page
    labels = "els => els.map(e => e.dataset.label)"
    assert "gene" in page.eval_on_selector_all("[data-label]", labels)
    page.locator(".types input").nth(2).uncheck()
    assert "gene" not in page.eval_on_selector_all("[data-label]", labels)
    before = page.locator(".piece").count()
    page.locator("#least").fill("0.85")
    assert page.locator(".piece").count() < before
    assert page.eval_on_selector_all("[data-label]", labels) == ["chemical", "disease"]
    assert len(kinds(page)) == 7  # what is not shown is still there


def test_overlapping_mentions_have_lines_of_their_own_and_gaps_a_dotted_one(show: Open) -> None:
    page = show(example()).page
    over = page.locator("p > span", has_text=re.compile("^cancer$")).first
    assert over.evaluate("e => getComputedStyle(e).backgroundImage.match(/linear-gradient/g).length") == 2
    assert over.get_attribute("data-label") == "disease · disease"
    assert "repeating" in page.locator(".gap").first.evaluate("e => getComputedStyle(e).backgroundImage")
    strong, weak = (
        page.locator("p > span", has_text=re.compile(f"^{word}$")).first.evaluate("e => e.style.backgroundColor")
        for word in ("Zileuton", "ALOX5")
    )
    assert strong != weak


def test_mentions_that_nest_without_end_are_counted(show: Open) -> None:
    nested = tuple(Entity((Span(n, 200 - n),), "disease") for n in range(100))
    page = show(Document("d", "a" * 200, entities=nested)).page
    assert page.locator("article footer").text_content() == "92 mentions inside 8 others or more: not shown"


def test_an_empty_page_offers_to_open_files(show: Open) -> None:
    page = show().page
    assert page.locator("#start h1").text_content() == "No documents yet"
    page.locator("#start textarea").fill("Gout is old.")
    page.locator("#start button[type=submit]").click()
    page.locator("article").wait_for()
    assert state(page) == [{"id": "text 1", "text": "Gout is old.", "entities": []}]


# Corrections


def test_all_is_done_with_the_keyboard_alone(show: Open) -> None:
    page = show(example()).page
    page.locator("#who").fill("Dr Ä")
    page.locator("#who").blur()
    for _ in range(100):
        press(page, "Tab")
        if page.evaluate("document.activeElement.classList.contains('editable')"):
            break
    press(page, "n", "Delete")  # Zileuton is dropped
    press(page, "n", "3")  # asthma becomes a gene
    assert ("Zileuton", "chemical") not in kinds(page)
    assert ("asthma", "gene") in kinds(page)
    press(page, "ArrowRight", "ArrowRight", "Shift+ArrowRight", "1")  # "and ALOX5"
    assert ("and ALOX5", "disease") in kinds(page)
    press(page, "Alt+ArrowRight")
    assert ("ALOX5", "disease") in kinds(page)
    press(page, "Control+Shift+ArrowLeft")
    assert ("ALOX", "disease") in kinds(page)
    press(page, "u", "u")
    assert ("and ALOX5", "disease") in kinds(page)
    press(page, "r")
    assert ("ALOX5", "disease") in kinds(page)
    (document,) = state(page)
    dropped = json.loads(document["infons"]["dropped mentions"])
    assert [(d["text"], d["score"], d["ids"], d["dropped by"]) for d in dropped] == [
        ("Zileuton", 0.95, ["MESH:C063449"], "Dr Ä")
    ]
    changed = next(e for e in document["entities"] if e["text"] == "asthma" and e["type"] == "gene")
    assert changed["infons"]["corrected by"] == "Dr Ä"
    assert changed["infons"]["correction"] == "retyped"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", changed["infons"]["corrected at"])
    assert json.loads(changed["infons"]["before"]) == {
        "spans": [[36, 42]],
        "text": "asthma",
        "type": "disease",
        "score": 0.9,
    }
    assert "score" not in changed
    added = next(e for e in document["entities"] if e["text"] == "ALOX5" and e["type"] == "disease")
    assert added["infons"]["correction"] == "added"
    Document.from_dict(document)


def test_one_action_for_all_equal_mentions_is_one_step(show: Open) -> None:
    other = Document("pm-2", "ALOX5 and alox5, not ALOX55.")
    page = show(example(), other).page
    page.locator(".editable").first.focus()
    for _ in range(3):
        press(page, "n")
    press(page, "a", "Escape")
    press(page, "ArrowRight")  # the first word
    page.evaluate(
        "async () => { const { app } = await biomark; app.select({ index: 1, spans: [[0, 5]], mention: null }) }"
    )
    page.locator("#inspector .chip", has_text="variant").click()
    found = [[(e["text"], e["spans"]) for e in d["entities"] if e["type"] == "variant"] for d in state(page)]
    assert [[words for words, _ in one] for one in found] == [["ALOX5", "ALOX5"], ["ALOX5", "alox5"]]
    page.locator("#undo").click()
    assert not any(e["type"] == "variant" for d in state(page) for e in d["entities"])


def test_the_mouse_marks_and_moves_edges(show: Open) -> None:
    page = show(example()).page
    word = page.locator("p > span", has_text="lowers").first.evaluate("""(span) => {
      const range = new Range();
      range.setStart(span.firstChild, 1);
      range.setEnd(span.firstChild, 7);
      const { left, right, top, height } = range.getBoundingClientRect();
      return [left, right, top + height / 2];
    }""")
    page.mouse.move(word[0] + 1, word[2])
    page.mouse.down()
    page.mouse.move(word[1] + 1, word[2], steps=3)
    page.mouse.up()
    page.locator("#inspector h2", has_text="lowers").wait_for()
    page.locator("#inspector .chip", has_text="treatment").click()
    assert ("lowers", "treatment") in kinds(page)
    handle = page.locator(".handle[data-edge=end]").bounding_box()
    page.mouse.move(handle["x"], handle["y"] + 8)
    page.mouse.down()
    target = page.locator("p > span", has_text="leukotriene").last.bounding_box()
    page.mouse.move(target["x"] + target["width"] - 40, target["y"] + target["height"] / 2, steps=4)
    page.mouse.up()
    words = next(words for words, type in kinds(page) if type == "treatment")
    assert words.startswith("lowers")
    assert len(words) > len("lowers 😀")


def test_clicks_at_one_place_go_through_its_mentions(show: Open) -> None:
    page = show(example()).page
    place = page.locator("p > span", has_text=re.compile("^cancer$")).first
    seen = []
    for _ in range(2):
        place.click(position={"x": 5, "y": 8})
        seen.append(page.locator("#inspector header h2").text_content())
    assert sorted(seen) == ["Breast cancer", "ovarian cancer"]


def test_a_part_is_added(show: Open) -> None:
    page = show(example()).page
    page.locator(".editable").first.focus()
    press(page, "n")
    page.locator("#inspector button", has_text="Add a part").click()
    page.evaluate(
        "async () => { const { app } = await biomark; app.select({ index: 0, spans: [[9, 15]], mention: null }) }"
    )
    assert ("Zileuton lowers", "chemical") in kinds(page)
    assert state(page)[0]["entities"][0]["spans"] == [[0, 8], [9, 15]]


def test_work_survives_a_reload_until_it_is_discarded(show: Open) -> None:
    one = show(example())
    page = one.page
    page.locator(".editable").first.focus()
    press(page, "n", "4")
    page.locator("#saved", has_text="Saved in this browser").wait_for()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert ("Zileuton", "species") in kinds(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#add").click()
    page.locator("dialog button", has_text="Discard all corrections").click()
    assert ("Zileuton", "chemical") in kinds(page)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert ("Zileuton", "chemical") in kinds(page)


# Take away, compare


def test_files_are_saved(show: Open) -> None:
    page = show(example(), Document("pm-2", "Gout.")).page
    for format in ("bioc_json", "brat"):
        page.locator("#take").click()
        page.locator(f"dialog input[value={format}]").check()
        with page.expect_download() as download:
            page.locator("dialog button[type=submit]").click()
        saved = Path(download.value.path())
        if format == "bioc_json":
            again = list(formats.read(saved, "bioc_json"))
            assert [d.text for d in again] == [TEXT, "Gout."]
            assert [e.spans for e in again[0].entities] == [e.spans for e in example().entities]
        else:
            with zipfile.ZipFile(saved) as archive:
                assert archive.testzip() is None
                assert {name: archive.read(name).decode() for name in archive.namelist()} == _folder(
                    example(), Document("pm-2", "Gout.")
                )


def test_corrections_are_compared_with_what_was_there_before(show: Open) -> None:
    page = show(example()).page
    page.locator(".editable").first.focus()
    press(page, "n", "Delete", "n", "3")
    page.locator("#compare").click()
    page.locator("dialog button", has_text="before your corrections").click()
    assert page.locator(".counts .kind").all_text_contents() == ["1 missing", "1 type"]
    assert page.locator(".columns section").count() == 2
    assert page.locator(".missing[data-label]").first.get_attribute("data-label") == "chemical (missing)"


def test_documents_are_compared_with_a_file(show: Open, tmp_path: Path) -> None:
    gold = tmp_path / "gold.pubtator"
    formats.write(Document("pm-1", TEXT, entities=example().entities[:5]), gold)
    page = show(example()).page
    page.locator("#compare").click()
    page.locator("dialog input[type=file]").set_input_files(gold)
    page.locator(".counts .kind").first.wait_for()
    assert page.locator(".counts .kind").all_text_contents() == ["2 wrong"]


# With a service


class _Service(BaseHTTPRequestHandler):
    """Finds every "gout"; the model "any" takes types in a user's own words."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        if self.path == "/":
            return self._answer(html.page(api="v1").encode(), "text/html; charset=utf-8")
        models = [{"name": "plain", "types": ["disease"]}, {"name": "any", "types": None}]
        return self._answer(json.dumps({"models": models}).encode())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(asked)
        if "content" in asked and asked["content"].startswith("bad"):
            return self._answer(b'{"title": "Unreadable", "detail": "line 1 holds no document"}', status=422)
        given = asked.get("documents") or [{"id": "n", "text": asked["content"]}]
        type = (asked.get("types") or ["disease"])[0]
        for document in given:
            places = [m.span() for m in re.finditer("gout", document["text"])]
            document["entities"] = [{"spans": [place], "text": "gout", "type": type, "score": 0.5} for place in places]
        return self._answer(json.dumps({"model": "plain", "documents": given, "rejects": []}).encode())

    def _answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    Thread(target=server.serve_forever, daemon=True).start()
    _Service.asked.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_texts_and_files_go_to_the_service_and_nowhere_else(browser: Any, service: str, tmp_path: Path) -> None:
    with window(browser) as context:
        opened = Opened(context)
        page = opened.go(service)
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
        assert _Service.asked[-1] == {"content": "gout", "format": "text", "model": "any", "types": ["joint trouble"]}

        page.locator("#compare").click()
        page.locator("dialog button", has_text="Model any").click()
        page.locator(".counts").nth(1).wait_for()
        assert page.locator(".counts").nth(0).text_content() == "No differences"
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert [d["id"] for d in state(page)] == ["text 1", "note-7"]
        assert [address for address in opened.requests if not address.startswith((service, "data:", "blob:"))] == []
        assert all("422" in problem for problem in opened.problems)


# For all people, on all screens


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


def test_hundreds_of_documents_are_drawn_when_they_come_near(show: Open) -> None:
    page = show(*(Document(f"d{n}", f"{REST} " * 12) for n in range(500))).page
    assert page.locator("article").count() == 500
    page.locator("article").nth(400).scroll_into_view_if_needed()
    page.locator("article").nth(400).locator("p").first.wait_for()


def test_relations_and_alternatives_stay() -> None:
    document = Document(
        "d", "a b", alternatives=(Entity((Span(0, 1),), "x"),), relations=(Relation("R", (("", "a"), ("", "b"))),)
    )
    line = html.page([document]).split('id="documents">\n')[1].split("\n")[0]
    assert Document.from_dict(json.loads(line)) == document
