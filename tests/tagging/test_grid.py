"""A grid of settings, and the export of its model, with a small random BERT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer
from vaner_cases import documents, save

from biomark import formats, models
from biomark.errors import UsageError
from biomark.spans import Document
from biomark.training.recipe import TaggingRecipe, load_grid, load_recipe
from conftest import ROOT, Outcome
from toy_recipe import fail, quiet, write_recipe

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from biomark.tagging.training import grid  # noqa: E402
from biomark.tagging.training import trainer as tagging  # noqa: E402
from biomark.tagging.training.network import CharacterEncoder  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, word_pieces: Tokenizer) -> Path:
    """A folder with an encoder, a file of documents and a recipe with a grid."""
    folder = tmp_path_factory.mktemp("grid")
    save("bert", folder / "bert", word_pieces)
    formats.write(documents("disease", "chemical"), folder / "gold.pubtator")
    write_recipe(
        folder / "recipe.toml",
        grid={"learning_rate": [1e-4, 5e-3], "max_pieces": [32, 64]},
        task="tagging",
        name="small",
        encoder=str(folder / "bert"),
        train=[str(folder / "gold.pubtator")],
        devel=[str(folder / "gold.pubtator")],
        types=["disease", "chemical"],
        epochs=6,
        batch_pieces=96,
        head_learning_rate=1e-2,
        dropout=0.0,
        masked_words=0.0,
        average=0.0,
        character_filters=0,
        choose="loss",
    )
    return folder


@pytest.fixture(scope="module")
def whole(home: Path) -> grid.Grid:
    return grid.train_grid(load_grid(home / "recipe.toml"), home / "whole", reject=fail, progress=quiet)


def test_all_settings_are_trained_and_the_lowest_loss_is_chosen(home: Path, whole: grid.Grid) -> None:
    folders = [f"GRID-{rate}-{pieces}" for rate in ("0.0001", "0.005") for pieces in (32, 64)]
    assert [row.folder for row in whole.rows] == folders
    found = json.loads((home / "whole" / "grid.json").read_text())
    losses = [row["loss"] for row in found["runs"]]
    scores = [row["f1"] for row in found["runs"]]
    assert found["chosen"] == folders[losses.index(min(losses))]
    assert found["f1"] == {"minimum": min(scores), "median": median(scores), "maximum": max(scores)}
    assert found["settings"] == 4
    for row, folder in zip(found["runs"], folders, strict=True):
        run = home / "whole" / folder
        rows = json.loads((run / "scores.json").read_text())
        means = [tagging.mean_loss(scores) for scores in rows]
        assert row["loss"] == min(means)
        assert means[row["epoch"] - 1] == min(means)
        network, _, recipe = tagging.load_trained(run)
        assert recipe.learning_rate == row["setting"]["learning_rate"]
        assert recipe.max_pieces == row["setting"]["max_pieces"]
        assert not any(isinstance(module, CharacterEncoder) for module in network.modules())
        assert not (run / tagging.CHECKPOINT).exists()
    assert losses[0] > min(losses) + 0.1  # a rate that is too low was told from one that is not
    chosen = (home / "whole" / found["chosen"] / tagging.BEST).read_bytes()
    assert (home / "whole" / tagging.BEST).read_bytes() == chosen


def test_a_plain_run_is_not_overwritten(home: Path, whole: grid.Grid, tmp_path: Path) -> None:
    folder = home / "whole" / whole.chosen.folder  # its checkpoint is gone, as that of a finished run may be
    before = (folder / tagging.BEST).read_bytes()
    settings = load_grid(home / "recipe.toml")
    for resume in (False, True):
        with pytest.raises(UsageError, match="holds a run that does not belong to a grid"):
            grid.train_grid(settings, folder, reject=fail, resume=resume, progress=quiet)
    with pytest.raises(UsageError, match="already contains a run"):
        tagging.train(settings[0][1], folder, reject=fail, progress=quiet)
    assert (folder / tagging.BEST).read_bytes() == before


def test_a_grid_that_was_stopped_goes_on(home: Path, whole: grid.Grid) -> None:
    class Killed(Exception):
        pass

    settings = load_grid(home / "recipe.toml")
    lines: list[str] = []

    def kill(message: str) -> None:
        lines.append(message)
        if message.startswith("epoch 3/6") and any(line.startswith("2/4") for line in lines):
            raise Killed

    with pytest.raises(Killed):
        grid.train_grid(settings, home / "killed", reject=fail, progress=kill)
    with pytest.raises(UsageError, match=r"already contains a run; resume it \(`resume`\)"):
        grid.train_grid(settings, home / "killed", reject=fail, progress=quiet)
    lines.clear()
    again = grid.train_grid(settings, home / "killed", reject=fail, resume=True, progress=lines.append)
    assert again == whole
    second = [line for line in lines[lines.index(next(line for line in lines if line.startswith("2/4"))) :]]
    assert lines[1].startswith("2/4"), "the first run was finished"
    assert second[1].startswith("epoch 3/6"), "the second one goes on after its second epoch"
    for name in (tagging.BEST, "scores.json", "grid.json"):
        assert (home / "killed" / name).read_bytes() == (home / "whole" / name).read_bytes()
    other = load_grid(home / "recipe.toml", ["seed=2"])
    with pytest.raises(UsageError, match="differs from the recipe"):
        grid.train_grid(other, home / "killed", reject=fail, resume=True, progress=quiet)


def test_the_command_line_shows_the_grid_and_exports_its_model(
    home: Path, whole: grid.Grid, tmp_path: Path, biomark: Callable[..., Outcome]
) -> None:
    shown = biomark("train", home / "recipe.toml", "--grid", "--resume", "-o", home / "whole")
    assert shown.status == 0, shown
    for name in ("learning_rate", "max_pieces", "loss", "minimum", "median", "maximum"):
        assert name in shown.out
    assert shown.out.count("chosen") == 1
    assert f"{whole.spread()['median']:.4f}" in shown.out
    exported = biomark("export", home / "whole", "-o", tmp_path / "small")
    assert exported.status == 0, exported
    small = models.load(str(tmp_path / "small"))
    trained = models.load(str(home / "whole"))
    gold = documents()
    mentions = [
        [[(e.extent, e.type) for e in found.document.entities] for found in recognizer.annotate(gold)]
        for recognizer in (trained, small)
    ]
    assert mentions[0] == mentions[1]
    assert sum(map(len, mentions[0])) >= 8
    assert models.describe(str(tmp_path / "small"))["precision"] == "int8"
    assert not next(iter(small.annotate([Document("1", "")]))).rejected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", r"has no table \[grid\] with a list of values"),
        ("[grid]\nepochs = 3\n", r"has no table \[grid\] with a list of values"),
        ("[grid]\nspeed = [1]\n", "unknown setting 'speed'"),
        ("[grid]\nepochs = [1, 'two']\n", "epochs must be a whole number, got 'two'"),
        ("[grid]\ntypes = [['disease']]\n", "types cannot vary in a grid"),
        ("[grid]\nepochs = [3, 0]\n", "epochs must be at least 1"),
    ],
)
def test_grids_that_cannot_work_are_refused(home: Path, tmp_path: Path, table: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text((home / "recipe.toml").read_text().partition("[grid]")[0] + table)
    with pytest.raises(UsageError, match=message):
        grid.train_grid(load_grid(path), tmp_path / "run", reject=fail)
    assert not (tmp_path / "run").exists()


def test_a_grid_is_for_tagging_models() -> None:
    recipe = load_recipe(ROOT / "recipes" / "nano.toml")
    with pytest.raises(UsageError, match="only recipes of tagging models can have a grid"):
        grid.train_grid([({}, recipe)], Path("nowhere"), reject=fail)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("pubmedbert-*.toml")), ids=lambda path: path.stem)
def test_the_papers_grid_has_eighteen_settings(path: Path) -> None:
    settings = load_grid(path)
    assert len({str(setting) for setting, _ in settings}) == len(settings) == 18
    assert {tuple(setting) for setting, _ in settings} == {("max_pieces", "batch_windows", "learning_rate")}
    values = [{setting[key] for setting, _ in settings} for key in settings[0][0]]
    assert values == [{128, 256, 512}, {16, 32}, {1e-5, 3e-5, 5e-5}]
    for _, recipe in settings:
        assert isinstance(recipe, TaggingRecipe)
        assert (recipe.choose, recipe.dropout) == ("loss", 0.1)
        assert all(name.endswith(":train+devel") for name in recipe.train), "as in the paper, on both"
        network = SimpleNamespace(tuned=lambda: {"encoder.x": torch.zeros(2, 2), "heads.x": torch.zeros(2, 2)})
        rates = {group["lr"] for group in tagging._groups(network, recipe)}  # type: ignore[arg-type]
        assert rates == {recipe.learning_rate}, "the heads have no rate of their own"
