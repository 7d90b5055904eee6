"""A benchmark of mark decoding against other ways to get the same answers from the same model."""

from __future__ import annotations

import operator
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

from biomark import demonstrations, models
from biomark.errors import UsageError
from biomark.generative.answering import Answering, FreeGeneration, MarkDecoding, WindowPrompt
from biomark.generative.decoding.engine import Decoder
from biomark.generative.decoding.grammar import Grammar
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.generative.recognizer import GenerativeRecognizer
from biomark.generative.training.model import load_trained
from biomark.lab.bench import Contestant, machine, measure
from biomark.lab.bench.engine import GrammarProcessor, tokenizer_of
from biomark.lab.bench.llama import LlamaGeneration, serving
from biomark.lab.bench.shapes import random_llama
from biomark.recognizers import Annotated, Recognizer
from biomark.shapes import MARK
from biomark.spans import Document, Entity, Span
from biomark.text.sentences import with_sentences

LOOKUP = 10  # the number of tokens that `generate` drafts with prompt lookup; the value in its documentation
DISAGREE = 0.1  # the share of mentions that the drafter of a scripted model misses

GREEDY, OURS = "a generate", "e marks, drafter"
_ALONE = "bf"  # the ways that compute one sentence at a time

Script = Mapping[str, tuple[int, ...]]
"""The token ids of the answer to each source text, including the end token."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The model of the benchmark, and its drafter.

    Attributes:
        model: a causal language model.
        vocabulary: the vocabulary of the model.
        style: the style of its prompts and answers.
        full_prompts: whether it attends to its whole prompt.
        drafter: proposes mentions.
        script: the answers that a model with random weights is forced to give; empty for a trained model.
    """

    model: PreTrainedModel
    vocabulary: Vocabulary
    style: demonstrations.Style
    full_prompts: bool
    drafter: Recognizer
    script: Script


def decoding(
    documents: Sequence[Document],
    *,
    model: str = "nano",
    shape: str = "",
    entity_type: str = "disease",
    batches: Sequence[int] = (1, 16),
    limit: int = 0,
    rounds: int = 1,
    gguf: Path | None = None,
) -> dict[str, object]:
    """Measure sentences per second and computed tokens per sentence of several ways to decode with one model.

    (a) `generate`, greedy; (b) `generate` with prompt lookup (only with batch size 1, which transformers supports);
    (c) `generate` with a general grammar engine; (d) draft and verify with the source as draft; (e) the same with a
    drafter: the default model, whose time is counted; (f) with `gguf`, llama.cpp, greedy, sentence by sentence.

    With `shape`, the model is a Llama of that shape with random weights. It computes as much as a trained one and is
    forced to give the gold answer, so that marks are as frequent as in the corpus; its drafter has nine of ten
    mentions and takes no time.

    Args:
        documents: the documents to annotate, sentence by sentence; with `shape`, they need gold mentions.
        model: the name or folder of a generative model.
        shape: one of `biomark.lab.bench.shapes.SHAPES`; empty: `model` is used.
        entity_type: the type of the mentions.
        batches: the batch sizes, in sentences.
        limit: the number of sentences; 0: all.
        rounds: the number of rounds, of which the best counts.
        gguf: a file with the same model for llama.cpp; None: without llama.cpp.

    Returns:
        For each batch size and each way: sentences a second, how many times (e) is faster, passes and tokens a sentence
        (llama.cpp does not count its passes), unfaithful answers, and the sentences with the same mentions as (a) has.

    Raises:
        UsageError: if the model does not answer with marks, the shape is unknown, or llama.cpp cannot be used; see
            `biomark.lab.bench.llama.serving`.
    """
    if shape and gguf:
        raise UsageError("llama.cpp needs a trained model; leave out shape or gguf")
    alone = _sentences(documents)[: limit or None]
    subject = _scripted(shape, alone, entity_type) if shape else _trained(model)
    with serving(gguf, torch.get_num_threads()) if gguf else nullcontext() as address:
        results = _results(subject, alone, entity_type, batches, rounds, address)
    return {
        "bench": "decoding",
        "model": shape or model,
        "parameters": sum(weight.numel() for weight in subject.model.parameters()),
        "dtype": str(subject.model.dtype).removeprefix("torch."),
        "device": torch.cuda.get_device_name() if subject.model.device.type == "cuda" else "cpu",
        "sentences": len(alone),
        "rounds": rounds,
        **({"gguf": gguf.name} if gguf else {}),
        **results,
        **machine("torch", "transformers", "llguidance", "onnxruntime", *(["xllamacpp"] if gguf else [])),
    }


