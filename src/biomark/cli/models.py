"""`biomark train`, `biomark export` and `biomark models`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from biomark.cli.common import JsonOption, Rejects, check_output, echo, needs_extra, print_json, print_out, say
from biomark.errors import UsageError


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, such as recipes/smallest.toml.")],
    *,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The run's folder. Default: runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Train a model for each setting in the recipe's table 'grid'.")
    ] = False,
) -> None:
    """Train a model by a recipe; with --grid, train one for each setting and choose the best."""
    from biomark import models
    from biomark.training.recipe import load_grid, load_recipe

    plan = load_recipe(recipe, set_ or [])
    folder = output or models.RUNS / plan.name
    rejects = Rejects()
    if grid:
        settings = load_grid(recipe, set_ or [])
        trainer = needs_extra("biomark.tagging.training.grid", "train")
        runs = trainer.train_grid(settings, folder, reject=rejects, resume=resume, progress=say)
        print_out(trainer.grid_table(runs))
    else:
        trainer = needs_extra(f"biomark.{plan.task}.training.trainer", "train")
        trainer.train(plan, folder, reject=rejects, resume=resume, progress=say)
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # torchrun takes any status but 0 for a crash
        rejects.exit()


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a training run.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    *,
    to: Annotated[
        str, typer.Option(help="biomark, or transformers: a tagging model as a token classifier of that library.")
    ] = "biomark",
    fp32: Annotated[bool, typer.Option("--fp32", help="Keep 32-bit weights instead of 8-bit ones.")] = False,
    calibrate: Annotated[
        bool, typer.Option(help="Calibrate scores as probabilities on the recipe's development splits.")
    ] = True,
) -> None:
    """Export a smaller model: tagging as int8 ONNX, which needs no torch; generative in int8, an adapter in bf16."""
    from biomark import models

    rejects = Rejects()
    if to not in ("biomark", "transformers"):
        raise UsageError(f"unknown format --to {to!r}; choose from biomark, transformers")
    run = models.folder_of(str(model))
    check_output(output, [str(run)])
    if to == "transformers":
        classifier = needs_extra("biomark.tagging.training.classifier", "train")
        say(f"{classifier.export_classifier(run, output)}: a token classifier")
        return
    if models.is_generative(run):
        if fp32:
            raise UsageError(
                "--fp32 is for tagging models; the 32-bit weights of a generative model are in the run's folder"
            )
        folder = needs_extra("biomark.generative.training.export", "train").export(run, output)
    else:
        exporter = needs_extra("biomark.tagging.training.export", "train")
        folder = exporter.export(run, output, int8=not fp32, calibrated=rejects if calibrate else None)
    say(f"{folder}: {models.describe(str(folder))['megabytes']} MB of weights")
    rejects.exit()


app = typer.Typer(help="The models on this machine.", no_args_is_help=True)


@app.command("list")
def models_list(*, json_: JsonOption = False) -> None:
    """List the models in the package and those under runs/."""
    from biomark import models

    rows = {name: models.describe(name) for name in models.names()}
    if json_:
        print_json(rows)
        return
    for name, facts in rows.items():
        types = facts.get("types")
        echo(f"{name}: {', '.join(types) if isinstance(types, list) else '?'}  ({facts['folder']})")


@app.command("show")
def models_show(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="`default`, `nano`, `smol`, a folder, or a name under runs/.")
    ],
) -> None:
    """Show a model's training data, settings and scores as JSON."""
    from biomark import models

    print_json(models.describe(model), indent=2)


@app.command("merge")
def models_merge(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a training run by lora or qlora.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
) -> None:
    """Merge an adapter into its base model: a folder with all weights, which is faster and loads in other software."""
    from biomark import models

    merging = needs_extra("biomark.generative.training.merging", "train")
    say(f"{merging.merge(models.folder_of(str(model)), output)}: the merged model")
