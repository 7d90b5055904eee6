"""The recorded answers of two models: both routes, and what the paper says."""

import json
from dataclasses import replace

import pytest

from biomark.errors import CorpusError, FormatError, UsageError
from biomark.lab.experiments import Outcome, Table, reproduce
from biomark.lab.experiments.hu2024 import PUBLISHED, GptAnswer, by_tags, read_answers, run, score
from biomark.spans import Document, Entity, Span

NAMES = ("problem", "treatment", "test")
TOKENS = "He had chest pain , a cough and low-dose aspirin for pain .".split()
TEXT = " ".join(TOKENS)
GOLD = Document(
    "1",
    TEXT,
    entities=(
        Entity((Span(7, 17),), "problem"),
        Entity((Span(20, 27),), "problem"),
        Entity((Span(32, 48),), "treatment"),
    ),
)


def spans(document):
    return [(entity.mention(document.text), entity.type) for entity in document.entities]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('He had <span class="problem">chest pain</span>, a cough.', [("chest pain", "problem")]),
        (
            '<html><body>He had <span class="problem">chest</span> <span class="problem">pain</span>',
            [("chest", "problem"), ("pain", "problem")],
        ),
        ('<span class="problem">chest <span class="test">pain</span></span>', [("chest pain", "problem")]),
        (
            'a <span class="negation">cough</span> &amp; <span class="treatment">LOW - DOSE</span>',
            [("low-dose", "treatment")],
        ),
        ("", []),
    ],
)
def test_answers_become_tags_of_tokens(answer, expected):
    assert spans(by_tags(GOLD, answer, NAMES)) == expected


def test_an_answer_is_scored_by_both_routes():
    answer = (
        'He had <span class="problem">chest pain</span>, <span class="problem">cough</span> '
        'and <span class="treatment">surgery</span>.'
    )
    row = score("mtsamples", "GPT-4", "baseline", [GOLD], [(GOLD, answer)])
    for found in (row.spans, row.tags):
        strict, partial = found.overall.strict.counts, found.overall.partial.counts
        assert (strict.tp, strict.fp, strict.fn) == (1, 1, 2)
        assert (partial.tp, partial.fp, partial.fn) == (2, 0, 1)
    assert (row.answers, row.changed, row.reworded) == (1, 1, 1)
    assert sum(row.rejected.values()) == 1


def test_a_changed_white_space_is_no_change_of_words():
    again = replace(GOLD, id="2")
    answers = [(GOLD, TEXT), (again, TEXT.replace(" .", "."))]
    row = score("mtsamples", "GPT-4", "baseline", [GOLD, again], answers)
    assert (row.changed, row.reworded) == (1, 0)


def test_recorded_answers_are_read(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "7", "setting": "baseline", "output": "a\\u2028b"}\n', "utf-8")
    assert read_answers(path) == [GptAnswer("7", "baseline", "a\u2028b")]
    path.write_text('{"id": "7", "setting": "baseline", "output": ""}\n{"id": 8}\n', "utf-8")
    with pytest.raises(FormatError, match=r"x\.jsonl:2: no recorded answer"):
        read_answers(path)


def test_the_published_figures_and_both_routes_agree(corpora):
    rows = run("paper").data["rows"]
    assert len(rows) == 20
    for row in rows:
        for scheme in ("strict", "partial"):
            assert row["tags"][scheme]["f1"] == pytest.approx(row["spans"][scheme]["f1"], abs=0.003)
        assert row["answers"] == (201 if row["corpus"] == "mtsamples" else 286)
        if row["published_relaxed_f1"] is not None:
            allowed = 0.01 if row["corpus"] == "mtsamples" else 0.025
            assert row["spans"]["partial"]["f1"] == pytest.approx(row["published_relaxed_f1"], abs=allowed)
    assert sum(row["published_relaxed_f1"] is not None for row in rows) == len(PUBLISHED) == 8


def test_the_command_prints_tables_or_json(biomark, monkeypatch, tmp_path):
    outcome = Outcome("T", "What.", (Table("One", ("a", "b"), (("1", "2"),)),), ("Mind this.",), {"x": 1})
    monkeypatch.setattr("biomark.lab.experiments.hu2024.run", lambda scale: outcome)
    shown = biomark("reproduce", "hu2024", "-o", tmp_path / "new")
    assert shown.status == 0
    assert "One" in shown.out
    assert "note: Mind this." in shown.err
    assert (tmp_path / "new" / "hu2024.md").read_text("utf-8") == (
        "# T\n\nWhat.\n\n## One\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n## Notes\n\n- Mind this.\n"
    )
    assert json.loads((tmp_path / "new" / "hu2024.json").read_text("utf-8")) == {"x": 1}
    assert json.loads(biomark("reproduce", "hu2024", "--json").out) == {"x": 1}


def test_what_is_not_there_is_told(biomark, monkeypatch, tmp_path):
    assert "choose from models, table1, " in biomark("reproduce", "hu2023").err
    with pytest.raises(UsageError, match="choose from small, medium, paper"):
        reproduce("hu2024", "large")
    monkeypatch.setattr("biomark.corpora.corpus_folders", lambda: (tmp_path,))
    with pytest.raises(CorpusError, match="mtsamples:test is not available"):
        run("paper")
