"""`biomark reproduce`: cells shared, skipped and resumed, plans, pages; small random models, made-up corpora."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reproduce_cases import ROWS, figures, forget

from biomark import evaluation, formats
from biomark.errors import CorpusError, UsageError
from biomark.lab import experiments
from biomark.lab.experiments import ExperimentOptions, data
from biomark.lab.experiments.cells import Build
from biomark.lab.experiments.specs import Book, read_book
from biomark.lab.experiments.workspace import Workspace
from conftest import HANG, Outcome
from scripted import Says, answer, scripted
from toy_corpus import CHEMICALS, DISEASES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("pycrfsuite")

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("reproduce_fixtures",)

pytestmark = pytest.mark.usefixtures("lab_corpora")


@pytest.fixture(scope="module")
def first(lab_home: Path, lab_book: Book) -> experiments.Outcome:
    """An experiment that was run in one go."""
    options = ExperimentOptions(lab_home / "work", recipes=lab_home / "recipes")
    return experiments.reproduce("first", "small", options, rows=lab_book)


def test_a_page_has_scores_differences_and_findings(first: experiments.Outcome, tmp_path: Path) -> None:
    page = first.write(tmp_path, "first")
    text = page.read_text()
    facts = json.loads(page.with_suffix(".json").read_text())
    assert [(cell["model"], cell["test"]) for cell in facts["cells"]] == [
        (model, f"{test}:test")
        for model in ("crf", "encoder", "encoder-all")
        for test in ("ncbi_disease", "bc5cdr_chemical")
    ]
    for cell in facts["cells"]:
        assert 0 <= cell["strict"]["low"] <= cell["strict"]["f1"] <= cell["strict"]["high"] <= 1
        assert cell["strict"]["tp"] + cell["strict"]["fn"] == cell["mentions"] == 24
        assert f"**{cell['strict']['f1']:.3f}** ({cell['strict']['low']:.3f}" in text
    assert facts["cells"][0]["strict"]["f1"] > 0.6, "names and sentences recur, so that a field learns them"
    assert "| *PubMedBERT, published* | 0.868 | 0.877 | 0.873 | 0.924 | 0.942 | 0.933 |" in text
    ours = f"{facts['cells'][2]['strict']['f1']:.3f}"
    assert f"| *PubMedBERT* | encoder, one corpus | 0.873 | {ours} | {100 * (float(ours) - 0.873):+.1f}"[:-2] in text
    assert "| *GPT-4, five examples* | not run | 0.586 | not run |  | 0.811 | not run |  |" in text
    assert "| *PMC-LLaMA* | no counterpart | 0.864 |  |  | 0.902 |  |  |" in text
    assert "asked" not in facts["models"], "nobody has named a model"
    assert {"python", "biomark", "torch", "numpy"} <= set(facts["versions"])
    assert facts["hardware"]["cores"] >= 1
    assert facts["hardware"]["processor"]
    assert facts["seeds"] == [13]
    assert set(facts["files"]) == {
        f"{c}/{s}.pubtator" for c in ("ncbi_disease", "bc5cdr") for s in ("train", "devel", "test")
    }
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in facts["files"].values())
    (finding,) = facts["findings"]
    assert finding["claim"] == "All corpora help"
    assert f"- **All corpora help: {finding['verdict']}.** Published: +2. {finding['detail']}" in text
    assert finding["detail"].startswith("Strict F1 of *encoder, all corpora* minus that of *encoder, one corpus*: ")
    rows = {(row["a"], row["b"], row["test"]): row["strict"] for row in facts["contrasts"]}
    f1 = {(cell["model"], cell["test"]): cell["strict"]["f1"] for cell in facts["cells"]}
    for (a, b, test), row in rows.items():
        assert row["value"] == pytest.approx(f1[b, test] - f1[a, test], abs=1e-5)
        assert row["low"] <= row["value"] <= row["high"]
        assert 0 < row["p"] <= 1
    assert "![Models: strict F1](first.svg)" in text
    ET.fromstring((tmp_path / "first.svg").read_text())


def test_what_is_done_is_not_done_again(
    lab_home: Path, lab_book: Book, first: experiments.Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:

    def never(*_: object) -> None:
        raise AssertionError("a cell was done again")

    monkeypatch.setattr(Workspace, "build", never)
    monkeypatch.setattr(Workspace, "read", never)
    lines: list[str] = []
    options = ExperimentOptions(lab_home / "work", recipes=lab_home / "recipes", say=lines.append)
    again = experiments.reproduce("first", "small", options, rows=lab_book)
    assert figures(again) == figures(first)
    assert lines[0] == "first --scale small: 11 cells, 11 done"
    for name in ("errors", "pairs"):  # cells are shared between experiments
        experiments.reproduce(name, "small", options, rows=lab_book)


def test_two_runs_with_one_seed_agree(
    lab_home: Path, lab_book: Book, first: experiments.Outcome, tmp_path: Path
) -> None:
    options = ExperimentOptions(tmp_path / "work", recipes=lab_home / "recipes")
    cells, *_ = figures(experiments.reproduce("again", "small", options, rows=lab_book))
    known = [cell for cell in figures(first)[0] if cell["model"] in ("crf", "encoder")]
    assert cells == [cell for cell in known if cell["test"] == "ncbi_disease:test"]
    for path in (tmp_path / "work").glob("readings/*/predicted.jsonl"):
        assert path.read_bytes() == (lab_home / "work" / path.relative_to(tmp_path / "work")).read_bytes()


def test_a_killed_run_goes_on(lab_home: Path, lab_book: Book, first: experiments.Outcome, tmp_path: Path) -> None:
    work = tmp_path / "work"
    script = (
        "import os, signal, sys, torch; from pathlib import Path; from biomark.lab.experiments import *;"
        "from biomark.lab.experiments.specs import read_book; torch.set_num_threads(1); home = Path(sys.argv[1]);"
        # In the middle of the encoder's training: the first of three passes is in its checkpoint
        "kill = lambda line: line.startswith('epoch 2:') and os.kill(os.getpid(), signal.SIGKILL);"
        "reproduce('first', 'small', ExperimentOptions(Path(sys.argv[2]), recipes=home / 'recipes', say=kill),"
        "rows=read_book((home / 'rows.toml').read_text()))"
    )
    environment = {**os.environ, "BIOMARK_CORPORA": str(lab_home / "corpora")}
    command = [sys.executable, "-c", script, str(lab_home), str(work)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(work.glob("models/encoder-*/checkpoint.pt"))
    partial = json.loads((work / "first-small.json").read_text())
    assert len(partial["cells"]) == 2, "both cells of the field were done"
    lines: list[str] = []
    options = ExperimentOptions(work, recipes=lab_home / "recipes", say=lines.append)
    again = experiments.reproduce("first", "small", options, rows=lab_book)
    assert figures(again) == figures(first)
    assert lines[0].startswith("first --scale small: 11 cells, 4 done; about")
    assert any(line.startswith("cell 5 of 11: make encoder (disease, seed 13); about") for line in lines)
    epochs = [line for line in lines if re.match("epoch [0-9]:", line)]
    assert len(epochs) < 3 * 3, "the encoder went on after its checkpoint"
    assert not list(work.glob("models/*/checkpoint.pt"))


def test_errors_are_sampled_without_their_text(
    lab_home: Path, lab_book: Book, first: experiments.Outcome, tmp_path: Path
) -> None:
    options = ExperimentOptions(lab_home / "work", recipes=lab_home / "recipes", text=tmp_path / "mine")
    outcome = experiments.reproduce("errors", "small", options, rows=lab_book)
    sample = outcome.data["sample"]
    cells = outcome.data["cells"]
    for model in ("crf", "encoder"):
        for test in ("ncbi_disease:test", "bc5cdr_chemical:test"):
            (cell,) = [cell for cell in cells if (cell["model"], cell["test"]) == (model, test)]  # type: ignore[attr-defined]
            drawn = [row for row in sample if (row["model"], row["test"]) == (model, test)]  # type: ignore[attr-defined]
            assert len(drawn) == min(100, sum(cell["errors"].values()))
    text = outcome.markdown("errors")
    assert not any(word in text for word in ("Patients", "aspirin", "fever", "mice"))
    assert re.search(r"Boundary errors dominate: (found|not shown|the contrary|cannot)", text)
    assert "Boundary errors dominate" in text
    lines = [json.loads(line) for line in (tmp_path / "mine" / "errors-errors.jsonl").read_text().splitlines()]
    assert [(r["model"], r["document"], r["kind"]) for r in lines] == [
        (r["model"], r["document"], r["kind"]) for r in sample
    ]  # type: ignore[attr-defined]
    assert all(row["sentence"] for row in lines)
    ET.fromstring(next(iter(outcome.figures.values())))


def test_pairs_have_adjusted_p_values(lab_home: Path, lab_book: Book, first: experiments.Outcome) -> None:
    options = ExperimentOptions(lab_home / "work", recipes=lab_home / "recipes")
    outcome = experiments.reproduce("pairs", "small", options, rows=lab_book)
    pairs = outcome.data["pairs"]
    assert [(row["a"], row["b"]) for row in pairs] == [  # type: ignore[attr-defined]
        ("crf", "encoder"),
        ("crf", "encoder-all"),
        ("encoder", "encoder-all"),
    ]
    assert all(row["strict"]["p"] <= row["strict"]["adjusted"] <= 1 for row in pairs)  # type: ignore[attr-defined]
    results = [lab_home / "work" / "readings" / cell["key"] / "predicted.jsonl" for cell in outcome.data["cells"]]  # type: ignore[attr-defined]
    gold = data.read_documents("ncbi_disease:test")
    compared = evaluation.compare(gold, *map(formats.read, results[:2]), types=("disease",)).overall
    for scheme in ("strict", "partial"):
        assert pairs[0][scheme]["p"] == pytest.approx(compared[scheme].p, abs=1e-6)  # type: ignore[index]
        assert pairs[0][scheme]["value"] == pytest.approx(compared[scheme].difference, abs=1e-6)  # type: ignore[index]


def test_names_alone_beside_spacy(lab_home: Path, lab_book: Book) -> None:
    pytest.importorskip("spacy")
    outcome = experiments.reproduce(
        "picked", "small", ExperimentOptions(lab_home / "work", recipes=lab_home / "recipes"), rows=lab_book
    )
    found = {(cell["model"], cell["test"]): cell["strict"]["f1"] for cell in outcome.data["cells"]}  # type: ignore[attr-defined]
    assert set(found) == {
        ("names", "ncbi_disease:test"),
        ("spacy", "ncbi_disease:test"),
        ("spacy", "bc5cdr_chemical:test"),
    }
    # Names alone find all but those that they do not have.
    assert 0.5 < found["names", "ncbi_disease:test"] < 1
    assert found["spacy", "bc5cdr_chemical:test"] > 0.5  # after five passes over 40 documents
    assert [(row["a"], row["b"], row["test"]) for row in outcome.data["pairs"]] == [  # type: ignore[attr-defined]
        ("names", "spacy", "ncbi_disease:test")
    ]


def test_a_curve_has_shares_and_seeds(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    lines: list[str] = []
    options = ExperimentOptions(lab_home / "work", recipes=lab_home / "recipes", say=lines.append)
    outcome = experiments.reproduce("curve", "small", options, rows=lab_book)
    cells = outcome.data["cells"]
    assert [(c["model"], c["seed"], c["fraction"]) for c in cells] == [  # type: ignore[attr-defined]
        (model, seed, share) for model in ("generative", "crf") for seed in (1, 2) for share in (0.5, 1.0)
    ]
    assert {c["sentences"] for c in cells} <= {10, 11}  # type: ignore[attr-defined]
    assert re.search(r"Half of the data costs 11 to 14 points: (found|not shown|the opposite)", outcome.findings[0])
    curve = next(row for row in outcome.data["curve"] if row["model"] == "crf" and row["scheme"] == "strict")  # type: ignore[attr-defined]
    means = {
        share: sum(c["strict"]["f1"] for c in cells if c["model"] == "crf" and c["fraction"] == share) / 2  # type: ignore[attr-defined]
        for share in (0.5, 1.0)
    }
    assert {float(k): v["f1"] for k, v in curve["fractions"].items()} == pytest.approx(means, abs=1e-5)
    (cost,) = [row for row in outcome.data["contrasts"] if row["a"] == row["b"] == "crf"]  # type: ignore[attr-defined]
    assert (cost["a_fraction"], cost["b_fraction"]) == (0.5, 1.0)
    assert cost["strict"]["value"] == pytest.approx(means[1.0] - means[0.5], abs=1e-5)
    assert cost["strict"]["low"] <= cost["strict"]["value"] <= cost["strict"]["high"]
    assert any("2 times for 50%, once for 100%" in note for note in outcome.notes)
    build = Build(lab_book.models["crf"], ("disease",), fraction=0.5, seed=1, repeats=2)
    assert Workspace(lab_home / "work", say=lines.append, recipes=lab_home / "recipes").built(build)
    picture = next(iter(outcome.figures.values()))
    assert picture == next(iter(experiments.reproduce("curve", "small", options, rows=lab_book).figures.values()))
    ET.fromstring(picture)


def test_the_best_of_a_grid_is_kept(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    options = ExperimentOptions(tmp_path, recipes=lab_home / "recipes")
    assert experiments.plan("gridded", "small", options, rows=lab_book)[1].startswith(
        "  make gridded (seed 13): about 7 s"
    )
    outcome = experiments.reproduce("gridded", "small", options, rows=lab_book)
    assert "| the best of a grid | grid | 40 sentences of each corpus: ncbi_disease:train" in outcome.markdown()
    (folder,) = (tmp_path / "models").iterdir()
    runs = json.loads((folder / "grid.json").read_text())["runs"]
    assert len(runs) == 2
    assert not list(folder.glob("GRID-*/checkpoint.pt"))
    (cell,) = outcome.data["cells"]  # type: ignore[misc]
    for scheme in ("strict", "partial"):  # of all settings, on the test set
        spread = cell["grid"][scheme]
        assert spread["minimum"] <= spread["median"] <= spread["maximum"]
        assert 2 * spread["median"] == pytest.approx(spread["minimum"] + spread["maximum"], abs=1e-5)
        assert cell[scheme]["f1"] == pytest.approx(spread["maximum"], abs=1e-6)
    assert cell["grid"]["settings"] == 2
    assert re.search(r"\| the best of a grid \| NCBI-disease \| strict \| 2 \| [01]\.\d+ \|", outcome.markdown())
    assert [line.endswith("done") for line in experiments.plan("gridded", "small", options, rows=lab_book)] == [
        True
    ] * 3


def test_rows_may_be_done_one_by_one(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    options = ExperimentOptions(tmp_path / "work", only=("crf",), recipes=lab_home / "recipes")
    lines = experiments.plan("first", "medium", options, rows=lab_book)
    assert [line.partition(":")[0].strip() for line in lines] == [
        "first --scale medium",
        "make CRF (disease, seed 13)".replace("CRF", "crf"),
        "crf (disease, seed 13) reads ncbi_disease",
    ]
    outcome = experiments.reproduce("first", "medium", options, rows=lab_book)
    text = outcome.markdown("first")
    assert "| encoder, one corpus | not run | not run | not run |" in text
    trained = {name: facts.get("trained") for name, facts in outcome.data["models"].items()}  # type: ignore[attr-defined]
    assert (trained["crf"], trained["encoder"]) == (1, 0), "those that are done, and not those that are planned"
    page = outcome.write(tmp_path / "pages", experiments.file_name("first", "medium"))
    assert page.name == "first-medium.md"
    before = page.read_bytes()
    page.unlink()
    written = experiments.redraw(tmp_path / "pages", lab_book)
    assert [path.name for path in written] == ["first-medium.md", "overview.md"]
    assert page.read_bytes() == before
    with pytest.raises(UsageError, match="first has no row nobody; choose from crf, encoder"):
        experiments.plan(
            "first",
            "medium",
            ExperimentOptions(tmp_path, only=("nobody",), recipes=lab_home / "recipes"),
            rows=lab_book,
        )


def test_a_server_fills_the_rows_of_prompted_models(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    """The prompt is that of the paper's Figure 2, with examples of the corpus of the type."""
    asked: list[list[str]] = []

    def say(request: dict[str, Any], number: int) -> Says:
        contents = [message["content"] for message in request["messages"]]
        asked.append([message["role"] for message in request["messages"]])
        sentence = contents[-1].partition("### Input:\n")[2].removesuffix("\n\n### Response:")
        label = "disease" if "extract disease entities" in contents[-1] else "chemical"
        for mention in DISEASES if label == "disease" else CHEMICALS:
            sentence = sentence.replace(mention, f"<mark>{mention}</mark>", 1)
        return answer(sentence)

    with scripted(say) as there:
        options = ExperimentOptions(
            tmp_path / "first", "openai:any", there.url, only=("asked",), recipes=lab_home / "recipes"
        )
        outcome = experiments.reproduce("first", "small", options, rows=lab_book)
        before = len(asked)
        other = replace(options, work=tmp_path / "second")
        again = experiments.reproduce("first", "small", other, rows=lab_book)
    assert len(asked) == before, "the second run has its answers from the cache"
    assert {tuple(roles) for roles in asked} == {("user", "assistant", "user", "assistant", "user")}
    for cell in outcome.data["cells"]:  # type: ignore[attr-defined]
        assert cell["model"] == "asked"
        assert cell["strict"]["f1"] > 0.5
    text = outcome.markdown("first")
    f1 = outcome.data["cells"][0]["strict"]["f1"]  # type: ignore[index]
    assert f"| *GPT-4, five examples* | prompted (openai:any) | 0.586 | {f1:.3f} |" in text
    assert "| encoder, one corpus | not run |" in text
    for first, second in zip(outcome.data["cells"], again.data["cells"], strict=True):  # type: ignore[arg-type]
        # A sentence that occurs twice is answered once.
        assert first["new_answers"] + first.get("cached_answers", 0) == second["cached_answers"]
        assert first["new_answers"] > 0
        assert "new_answers" not in second
        assert first["strict"] == second["strict"]
    assert "not measured" not in text
    assert "not measured" in again.markdown("first")
    assert "Answers from the cache, such as those of an interrupted run, are not" in again.markdown("first")