def _results(
    subject: Subject,
    alone: Sequence[Document],
    entity_type: str,
    batches: Sequence[int],
    rounds: int,
    address: str | None,
) -> dict[str, dict[str, dict[str, float]]]:
    meter = Meter(subject.model)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for batch in batches:
        rows: dict[str, dict[str, float]] = {}
        contestants = []
        mentions: dict[str, list[tuple[Entity, ...]]] = {}
        for name, (answering, drafter) in _ways(subject, address).items():
            if batch > 1 and name[0] in _ALONE:
                continue
            recognizer = GenerativeRecognizer(
                answering,
                subject.vocabulary,
                [entity_type],
                style=subject.style,
                batch=batch,
                drafter=drafter,
            )
            rows[name] = {}
            mentions[name] = []
            contestants.append(_contestant(name, recognizer, alone, meter, rows[name], mentions[name]))
        for name, seconds in measure(contestants, rounds).items():
            rows[name] = {"sentences_per_second": round(len(alone) / seconds, 2), **rows[name]}
        for name, row in rows.items():
            row["e_is_faster"] = round(rows[OURS]["sentences_per_second"] / row["sentences_per_second"], 2)
            row["as_a"] = sum(map(operator.eq, mentions[name], mentions[GREEDY]))
        results[f"batch {batch}"] = rows
    return results


def _sentences(documents: Iterable[Document]) -> list[Document]:
    """Return every sentence as a document, with the mentions inside it."""
    sentences = []
    for document in map(with_sentences, documents):
        for number, span in enumerate(document.sentences):
            inside = tuple(e.shift(-span.start) for e in document.entities if span.contains(e.extent))
            sentences.append(Document(f"{document.id} {number}", span.of(document.text), entities=inside))
    return sentences


def _trained(name: str) -> Subject:
    model, vocabulary, recipe = load_trained(models.folder_of(name))
    if recipe.shape != MARK.name:
        raise UsageError(f"{name}: answers in the shape {recipe.shape}; name a model with the shape {MARK.name}")
    full = recipe.prompt_attention == "full"
    return Subject(model, vocabulary, recipe.style, full, models.load(models.DEFAULT), {})


def _scripted(shape: str, documents: Sequence[Document], entity_type: str) -> Subject:
    instruction = demonstrations.instruction(entity_type)
    prompts = [demonstrations.prompt(instruction, document.text) for document in documents]
    model, vocabulary = random_llama(shape, prompts)
    script = {}
    for document in documents:
        grammar = Grammar(document.text, vocabulary, whole_words=True)
        gold = sorted({entity.extent for entity in document.entities if entity.type == entity_type})
        script[document.text] = tuple(grammar.draft(grammar.start, _apart(gold)))
    return Subject(model, vocabulary, demonstrations.Style(), False, Forgetful(documents), script)


def _apart(spans: Iterable[Span]) -> list[Span]:
    disjoint: list[Span] = []
    for span in spans:
        if not disjoint or span.start >= disjoint[-1].end:
            disjoint.append(span)
    return disjoint


def _ways(subject: Subject, address: str | None) -> dict[str, tuple[Answering, Recognizer | None]]:
    model, vocabulary = subject.model, subject.vocabulary
    settings: dict[str, Any] = {"full_prompts": subject.full_prompts, "script": subject.script}
    ways: dict[str, tuple[Answering, Recognizer | None]] = {
        GREEDY: (Generation(model, vocabulary, **settings), None),
        "b generate, prompt lookup": (Generation(model, vocabulary, lookup=LOOKUP, **settings), None),
        "c generate, llguidance": (Generation(model, vocabulary, constrained=True, **settings), None),
        "d marks": (MarkDecoding(ScriptedDecoder(model, vocabulary, **settings), vocabulary), None),
        OURS: (MarkDecoding(ScriptedDecoder(model, vocabulary, **settings), vocabulary), subject.drafter),
    }
    if address is not None:
        ways["f llama.cpp"] = (LlamaGeneration(address, model, vocabulary), None)
    return ways


