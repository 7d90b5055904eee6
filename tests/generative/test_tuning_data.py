"""What a recipe learns from and is scored on: demonstrations, their instructions, lengths and shares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from biomark import demonstrations, formats
from biomark.errors import UsageError
from biomark.spans import Document, Entity, Rejected, Span
from biomark.training.recipe import GenerativeRecipe
from toy_corpus import DISEASES, documents
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.training import model as causal  # noqa: E402
from biomark.generative.training.data import chosen, read_data, read_demonstrations  # noqa: E402
from biomark.training import scoring  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("tuning_fixtures",)

pytestmark = pytest.mark.usefixtures("tuning_corpora")


def test_demonstrations_with_another_instruction_are_told(
    tuning_recipe: GenerativeRecipe, tuning_home: Path, tmp_path: Path
) -> None:
    gold = documents("disease", DISEASES, 3, 5)
    file = str(tmp_path / "demos.json")
    tuning_recipe = replace(tuning_recipe, train=(file,), devel=("ncbi_disease:devel",), types=("disease",))
    _, vocabulary = causal.prepare_model(tuning_recipe)
    demonstrations.write(demonstrations.demonstrations(gold, ["disease"], tuning_recipe.style), Path(file))
    read_data(tuning_recipe, vocabulary, fail)
    with pytest.raises(UsageError, match=r"shares is for corpora; .*demos\.json is a file of demonstrations"):
        read_data(replace(tuning_recipe, shares={file: 0.5}), vocabulary, fail)
    demonstrations.write(
        demonstrations.demonstrations(gold, ["disease"], demonstrations.Style("short", guideline_text="All.")),
        Path(file),
    )
    told: list[Rejected] = []
    data = read_data(tuning_recipe, vocabulary, told.append)
    assert len(data.examples) == data.train[file]["demonstrations"] > 0  # learnt all the same
    (one,) = told
    assert one.source == file
    assert "'Mark disease All.'" in one.reason
    with pytest.raises(UsageError, match="an instruction that differs from the recipe's, such as 'Mark disease All"):
        read_data(replace(tuning_recipe, shape="tanl"), vocabulary, fail)
    wrong = [replace(d, instruction="Bracket disease") for d in demonstrations.read(Path(file))]
    demonstrations.write([*wrong, replace(wrong[0], output=wrong[0].input)], Path(file))
    told.clear()
    data = read_data(replace(tuning_recipe, shape="tanl"), vocabulary, told.append)
    assert len(data.examples) == 1  # marks are no answer of this shape
    assert len(told) == len(wrong)


def test_a_sample_of_the_development_split_depends_on_the_seed_alone(tuning_recipe: GenerativeRecipe) -> None:
    def sample(seed: int, sentences: int = 3) -> scoring.Devel:
        (found,) = scoring.read_devel(["ncbi_disease:devel"], ["disease"], sentences=sentences, seed=seed, reject=fail)
        return found

    assert sample(1) == sample(1)
    assert sample(1).digest() == sample(1).digest() != sample(2).digest()
    assert len(sample(1).documents) == 3
    assert len(sample(1, 0).documents) == 8
    assert len(sample(1, 100).documents) > 8


@pytest.mark.parametrize("name", ["new.jsonl", "new.json", "new.bioc.json", "new.jsonl.gz"])
def test_documents_in_json_are_no_demonstrations(
    name: str, tuning_recipe: GenerativeRecipe, tuning_home: Path, tmp_path: Path
) -> None:
    documents = list(formats.read(tuning_home / "corpora" / "ncbi_disease" / "train.pubtator"))
    formats.write(documents, tmp_path / name, "bioc_json" if "bioc" in name else "jsonl")
    found = list(read_demonstrations(str(tmp_path / name), tuning_recipe, fail))
    demonstrations.write(found, tmp_path / "demos.jsonl")
    assert found == list(read_demonstrations(str(tmp_path / "demos.jsonl"), tuning_recipe, fail))
    learnt = read_demonstrations(tuning_recipe.train[0], tuning_recipe, fail)
    assert [d.output for d in found] == [d.output for d in learnt]


def test_demonstrations_that_are_too_long_are_rejected_not_cut(tuning_recipe: GenerativeRecipe) -> None:
    _, vocabulary = causal.prepare_model(tuning_recipe)
    rejected: list[object] = []
    data = read_data(replace(tuning_recipe, row_tokens=36), vocabulary, rejected.append)
    assert rejected
    made = [d for name in tuning_recipe.train for d in read_demonstrations(name, tuning_recipe, fail)]
    assert len(data.examples) + len(rejected) == len(made)
    assert all(len(example.ids) <= 36 for example in data.examples)
    with pytest.raises(UsageError, match="no usable demonstration"):
        read_data(replace(tuning_recipe, row_tokens=2), vocabulary, rejected.append)


def test_a_share_of_a_corpus_is_learnt_from(tuning_recipe: GenerativeRecipe) -> None:
    whole, half = (
        [list(read_demonstrations(name, recipe, fail)) for name in ("ncbi_disease:train", "bc5cdr_chemical:train")]
        for recipe in (tuning_recipe, replace(tuning_recipe, shares={"ncbi_disease": 0.5}))
    )
    assert abs(len(half[0]) - len(whole[0]) / 2) < 1
    assert all(demonstration in whole[0] for demonstration in half[0])
    assert half[1] == whole[1]


@pytest.mark.parametrize("shape", demonstrations.TUNED)
@pytest.mark.parametrize(("share", "left"), [(1.0, 21), (0.5, 10), (0.0, 0)])
def test_a_share_of_the_demonstrations_without_mentions_is_learnt_from(
    tuning_recipe: GenerativeRecipe, shape: str, share: float, left: int
) -> None:
    texts = [Document(str(n), f"Fever {n} came.") for n in range(63)]
    fever = (Entity((Span(0, 5),), "disease"),)
    annotated = [replace(d, entities=fever) if n % 3 else d for n, d in enumerate(texts)]
    made = list(demonstrations.demonstrations(annotated, ["disease"], demonstrations.Style("short", shape)))
    assert len(made) == 63
    changed = replace(tuning_recipe, without_mentions=share)
    found = chosen(made, changed)
    assert len({d.input for d in found}) == len(found) == 42 + left
    assert sum(d.document_id in {str(n) for n in range(0, 63, 3)} for d in found) == left
    assert chosen(made, changed) == found != chosen(made, replace(changed, seed=2))
    assert found == [d for d in chosen(made, tuning_recipe) if d in found]
    assert chosen(made, replace(changed, examples=5)) == found[:5]
