"""The limits that the architecture of a causal language model sets to mark decoding."""

from __future__ import annotations

from transformers import PreTrainedConfig, PreTrainedModel

from biomark.errors import ModelError


def room(config: PreTrainedConfig) -> int | None:
    """Return the number of tokens that a model can attend to; None: any number.

    Raises:
        ModelError: if the model has layers of other kinds than attention.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    window, chunk = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    if not kinds:
        kinds = {"sliding_attention"} if window else {"chunked_attention"} if chunk else set()
    odd = sorted(kinds - {"full_attention", "sliding_attention", "chunked_attention"})
    if odd:
        raise ModelError(f"mark decoding needs a model whose layers are all attention, got {', '.join(odd)}")
    limits = [getattr(config, "max_position_embeddings", None)]
    limits += [window] if "sliding_attention" in kinds else []
    limits += [chunk] if "chunked_attention" in kinds else []
    return min((int(limit) for limit in limits if limit), default=None)


def is_additive(model: PreTrainedModel) -> bool:
    """Return whether the model's attention takes an additive mask; otherwise it takes a boolean one.

    Raises:
        ModelError: if it takes neither.
    """
    kind = model.config.get_text_config()._attn_implementation
    if kind not in ("sdpa", "eager"):
        raise ModelError(f'the model\'s attention is {kind}; load it with attn_implementation="sdpa"')
    return bool(kind == "eager")
