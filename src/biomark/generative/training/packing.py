"""Packing of demonstrations into rows of tokens for a causal language model, several demonstrations per row."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biomark import demonstrations, marks
from biomark.demonstrations import Demonstration
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.shapes import MARK, shape_named
from biomark.spans import Rejected

IGNORED = -100  # the label that cross entropy ignores


@dataclass(frozen=True, slots=True)
class TokenisedDemonstration:
    """The tokens of a prompt and its answer.

    Attributes:
        ids: the token ids of the prompt, the answer and the end token.
        answer: the index of the answer's first token; the loss is on the tokens from there on.
    """

    ids: tuple[int, ...]
    answer: int


def tokenise(
    demonstration: Demonstration,
    vocabulary: Vocabulary,
    *,
    form: str,
    longest: int,
    shape: str = MARK.name,
    entity_type: str = "",
) -> TokenisedDemonstration | Rejected:
    """Tokenise a demonstration as the model reads it; return a reject with the reason if that is impossible.

    Args:
        demonstration: the demonstration to tokenise; it is never truncated.
        vocabulary: the vocabulary of the model.
        form: the wording of the prompt, one of `biomark.demonstrations.FORMS`.
        longest: the greatest number of tokens of prompt and answer.
        shape: the shape of the answer, one of `biomark.demonstrations.TUNED`.
        entity_type: the type that the instruction asks for; the shape `mark` does not need it.
    """
    answer = _answer(demonstration, vocabulary, shape, entity_type)
    if isinstance(answer, str):
        return _rejected(demonstration, answer)
    prompt = vocabulary.prompt(demonstrations.prompt(demonstration.instruction, demonstration.input, form=form))
    ids = (*prompt, *answer, vocabulary.end)
    if len(ids) > longest:
        reason = f"prompt and answer have {len(ids)} tokens, more than the {longest} of a row"
        return _rejected(demonstration, reason)
    return TokenisedDemonstration(ids, len(prompt))


def _answer(demonstration: Demonstration, vocabulary: Vocabulary, shape: str, entity_type: str) -> Sequence[int] | str:
    """Return the ids of a demonstration's answer, or the reason why the answer cannot be decoded."""
    if shape == MARK.name:
        entities = marks.decode(demonstration.output, demonstration.input, entity_type)
        if isinstance(entities, Rejected):
            return entities.reason
        return vocabulary.answer(demonstration.input, [entity.extent for entity in entities])
    decoded = shape_named(shape).decode(demonstration.output, demonstration.input, (entity_type,))
    if not decoded.faithful or decoded.rejected:
        return "; ".join([rejected.reason for rejected in decoded.rejected] or [f"the answer is not of shape {shape}"])
    return vocabulary.answer(demonstration.output, ())


def _rejected(demonstration: Demonstration, reason: str) -> Rejected:
    return Rejected(
        reason, raw=demonstration.output, document_id=demonstration.document_id, window=demonstration.window
    )


def pack(
    examples: Iterable[TokenisedDemonstration], row_tokens: int, *, seed: int
) -> list[list[TokenisedDemonstration]]:
    """Pack examples into rows of at most `row_tokens` tokens, by best fit decreasing; rows are in random order."""
    room: dict[int, list[list[TokenisedDemonstration]]] = {}  # rows by their number of free tokens
    rows: list[list[TokenisedDemonstration]] = []
    shuffled = list(examples)
    random.Random(seed).shuffle(shuffled)
    for example in sorted(shuffled, key=lambda e: -len(e.ids)):
        left = next((n for n in range(len(example.ids), row_tokens) if room.get(n)), row_tokens)
        if left < row_tokens:
            row = room[left].pop()
        else:
            row = []
            rows.append(row)
        row.append(example)
        room.setdefault(left - len(example.ids), []).append(row)
    random.Random(seed).shuffle(rows)
    return rows


def collate(
    rows: Sequence[Sequence[TokenisedDemonstration]], pad: int, *, length: int | None = None, full_prompts: bool = False
) -> dict[str, Tensor]:
    """Return the input arrays of a model for B rows of L tokens.

    Args:
        rows: the rows, each of tokenised demonstrations.
        pad: the id of the tokens after the end of a row.
        length: L; None: the length of the longest row.
        full_prompts: whether a prompt's tokens attend to their whole prompt; see `GenerativeRecipe.prompt_attention`.

    Returns:
        `input_ids` (B, L) int64; `labels` (B, L) int64: the next token at each position, `IGNORED` outside
        answers; `position_ids` (B, L) int64, from 0 in each demonstration; `attention_mask` (B, 1, L, L) bool: each
        token attends to itself and the tokens before it in its own demonstration, and see `full_prompts`.
    """
    longest = length or max(sum(len(example.ids) for example in row) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), IGNORED)
    positions = torch.zeros((len(rows), longest), dtype=torch.int64)
    owner = torch.full((len(rows), longest), -1)
    prompt = torch.zeros((len(rows), longest), dtype=torch.bool)
    for b, row in enumerate(rows):
        at = 0
        for number, example in enumerate(row):
            end = at + len(example.ids)
            tokens = torch.tensor(example.ids)
            ids[b, at:end] = tokens
            positions[b, at:end] = torch.arange(len(example.ids))
            labels[b, at + example.answer - 1 : end - 1] = tokens[example.answer :]
            owner[b, at:end] = number
            prompt[b, at : at + example.answer] = full_prompts
            at = end
    causal = torch.ones(longest, longest, dtype=torch.bool).tril()
    mask = (owner[:, :, None] == owner[:, None, :]) & (causal | (prompt[:, :, None] & prompt[:, None, :]))
    return {"input_ids": ids, "labels": labels, "position_ids": positions, "attention_mask": mask[:, None]}