class Forgetful:
    """A drafter that returns the gold mentions, except for a random share of them."""

    def __init__(self, documents: Sequence[Document]) -> None:
        chance = random.Random(1)
        self._known = {
            document.id: tuple(e for e in document.entities if chance.random() >= DISAGREE) for document in documents
        }

    @property
    def types(self) -> None:
        """See `Recognizer`."""
        return

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `Recognizer`."""
        for document in documents:
            yield Annotated(replace(document, entities=self._known[document.id]))


class Generation(FreeGeneration):
    """`generate` with or without a grammar of llguidance; with a script it is forced to give the script's answers."""

    def __init__(
        self,
        model: PreTrainedModel,
        vocabulary: Vocabulary,
        *,
        full_prompts: bool,
        script: Script,
        lookup: int = 0,
        constrained: bool = False,
    ) -> None:
        super().__init__(model, vocabulary, full_prompts=full_prompts, lookup=lookup)
        self._script = script
        rows = len(model.get_output_embeddings().weight)  # type: ignore[no-untyped-call]
        self._engine = tokenizer_of(vocabulary, rows) if constrained else None

    def processors(self, windows: Sequence[WindowPrompt], width: int) -> LogitsProcessorList:
        """Return the processors for the grammar and the script of each window."""
        processors = LogitsProcessorList()
        if self._engine is not None:
            sources = [window.text for window in windows]
            processors.append(GrammarProcessor(self._vocabulary, self._engine, sources, width))
        if self._script:
            processors.append(ScriptProcessor([self._script[window.text] for window in windows], width))
        return processors


class ScriptProcessor(LogitsProcessor):
    """A processor that permits only the next token of each row's script."""

    def __init__(self, answers: Sequence[tuple[int, ...]], width: int) -> None:
        self._answers = answers
        self._width = width

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See `transformers.LogitsProcessor`."""
        step = input_ids.shape[1] - self._width
        forced = torch.full_like(scores, float("-inf"))
        for row, answer in enumerate(self._answers):
            forced[row, answer[min(step, len(answer) - 1)]] = 0
        return forced


class ScriptedDecoder(Decoder):
    """A decoder that makes all computations and then, if there is a script, chooses the script's tokens."""

    def __init__(self, model: PreTrainedModel, vocabulary: Vocabulary, *, full_prompts: bool, script: Script) -> None:
        super().__init__(model, vocabulary, full_prompts=full_prompts)
        self._script = script

    def _choose(self, asked: Sequence[Any]) -> Any:
        choices = super()._choose(asked)
        if self._script:
            at = 0
            for row, look in asked:
                answer = self._script[row.question.grammar.source]
                for n, ids in enumerate(look.allowed):
                    if len(ids) > 1:
                        place = len(row.tokens) + n
                        wanted = answer[place] if place < len(answer) else ids[0]
                        choices.tokens[at] = wanted if wanted in ids else ids[0]
                        at += 1
        return choices


class Meter:
    """A counter of a model's `passes` and of the `tokens` of their inputs, including padding."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.counts: Counter[str] = Counter()
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, model: nn.Module, args: tuple[object, ...], settings: dict[str, object]) -> None:
        ids = settings.get("input_ids", args[0] if args else None)
        self.counts += Counter(passes=1, tokens=ids.numel() if isinstance(ids, Tensor) else 0)


def _bare(entities: Sequence[Entity]) -> tuple[Entity, ...]:
    """Return mentions without scores, which the ways compute differently."""
    return tuple(replace(entity, score=None) for entity in entities)


def _contestant(
    name: str,
    recognizer: GenerativeRecognizer,
    documents: Sequence[Document],
    meter: Meter,
    row: dict[str, float],
    mentions: list[tuple[Entity, ...]],
) -> Contestant:
    def run() -> None:
        meter.counts.clear()
        recognizer.answering.counts.clear()
        mentions[:] = [_bare(annotated.document.entities) for annotated in recognizer.annotate(documents)]
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        own, answers = recognizer.answering.counts, len(documents)
        row["passes"] = round(meter.counts["passes"] / answers, 2)
        row["tokens"] = round(meter.counts["tokens"] / answers, 1)
        row["least_tokens"] = round(own["least"] / answers, 1)
        row["tokens_of_least"] = round(own["tokens"] / max(own["least"], 1), 2)
        row["unfaithful"] = own["unfaithful"]

    return Contestant(name, run)
