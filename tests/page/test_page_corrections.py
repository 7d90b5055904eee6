"""Corrections on the page, with keyboard and mouse."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from page_cases import example

from biomark.spans import Document
from browser import Open, kinds, press, state

pytest_plugins = ("page_fixtures",)


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
    page.locator("#said", has_text="All corrections are discarded.").wait_for()
    assert ("Zileuton", "chemical") in kinds(page)
    page.locator("#saved", has_text="Saved in this browser").wait_for()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert ("Zileuton", "chemical") in kinds(page)


def test_a_correction_made_while_others_are_discarded_stays(show: Open) -> None:
    page = show(example()).page
    page.locator(".editable").first.focus()
    press(page, "n", "4")
    page.evaluate("""async () => {
      const { app } = await biomark;
      const done = app.discard();
      await Promise.resolve();
      app.select({ index: 0, spans: [[9, 15]], mention: null });
      app.mark("treatment");
      await done;
    }""")
    expected = {("Zileuton", "chemical"), ("lowers", "treatment")}
    assert expected <= set(kinds(page))
    page.locator("#saved", has_text="Saved in this browser").wait_for()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert expected <= set(kinds(page))


def test_documents_that_come_at_once_have_ids_of_their_own(show: Open) -> None:
    page = show(example()).page
    page.evaluate("""async () => {
      const { app } = await biomark;
      await Promise.all([app.put([app.documents[0]]), app.put([app.documents[0]])]);
    }""")
    first = example().id
    assert [document["id"] for document in state(page)] == [first, f"{first}-2", f"{first}-3"]


def test_documents_that_cannot_be_added_do_not_stop_the_next_ones(show: Open) -> None:
    page = show(example()).page
    failed = page.evaluate("""async () => {
      const { app } = await biomark;
      const failed = await app.put([{ id: "broken" }]).then(() => false, () => true);
      await app.put([app.documents[0]]);
      return failed;
    }""")
    assert failed
    assert [document["id"] for document in state(page)] == [example().id, f"{example().id}-2"]


def test_the_last_word_of_a_long_paragraph_comes_into_view(show: Open) -> None:
    page = show(Document("d", "Gout is an old disease. " * 400 + "Finis.")).page
    page.locator(".editable").focus()
    press(page, "ArrowLeft")
    top, bottom, height = page.evaluate("""() => {
      const { top, bottom } = [...CSS.highlights.get("target")][0].getBoundingClientRect();
      return [top, bottom, innerHeight];
    }""")
    assert page.locator("#inspector h2").text_content() == "Finis"
    assert 0 < top < bottom < height


def test_a_word_is_found_by_its_first_letters(show: Open) -> None:
    page = show(example()).page
    page.locator(".editable").focus()
    words = page.locator("#inspector h2")
    press(page, "f", "l")
    assert words.text_content() == "lowers"
    press(page, "E")
    assert words.text_content() == "leukotriene"
    press(page, "x")
    assert page.locator("#said").text_content() == "No word begins with lEx."
    press(page, "Backspace", "Enter", "p")  # behind the search a letter is a command again
    assert words.text_content() == "Zileuton"
    press(page, "Escape", "f", "b", "4")
    assert ("B4", "species") in kinds(page)
    press(page, "f", "f", "Shift+ArrowLeft", "ArrowLeft", "5")  # an arrow ends the search
    assert ("cancer", "cell_line") in kinds(page)


@settings(max_examples=50)
@given(st.text(st.sampled_from("ab-αİ +()[]{}*?.|/\\^$😀\n"), min_size=1, max_size=12), st.text("ab -.", max_size=20))
def test_places_of_the_same_words_are_found_whatever_signs_they_have(modules: Any, words: str, other: str) -> None:
    text = f"{other}\n{words}\n{other}"
    found = modules.evaluate(
        "([text, words]) => m.occurrences([m.documentOf({ text })], words).map(([, [a, b]]) => text.slice(a, b))",
        [text, words],
    )
    assert all(one.lower().split() == words.lower().split() for one in found)
    assert found or not words.strip()


def test_words_with_a_hyphen_are_marked(show: Open) -> None:
    page = show(Document("d", "HER2-positive (+/-) or her2-Positive?")).page
    page.locator(".editable").focus()
    press(page, "f", "h", "Shift+ArrowRight", "Shift+Digit1")
    assert kinds(page) == [("HER2-positive", "disease"), ("her2-Positive", "disease")]


def test_shift_does_it_once_for_all_equal_ones(show: Open) -> None:
    page = show(Document("a", "Gout, gout."), Document("b", "No gout.")).page
    page.locator(".editable").first.focus()
    press(page, "f", "g", "Shift+Digit1")
    assert [len(d["entities"]) for d in state(page)] == [2, 1]
    press(page, "4")
    assert kinds(page) == [("Gout", "species"), ("gout", "disease")]
    press(page, "n", "Shift+Delete")
    assert [len(d["entities"]) for d in state(page)] == [1, 0]
