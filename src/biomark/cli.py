"""The command line: reads options, calls the library, says what happened.

Results go to standard output or to files; progress and messages to standard error. Exit status:
0 done, 1 done with rejected documents (they are listed), 2 wrong usage or unreadable input.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark import __version__
from biomark.entity_types import parse_type_map, parse_types
from biomark.errors import BiomarkError
from biomark.spans import Rejected

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(
    name="biomark",
    help="Find mentions of diseases, chemicals, genes and other types in biomedical text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


class Rejects:
    """Collects what readers and recognizers could not use: told on standard error as it comes."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, rejected: Rejected) -> None:
        self.count += 1
        typer.echo(f"rejected: {rejected}", err=True)

    def exit(self) -> None:
        """End the command with status 1 if anything was rejected."""
        if self.count:
            typer.echo(f"{self.count} rejected, all else is done", err=True)
            raise typer.Exit(1)


_GOLD = "The gold file or folder, or a split of the catalogue such as ncbi_disease:test."
_ScoredTypes = Annotated[str | None, typer.Option("--types", help="Types to score (A,B); else those of gold.")]
_TypeMap = Annotated[list[str] | None, typer.Option("--type-map", metavar="A=B", help="Read type A as B; repeatable.")]
_CorpusStyle = Annotated[str, typer.Option("--corpus-style", help="bc2gm accepts its ALTGENE alternatives.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"biomark {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def convert(
    input: Annotated[Path, typer.Argument(help="A file or folder in any format that biomark reads.")],
    output: Annotated[Path, typer.Argument(help="Where to write; its name speaks for the format.")],
    from_: Annotated[str | None, typer.Option("--from", help="The input's format.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="The output's format.")] = None,
) -> None:
    """Convert a corpus from one format to another."""
    from biomark import formats

    rejects = Rejects()
    lost = formats.write(formats.read(input, from_, reject=rejects), output, to)
    for what, count in lost.items():
        typer.echo(f"left out: {count} {what}", err=True)
    rejects.exit()


@app.command()
def demonstrations(
    corpora: Annotated[list[str], typer.Argument(help="Files, or splits of the catalogue such as ncbi_disease:train.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .json list, or .jsonl with a line each.")],
    types: Annotated[str | None, typer.Option(help="Types (A,B); else all that a corpus annotates.")] = None,
    fraction: Annotated[float, typer.Option(help="The share of each corpus and type to take.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    guidelines: Annotated[bool, typer.Option("--guidelines", help="Say in the instruction what to mark.")] = False,
) -> None:
    """Make instruction demonstrations of annotated corpora: instruction, input, output."""
    from biomark import prompts

    rejects, lost = Rejects(), Counter[str]()
    wanted = parse_types(types) if types else None
    found = prompts.from_corpora(
        corpora, wanted, guidelines=guidelines, fraction=fraction, seed=seed, reject=rejects, lost=lost
    )
    written = prompts.write(found, output)
    typer.echo(f"{output}: {written.total()} demonstrations, {written['without']} of them without a mention", err=True)
    for what, count in lost.items():
        typer.echo(f"left out: {count} {what}", err=True)
    rejects.exit()


@app.command()
def evaluate(
    gold: Annotated[str, typer.Argument(help=_GOLD)],
    predicted: Annotated[str, typer.Argument(help="The same documents with the mentions to score.")],
    *,
    types: _ScoredTypes = None,
    type_map: _TypeMap = None,
    corpus_style: _CorpusStyle = "standard",
    from_gold: Annotated[str | None, typer.Option(help="The format of GOLD.")] = None,
    from_predicted: Annotated[str | None, typer.Option(help="The format of PREDICTED.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write DIR/index.html with all errors.")] = None,
    training: Annotated[str | None, typer.Option(help="Training data: the report tells what was seen there.")] = None,
    json_: _Json = False,
) -> None:
    """Score predicted mentions against gold ones, with confidence intervals."""
    from biomark import evaluation

    rejects = Rejects()
    reference = tuple(evaluation.read_gold(gold, from_gold, reject=rejects))
    found = evaluation.evaluate(
        reference,
        evaluation.read_predicted(predicted, reference, from_predicted, reject=rejects),
        types=parse_types(types) if types else (),
        type_map=parse_type_map(type_map or []),
        style=corpus_style,
        corpus=gold,
    )
    _tell(found.notes)
    if report:
        seen = evaluation.surface_forms(evaluation.read_gold(training, reject=rejects)) if training else None
        page = evaluation.write_report(found, report, system=Path(predicted).name, seen=seen)
        typer.echo(f"report: {page}", err=True)
    _show(evaluation.evaluation_json(found) if json_ else evaluation.evaluation_table(found), found.signature)
    rejects.exit()


@app.command()
def compare(
    gold: Annotated[str, typer.Argument(help=_GOLD)],
    a: Annotated[str, typer.Argument(help="The same documents with the mentions of one system.")],
    b: Annotated[str, typer.Argument(help="The same with those of another one.")],
    *,
    types: _ScoredTypes = None,
    type_map: _TypeMap = None,
    corpus_style: _CorpusStyle = "standard",
    from_gold: Annotated[str | None, typer.Option(help="The format of GOLD.")] = None,
    from_predicted: Annotated[str | None, typer.Option(help="The format of A and B.")] = None,
    json_: _Json = False,
) -> None:
    """Test whether the F1 of two systems differs (paired permutation test)."""
    from biomark import evaluation

    rejects = Rejects()
    reference = tuple(evaluation.read_gold(gold, from_gold, reject=rejects))
    found = evaluation.compare(
        reference,
        *(evaluation.read_predicted(name, reference, from_predicted, reject=rejects) for name in (a, b)),
        types=parse_types(types) if types else (),
        type_map=parse_type_map(type_map or []),
        style=corpus_style,
        corpus=gold,
    )
    _tell(found.notes)
    _show(evaluation.comparison_json(found) if json_ else evaluation.comparison_table(found), found.signature)
    rejects.exit()


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def _show(result: Table | Mapping[str, object], signature: str) -> None:
    """A table and its signature for people, or one JSON object for programs, on standard output."""
    if isinstance(result, Mapping):
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    from rich.console import Console

    Console().print(result)
    typer.echo(signature)


def main() -> None:
    """Run the command line; an error of biomark's own is one message and exit status 2."""
    try:
        app()
    except BiomarkError as error:
        typer.echo(f"biomark: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
