"""Demonstrations → rows of tokens for a causal language model, several demonstrations a row."""

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

IGNORED = -100  # the label that cross entropy leaves out


@dataclass(frozen=True, slots=True)
class TokenisedDemonstration:
    """The tokens of a prompt and its answer; the loss is on those from `answer` on, the end token included."""

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
    """A demonstration as the model reads it, or why it cannot be used; nothing is cut.

    Args:
        demonstration: what to learn.
        vocabulary: the model's.
        form: one of `biomark.demonstrations.FORMS`.
        longest: tokens that an example may have.
        shape: of the answer; one of `biomark.demonstrations.TUNED`.
        entity_type: that the instruction asks for; marks are read without it.
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
    """The ids of an answer that reads back as it was meant; else what is wrong with it."""
    if shape == MARK.name:
        found = marks.decode(demonstration.output, demonstration.input, entity_type)
        if isinstance(found, Rejected):
            return found.reason
        return vocabulary.answer(demonstration.input, [entity.extent for entity in found])
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
    """Fill rows of at most `row_tokens`, the longest examples first, each into the fullest row that has room.

    Best fit decreasing; rows come in random order.
    """
    room: dict[int, list[list[TokenisedDemonstration]]] = {}  # rows by the tokens that are left in them
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
    """Arrays for a model of B rows and L tokens.

    Args:
        rows: what is read.
        pad: id of the tokens after a row's end.
        length: L; None: the longest row's.
        full_prompts: whether a prompt's tokens see all of their prompt; see `GenerativeRecipe.prompt_attention`.

    Returns:
        `input_ids` (B, L) int64; `labels` (B, L) int64: the token to say at each place, `IGNORED` outside
        answers; `position_ids` (B, L) int64, from 0 in each example; `attention_mask` (B, 1, L, L) bool:
        each token sees those before it in its own example, and itself, and see `full_prompts`.
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
