"""What a causal language model lets mark decoding do."""

from __future__ import annotations

from transformers import PreTrainedConfig, PreTrainedModel

from biomark.errors import ModelError


def room(config: PreTrainedConfig) -> int | None:
    """How many tokens a model can attend to.

    Raises:
        ModelError: if it has layers of other kinds than attention.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    window, chunk = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    if not kinds:
        kinds = {"sliding_attention"} if window else {"chunked_attention"} if chunk else set()
    odd = sorted(kinds - {"full_attention", "sliding_attention", "chunked_attention"})
    if odd:
        raise ModelError(f"mark decoding takes models with attention alone, not {', '.join(odd)}")
    limits = [getattr(config, "max_position_embeddings", None)]
    limits += [window] if "sliding_attention" in kinds else []
    limits += [chunk] if "chunked_attention" in kinds else []
    return min((int(limit) for limit in limits if limit), default=None)


def is_additive(model: PreTrainedModel) -> bool:
    """Whether the model's attention adds its mask; else it takes truth values.

    Raises:
        ModelError: if it takes neither.
    """
    kind = model.config.get_text_config()._attn_implementation
    if kind not in ("sdpa", "eager"):
        raise ModelError(f'the model\'s attention is {kind}; load it with attn_implementation="sdpa"')
    return bool(kind == "eager")