def test_documents_that_cannot_be_read_do_not_stop_prompted_rows(
    lab_home: Path, lab_book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training split of NCBI-disease has one article twice."""
    shutil.copytree(lab_home / "corpora", tmp_path / "corpora")
    train = tmp_path / "corpora" / "ncbi_disease" / "train.pubtator"
    first = train.read_text("utf-8").partition("\n\n")[0]
    train.write_text(f"{train.read_text('utf-8').rstrip()}\n\n{first}\n\n", "utf-8")
    monkeypatch.setenv("BIOMARK_CORPORA", str(tmp_path / "corpora"))
    forget()
    lines: list[str] = []
    with scripted(lambda request, number: answer("nothing")) as there:
        options = ExperimentOptions(
            tmp_path, "openai:any", there.url, only=("asked",), recipes=lab_home / "recipes", say=lines.append
        )
        outcome = experiments.reproduce("first", "small", options, rows=lab_book)
    forget()
    assert len(outcome.data["cells"]) == 2  # type: ignore[arg-type]
    assert any(line.startswith("left out of ncbi_disease:train: 1, such as ") for line in lines)


def test_the_papers_scale_says_its_needs_and_stops_without_a_gpu(
    lab_home: Path, lab_book: Book, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    lines: list[str] = []
    options = ExperimentOptions(tmp_path / "work", recipes=lab_home / "recipes", say=lines.append)
    with pytest.raises(
        UsageError, match=r"first --scale paper needs GPUs .* use --scale small or medium, or add --anyway"
    ):
        experiments.reproduce("first", "paper", options, rows=lab_book)
    text = "\n".join(lines)
    assert "first --scale paper: 2 cells, 0 done; about" in text
    assert "large model: 8 GPUs for training; 108 GB" in text
    assert "parameters × tokens ÷ 1.0e+14 a second and GPU" in text
    assert not list((tmp_path / "work").glob("*/*"))


def test_a_file_that_the_catalogue_lacks_is_named_with_its_address(lab_home: Path, tmp_path: Path) -> None:
    more = 'knowledge = ["knowledge/none.obo"]\n'
    address = '[sources]\n"knowledge/none.obo" = "https://example.org/none.obo"\n\n'
    changed = read_book(address + ROWS.replace('memory = "108 GB"\n', f'memory = "108 GB"\n{more}'))
    options = ExperimentOptions(tmp_path / "work", recipes=lab_home / "recipes", anyway=True)
    lines = experiments.plan("first", "paper", options, rows=changed)
    assert lines[-1] == "  missing: knowledge/none.obo (https://example.org/none.obo)"
    assert "first --scale paper: 2 cells, 0 done; about" in lines[0]
    with pytest.raises(CorpusError, match=r"knowledge/none.obo \(https://example.org/none.obo\): in none of"):
        experiments.reproduce("first", "paper", options, rows=changed)
    assert not any("not there" in line for line in experiments.plan("first", "small", options, rows=changed))


def test_the_command_line(biomark: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = biomark("reproduce", "table9")
    assert (found.status, "unknown experiment 'table9'; choose from models, table1" in found.err) == (2, True)
    found = biomark("reproduce", "table1", "--scale", "large")
    assert (found.status, "unknown scale 'large'; choose from small, medium, paper" in found.err) == (2, True)
    found = biomark("reproduce", "--redraw", tmp_path)
    assert (found.status, "has no models.json" in found.err) == (2, True)
    found = biomark("reproduce", "table1", "--base-url", "http://localhost:9/v1", "--dry-run")
    assert (found.status, "add --model openai:NAME" in found.err) == (2, True)
    found = biomark("reproduce", "hu2024", "--dry-run")
    assert (found.status, found.out) == (0, "hu2024: recorded answers are scored, which takes seconds\n")
