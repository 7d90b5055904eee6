"""Training data: `biomark corpora`, `biomark demonstrations`, `biomark invent`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark.cli.common import (
    JsonOption,
    ProgressOption,
    Rejects,
    check_output,
    check_record,
    echo,
    print_json,
    print_out,
    report_losses,
    say,
    write_record,
)
from biomark.cli.settings import LLM, BaseUrl, Changes, Count, Settings, SettingsFile, load_settings
from biomark.corpora.settings import OverlapOptions
from biomark.entity_types import parse_types
from biomark.runtime.options import meanings

if TYPE_CHECKING:
    from rich.table import Table

    from biomark.corpora.overlap import Deduplicated
    from biomark.prompted.invention import Inventor


def demonstrations(
    corpora: Annotated[
        list[str],
        typer.Argument(metavar="CORPORA", help="Files, or splits of the catalogue such as ncbi_disease:train."),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="The output file: .json for a JSON list, .jsonl for one demonstration per line."
        ),
    ],
    types: Annotated[
        str | None,
        typer.Option(help="Entity types, separated by commas (A,B). Default: all types that the corpus annotates."),
    ] = None,
    fraction: Annotated[float, typer.Option(help="The share of each corpus and type to take.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The seed of the sample.")] = 0,
    guidelines: Annotated[
        bool, typer.Option("--guidelines", help="Add biomark's guideline for the type to the instruction.")
    ] = False,
    guideline_text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A sentence to add at the end of the instruction; repeatable as TYPE=TEXT, for one type each.",
        ),
    ] = None,
    shape: Annotated[str, typer.Option(help="The form of the output: mark, tanl, dice.")] = "mark",
    sentences: Annotated[str, typer.Option(help="The sentence splitter: biomark, spacy.")] = "biomark",
) -> None:
    """Make demonstrations (instruction, input, output) from annotated corpora."""
    from biomark import demonstrations

    check_output(output, corpora)
    rejects, lost = Rejects(), Counter[str]()
    chosen = parse_types(types) if types else None
    texts = demonstrations.parse_guideline_text(guideline_text) if guideline_text else ""
    style = demonstrations.Style(shape=shape, guidelines=guidelines, guideline_text=texts, sentences=sentences)
    made = demonstrations.from_corpora(corpora, chosen, style, fraction=fraction, seed=seed, reject=rejects, lost=lost)
    written = demonstrations.write(made, output)
    say(f"{output}: {written.total()} demonstrations, {written['without']} of them without a mention")
    report_losses(lost)
    rejects.exit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invent:
    """Let a language model write new annotated sentences, given a few, for types with few annotations."""

    seeds: Annotated[list[str], typer.Argument(metavar="SEEDS", help="Annotated files, or splits of the catalogue.")]
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write; its name determines the format.")]
    model: Annotated[str, typer.Option(help="openai:NAME on a server, or hf:NAME in this process.")]
    types: Annotated[str, typer.Option(help="The entity types of the mentions (A,B).")]
    base_url: BaseUrl = None
    count: Count = None
    settings: SettingsFile = None
    set_: Changes = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the first prompt; send nothing.", rich_help_panel=LLM)
    ] = False
    record: Annotated[
        Path | None,
        typer.Option(
            help="Write the settings of the model, counts of its sentences, and costs as JSON.", rich_help_panel=LLM
        ),
    ] = None
    progress: ProgressOption = None

    def __call__(self) -> None:
        """Run the command."""
        from biomark import formats
        from biomark.prompted import retrieval
        from biomark.prompted.chat.rehearsal import shown
        from biomark.prompted.invention import Inventor

        check_record(self.record)
        check_output(self.output, self.seeds)
        options = {"base_url": self.base_url, "count": self.count}
        settings = load_settings(self.settings, self.set_ or [], ("invention", "server", "generative"), options)
        rejects, lost = Rejects(), Counter[str]()
        types = parse_types(self.types)
        pool = retrieval.examples(self.seeds, types, reject=rejects, lost=lost)
        inventor = Inventor(pool, types, settings.invention)
        report_losses(lost + inventor.counts)
        if self.dry_run:
            echo(shown(inventor.request(0)[0]))
            return
        formats.guess_format(self.output, writing=True)  # a wrong name must fail before the requests cost anything
        self._run(inventor, settings)
        rejects.exit()

    def _run(self, inventor: Inventor, settings: Settings) -> None:
        """Request sentences, write them, and report counts and costs.

        Raises:
            typer.Exit: with status 1 if there are fewer sentences than `count`.
        """
        from biomark import formats, models
        from biomark.runtime.progress import progress_bar

        chat = models.load_chat(self.model, settings.generative, models.Prompting(server=settings.server))
        bar = sys.stderr.isatty() if self.progress is None else self.progress
        with progress_bar(str(self.output), inventor.options.count, shown=bar, unit="rounds") as step:
            result = inventor.run(chat, progress=step)
        report_losses(formats.write(result.documents, self.output))
        if self.record is not None:
            write_record(self.record, inventor.facts(chat, result))
        say(f"{self.output}: {len(result.documents)} new sentences of {result.written} that the model wrote")
        for reason, count in result.thrown.items():
            say(f"discarded: {count} ({reason})")
        say(str(chat.account))
        if result.stopped is not None:
            say(f"stopped: {result.stopped}")
            raise typer.Exit(1)


app = typer.Typer(help="The catalogue of corpora.", no_args_is_help=True)
_SAME, _OVERLAP = meanings(OverlapOptions), OverlapOptions()


@app.command("list")
def corpora_list(*, json_: JsonOption = False) -> None:
    """List the corpora of the catalogue, and which of them are on this machine."""
    from rich.table import Table

    from biomark import corpora

    if json_:
        rows = {name: corpora.describe(name) for name in corpora.catalogue()}
        print_json(rows)
        return
    table = Table("corpus", "types", "split", "documents", "mentions", "at hand")
    for name, corpus in corpora.catalogue().items():
        if not corpus.splits:
            table.add_row(name, ", ".join(corpus.types), "none that can be read")
        for split, facts in corpus.splits.items():
            row = (
                name,
                ", ".join(corpus.types),
                split,
                corpora.counted(facts.documents),
                corpora.counted(facts.mentions),
            )
            table.add_row(*row, "yes" if corpora.folder_of(corpus, split) else "no")
    print_out(table)


@app.command("show")
def corpora_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `corpora list` shows.")],
    *,
    json_: JsonOption = False,
) -> None:
    """Show the facts of a corpus: types, splits, licence, citation, and its folder."""
    from rich.table import Table

    from biomark import corpora

    if json_:
        print_json(corpora.describe(name))
        return
    table = Table.grid(padding=(0, 2))
    for line in corpora.summary(name):
        table.add_row(*line)
    print_out(table)


@app.command("fetch")
def corpora_fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `corpora list` shows.")],
    *,
    from_: Annotated[Path | None, typer.Option("--from", help="A local folder to copy from.", exists=True)] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The corpora folder. Default: in the user's cache.")] = None,
    progress: ProgressOption = None,
) -> None:
    """Download a corpus, or copy it from a local folder, and check its files."""
    from biomark import corpora
    from biomark.corpora import fetching
    from biomark.runtime.progress import download_bar

    corpus = corpora.corpus_named(name)
    shown = sys.stderr.isatty() if progress is None else progress
    with download_bar(shown=shown) as step:
        fetched = fetching.fetch(corpus, to or corpora.kept_corpora(), source=from_, progress=step)
    for file in fetched:
        say(f"{file.path}: {file.how}" + (f", but {file.difference}" if file.difference else ""))
    if any(file.difference for file in fetched):
        raise typer.Exit(1)


@app.command("overlap")
def corpora_overlap(
    train: Annotated[
        list[str], typer.Argument(metavar="TRAIN", help="Files, or splits of the catalogue, that a model learns from.")
    ],
    *,
    with_: Annotated[list[str], typer.Option("--with", help="A file or split to compare them with; repeatable.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the results to this file, as JSON.")
    ] = None,
    letters: Annotated[int, typer.Option(help=_SAME["letters"])] = _OVERLAP.letters,
    similarity: Annotated[float, typer.Option(help=_SAME["similarity"])] = _OVERLAP.similarity,
    json_: JsonOption = False,
) -> None:
    """Find the sentences and documents that corpora share, so that no model learns from what it is scored on."""
    from biomark import corpora
    from biomark.corpora.overlap import Index, facts

    if output is not None:
        check_output(output, [*train, *with_])
    options = OverlapOptions(letters, similarity)
    rejects = Rejects()
    others = {name: list(corpora.read_corpus(name, reject=rejects)) for name in with_}
    index = Index(others, options)
    kept = {}
    for name in train:
        kept[name] = index.compare(list(corpora.read_corpus(name, reject=rejects)), name)
    results = {**asdict(options), **facts(kept)}
    if output is not None:
        output.write_text(json.dumps(results, ensure_ascii=False) + "\n", "utf-8")
    if json_:
        print_json(results)
    else:
        print_out(_overlap_table(kept))
    rejects.exit()


def _overlap_table(kept: Mapping[str, Deduplicated]) -> Table:
    from rich.table import Table

    table = Table("corpus", "shares with", "documents", "sentences", "PubMed ids")
    for name, result in kept.items():
        for overlap in result.overlaps:
            documents, pubmed = len(overlap.document_ids), len({shared.document for shared in overlap.documents})
            table.add_row(name, overlap.other, f"{documents:,}", f"{overlap.sentence_count:,}", f"{pubmed:,}")
        sentences = sum(map(len, result.sentences.values()))
        table.add_row(name, "to leave out", f"{len(result.left_out):,}", f"and {sentences:,} of others", "")
    return table
