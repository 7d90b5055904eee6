"""The trainer of tagging models: corpora → windows → network → the best epoch's weights.

A corpus gives loss only to the heads of the types that it annotates. What is kept is the moving
average of the weights, at the epoch whose mean strict F1 over the development splits is highest.
Every epoch ends in a checkpoint, from which `resume` continues as if nothing had happened: all
that is random depends on the seed and the epoch alone.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from biomark import corpora
from biomark.errors import ModelError, UsageError
from biomark.formats import Reject
from biomark.recognizers.tagging import TOKENIZER, TaggingRecognizer
from biomark.sentences import with_sentences
from biomark.spans import Document, whole_text
from biomark.tagging import Batch, Floats, Ints, Window, WordReader, Words, collate, encode_tags, sentence_ends, windows
from biomark.training.network import CONFIG, Network, Shape, build_encoder, load_encoder
from biomark.training.recipe import RECIPE, SCORES, TaggingRecipe, check_splits, recipe_from
from biomark.training.runs import check_run, save_recipe
from biomark.training.scoring import Devel, mean_f1, read_devel, shown, strict_scores

log = logging.getLogger(__name__)

CHECKPOINT, BEST = "checkpoint.pt", "model.safetensors"
UNLABELLED = -100  # what cross entropy leaves out
# Batches come in few shapes, because the CPU's matrix library prepares itself anew for each one.
LENGTH_STEP, WORDS_STEP = 8, 256
# Shares of `max_pieces` that a document's windows may have in an epoch; 0: every sentence alone.
WINDOW_SHARES = (0.0, 0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Passage:
    """What training needs of one passage: words, where sentences end, and (W, N) tags or UNLABELLED."""

    words: Words
    ends: tuple[int, ...]
    tags: Ints


def train(
    recipe: TaggingRecipe,
    folder: Path,
    *,
    reject: Reject,
    resume: bool = False,
    progress: Callable[[str], None] = log.info,
) -> Path:
    """Train by a recipe.

    Args:
        recipe: what to do.
        folder: of the run; checkpoints and the model are kept there.
        reject: is called with what cannot be read in the corpora.
        resume: go on from the checkpoint in `folder`.
        progress: is called with a line about every so many steps.

    Returns:
        The folder, with the best weights, the tokenizer, the recipe and the scores.

    Raises:
        UsageError: if a head has no corpus to learn from, or there is nothing to resume.
    """
    _check(recipe)
    check_run(folder, recipe, resume=resume, checkpoint=CHECKPOINT, there=(folder / CHECKPOINT).exists())
    torch.manual_seed(recipe.seed)
    encoder, hidden, tokenizer = load_encoder(recipe.encoder)
    positions = getattr(encoder.config, "max_position_embeddings", None)
    if isinstance(positions, int) and recipe.max_pieces > positions:
        raise UsageError(f"recipe {recipe.name}: max_pieces is {recipe.max_pieces}, but the encoder reads {positions}")
    run = Run(recipe, Network(encoder, hidden, shape_of(recipe)), WordReader(tokenizer), folder, progress)
    run.prepare(reject)
    if resume:
        run.load()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / TOKENIZER))
    encoder.config.save_pretrained(folder)  # type: ignore[operator,union-attr]
    save_recipe(folder, recipe)
    while run.epoch < recipe.epochs:
        run.run_epoch()
    progress(
        f"the model is in {folder}; use it with --model {folder}, or make it small: biomark export {folder} -o FOLDER"
    )
    return folder


def _check(recipe: TaggingRecipe) -> None:
    check_splits(recipe)
    learnt = {type for name in recipe.train for type in corpora.annotated_types(name)}
    if orphans := [type for type in recipe.types if type not in learnt]:
        raise UsageError(f"recipe {recipe.name}: no corpus in train annotates {', '.join(orphans)}")
    for setting in ("epochs", "batch_pieces", "max_pieces"):
        if getattr(recipe, setting) < 1:
            raise UsageError(f"recipe {recipe.name}: {setting} must be at least 1")


class Run:
    """One training run and its state: network, averaged weights, optimiser, epoch, scores."""

    def __init__(
        self, recipe: TaggingRecipe, network: Network, reader: WordReader, folder: Path, progress: Callable[[str], None]
    ) -> None:
        self.recipe = recipe
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device)
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(_groups(network, recipe), fused=True)
        self.peaks = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.reader = reader
        self.folder = folder
        self.progress = progress
        self.epoch = 0
        self.step = 0
        self.scores: list[dict[str, dict[str, float]]] = []
        self.passages: list[list[Passage]] = []
        self.devel: list[Devel] = []

    def prepare(self, reject: Reject) -> None:
        """Read the corpora."""
        for name in self.recipe.train:
            known = [type in corpora.annotated_types(name) for type in self.recipe.types]
            for document in corpora.read_split(name, reject=reject):
                self.passages.append(self._passages(document, known))
        self.devel = read_devel(self.recipe.devel, self.recipe.types, reject=reject)

    def _passages(self, document: Document, known: Sequence[bool]) -> list[Passage]:
        document = with_sentences(document)
        parts = whole_text(document)
        out = []
        for part, words in zip(parts, self.reader.words(document.text, parts), strict=True):
            tags = np.full((len(words), len(self.recipe.types)), UNLABELLED, dtype=np.int64)
            for n, type in enumerate(self.recipe.types):
                if known[n]:
                    inside = [e for e in document.entities if e.type == type and part.contains(e.extent)]
                    tags[:, n] = encode_tags(inside, words)
            if len(words):
                out.append(Passage(words, tuple(sentence_ends(document, part, words)), tags))
        return out

    def batches(self, epoch: int) -> list[list[tuple[Window, Ints]]]:
        """An epoch's batches: windows of random sizes, of like length together, in random order."""
        chance = random.Random(self.recipe.seed * 1000 + epoch)
        examples: list[tuple[Window, Ints]] = []
        for document in self.passages:
            share = chance.choice(WINDOW_SHARES)
            for passage in document:
                found = windows(passage.words, passage.ends, self.recipe.max_pieces, share=share)
                examples += [(window, passage.tags) for window in found]
        chance.shuffle(examples)
        by_length: dict[int, list[tuple[Window, Ints]]] = {}
        for example in examples:
            by_length.setdefault(-(-example[0].length // LENGTH_STEP), []).append(example)
        batches = []
        for steps, alike in by_length.items():
            size = max(self.recipe.batch_pieces // (steps * LENGTH_STEP), 1)
            batches += [alike[n : n + size] for n in range(0, len(alike), size)]
        chance.shuffle(batches)
        return batches

    def run_epoch(self) -> None:
        """One pass over the training data, then scores and a checkpoint."""
        batches = self.batches(self.epoch)
        total = len(batches) * self.recipe.epochs  # the number differs a little from epoch to epoch
        torch.manual_seed(self.recipe.seed * 1000 + self.epoch)
        self.network.train()
        begin, pieces, losses = time.perf_counter(), 0, []
        for number, batch in enumerate(batches, 1):
            progress = self.epoch / self.recipe.epochs + number / total
            losses.append(self._step(batch, progress))
            pieces += sum(window.length for window, _ in batch)
            if number % 100 == 0 or number == len(batches):
                rate = pieces / (time.perf_counter() - begin)
                loss = sum(losses[-100:]) / len(losses[-100:])
                self.progress(
                    f"epoch {self.epoch + 1}/{self.recipe.epochs} step {number}/{len(batches)} "
                    f"loss {loss:.4f} {rate:.0f} pieces/s"
                )
        self.epoch += 1
        self._score()
        self._save()

    def _step(self, batch: list[tuple[Window, Ints]], progress: float) -> float:
        share = min(progress / self.recipe.warmup, (1 - progress) / (1 - self.recipe.warmup))
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * max(share, 0.0)
        arrays, tags = self._arrays(batch)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.network(*arrays)
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), tags.flatten(), ignore_index=UNLABELLED)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(self.recipe.average, self.step / (self.step + 10))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - decay)
        return float(loss.detach())

    def _arrays(self, batch: list[tuple[Window, Ints]]) -> tuple[list[Tensor], Tensor]:
        """What the network reads, some words hidden, and the (W, N) tags; words padded to a multiple."""
        read = collate([window for window, _ in batch], self.reader, multiple=LENGTH_STEP)
        tags = np.concatenate([tags[window.start : window.end] for window, tags in batch])
        hidden = torch.rand(len(read.characters)).numpy() < self.recipe.masked_words
        hidden[0] = False
        read = read._replace(input_ids=np.where(hidden[read.word_of_piece], self.reader.mask, read.input_ids))
        more = -len(tags) % WORDS_STEP
        padded = read._replace(
            characters=np.pad(read.characters, ((0, more), (0, 0))), first_piece=np.pad(read.first_piece, (0, more))
        )
        tags = np.pad(tags, ((0, more), (0, 0)), constant_values=UNLABELLED)
        return [torch.from_numpy(a).to(self.device) for a in padded], torch.from_numpy(tags).to(self.device)

    def _score(self) -> None:
        kept = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        recognizer = recognizer_of(self.network, self.reader, self.recipe, bf16=True)
        self.scores.append(strict_scores(recognizer, self.devel))
        best = mean_f1(self.scores[-1]) >= max(map(mean_f1, self.scores))
        self.progress(f"epoch {self.epoch}: {shown(self.scores[-1])}{' (best)' if best else ''}")
        if best:
            save_file({name: value.contiguous() for name, value in self.average.items()}, self.folder / BEST)
        (self.folder / SCORES).write_text(json.dumps(self.scores, indent=1), "utf-8")
        self.network.load_state_dict(kept)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
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
        """Take up the run where its checkpoint left it."""
        state = torch.load(self.folder / CHECKPOINT, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step, self.scores = state["epoch"], state["step"], state["scores"]


def recognizer_of(
    network: Network, reader: WordReader, recipe: TaggingRecipe, *, bf16: bool = False
) -> TaggingRecognizer:
    """A recognizer that runs the network in torch, in 32 bits or, several times faster, in bfloat16."""
    network.eval()
    device = next(network.parameters()).device

    def forward(batch: Batch) -> Floats:
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            result: Floats = network(*(torch.from_numpy(a).to(device) for a in batch)).float().cpu().numpy()
        return result

    return TaggingRecognizer(
        reader,
        forward,
        recipe.types,
        min_score=recipe.min_score,
        max_pieces=recipe.max_pieces,
        batch_pieces=2048,
    )


def load_trained(folder: Path) -> tuple[Network, WordReader, TaggingRecipe]:
    """The network of a run's folder, with its reader and recipe.

    Raises:
        ModelError: if a file is missing.
    """
    for name in (BEST, RECIPE, TOKENIZER, CONFIG):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: {name} is missing; is this the folder of a training run?")
    recipe = recipe_from(json.loads((folder / RECIPE).read_text("utf-8")))
    if not isinstance(recipe, TaggingRecipe):
        raise ModelError(f"{folder}: is a generative model, not a tagging one")
    encoder, hidden = build_encoder(folder)
    network = Network(encoder, hidden, shape_of(recipe))
    network.load_state_dict(load_file(folder / BEST))
    return network.eval(), WordReader(Tokenizer.from_file(str(folder / TOKENIZER))), recipe


def shape_of(recipe: TaggingRecipe) -> Shape:
    """What a recipe says of the network beside its encoder."""
    return Shape(len(recipe.types), recipe.character_size, recipe.character_filters, recipe.dropout)


def _groups(network: Network, recipe: TaggingRecipe) -> list[dict[str, object]]:
    """Parameters by learning rate and by whether their weights decay."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault((name.startswith("encoder."), parameter.dim() > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.learning_rate if pretrained else recipe.head_learning_rate,
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (pretrained, decays), parameters in groups.items()
    ]
