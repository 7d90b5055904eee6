"""The recipes of this repository, and settings of recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from biomark import demonstrations
from biomark.errors import UsageError
from biomark.generative.training.checks import check
from biomark.tagging.training.checks import check as check_tagging
from biomark.training.checks import check_splits
from biomark.training.recipe import GenerativeRecipe, TaggingRecipe, load_recipe
from conftest import ROOT

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.training import trainer as generative  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_are_sound(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    if isinstance(recipe, TaggingRecipe):
        made = [name for name in (*recipe.train, *recipe.devel) if name.startswith("runs/")]  # by other recipes
        rest = {key: tuple(n for n in getattr(recipe, key) if n not in made) for key in ("train", "devel")}
        check_tagging(replace(recipe, **rest))
        return
    check(recipe)
    for name in recipe.train:
        for made in generative.with_types(recipe).types:
            assert demonstrations.instruction(made, recipe.style), name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('guideline_text = "Classes too."', "Classes too."),
        ('guideline_text = { disease = "Classes too." }', {"disease": "Classes too."}),
        ("guideline_text = 7", None),
        ("guideline_text = { disease = 7 }", None),
    ],
)
def test_a_recipe_has_one_guideline_text_or_one_for_each_type(tmp_path: Path, line: str, expected: object) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f'name = "a"\nmodel = "b"\ntrain = []\ndevel = []\n{line}\n')
    if expected is None:
        with pytest.raises(UsageError, match=r"guideline_text.*must be a text in quotes"):
            load_recipe(path)
        return
    recipe = load_recipe(path, ["shape=tanl"])
    assert isinstance(recipe, GenerativeRecipe)
    assert (recipe.guideline_text, recipe.style.shape) == (expected, "tanl")
    again = load_recipe(path, ["guideline_text=Mark a = b."])
    assert isinstance(again, GenerativeRecipe)
    assert again.guideline_text == "Mark a = b."


def test_tagging_recipes_may_not_see_test_splits_either() -> None:
    recipe = load_recipe(ROOT / "recipes" / "default-tagging.toml", ['devel=["bc2gm:test"]'])
    with pytest.raises(UsageError, match="a test split"):
        check_splits(recipe)
