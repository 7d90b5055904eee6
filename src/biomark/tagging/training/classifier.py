"""A trained tagging model → a folder that transformers loads as a token classifier.

A tagging model says for each type by itself whether a word is outside, at the beginning or inside; a classifier of
transformers chooses one label among all. Its logit for `B-disease` is our logit of *begin* minus that of *outside* for
diseases, and 0 for `O`. The softmax over these is the probability that our types give together, under the condition
that at most one of them has the word, and its likeliest label is ours wherever no two types have one word.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForTokenClassification, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from biomark.errors import UsageError
from biomark.runtime.quiet import quietly
from biomark.spans import Document
from biomark.tagging.text import BEGIN, INSIDE, OUTSIDE, TAGS, collate, read_document
from biomark.tagging.training.network import ADAPTER, Network, is_decoder
from biomark.tagging.training.trainer import load_trained
from biomark.tagging.words import WordReader
from biomark.training.recipe import TaggingRecipe

# What both sides read before a folder is taken to be right: words of several pieces, signs, numbers.
_PROBES = (
    "Aspirin (acetylsalicylic acid) inhibits COX-1.",
    "fever and cough were seen in 2 patients with thalassaemia",
)
_CLOSE = 1e-3  # of logits
_SPECIAL = {
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def export_classifier(run: Path, folder: Path) -> Path:
    """Write a folder for `AutoTokenizer` and `AutoModelForTokenClassification`.

    Args:
        run: folder of a training run of a tagging model that is a plain encoder with heads.
        folder: the folder, which is created if it does not exist; files of the same names are replaced.

    Returns:
        `folder`.

    Raises:
        ModelError: if `run` is not the folder of a training run of a tagging model.
        UsageError: if the model has parts that no token classifier of transformers supports; the message names them.
    """
    if (run / ADAPTER).is_file():
        raise UsageError(
            f"{run}: is a LoRA adapter without its base model; merge them first: biomark models merge {run} -o FOLDER"
        )
    network, reader, recipe = load_trained(run)
    if part := _own_part(network, recipe):
        raise UsageError(
            f"{run}: transformers has no token classifier with {part}; train with character_filters = 0 and without "
            "instruction and corpus_heads to export such a classifier"
        )
    model = _classifier(run, network.float(), recipe)
    tokenizer = _tokenizer(reader, recipe.max_pieces)
    _check(run, (network, reader), (model, tokenizer))
    with quietly():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _own_part(network: Network, recipe: TaggingRecipe) -> str:
    """Return the parts of a network other than its encoder and common heads; empty if there are none."""
    if is_decoder(network.encoder.config):  # type: ignore[arg-type]
        return "a language model without its mask for an encoder"
    if network.characters is not None:
        return "an encoder of characters"
    if network.corpora:
        return "heads for corpora"
    return "instructions before its words" if recipe.instruction else ""


def labels_of(types: tuple[str, ...]) -> list[str]:
    """Return the labels of a classifier, in their order."""
    return ["O", *(f"{letter}-{entity_type}" for entity_type in types for letter in "BI")]


def joint(logits: Tensor) -> Tensor:
    """(…, types, 3) logits of each type's tags → (…, labels) of the labels of all types; see the module."""
    outside = logits[..., OUTSIDE : OUTSIDE + 1]
    tags = (logits[..., [BEGIN, INSIDE]] - outside).flatten(-2)
    return torch.cat((torch.zeros_like(tags[..., :1]), tags), dim=-1)


def _classifier(run: Path, network: Network, recipe: TaggingRecipe) -> PreTrainedModel:
    config: PreTrainedConfig = copy.deepcopy(network.encoder.config)  # type: ignore[assignment]
    labels = labels_of(recipe.types)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    try:
        with quietly():
            model = AutoModelForTokenClassification.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
        getattr(model, model.base_model_prefix).load_state_dict(network.encoder.state_dict())
        heads = network.heads
        with torch.no_grad():
            # (types, 3, H) → (labels, H)
            weight = heads.weight.view(network.types, TAGS, -1).permute(2, 0, 1)
            model.classifier.weight.copy_(joint(weight).T)
            model.classifier.bias.copy_(joint(heads.bias.view(network.types, TAGS)))
    except (ValueError, RuntimeError, AttributeError) as error:
        kind = type(network.encoder).__name__
        raise UsageError(f"{run}: transformers has no token classifier for {kind} alone: {error}") from error
    result: PreTrainedModel = model.eval()
    return result


def _tokenizer(reader: WordReader, most: int) -> PreTrainedTokenizerFast:
    """Convert the reader into a tokenizer that splits plain texts in the same way."""
    splitting = reader.standalone()
    known = {
        kind: next((name for name in names if splitting.token_to_id(name) is not None), None)
        for kind, names in _SPECIAL.items()
    }
    special = {kind: name for kind, name in known.items() if name is not None}
    made = PreTrainedTokenizerFast(tokenizer_object=splitting, model_max_length=most, **special)  # type: ignore[no-untyped-call]
    result: PreTrainedTokenizerFast = made
    return result


def _check(
    run: Path, ours: tuple[Network, WordReader], theirs: tuple[PreTrainedModel, PreTrainedTokenizerFast]
) -> None:
    """Check that both models give the same logits for some words.

    Raises:
        UsageError: if they do not.
    """
    network, reader = ours
    model, tokenizer = theirs
    for text in _PROBES:
        read = read_document(Document("", text), reader, tokenizer.model_max_length)
        for window in read.windows:
            batch = collate([window])
            arrays = [torch.from_numpy(array) for array in batch]
            with torch.no_grad():
                wanted = joint(network.eval()(*arrays))
                logits = model(input_ids=arrays[0], attention_mask=arrays[1]).logits.flatten(0, 1)[arrays[4]]
            if not torch.allclose(wanted, logits, atol=_CLOSE):
                kind = type(model).__name__
                raise UsageError(f"{run}: {kind} of transformers has layers of its own between encoder and labels")
        pieces = [int(piece) for words in read.words for piece in words.pieces]
        if tokenizer(text, add_special_tokens=False)["input_ids"] != pieces:
            raise UsageError(
                f"{run}: cannot be exported, because no tokenizer of transformers splits words as this model does"
            )


__all__ = ["export_classifier", "joint", "labels_of"]
