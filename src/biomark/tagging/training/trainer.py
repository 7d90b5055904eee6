"""The trainer of tagging models: corpora → windows → network → the best epoch's weights.

A corpus contributes loss only for the types that it annotates. The trainer keeps the moving average of the weights, at
the epoch with the highest mean strict F1 (or lowest loss) over the development splits. Every epoch ends with a
checkpoint, from which a resumed run reaches the same weights as an uninterrupted one: all random choices depend only
on the seed and the epoch.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedConfig

from biomark.errors import ModelError, UsageError
from biomark.formats import Reject
from biomark.runtime.machine import multiplies_bf16
from biomark.tagging.guidelines import Guidelines
from biomark.tagging.recognizer import TOKENIZER, Batching, TaggingRecognizer
from biomark.tagging.text import Batch, Output, collate
from biomark.tagging.training.checks import check
from biomark.tagging.training.examples import (
    LENGTH_STEP,
    UNLABELLED,
    Examples,
    LabelledWindow,
    devel_name,
    guidelines_of,
)
from biomark.tagging.training.network import ADAPTER, Network, build_encoder, make_network, network_settings
from biomark.tagging.training.start import BEST, GUIDELINES, begin_with, recipe_of
from biomark.tagging.words import WordReader
from biomark.training.recipe import SCORES, TaggingRecipe
from biomark.training.runs import check_run, save_recipe, write
from biomark.training.scoring import Devel, mean_f1, read_devel, shown, strict_scores

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
LEFT_OUT = "left_out.json"  # the parts of each training split that were not learnt from
NO_CORPUS = -1  # the index of the corpus of lists of names, which follow no guideline
# The weight of the gate's loss, and the label smoothing in it.
GATE_WEIGHT, GATE_SMOOTHING = 0.1, 0.1
WORDS_STEP = 256  # the number of words of a batch is a multiple of it, for the reason that `LENGTH_STEP` has

# Precision, recall, F1 and loss on each development split, by its name.
SplitScores = Mapping[str, Mapping[str, float]]


def train(
    recipe: TaggingRecipe,
    folder: Path,
    *,
    reject: Reject,
    resume: bool = False,
    progress: Callable[[str], None] = log.info,
) -> Path:
    """Train a tagging model by a recipe.

    Args:
        recipe: the recipe of the model.
        folder: the folder of the run; it gets the checkpoints and the model.
        reject: is called with each part of the corpora that cannot be read.
        resume: continue from the checkpoint in `folder`.
        progress: is called with a line of text every few steps.

    Returns:
        The folder, with the best weights, the tokenizer, the recipe and the scores.

    Raises:
        UsageError: if the recipe is invalid, no corpus annotates one of its types, or there is nothing to resume.
    """
    check(recipe)
    started = any((folder / name).exists() for name in ((CHECKPOINT,) if resume else (CHECKPOINT, SCORES)))
    check_run(folder, recipe, resume=resume, checkpoint=CHECKPOINT, started=started)
    torch.manual_seed(recipe.seed)
    guidelines = guidelines_of(recipe)
    network, tokenizer = make_network(recipe, guidelines)
    if recipe.start:
        begin_with(network, recipe, tuple(guidelines), Path(recipe.start))
    config: PreTrainedConfig = network.encoder.config  # type: ignore[assignment]
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and recipe.max_pieces > positions:
        raise UsageError(f"recipe {recipe.name}: max_pieces is {recipe.max_pieces}, but the encoder reads {positions}")
    reader = WordReader(tokenizer, wording=recipe.wording if recipe.instruction else "")
    if recipe.masked_words and reader.mask is None:
        raise UsageError(f"recipe {recipe.name}: the tokenizer has no mask token; set masked_words = 0")
    examples = Examples(recipe, reader, reject, progress)
    devel = read_devel(recipe.devel, recipe.types, reject=reject)
    run = TrainingRun(recipe, network, reader, folder, progress, tuple(guidelines))
    if resume:
        run.load()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / TOKENIZER))
    config.save_pretrained(folder)
    if recipe.method != "full":
        network.encoder.peft_config["default"].save_pretrained(folder)  # type: ignore[union-attr,index]
    save_recipe(folder, recipe)
    if guidelines:
        write(folder / GUIDELINES, guidelines)
    if recipe.leave_out:
        write(folder / LEFT_OUT, {name: asdict(left_out) for name, left_out in examples.left_out.items()})
    while run.epoch < recipe.epochs:
        run.run_epoch(examples, devel)
    progress(f"the model is in {folder}")
    return folder


class TrainingRun:
    """One training run and its state: network, averaged weights, optimiser, epoch, scores."""

    def __init__(
        self,
        recipe: TaggingRecipe,
        network: Network,
        reader: WordReader,
        folder: Path,
        progress: Callable[[str], None],
        guidelines: Sequence[str] = (),
    ) -> None:
        self.recipe = recipe
        self.device = _device()
        self.network = network.to(self.device)
        self.average = {name: value.detach().clone() for name, value in network.tuned().items()}
        self.optimiser = torch.optim.AdamW(_groups(network, recipe), fused=True)
        self.peaks = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.reader = reader
        self.folder = folder
        self.progress = progress
        self.guidelines = {corpus: n for n, corpus in enumerate(guidelines)}
        self.epoch = 0
        self.step = 0
        self.scores: list[SplitScores] = []

    def run_epoch(self, examples: Examples, devel: Sequence[Devel]) -> None:
        """Train for an epoch, then score the development splits and write a checkpoint."""
        batches = examples.epoch(self.epoch)
        if self.recipe.method == "qlora":
            self.network.state_dict()  # this makes bitsandbytes unpack weights that it has packed for use on a CPU
        total = len(batches) * self.recipe.epochs  # the number differs a little from epoch to epoch
        torch.manual_seed(self.recipe.seed * 1000 + self.epoch)
        self.network.train()
        begin, pieces, losses = time.perf_counter(), 0, []
        for number, batch in enumerate(batches, 1):
            progress = self.epoch / self.recipe.epochs + number / total
            losses.append(self._step(batch, progress))
            pieces += sum(example.window.length for example in batch)
            if number % 100 == 0 or number == len(batches):
                rate = pieces / (time.perf_counter() - begin)
                loss = sum(losses[-100:]) / len(losses[-100:])
                self.progress(
                    f"epoch {self.epoch + 1}/{self.recipe.epochs} step {number}/{len(batches)} "
                    f"loss {loss:.4f} {rate:.0f} pieces/s"
                )
        self.epoch += 1
        self._score(devel)
        self._save()

    def _step(self, batch: Sequence[LabelledWindow], progress: float) -> float:
        warm = progress / self.recipe.warmup if self.recipe.warmup else 1.0
        share = min(warm, (1 - progress) / (1 - self.recipe.warmup))
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * max(share, 0.0)
        loss = self._loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.tuned().values(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(self.recipe.average, self.step / (self.step + 10))
        with torch.no_grad():
            for name, value in self.network.tuned().items():
                self.average[name].lerp_(value, 1 - decay)
        return float(loss.detach())

    def _loss(self, batch: Sequence[LabelledWindow]) -> Tensor:
        arrays, tags = self._arrays(batch)
        with _autocast(self.device, bf16=_in_bf16(self.recipe)):
            if not self.guidelines:
                logits, trust = self.network(*arrays), None
            else:
                places = [self.guidelines.get(example.corpus, NO_CORPUS) for example in batch]
                corpus = torch.tensor(places, device=self.device)
                logits, trust = self.network.guided(arrays, corpus)
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), tags.flatten(), ignore_index=UNLABELLED)
        if trust is not None and (corpus != NO_CORPUS).any():
            loss = loss + GATE_WEIGHT * nn.functional.cross_entropy(
                trust.float(), corpus, ignore_index=NO_CORPUS, label_smoothing=GATE_SMOOTHING
            )
        return loss

    def _arrays(self, batch: Sequence[LabelledWindow]) -> tuple[list[Tensor], Tensor]:
        """Return the network's input, with some words masked, and the tags (W, heads), padded to WORDS_STEP."""
        arrays = collate([example.window for example in batch], multiple=LENGTH_STEP)
        tags = np.concatenate([example.labels for example in batch])
        if self.recipe.masked_words and self.reader.mask is not None:
            masked = torch.rand(len(arrays.characters)).numpy() < self.recipe.masked_words
            masked[0] = False
            ids = np.where(masked[arrays.word_of_piece], self.reader.mask, arrays.input_ids)
            arrays = arrays._replace(input_ids=ids)
        more = -len(tags) % WORDS_STEP
        padded = arrays._replace(
            characters=np.pad(arrays.characters, ((0, more), (0, 0))),
            first_piece=np.pad(arrays.first_piece, (0, more)),
        )
        tags = np.pad(tags, ((0, more), (0, 0)), constant_values=UNLABELLED)
        return [torch.from_numpy(a).to(self.device) for a in padded], torch.from_numpy(tags).to(self.device)

    def _score(self, devel: Sequence[Devel]) -> None:
        kept = {name: value.detach().clone() for name, value in self.network.tuned().items()}
        self.network.set_tuned(self.average)
        scores: dict[str, dict[str, float]] = {}
        for split in devel:
            corpus = devel_name(self.recipe, split.name)
            recognizer = recognizer_of(
                self.network, self.reader, self.recipe, bf16=_in_bf16(self.recipe), corpus=corpus
            )
            scores |= strict_scores(recognizer, [split])
        losses = devel_losses(self.network, self.reader, self.recipe, devel)
        self.scores.append({name: {**score, "loss": losses[name]} for name, score in scores.items()})
        best = best_epoch(self.scores, self.recipe) == len(self.scores) - 1
        self.progress(
            f"epoch {self.epoch}: {shown(self.scores[-1])}  loss {mean_loss(self.scores[-1]):.4f}"
            f"{' (best)' if best else ''}"
        )
        if best:
            save_file({name: value.contiguous() for name, value in self.average.items()}, self.folder / BEST)
        write(self.folder / SCORES, self.scores)
        self.network.set_tuned(kept)

    def _save(self) -> None:
        state = {
            "network": self.network.tuned(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "scores": self.scores,
        }
        part = self.folder / (CHECKPOINT + ".part")
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def load(self) -> None:
        """Restore the state of the run from its checkpoint."""
        state = torch.load(self.folder / CHECKPOINT, map_location=self.device, weights_only=True)
        self.network.set_tuned(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step, self.scores = state["epoch"], state["step"], state["scores"]


def mean_loss(scores: SplitScores) -> float:
    """Return the mean over the development splits of the cross entropy per word and type."""
    return sum(score["loss"] for score in scores.values()) / len(scores)


def best_epoch(scores: Sequence[SplitScores], recipe: TaggingRecipe) -> int:
    """Return the epoch, counted from 0, whose weights are kept; of equally good ones the last."""
    value = mean_f1 if recipe.choose == "f1" else lambda epoch_scores: -mean_loss(epoch_scores)
    return max(range(len(scores)), key=lambda epoch: (value(scores[epoch]), epoch))


def devel_losses(
    network: Network, reader: WordReader, recipe: TaggingRecipe, devel: Sequence[Devel]
) -> dict[str, float]:
    """Return the mean cross entropy per word and type on each split, by the split's name, as in annotation."""
    network.eval()
    device = next(network.parameters()).device
    examples = Examples.of(devel, recipe, reader)
    losses = {}
    for split, batches in zip(devel, examples, strict=True):
        total, count = 0.0, 0
        for batch in batches:
            arrays = collate([example.window for example in batch])
            tags = torch.from_numpy(np.concatenate([example.labels for example in batch])).to(device)
            with torch.inference_mode(), _autocast(device, bf16=_in_bf16(recipe)):
                logits = network(*(torch.from_numpy(a).to(device) for a in arrays))
            loss = nn.functional.cross_entropy(
                logits.float().flatten(0, 1), tags.flatten(), ignore_index=UNLABELLED, reduction="sum"
            )
            total, count = total + float(loss), count + int((tags != UNLABELLED).sum())
        losses[split.name] = total / max(count, 1)
    return losses


def recognizer_of(
    network: Network, reader: WordReader, recipe: TaggingRecipe, *, bf16: bool = False, corpus: str = ""
) -> TaggingRecognizer:
    """Return a recognizer that runs the network in torch, on a GPU if there is one.

    Args:
        network: the network; it is moved to that device.
        reader: the word reader of its tokenizer.
        recipe: the recipe that the network was trained by.
        bf16: whether to multiply matrices in bfloat16; this is always done on a GPU and with weights in bfloat16.
        corpus: the corpus that the instructions name, one of `named_corpora`; empty: none.
    """
    device = _device()
    network.to(device).eval()
    bf16 = bf16 or device.type == "cuda" or recipe.weights == "bfloat16"

    guidelines = Guidelines(network.get_buffer("annotated").cpu().numpy()) if network.corpora else None

    def forward(batch: Batch) -> Output:
        arrays = [torch.from_numpy(a).to(device) for a in batch]
        with torch.inference_mode(), _autocast(device, bf16=bf16):
            if network.corpora:
                return Output(*(array.float().cpu().numpy() for array in network.by_guideline(*arrays)))
            return Output.of_one_guideline(network(*arrays).float().cpu().numpy(), batch)

    return TaggingRecognizer(
        reader.naming(corpus),
        forward,
        recipe.types,
        default_types=recipe.default_types,
        min_score=recipe.min_score,
        guidelines=guidelines,
        max_pieces=recipe.max_pieces,
        batching=Batching(2048),
    )


def load_trained(folder: Path, *, quantised: bool = True) -> tuple[Network, WordReader, TaggingRecipe]:
    """Load the network of a training run, with its word reader and recipe.

    Args:
        folder: the folder of the run, or one that `biomark models merge` wrote.
        quantised: whether to load the base model of `qlora` in 4 bits, as in training.

    Raises:
        ModelError: if a file or the base model of an adapter is missing.
        MissingExtraError: if the model needs a library that is not installed.
    """
    recipe = recipe_of(folder)
    if (folder / ADAPTER).is_file():
        try:
            network, _ = make_network(recipe if quantised else replace(recipe, method="lora"))
        except ModelError as error:
            raise ModelError(f"{folder}: its adapter needs the base model {recipe.encoder}: {error}") from error
    else:
        encoder, hidden = build_encoder(folder, dtype=getattr(torch, recipe.weights))
        guidelines = json.loads((folder / GUIDELINES).read_text("utf-8")) if recipe.corpus_heads else None
        network = Network(encoder, hidden, network_settings(recipe, guidelines))
    try:
        network.set_tuned(load_file(folder / BEST))
    except KeyError as error:
        raise ModelError(f"{folder / BEST}: lacks {error}") from error
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    return network.eval(), WordReader(tokenizer, wording=recipe.wording if recipe.instruction else ""), recipe


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _in_bf16(recipe: TaggingRecipe) -> bool:
    """Return whether training multiplies matrices in bfloat16."""
    return recipe.weights == "bfloat16" or multiplies_bf16()


def _autocast(device: torch.device, *, bf16: bool) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def _groups(network: Network, recipe: TaggingRecipe) -> list[dict[str, object]]:
    """Return the parameter groups of the optimiser, by learning rate and weight decay."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in network.tuned().items():
        groups.setdefault((name.startswith("encoder."), parameter.dim() > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.learning_rate if pretrained else recipe.head_learning_rate or recipe.learning_rate,
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (pretrained, decays), parameters in groups.items()
    ]
