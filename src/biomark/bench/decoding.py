"""Mark decoding beside other ways to get the same answers from the same model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from transformers import LogitsProcessorList, PreTrainedModel

from biomark import models
from biomark.bench import Contestant, machine, measure
from biomark.bench.engine import GrammarProcessor, tokenizer_of
from biomark.decoding.engine import Decoder
from biomark.decoding.vocabulary import Vocabulary
from biomark.recognizers import Recognizer
from biomark.recognizers.generative import Answering, FreeGeneration, GenerativeRecognizer, MarkDecoding, Window
from biomark.sentences import with_sentences
from biomark.spans import Document
from biomark.training.causal import load_trained

LOOKUP = 10  # tokens that `generate` drafts with prompt lookup; its documentation's value


class ConstrainedGeneration(FreeGeneration):
    """`generate` under a grammar of llguidance."""

    def __init__(self, model: PreTrainedModel, vocabulary: Vocabulary, *, full_prompts: bool = False) -> None:
        super().__init__(model, vocabulary, full_prompts=full_prompts)
        self._tokenizer = tokenizer_of(vocabulary, model.get_output_embeddings().out_features)

    def processors(self, windows: Sequence[Window], width: int) -> LogitsProcessorList:
        """The grammar of each window."""
        sources = [window.text for window in windows]
        return LogitsProcessorList([GrammarProcessor(self._vocabulary, self._tokenizer, sources, width)])


def decoding(
    documents: Sequence[Document],
    *,
    model: str = "nano",
    type: str = "disease",
    batches: Sequence[int] = (1, 16),
    limit: int = 0,
    rounds: int = 1,
) -> dict[str, object]:
    """Sentences per second, and tokens computed per sentence, of ways to ask one model about one type.

    (a) `generate`, greedy; (b) `generate` with prompt lookup (for batch size 1 alone, as transformers
    has it); (c) `generate` under a general grammar engine; (d) draft and verify with the source as draft;
    (e) the same with the default model's mentions as draft, whose time is counted.

    Args:
        documents: what to annotate, sentence by sentence.
        model: a generative model.
        type: of the mentions.
        batches: sentences asked at the same time.
        limit: how many sentences; 0: all.
        rounds: how often each runs; the best counts.
    """
    split = (with_sentences(document) for document in documents)
    texts = [sentence.of(document.text) for document in split for sentence in document.sentences]
    alone = [Document(str(n), text) for n, text in enumerate(texts[: limit or None])]
    network, vocabulary, recipe = load_trained(models.folder_of(model))
    full = recipe.prompt_attention == "full"
    ways: dict[str, tuple[Callable[[], Answering], Recognizer | None]] = {
        "a generate": (lambda: FreeGeneration(network, vocabulary, full_prompts=full), None),
        "b generate, prompt lookup": (
            lambda: FreeGeneration(network, vocabulary, full_prompts=full, lookup=LOOKUP),
            None,
        ),
        "c generate, llguidance": (lambda: ConstrainedGeneration(network, vocabulary, full_prompts=full), None),
        "d marks": (lambda: MarkDecoding(Decoder(network, vocabulary, full_prompts=full), vocabulary), None),
        "e marks, default model's draft": (
            lambda: MarkDecoding(Decoder(network, vocabulary, full_prompts=full), vocabulary),
            models.load(models.DEFAULT),
        ),
    }
    meter = Meter(network)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for batch in batches:
        rows: dict[str, dict[str, float]] = {}
        contestants = []
        for name, (make, drafter) in ways.items():
            if batch > 1 and name.startswith("b"):
                continue
            recognizer = GenerativeRecognizer(
                make(),
                vocabulary,
                [type],
                form=recipe.prompt,
                guidelines=recipe.guidelines,
                batch=batch,
                drafter=drafter,
            )
            rows[name] = {}
            contestants.append(_contestant(name, recognizer, alone, meter, rows[name]))
        for name, seconds in measure(contestants, rounds).items():
            rows[name] = {"sentences_per_second": round(len(alone) / seconds, 2), **rows[name]}
        fastest = rows[contestants[-1].name]["sentences_per_second"]
        for row in rows.values():
            row["e_is_faster"] = round(fastest / row["sentences_per_second"], 2)
        results[f"batch {batch}"] = rows
    return {
        "bench": "decoding",
        "model": model,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "dtype": str(network.dtype).removeprefix("torch."),
        "device": str(network.device),
        "sentences": len(alone),
        "rounds": rounds,
        **results,
        **machine("torch", "transformers", "llguidance", "onnxruntime"),
    }


class Meter:
    """Counts what a model computes: `passes`, and `tokens` of their inputs, padding included."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.counts: Counter[str] = Counter()
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, model: torch.nn.Module, args: tuple[object, ...], settings: dict[str, object]) -> None:
        ids = settings.get("input_ids", args[0] if args else None)
        self.counts += Counter(passes=1, tokens=ids.numel() if isinstance(ids, torch.Tensor) else 0)


def _contestant(
    name: str, recognizer: GenerativeRecognizer, documents: Sequence[Document], meter: Meter, row: dict[str, float]
) -> Contestant:
    def run() -> None:
        meter.counts.clear()
        recognizer.answering.counts.clear()
        for _ in recognizer.annotate(documents):
            pass
        own, answers = recognizer.answering.counts, len(documents)
        row["passes"] = round(meter.counts["passes"] / answers, 2)
        row["tokens"] = round(meter.counts["tokens"] / answers, 1)
        row["least_tokens"] = round(own["least"] / answers, 1)
        row["times_least"] = round(own["tokens"] / max(own["least"], 1), 2)
        row["unfaithful"] = own["unfaithful"]

    return Contestant(name, run)
