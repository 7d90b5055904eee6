"""A trial of a model when it is loaded: whether it reads drafts as mark decoding needs it."""

from __future__ import annotations

import logging

import torch
from torch import Tensor
from transformers import PreTrainedModel

from biomark.errors import ModelError
from biomark.generative.decoding.head import Head
from biomark.generative.decoding.passes import Feed, Passes
from biomark.generative.decoding.vocabulary import Vocabulary

log = logging.getLogger(__name__)

# How far a model's two ways to compute the same may lie apart, relative to the largest logit.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-2}
_ROUGH = 1e-1


def probe(passes: Passes, head: Head, vocabulary: Vocabulary) -> None:
    """Compare the logits of drafts, and of chosen rows of the head, with those of one plain pass.

    Where the head is more than its matrix, `head.whole` is set.

    Args:
        passes: the passes of the model.
        head: the head of the model.
        vocabulary: the vocabulary of the model.

    Raises:
        ModelError: if the model has fewer tokens than its vocabulary, or cannot read drafts.
    """
    size, spread = vocabulary.size, max(1, vocabulary.size // 7)
    known = int(passes.model.config.get_text_config().vocab_size)
    if known < size:
        raise ModelError(
            f"the model has {known} tokens, but its vocabulary has {size}; use the tokenizer that belongs to the model"
        )
    ids = [n * spread % size for n in range(1, 9)]
    try:
        plain, drafted = _read_plainly(passes.model, ids), _read_in_pieces(passes, ids, size)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise ModelError(f"the model cannot read drafts: {error}; decode with `generate`") from error
    tolerance = _TOLERANCE.get(passes.model.dtype, _ROUGH) * float(plain.abs().max())
    if any(not _near(logits, plain, tolerance) for logits in drafted):
        raise ModelError("the model is not causal, or ignores position_ids or attention_mask; decode with `generate`")
    candidates = torch.arange(0, size, max(1, size // 64))
    rows = head.read(
        lambda: passes.run([Feed(0, 0, ids)]),
        torch.tensor([len(ids) - 1]),
        torch.zeros_like(candidates),
        candidates,
    )
    if not _near(rows, plain[candidates.to(plain.device)], tolerance):
        log.warning("the model's output head is not a single matrix, so all its logits are computed, which is slower")
        head.whole = True


def _read_plainly(model: PreTrainedModel, ids: list[int]) -> Tensor:
    """Return the logits (V,) after some tokens."""
    inputs = torch.tensor([ids], device=model.device)
    positions = torch.arange(len(ids), device=inputs.device)[None]
    logits: Tensor = model(input_ids=inputs, position_ids=positions, use_cache=False).logits
    return logits[0, -1].double()


def _read_in_pieces(passes: Passes, ids: list[int], size: int) -> tuple[Tensor, Tensor]:
    """Return the same logits twice: after a rejected draft, and beside a row that reads fewer tokens at a time."""
    wrong = [(token + 1) % size for token in ids]
    passes.run([Feed(0, 0, [*ids[:3], *wrong[3:]]), Feed(1, 0, ids[:2])])
    logits = passes.run([Feed(1, 2, ids[2:]), Feed(0, 3, ids[3:])])
    return logits[1, len(ids) - 4].double(), logits[0, -1].double()


def _near(logits: Tensor, expected: Tensor, tolerance: float) -> bool:
    return float((logits.double() - expected).abs().max()) <= tolerance
