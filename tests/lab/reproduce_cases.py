"""Experiments with small random models on corpora of a few words, and what tests of their runs compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from biomark.lab import experiments
from biomark.lab.experiments import data
from biomark.spans import Document

ROWS = """
[hardware.small]
name = "one core"
[hardware.medium]
name = "one core"
[hardware.paper]
name = "no GPU at all"
flops = 1e14

[models.crf]
title = "CRF"
method = "crf"
train = ["ncbi_disease:train", "bc5cdr_chemical:train"]
single = true
sentences = 60
train_rate = 80
read_rate = 400

[models.encoder]
title = "encoder, one corpus"
method = "tagging"
recipe = "encoder"
single = true
sentences = 40
devel_sentences = 10
by_sentence = true
train_rate = 72
read_rate = 150

[models.encoder-all]
like = "encoder"
title = "encoder, all corpora"
single = false

[models.generative]
title = "generative"
method = "generative"
recipe = "generative"
sentences = 12
devel_sentences = 4
train_rate = 26
read_rate = 40

[models.marked]
like = "generative"
title = "generative, mark decoding"
weights = "generative"
decoding = "marks"

[models.free]
like = "generative"
title = "generative, free answers"
weights = "generative"
decoding = "generate"

[models.asked]
title = "prompted"
method = "prompted"
train = ["ncbi_disease:train", "bc5cdr_chemical:train"]
single = true
prompt = { shape = "alpaca", choose = "random", shots = 2 }

[models.large]
title = "large model"
method = "generative"
recipe = "generative"
parameters = 6.7e9
tokens = 200
memory = "108 GB"
gpus = 8

[experiments.first]
title = "Models"
source = "A paper, Table 1"
layout = "scores"
about = "About it."
paper = { models = ["large"], tests = ["ncbi_disease:test"] }
medium = { models = ["crf", "encoder"], tests = ["ncbi_disease:test"] }
contrasts = [["encoder", "encoder-all"], ["crf", "encoder"]]
claims = [{ text = "All corpora help", kind = "helps", published = "+2", models = ["encoder-all", "encoder"] }]
published = "table1"
[experiments.first.small]
models = ["crf", "encoder", "encoder-all", "asked"]
tests = ["ncbi_disease:test", "bc5cdr_chemical:test"]
beside = { "PubMedBERT" = "encoder", "GPT-4, five examples" = "asked" }

[experiments.errors]
title = "Errors"
source = "A paper, Figure 3"
layout = "errors"
about = "About it."
small = { models = ["crf", "encoder"], tests = ["ncbi_disease:test", "bc5cdr_chemical:test"] }
claims = [{ text = "Boundary errors dominate", kind = "most frequent", errors = "boundary", models = ["encoder"] }]

[experiments.pairs]
title = "Pairs"
source = "A paper, section 5"
layout = "pairs"
about = "About it."
small = { models = ["crf", "encoder", "encoder-all"], tests = ["ncbi_disease:test"] }

[experiments.curve]
title = "Data"
source = "A paper, Figure 4"
layout = "curve"
about = "About it."
[experiments.curve.small]
models = ["generative", "crf"]
tests = ["ncbi_disease:test"]
test_sentences = 10
fractions = [0.5, 1.0]
repeats = [2, 1]
seeds = [1, 2]
[[experiments.curve.claims]]
text = "Half of the data costs 11 to 14 points"
kind = "costs"
models = ["crf"]
fractions = [0.5]
range = [11, 14]

[models.gridded]
like = "encoder-all"
title = "the best of a grid"
recipe = "grid"
grid = true

[experiments.gridded]
title = "A grid"
source = "A paper"
layout = "scores"
about = "About it."
small = { models = ["gridded"], tests = ["ncbi_disease:test"], test_sentences = 4 }

[models.names]
title = "names"
method = "ready"
model = "dictionary"
types = ["disease"]
knowledge = ["knowledge/diseases.tsv"]

[models.unnamed]
like = "encoder-all"
title = "asked in words"
change = { instruction = true, wording = "vaner", corpus_name = 1.0, max_pieces = 256, epochs = 1, epoch_steps = 3 }

[models.named]
like = "unnamed"
title = "asked in words with the corpus, lists of names"
change = { dbr = "near", dbr_terms = 4, dbr_others = 2 }
knowledge = ["knowledge/diseases.tsv"]
own_mentions = true
named = true

[models.spacy]
title = "spaCy"
method = "spacy"
train = ["ncbi_disease:train", "bc5cdr_chemical:train"]
single = true

[experiments.picked]
title = "What there is"
source = "Nowhere"
layout = "scores and pairs"
about = "About it."
small = { models = ["names", "spacy"], tests = ["ncbi_disease:test", "bc5cdr_chemical:test"] }

[experiments.decodings]
title = "Two ways to answer"
source = "A paper"
layout = "scores"
about = "About it."
small = { models = ["marked", "free"], tests = ["ncbi_disease:test"], test_sentences = 4 }

[experiments.again]
title = "The same again"
source = "A paper"
layout = "scores"
about = "About it."
small = { models = ["crf", "encoder"], tests = ["ncbi_disease:test"] }
"""


def identified(document: Document) -> Document:
    """The document with an identifier for each mention, the same for the same name."""
    found = (replace(e, ids=(f"MESH:{e.mention(document.text)}",)) for e in document.entities)
    return replace(document, entities=tuple(found))


def forget() -> None:
    """Clear what the module keeps of corpora under their names."""
    for cached in (data._read, data.count_sentences, data.data_sum, data.file_sum):
        cached.cache_clear()


def figures(outcome: experiments.Outcome) -> tuple[Any, ...]:
    """All that two runs have to agree in: not how long they took."""
    cells = [{k: v for k, v in cell.items() if k != "seconds"} for cell in outcome.data["cells"]]  # type: ignore[attr-defined]
    return cells, outcome.data.get("contrasts"), outcome.data["findings"]
