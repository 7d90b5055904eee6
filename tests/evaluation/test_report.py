from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from evaluation_cases import document, mention

from biomark.errors import FormatError
from biomark.evaluation import compare, evaluate, surface_forms, write_report
from biomark.evaluation.comparison_report import render_comparison
from biomark.evaluation.report import page_part, render
from biomark.spans import Document
from conftest import contrast

EVIL = "<script>alert('x')</script> & </script> asthma $data"


def _excerpts(page: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])["excerpts"]


def _marked(excerpt: dict, side: str) -> list[list[str]]:
    """The words that the page marks for each error's gold or predicted mention."""
    errors = [error[side] for error in excerpt["errors"] if side in error]
    return [[excerpt["text"][start:end] for start, end in mention["at"]] for mention in errors]


def test_texts_cannot_become_markup() -> None:
    start = EVIL.index("asthma")
    evil = '<img src="x">'
    gold = Document(evil, EVIL, entities=(mention("disease", 0, 8), mention(evil, start, start + 6)))
    predicted = Document(evil, EVIL, entities=(mention("disease", 9, 14),))
    pages = [
        render(evaluate([gold], [predicted], corpus=evil), system="<b>&"),
        render_comparison(compare([gold], [predicted], [gold], names=("<b>&", evil), corpus=evil)),
    ]
    for page in pages:
        assert page.count("<script") == 2
        assert page.count("</script>") == 2
        assert "<img" not in page
        assert "<b>&<" not in page
        assert {excerpt["text"] for excerpt in _excerpts(page)} == {EVIL}
        assert {excerpt["document"] for excerpt in _excerpts(page)} == {evil}


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    found = evaluate([document(mention("gene", 35, 40))], [document()])
    page = write_report(found, tmp_path / "a" / "b", system="a system")
    assert page == tmp_path / "a" / "b" / "index.html"
    text = page.read_text("utf-8")
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|https?:", text)
    assert "Content-Security-Policy" in text
    assert found.signature in text


def test_gold_and_predicted_are_marked_in_the_sentence() -> None:
    found = evaluate([document(mention("disease", 12, 25))], [document(mention("disease", 19, 28))])
    (excerpt,) = _excerpts(render(found, seen=frozenset({"severe asthma"})))
    assert (excerpt["text"], excerpt["cut"]) == ("Aspirin and severe asthma in mice.", [False, False])
    assert (_marked(excerpt, "gold"), _marked(excerpt, "predicted")) == ([["severe asthma"]], [["asthma in"]])
    (error,) = excerpt["errors"]
    assert error["kind"] == "boundary"
    assert error["seen"] is True
    assert error["gold"] == {"type": "disease", "mention": "severe asthma", "offsets": "12–25", "at": [[12, 25]]}


def test_a_sentence_with_three_errors_stands_once() -> None:
    gold = document(mention("chemical", 0, 7), mention("disease", 12, 25), mention("disease", 50, 56))
    found = evaluate([gold], [document(mention("disease", 29, 33))])
    excerpts = _excerpts(render(found))
    assert [excerpt["text"] for excerpt in excerpts] == ["Aspirin and severe asthma in mice.", "TNF-α, also in asthma."]
    assert [[error["kind"] for error in excerpt["errors"]] for excerpt in excerpts] == [
        ["missing", "missing", "wrong"],
        ["missing"],
    ]
    assert _marked(excerpts[1], "gold") == [["asthma"]]


def test_a_sentence_of_a_books_length_is_cut_to_the_words_around_its_errors() -> None:
    def page(words: int) -> str:
        text = "gout😀 and " * words
        mentions = tuple(mention("disease", 10 * n, 10 * n + 4) for n in range(words))
        return render(evaluate([document(*mentions, text=text)], [document(text=text)]))

    excerpts = _excerpts(page(1000))
    assert all(len(excerpt["text"]) <= 1200 for excerpt in excerpts)
    assert [words for excerpt in excerpts for words in _marked(excerpt, "gold")] == [["gout"]] * 1000
    assert (excerpts[0]["cut"], excerpts[1]["cut"], excerpts[-1]["cut"]) == ([False, True], [True, True], [True, False])
    size = len(page(1000)) - len(page(0))
    assert len(page(4000)) - len(page(0)) < 4.2 * size


def test_long_mentions_inside_each_other_are_shown_by_their_beginnings() -> None:
    depth = 400
    text = "ab " * 20_000
    nested = [mention("disease", 3 * n, len(text) - 3 * n - 1) for n in range(depth)]
    many = mention("disease", *(3 * n + k for n in range(5000) for k in (0, 1)))
    found = evaluate([document(*nested, many, text=text)], [document(text=text)])
    page = render(found, seen=surface_forms([document(*nested, text=text)]))
    assert len(page) < 1_000_000
    errors = [error for excerpt in _excerpts(page) for error in excerpt["errors"]]
    assert len(errors) == depth + 1
    assert all(len(error["gold"]["mention"]) == 200 for error in errors)
    assert all(len(error["gold"]["offsets"]) < 60 for error in errors)


def test_systems_stand_side_by_side() -> None:
    gold = document(mention("chemical", 0, 7), mention("disease", 12, 25), mention("disease", 50, 56))
    a, b = document(mention("chemical", 0, 7)), document(mention("disease", 12, 25), mention("disease", 0, 7))
    page = render_comparison(compare([gold], [a], [b], [gold], names=("first", "second", "third")))
    first, second = _excerpts(page)
    assert [(error["kind"], error["systems"]) for error in first["errors"]] == [
        ("type", [1]),
        ("missing", [0]),
    ]
    assert [(error["kind"], error["systems"]) for error in second["errors"]] == [("missing", [0, 1])]
    assert page.count('<th scope="row">second</th>') >= 3
    text = re.sub(r"<[^>]+>", " ", page)
    assert "Differences from first" in text


COLOURS = [
    *((ink, ground) for ink in ("ink", "soft") for ground in ("paper", "card")),
    *((ink, "card") for ink in ("missing", "wrong", "boundary", "type")),
    ("ink", "gold"),
    ("predicted", "card"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_have_the_contrast_that_wcag_asks_for(scheme: str) -> None:
    style = page_part("report.css")
    found = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})(?=;)", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(found) == 2
    colours = found[scheme == "dark"]
    for ink, ground in COLOURS:
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    # Words on the colour of gold mentions are in ink wherever they stand, as in the legend.
    assert "mark { color: var(--ink);" in style


def test_frequent_forms_and_classes_are_there() -> None:
    gold = [document(mention("disease", 50, 56), mention("disease", 19, 25), id=str(i)) for i in range(3)]
    page = render(evaluate(gold, [document(mention("disease", 0, 7), id=str(i)) for i in range(3)]))
    assert re.search(r'data-search="asthma">asthma</button> 6', page)
    assert re.search(r'data-search="Aspirin">Aspirin</button> 3', page)
    assert 'aria-label="Errors by class: missing 6, wrong 3, boundary 0, type 0"' in page


def test_a_report_without_errors() -> None:
    assert _excerpts(render(evaluate([document()], [document()]))) == []
    assert _excerpts(render_comparison(compare([document()], [document()], [document()]))) == []


def test_tables_that_go_on_say_so() -> None:
    page = render(evaluate([document()], [document()]))
    assert '<p class="hint" hidden>The table goes on to the right</p>\n<div class="scroll"' in page
    assert "scrollbar-color" in page


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match=r"index\.html: cannot be written"):
        write_report(evaluate([document()], [document()]), tmp_path / "file")
