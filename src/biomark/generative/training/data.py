"""The demonstrations that a recipe names, tokenised and packed, and the development splits."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from biomark import demonstrations, formats
from biomark.demonstrations import Demonstration
from biomark.errors import UsageError
from biomark.formats import Reject
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.generative.training.packing import TokenisedDemonstration, pack, tokenise
from biomark.shapes import MARK
from biomark.spans import Rejected
from biomark.training.recipe import GenerativeRecipe
from biomark.training.scoring import Devel, read_devel


@dataclass(frozen=True, slots=True)
class Data:
    """The training and development data of a run.

    Attributes:
        train: the number of demonstrations and their sha256, by the name in the recipe's `train`.
        examples: the tokenised demonstrations that are used, in random order.
        rows: the same demonstrations packed into rows.
        devel: the development splits on which checkpoints are scored.
    """

    train: Mapping[str, Mapping[str, object]]
    examples: Sequence[TokenisedDemonstration]
    rows: Sequence[list[TokenisedDemonstration]]
    devel: Sequence[Devel]

    @property
    def tokens(self) -> int:
        """The number of tokens of all examples."""
        return sum(len(example.ids) for example in self.examples)


def read_data(recipe: GenerativeRecipe, vocabulary: Vocabulary, reject: Reject) -> Data:
    """Read the data that a recipe names, and pack its demonstrations.

    Args:
        recipe: the recipe of the run.
        vocabulary: the vocabulary of the model.
        reject: is called with each part of the data that cannot be used.

    Raises:
        UsageError: if no demonstration is left to learn from, or a development split has none of the types.
    """
    devel = read_devel(
        recipe.devel,
        recipe.types,
        sentences=recipe.devel_sentences,
        seed=recipe.seed,
        split_by=recipe.sentences,
        reject=reject,
    )
    by_name = {name: list(read_demonstrations(name, recipe, reject)) for name in recipe.train}
    instructions = {demonstrations.instruction(entity_type, recipe.style): entity_type for entity_type in recipe.types}
    for name, own in by_name.items():
        _check_instructions(name, own, instructions, recipe, reject)
    examples: list[TokenisedDemonstration] = []
    for demonstration in chosen((d for own in by_name.values() for d in own), recipe):
        example = tokenise(
            demonstration,
            vocabulary,
            form=recipe.prompt,
            longest=recipe.row_tokens,
            shape=recipe.shape,
            entity_type=instructions.get(demonstration.instruction, ""),
        )
        if isinstance(example, Rejected):
            reject(example)
        else:
            examples.append(example)
    if not examples:
        raise UsageError(f"recipe {recipe.name}: train has no usable demonstration; see the rejects for the reasons")
    rows = pack(examples, recipe.row_tokens, seed=recipe.seed) if recipe.packing else [[e] for e in examples]
    train = {name: {"demonstrations": len(own), "sha256": digest_of(own)} for name, own in by_name.items()}
    return Data(train, examples, rows, devel)


def read_demonstrations(name: str, recipe: GenerativeRecipe, reject: Reject) -> Iterator[Demonstration]:
    """Read the demonstrations of one name in a recipe's `train`: a corpus, or a file of demonstrations.

    Raises:
        UsageError: if the recipe takes a share of a file of demonstrations.
    """
    if is_demonstrations(name):
        if name in recipe.shares:
            raise UsageError(f"recipe {recipe.name}: shares is for corpora; {name} is a file of demonstrations")
        return demonstrations.read(Path(name))
    share = recipe.shares.get(name.partition(":")[0], 1.0)
    types = recipe.types or None
    return demonstrations.from_corpora([name], types, recipe.style, fraction=share, seed=recipe.seed, reject=reject)


def _check_instructions(
    name: str,
    read: Sequence[Demonstration],
    instructions: Mapping[str, str],
    recipe: GenerativeRecipe,
    reject: Reject,
) -> None:
    """Report demonstrations of a file whose instruction differs from those that the model gets when it annotates.

    Raises:
        UsageError: if the shape of the answers can only be decoded with a known type.
    """
    others = [demonstration for demonstration in read if demonstration.instruction not in instructions]
    if not others or (recipe.shape == MARK.name and not instructions):
        return
    reason = (
        f"{len(others)} demonstrations have an instruction that differs from the recipe's, such as "
        f"{others[0].instruction!r}; types, prompt, shape, guidelines and guideline_text make the recipe's instructions"
    )
    if recipe.shape != MARK.name:
        raise UsageError(f"recipe {recipe.name}: {name}: {reason}")
    reject(Rejected(f"{reason}; they are learnt, but annotation uses the recipe's instructions", source=name))


def is_demonstrations(name: str) -> bool:
    """Return whether a name is a file of demonstrations rather than of documents, which may be JSON as well."""
    if not name.endswith((".json", ".jsonl", ".json.gz", ".jsonl.gz")) or not Path(name).is_file():
        return False
    return re.match(rb'\s*\[?\s*\{\s*"instruction"\s*:', formats.Source(Path(name)).head()) is not None


def chosen(demonstrations: Iterable[Demonstration], recipe: GenerativeRecipe) -> list[Demonstration]:
    """Choose demonstrations with and without mentions at random, in random order, as many as the recipe sets."""
    shuffled = list(demonstrations)
    random.Random(recipe.seed).shuffle(shuffled)
    empty = [number for number, d in enumerate(shuffled) if d.empty]
    dropped = set(empty[round(recipe.without_mentions * len(empty)) :])
    return [d for number, d in enumerate(shuffled) if number not in dropped][: recipe.examples or None]


def digest_of(demonstrations: Iterable[Demonstration]) -> str:
    """Return the SHA-256 of demonstrations in their order, in hexadecimal."""
    digest = hashlib.sha256()
    for d in demonstrations:
        digest.update(json.dumps([d.instruction, d.input, d.output], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
