"""How good answers are: scores, comparisons, the papers' tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark.cli.common import Json, Rejects, echo, print_json, print_out, say, tell
from biomark.entity_types import parse_type_map, parse_types

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from biomark.lab.experiments import outcome

_GOLD = "The gold file or folder, or a split of the catalogue such as ncbi_disease:test."
_ScoredTypes = Annotated[str | None, typer.Option("--types", help="Types to score (A,B); else those of gold.")]
_TypeMap = Annotated[list[str] | None, typer.Option("--type-map", metavar="A=B", help="Read type A as B; repeatable.")]
_CorpusStyle = Annotated[str, typer.Option("--corpus-style", help="bc2gm accepts its ALTGENE alternatives.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate:
    """Score predicted mentions against gold ones, with confidence intervals."""

    gold: Annotated[str, typer.Argument(help=_GOLD)]
    predicted: Annotated[str, typer.Argument(help="The same documents with the mentions to score.")]
    types: _ScoredTypes = None
    type_map: _TypeMap = None
    corpus_style: _CorpusStyle = "standard"
    from_gold: Annotated[str | None, typer.Option(help="The format of GOLD.")] = None
    from_predicted: Annotated[str | None, typer.Option(help="The format of PREDICTED.")] = None
    identifiers: Annotated[bool, typer.Option("--identifiers", help="Score the mentions' identifiers too.")] = False
    calibration: Annotated[bool, typer.Option("--calibration", help="Are scores probabilities?")] = False
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write DIR/index.html with all errors.")] = None
    training: Annotated[str | None, typer.Option(help="Training data: the report tells what was seen there.")] = None
    json_: Json = False

    def __call__(self) -> None:
        """Run the command."""
        from biomark import corpora, evaluation

        rejects = Rejects()
        reference = tuple(corpora.read_corpus(self.gold, self.from_gold, reject=rejects))
        found = evaluation.evaluate(
            reference,
            evaluation.read_predicted(self.predicted, reference, self.from_predicted, reject=rejects),
            types=parse_types(self.types) if self.types else (),
            type_map=parse_type_map(self.type_map or []),
            style=self.corpus_style,
            corpus=self.gold,
            identifiers=self.identifiers,
            calibrated=self.calibration,
        )
        tell(found.notes)
        if self.report:
            seen = (
                evaluation.surface_forms(corpora.read_corpus(self.training, reject=rejects)) if self.training else None
            )
            page = evaluation.write_report(found, self.report, system=Path(self.predicted).name, seen=seen)
            say(f"report: {page}")
        _show(evaluation.evaluation_json(found) if self.json_ else evaluation.evaluation_table(found), found.signature)
        rejects.exit()


def compare(
    gold: Annotated[str, typer.Argument(help=_GOLD)],
    systems: Annotated[
        list[str], typer.Argument(metavar="A B...", help="The same documents with the mentions of each system.")
    ],
    *,
    types: _ScoredTypes = None,
    type_map: _TypeMap = None,
    corpus_style: _CorpusStyle = "standard",
    from_gold: Annotated[str | None, typer.Option(help="The format of GOLD.")] = None,
    from_predicted: Annotated[str | None, typer.Option(help="The format of the systems' files.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write DIR/index.html with the systems side by side.")
    ] = None,
    json_: Json = False,
) -> None:
    """Two systems or more side by side, and whether they differ from the first one (paired permutation test)."""
    from biomark import corpora, evaluation

    rejects = Rejects()
    reference = tuple(corpora.read_corpus(gold, from_gold, reject=rejects))
    found = evaluation.compare(
        reference,
        *(evaluation.read_predicted(name, reference, from_predicted, reject=rejects) for name in systems),
        names=_distinct(systems),
        types=parse_types(types) if types else (),
        type_map=parse_type_map(type_map or []),
        style=corpus_style,
        corpus=gold,
    )
    tell(found.notes)
    if report:
        say(f"report: {evaluation.write_comparison(found, report)}")
    _show(evaluation.comparison_json(found) if json_ else evaluation.comparison_table(found), found.signature)
    rejects.exit()


def _distinct(files: Sequence[str]) -> list[str]:
    """Files as names of systems: without folders unless two are called alike; one that comes again is numbered."""
    short = [Path(file).name or file for file in files]
    names = short if len(set(short)) == len(short) else list(files)
    return [f"{name} ({names[: n + 1].count(name)})" if name in names[:n] else name for n, name in enumerate(names)]


def _show(result: RenderableType | Mapping[str, object], signature: str) -> None:
    """A table and its signature for people, or one JSON object for programs, on standard output."""
    if isinstance(result, Mapping):
        print_json(result)
        return
    print_out(result)
    echo(signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduce:
    """Make a table or figure of a paper again; a run that was stopped goes on."""

    experiment: Annotated[str, typer.Argument(help="Such as table1; a wrong name lists all.")] = ""
    scale: Annotated[
        str, typer.Option(help="small: two CPU cores; medium: a small language model; paper: the paper's, on GPUs.")
    ] = "small"
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Write EXPERIMENT.md, .json and .svg there.")
    ] = None
    work: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Models and answers; what is there is not done again.")
    ] = None
    model: Annotated[str, typer.Option(help="A model of yours beside the others; where models are prompted, it.")] = ""
    base_url: Annotated[str, typer.Option(help="The server of --model openai:NAME.")] = ""
    only: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Do the cells of this row alone; repeatable.")
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is to do, and its cost.")] = False
    redraw: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw all pages there again from their JSON; run nothing.")
    ] = None
    anyway: Annotated[bool, typer.Option("--anyway", help="The paper's scale without a GPU.")] = False
    text: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Sampled errors with their sentences.")] = None
    json_: Json = False

    def __call__(self) -> None:
        """Run the command."""
        from biomark.lab import experiments

        if self.redraw:
            for page in experiments.redraw(self.redraw):
                say(f"page: {page}")
            return
        rows = tuple(self.only or ())
        options = experiments.Options(
            self.work or experiments.WORK, self.model, self.base_url, self.anyway, rows, self.text, say=say
        )
        if self.dry_run:
            for line in experiments.plan(self.experiment, self.scale, options):
                echo(line)
            return
        found = experiments.reproduce(self.experiment, self.scale, options)
        if self.output:
            say(f"page: {found.write(self.output, experiments.file_name(self.experiment, self.scale))}")
        if self.json_:
            print_json(found.data)
            return
        for table in found.tables:
            print_out(_terminal_table(table))
        for sentence in (*found.findings, *(f"note: {note}" for note in found.notes)):
            say(sentence.replace("**", ""))


_WIDE = 30  # characters: a figure with its interval is not longer, and stays in one line


def _terminal_table(table: outcome.Table) -> Table:
    """A table of a page, in Markdown, as Rich writes it: figures and words are kept whole."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    def shown(cell: str) -> Text:
        bold = re.sub(r"\*\*(.+?)\*\*", r"[bold]\1[/]", escape(cell))
        return Text.from_markup(re.sub(r"\*(.+?)\*", r"[italic]\1[/]", bold))

    rows = [[shown(cell) for cell in row] for row in table.rows]
    result = Table(title=table.title)
    for name, *cells in zip(table.header, *rows, strict=True):
        words = [len(word) for cell in (name, *map(str, cells)) for word in cell.split()]
        whole = max((len(cell) for cell in cells), default=0)
        result.add_column(name, width=max(min(whole, _WIDE), *words))  # Rich's own widths cut what is too wide
    for row in rows:
        result.add_row(*row)
    return result
