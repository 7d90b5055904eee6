from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from evaluation_cases import TEXT, document, mention

from biomark.errors import FormatError
from biomark.evaluation import evaluate, write_report
from biomark.evaluation.report import render
from biomark.spans import Document

EVIL = "<script>alert('x')</script> & </script> asthma $data"


def _data(page: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_texts_cannot_become_markup() -> None:
    start = EVIL.index("asthma")
    evil = '<img src="x">'
    gold = Document(evil, EVIL, entities=(mention("disease", 0, 8), mention(evil, start, start + 6)))
    found = evaluate([gold], [Document(evil, EVIL, entities=(mention("disease", 9, 14),))], corpus=evil)
    page = render(found, system="<b>&")
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert "<b>&<" not in page
    errors = _data(page)
    assert {"".join(piece for piece, _ in error["segments"]) for error in errors} == {EVIL}
    assert {error["document"] for error in errors} == {evil}


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
    (error,) = _data(render(found, seen=frozenset({"severe asthma"})))
    assert error["segments"] == [
        ["Aspirin and ", 0],
        ["severe ", 1],
        ["asthma", 3],
        [" in", 2],
        [" mice.", 0],
    ]
    assert error["kind"] == "boundary"
    assert error["seen"] is True
    assert error["gold"] == {"type": "disease", "mention": "severe asthma", "offsets": "12–25"}


def test_frequent_forms_and_classes_are_there() -> None:
    gold = [document(mention("disease", 50, 56), mention("disease", 19, 25), id=str(i)) for i in range(3)]
    page = render(evaluate(gold, [document(mention("disease", 0, 7), id=str(i)) for i in range(3)]))
    assert re.search(r'data-search="asthma">asthma</button> 6', page)
    assert re.search(r'data-search="Aspirin">Aspirin</button> 3', page)
    assert 'aria-label="Errors by class: missing 6, wrong 3, boundary 0, type 0"' in page


@pytest.mark.parametrize("predicted", [TEXT, None])
def test_a_report_without_errors_or_without_gold(predicted: str | None) -> None:
    documents = [document()] if predicted else []
    page = render(evaluate(documents, documents))
    assert _data(page) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match=r"index\.html: cannot be written"):
        write_report(evaluate([document()], [document()]), tmp_path / "file")
