"""`biomark evaluate`, `biomark compare` and `biomark reproduce`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark.cli.common import JsonOption, Rejects, echo, print_json, print_out, report_notes, say
from biomark.entity_types import parse_type_map, parse_types

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from biomark.lab.experiments import outcome

_GOLD = "The gold file or folder, or a split of the catalogue such as ncbi_disease:test."
_ScoredTypes = Annotated[str | None, typer.Option("--types", help="Types to score (A,B). Default: those of GOLD.")]
_TypeMap = Annotated[
    list[str] | None, typer.Option("--type-map", metavar="A=B", help="Rename type A to B; repeatable.")
]
_CorpusStyle = Annotated[str, typer.Option("--corpus-style", help="bc2gm accepts its ALTGENE alternatives.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate:
    """Score predicted mentions against gold ones, with confidence intervals."""

    gold: Annotated[str, typer.Argument(metavar="GOLD", help=_GOLD)]
    predicted: Annotated[
        str, typer.Argument(metavar="PREDICTED", help="The same documents with the mentions to score.")
    ]
    types: _ScoredTypes = None
    type_map: _TypeMap = None
    corpus_style: _CorpusStyle = "standard"
    from_gold: Annotated[str | None, typer.Option(help="The format of GOLD.")] = None
    from_predicted: Annotated[str | None, typer.Option(help="The format of PREDICTED.")] = None
    identifiers: Annotated[bool, typer.Option("--identifiers", help="Also score the mentions' identifiers.")] = False
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Measure how well scores agree with probabilities.")
    ] = False
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write DIR/index.html with all errors.")] = None
    training: Annotated[
        str | None, typer.Option(help="Training data, so that the report shows which mentions occur there.")
    ] = None
    json_: JsonOption = False

    def __call__(self) -> None:
        """Run the command."""
        from biomark import corpora, evaluation

        rejects = Rejects()
        reference = tuple(corpora.read_corpus(self.gold, self.from_gold, reject=rejects))
        result = evaluation.evaluate(
            reference,
            evaluation.read_predicted(self.predicted, reference, self.from_predicted, reject=rejects),
            types=parse_types(self.types) if self.types else (),
            type_map=parse_type_map(self.type_map or []),
            style=self.corpus_style,
            corpus=self.gold,
            identifiers=self.identifiers,
            calibrated=self.calibration,
        )
        report_notes(result.notes)
        if self.report:
            seen = (
                evaluation.surface_forms(corpora.read_corpus(self.training, reject=rejects)) if self.training else None
            )
            page = evaluation.write_report(result, self.report, system=Path(self.predicted).name, seen=seen)
            say(f"report: {page}")
        _show(
            evaluation.evaluation_json(result) if self.json_ else evaluation.evaluation_table(result), result.signature
        )
        rejects.exit()


def compare(
    gold: Annotated[str, typer.Argument(metavar="GOLD", help=_GOLD)],
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
    json_: JsonOption = False,
) -> None:
    """Compare two or more systems, and test whether they differ from the first one (paired permutation test)."""
    from biomark import corpora, evaluation

    rejects = Rejects()
    reference = tuple(corpora.read_corpus(gold, from_gold, reject=rejects))
    comparison = evaluation.compare(
        reference,
        *(evaluation.read_predicted(name, reference, from_predicted, reject=rejects) for name in systems),
        names=_distinct(systems),
        types=parse_types(types) if types else (),
        type_map=parse_type_map(type_map or []),
        style=corpus_style,
        corpus=gold,
    )
    report_notes(comparison.notes)
    if report:
        say(f"report: {evaluation.write_comparison(comparison, report)}")
    _show(
        evaluation.comparison_json(comparison) if json_ else evaluation.comparison_table(comparison),
        comparison.signature,
    )
    rejects.exit()


def _distinct(files: Sequence[str]) -> list[str]:
    """Return a distinct name for each file: without folders unless two would be equal; repeated files are numbered."""
    short = [Path(file).name or file for file in files]
    names = short if len(set(short)) == len(short) else list(files)
    return [f"{name} ({names[: n + 1].count(name)})" if name in names[:n] else name for n, name in enumerate(names)]


def _show(result: RenderableType | Mapping[str, object], signature: str) -> None:
    """Print a table and its signature, or one JSON object, on standard output."""
    if isinstance(result, Mapping):
        print_json(result)
        return
    print_out(result)
    echo(signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduce:
    """Reproduce a table or figure of a paper; the same command continues an interrupted run."""

    experiment: Annotated[
        str, typer.Argument(metavar="[EXPERIMENT]", help="A name such as table1; an unknown name lists all.")
    ] = ""
    scale: Annotated[
        str,
        typer.Option(help="small: two CPU cores; medium: a small language model; paper: the paper's models, on GPUs."),
    ] = "small"
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Write EXPERIMENT.md, .json and .svg into a folder."),
    ] = None
    work: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The folder of models and answers, which later runs use again."),
    ] = None
    model: Annotated[
        str, typer.Option(help="A model to add to the others; the only one in experiments with prompted models.")
    ] = ""
    base_url: Annotated[str, typer.Option(help="The server of --model openai:NAME.")] = ""
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW", help="Run only this row, and keep the figures of the others on the page; repeatable."
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run and what it would cost; run nothing.")
    ] = False
    redraw: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw all pages of a folder again from their JSON; run nothing."),
    ] = None
    anyway: Annotated[bool, typer.Option("--anyway", help="Run the paper's scale without a GPU.")] = False
    text: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write sampled errors with their sentences into a folder.")
    ] = None
    json_: JsonOption = False

    def __call__(self) -> None:
        """Run the command."""
        from biomark.lab import experiments

        if self.redraw:
            for page in experiments.redraw(self.redraw):
                say(f"page: {page}")
            return
        rows = tuple(self.only or ())
        options = experiments.ExperimentOptions(
            work=self.work or experiments.WORK,
            model=self.model,
            base_url=self.base_url,
            anyway=self.anyway,
            only=rows,
            pages=self.output,
            text=self.text,
            say=say,
        )
        if self.dry_run:
            for line in experiments.plan(self.experiment, self.scale, options):
                echo(line)
            return
        result = experiments.reproduce(self.experiment, self.scale, options)
        if self.output:
            say(f"page: {result.write(self.output, experiments.file_name(self.experiment, self.scale))}")
        if self.json_:
            print_json(result.data)
            return
        for table in result.tables:
            print_out(_terminal_table(table))
        for sentence in (*result.findings, *(f"note: {note}" for note in result.notes)):
            say(sentence.replace("**", ""))


_WIDE = 30  # characters, the longest cell that is kept in one line: a score with its interval


def _terminal_table(table: outcome.Table) -> Table:
    """Convert a page's table, with cells in Markdown, into a table of Rich that breaks no number or word."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    def styled(cell: str) -> Text:
        bold = re.sub(r"\*\*(.+?)\*\*", r"[bold]\1[/]", escape(cell))
        return Text.from_markup(re.sub(r"\*(.+?)\*", r"[italic]\1[/]", bold))

    rows = [[styled(cell) for cell in row] for row in table.rows]
    result = Table(title=table.title)
    for name, *cells in zip(table.header, *rows, strict=True):
        words = [len(word) for cell in (name, *map(str, cells)) for word in cell.split()]
        longest = max((len(cell) for cell in cells), default=0)
        result.add_column(name, width=max(min(longest, _WIDE), *words))  # Rich's default widths would cut cells
    for row in rows:
        result.add_row(*row)
    return result
