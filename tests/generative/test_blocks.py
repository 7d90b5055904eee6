"""Attention in blocks: the blocks of a mask, and the same loss and gradients as without blocks."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuning_cases import examples_of

from biomark.training.recipe import GenerativeRecipe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.training import blocks  # noqa: E402
from biomark.generative.training import model as causal  # noqa: E402
from biomark.generative.training import trainer as generative  # noqa: E402
from biomark.generative.training.blocks import AttentionInBlocks, block_sizes  # noqa: E402
from biomark.generative.training.loss import AnswerTrainer, EpochRows, answer_loss  # noqa: E402
from biomark.generative.training.packing import collate, pack  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("tuning_fixtures",)

pytestmark = pytest.mark.usefixtures("tuning_corpora")


def _mask(sizes: list[int], seen: int) -> torch.Tensor:
    """A mask of causal blocks, whose first `seen` tokens attend to each other."""
    length = sum(sizes)
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    place = torch.cat([torch.arange(size) for size in sizes])
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    prompt = place < seen
    return (owner[:, None] == owner) & (causal | (prompt[:, None] & prompt))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 9))
def test_the_blocks_of_a_mask_are_its_demonstrations(sizes: list[int], seen: int) -> None:
    assert block_sizes(_mask(sizes, seen)) == sizes


@given(st.integers(1, 12), st.data())
def test_no_token_attends_beyond_its_block(length: int, data: st.DataObject) -> None:
    flags = data.draw(st.lists(st.booleans(), min_size=length * length, max_size=length * length))
    mask = torch.tensor(flags).reshape(length, length) | torch.eye(length, dtype=torch.bool)
    sizes = block_sizes(mask)
    assert sum(sizes) == length
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    assert not bool((mask & (owner[:, None] != owner)).any())
    # No block can be divided: at each place in a block, a token attends to one on the other side.
    for place in range(1, length):
        if owner[place] == owner[place - 1]:
            assert bool(mask[:place, place:].any() or mask[place:, :place].any())


@pytest.mark.parametrize("full_prompts", [False, True])
@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_blocks_change_neither_the_loss_nor_its_gradients(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, name: str, full_prompts: bool
) -> None:
    model, vocabulary = causal.prepare_model(replace(tuning_recipe, model=str(tuning_home / name)))
    rows = pack(examples_of(tuning_recipe, vocabulary, 12), 128, seed=1)
    batch = collate(rows, 0, length=128, full_prompts=full_prompts)
    labels = batch.pop("labels")
    found = {}
    for divided in (False, True):
        model.zero_grad()
        with AttentionInBlocks(batch["attention_mask"]) if divided else nullcontext():
            loss = answer_loss(model.eval(), causal.head_of(model), batch, labels)
        loss.backward()
        grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        found[divided] = float(loss.detach()), grads
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-5)
    assert found[True][1].keys() == found[False][1].keys() != set()
    for weight, grad in found[False][1].items():
        assert torch.allclose(found[True][1][weight], grad, atol=1e-5, rtol=1e-4), weight


@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_computes_attention_in_blocks_unless_it_computes_passes_again(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    recipe = replace(tuning_recipe, model=str(tuning_home / "llama"), gradient_checkpointing=checkpointing)
    model, vocabulary = causal.prepare_model(recipe)
    rows = pack(examples_of(recipe, vocabulary, 6), 256, seed=1)
    computed = []
    in_blocks = blocks.block_sizes
    monkeypatch.setattr(blocks, "block_sizes", lambda mask: computed.append(in_blocks(mask)) or computed[-1])
    trainer = AnswerTrainer(
        model=model, args=generative.arguments(recipe, tuning_home / "unused"), train_dataset=EpochRows([]), negatives=0
    )
    trainer.compute_loss(model, collate(rows[:1], 0)).backward()
    assert computed == ([] if checkpointing else [[len(example.ids) for example in rows[0]]])
