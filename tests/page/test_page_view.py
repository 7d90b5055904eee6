"""What the page shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from page_cases import EVIL, REST, TEXT, example, mention

from biomark import formats
from biomark.entity_types import entity_types
from biomark.evaluation import evaluate
from biomark.screen import visible
from biomark.spans import Document, Entity, Passage, Span
from browser import Open, kinds, press, state
from format_cases import documents as any_documents

pytest_plugins = ("page_fixtures",)


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


def test_definitions_and_identifiers_are_there_on_demand(show: Open) -> None:
    page = show(example()).page
    assert page.locator("#inspector dl").count() == 0
    page.locator("p > span", has_text=re.compile("^Zileuton$")).first.click(position={"x": 5, "y": 8})
    names, values = (page.locator(f"#inspector {tag}").all_text_contents() for tag in ("dt", "dd"))
    definition = entity_types()["chemical"].definition
    assert dict(zip(names, values, strict=True)) == {
        "Definition": definition,
        "Score": "0.950",
        "Identifiers": "MESH:C063449",
    }
    own = page.locator(".types li", has_text="chemical")
    assert not own.locator("p").is_visible()
    own.locator("summary").click()
    assert own.locator("p").text_content() == definition


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
    assert page.locator("#start h2").text_content() == "No documents yet"
    page.locator("#start textarea").fill("Gout is old.")
    page.locator("#start button[type=submit]").click()
    page.locator("article").wait_for()
    assert state(page) == [{"id": "text 1", "text": "Gout is old.", "entities": []}]


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


def test_hundreds_of_documents_are_drawn_when_they_come_near(show: Open) -> None:
    page = show(*(Document(f"d{n}", f"{REST} " * 12) for n in range(500))).page
    assert page.locator("article").count() == 500
    page.locator("article").nth(400).scroll_into_view_if_needed()
    page.locator("article").nth(400).locator("p").first.wait_for()


def test_a_long_paragraph_is_drawn_in_stretches(show: Open) -> None:
    text = "".join(f"Zileuton{n} 😀 " for n in range(700))
    mentions = tuple(Entity((Span(m.start(), m.end()),), "chemical") for m in re.finditer(r"Zileuton\d+", text))
    page = show(Document("d", text, entities=mentions)).page
    page.evaluate("document.querySelectorAll('p > span').forEach((span) => (span.seen = true))")
    page.locator(".editable").focus()
    press(page, "n", "1")  # the first mention becomes a disease
    fresh, all = page.eval_on_selector_all("p > span", "els => [els.filter((e) => !e.seen).length, els.length]")
    assert 0 < fresh < all / 5
    assert page.locator(".text").text_content() == text


@settings(max_examples=50)
@given(st.lists(st.sampled_from(("word ", "😀", "e\u0301", "👩\u200d⚕️", "x" * 300, "\n", "السكري ")), max_size=40))
def test_stretches_cover_a_block_and_cut_no_character(modules: Any, parts: list[str]) -> None:
    text = "".join(parts) * 5
    found = modules.evaluate(
        "(text) => m.stretchesOf(text, { start: 0, end: text.length }).map(({ start, end }) => text.slice(start, end))",
        text,
    )
    assert "".join(found) == text
    assert all(len(one.encode("utf-16-le")) <= 2 * 1000 for one in found)
    assert not any(one.startswith(("\u0301", "\u200d", "⚕")) for one in found)
