"""LoRA and QLoRA (Hu et al. 2021, Dettmers et al. 2023), for generative and tagging models alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from biomark.errors import MissingExtraError, ModelError
from biomark.runtime.quiet import quietly

if TYPE_CHECKING:
    from peft import LoraConfig, PeftConfig


def four_bits() -> dict[str, Any]:
    """What `from_pretrained` needs to load linear layers as NF4, the scales in 8 bits.

    Raises:
        MissingExtraError: if bitsandbytes is not installed.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("bitsandbytes", "qlora") from error
    from transformers import BitsAndBytesConfig

    how = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    place = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": how, "device_map": {"": place}}


def prepared(model: nn.Module) -> Any:
    """A model in four bits, ready for an adapter: what is not in four bits is in 32, and nothing is tuned."""
    import peft

    with quietly():
        # The trainers see to the recomputing of activations, for all methods alike.
        return peft.prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
            model, use_gradient_checkpointing=False
        )


def lora(
    task: str,
    *,
    rank: int,
    alpha: int,
    dropout: float,
    new_tokens: dict[str, list[int]] | None,
    modules: Sequence[str] = (),
) -> LoraConfig:
    """Adapters on linear layers, never on the head.

    Args:
        task: `CAUSAL_LM` or `FEATURE_EXTRACTION`, as peft calls what the model is for.
        rank, alpha, dropout: see the recipes.
        new_tokens: rows that are tuned, by the name of their matrix.
        modules: ends of the names of the layers; empty: all.
    """
    import peft

    return peft.LoraConfig(
        task_type=task,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(modules) or "all-linear",
        trainable_token_indices=new_tokens,
    )


def require_peft() -> None:
    """Make sure of the library.

    Raises:
        MissingExtraError: if peft is not installed.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("peft", "train") from error


def with_adapter(model: Any, config: PeftConfig) -> nn.Module:
    """The model with an adapter, which alone is tuned, in 32 bits.

    Raises:
        ModelError: if the model has none of the layers that the adapter is for.
    """
    import peft

    try:
        with quietly():
            adapted: nn.Module = peft.get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(f"the adapter does not fit {type(model).__name__}: {error}") from error
    # So that peft neither asks the hub about the base model nor saves its embedding with the adapter.
    adapted.peft_config["default"].base_model_name_or_path = ""  # type: ignore[union-attr,index]
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted
