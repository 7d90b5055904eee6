"""A small random Llama as a file in the format of llama.cpp (GGUF), as its converter would write it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

HEADS, KEYS = 4, 2
UNSEEN = ("À", "Á")  # symbols of bytes that the tokenizer lacks, as real ones do: no text in UTF-8 has them
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def model_and_tokenizer() -> tuple[LlamaForCausalLM, Tokenizer]:
    """The same in every run; the head is the embedding."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(UNSEEN)),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["Mark disease: no fever was seen after zinc. ="] * 20, trainer)
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KEYS,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config), tokenizer


def write(path: Path, *, eight_bits: bool = False, architecture: str = "llama", without: str = "") -> LlamaForCausalLM:
    """Write the model.

    Args:
        path: of the file.
        eight_bits: matrices as Q8_0, else in 32 bits.
        architecture: what the file names.
        without: a tensor that is left out.

    Returns:
        The model that was written, in 32 bits.
    """
    import gguf

    model, tokenizer = model_and_tokenizer()
    writer = gguf.GGUFWriter(path, architecture)
    config = model.config
    writer.add_name("toy")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    state = json.loads(tokenizer.to_str())
    tokens = sorted(state["model"]["vocab"], key=state["model"]["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in ("<s>", "</s>") else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, weight in model.state_dict().items():
        if name not in ("lm_head.weight", without):
            _add(writer, name, weight.numpy(), eight_bits=eight_bits)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _add(writer: object, name: str, weight: np.ndarray, *, eight_bits: bool) -> None:
    import gguf

    if name.startswith("model.layers."):
        layer, _, rest = name.removeprefix("model.layers.").partition(".")
        part = rest.removesuffix(".weight")
        shown = f"blk.{layer}.{NAMES[part]}.weight"
        if part.endswith(("q_proj", "k_proj")):  # llama.cpp turns pairs of neighbours, transformers halves
            heads = HEADS if "q_proj" in part else KEYS
            halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
            weight = halves.swapaxes(1, 2).reshape(weight.shape)
    else:
        shown = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
    if eight_bits and weight.ndim == 2:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(shown, gguf.quants.quantize(weight, kind), raw_dtype=kind)  # type: ignore[attr-defined]
    else:
        writer.add_tensor(shown, np.ascontiguousarray(weight))  # type: ignore[attr-defined]
