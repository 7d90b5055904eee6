"""LoRA and QLoRA (Hu et al. 2021, Dettmers et al. 2023) for generative and tagging models."""

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
    """Return the arguments of `from_pretrained` that load linear layers as NF4, with scales in 8 bits.

    Raises:
        MissingExtraError: if bitsandbytes is not installed.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("bitsandbytes", "qlora") from error
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    place = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": config, "device_map": {"": place}}


def prepared(model: nn.Module) -> Any:
    """Prepare a model in 4 bits for an adapter: all other weights get 32 bits, and none is trainable."""
    import peft

    with quietly():
        # The trainers turn on gradient checkpointing, for all methods in the same way.
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
    """Return the configuration of LoRA adapters on linear layers, except the head.

    Args:
        task: peft's name for the purpose of the model, `CAUSAL_LM` or `FEATURE_EXTRACTION`.
        rank, alpha, dropout: see the recipes.
        new_tokens: the indexes of rows to train, by the name of their matrix; None: none.
        modules: the endings of the names of the layers that get adapters; empty: all layers.
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
    """Check that peft is installed.

    Raises:
        MissingExtraError: if peft is not installed.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("peft", "train") from error


def with_adapter(model: Any, config: PeftConfig) -> nn.Module:
    """Add an adapter with 32-bit weights, the only trainable ones, to a model.

    Raises:
        ModelError: if the model has none of the layers that the configuration names.
    """
    import peft

    try:
        with quietly():
            adapted: nn.Module = peft.get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(f"the adapter does not fit {type(model).__name__}: {error}") from error
    # Without this, peft would query the hub for the base model and save its embedding with the adapter.
    adapted.peft_config["default"].base_model_name_or_path = ""  # type: ignore[union-attr,index]
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted
