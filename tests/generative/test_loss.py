"""Losses of packed rows: the same as those of separate demonstrations, of answers alone, of sharded weights, and with
attention in blocks."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuning_cases import examples_of, torchrun

from biomark.demonstrations import Demonstration
from biomark.spans import Span
from biomark.training.recipe import GenerativeRecipe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.training import blocks  # noqa: E402
from biomark.generative.training import model as causal  # noqa: E402
from biomark.generative.training import trainer as generative  # noqa: E402
from biomark.generative.training.blocks import AttentionInBlocks, block_sizes  # noqa: E402
from biomark.generative.training.loss import AnswerTrainer, EpochRows, answer_loss  # noqa: E402
from biomark.generative.training.packing import IGNORED, TokenisedDemonstration, collate, pack, tokenise  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("tuning_fixtures",)

pytestmark = pytest.mark.usefixtures("tuning_corpora")


def loss_of(model: torch.nn.Module, rows: list[list[TokenisedDemonstration]], **settings: bool) -> float:
    batch = collate(rows, 0, **settings)
    labels = batch.pop("labels")
    with torch.inference_mode():
        return float(answer_loss(model, causal.head_of(model), batch, labels))


@pytest.mark.parametrize("full_prompts", [False, True])
@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_packed_rows_have_the_loss_of_separate_ones(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, name: str, full_prompts: bool
) -> None:
    model, vocabulary = causal.prepare_model(replace(tuning_recipe, model=str(tuning_home / name)))
    examples = examples_of(tuning_recipe, vocabulary, 12)
    rows = pack(examples, 128, seed=1)
    assert len(rows) < len(examples) / 2
    together = loss_of(model.eval(), rows, full_prompts=full_prompts)
    separate = sum(loss_of(model, [[example]], full_prompts=full_prompts) for example in examples)
    assert together == pytest.approx(separate, rel=1e-5)
    # The same by transformers' own loss over whole sequences, of which the answers' part is taken.
    if not full_prompts:
        plain = 0.0
        for example in examples:
            ids = torch.tensor([example.ids])
            labels = ids.clone()
            labels[:, : example.answer] = IGNORED
            with torch.inference_mode():
                mean = model(input_ids=ids, labels=labels, use_cache=False).loss
            plain += float(mean) * (len(example.ids) - example.answer)
        assert together == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_packed_examples_do_not_see_each_other(tuning_home: Path, tuning_recipe: GenerativeRecipe, name: str) -> None:
    model, vocabulary = causal.prepare_model(replace(tuning_recipe, model=str(tuning_home / name)))
    a, b, c = examples_of(tuning_recipe, vocabulary, 3)

    def logits(row: list[TokenisedDemonstration]) -> torch.Tensor:
        batch = collate([row], 0)
        del batch["labels"]
        with torch.inference_mode():
            return model.eval()(**batch, use_cache=False).logits[0]

    changed = TokenisedDemonstration(tuple((id + 7) % 300 for id in a.ids), a.answer)
    first, second = len(a.ids), len(a.ids) + len(b.ids)
    before, after = logits([a, b, c]), logits([changed, b, c])
    assert not torch.allclose(before[:first], after[:first], atol=1e-3)
    assert torch.equal(before[first:], after[first:])
    assert torch.equal(
        before[first:second], logits([a, b, TokenisedDemonstration(c.ids[::-1], c.answer)])[first:second]
    )


def test_the_loss_is_on_the_answer_alone(tuning_recipe: GenerativeRecipe) -> None:
    _, vocabulary = causal.prepare_model(tuning_recipe)
    demonstration = Demonstration("Mark disease", "No fever was.", "No <mark>fever</mark> was.", "1", Span(0, 13))
    example = tokenise(demonstration, vocabulary, form="short", longest=256)
    assert isinstance(example, TokenisedDemonstration)
    batch = collate([[example]], 0, length=200)
    said = batch["labels"][0]
    assert said[said != IGNORED].tolist() == [*vocabulary.answer("No fever was.", [Span(3, 8)]), vocabulary.end]
    assert vocabulary.text(said[said != IGNORED].tolist()).strip() == demonstration.output
    assert vocabulary.text(example.ids[: example.answer]) == "Mark disease: No fever was. ="


def test_sampled_negatives_are_the_whole_vocabulary_if_there_are_enough(
    tuning_recipe: GenerativeRecipe, tuning_home: Path
) -> None:
    tuning_recipe = replace(tuning_recipe, model=str(tuning_home / "qwen3"), marks="tokens")
    model, vocabulary = causal.prepare_model(tuning_recipe)
    batch = collate(pack(examples_of(tuning_recipe, vocabulary, 6), 256, seed=1), 0)
    settings = generative.arguments(tuning_recipe, tuning_home / "unused")
    losses = {}
    for negatives in (0, 50, 50_000):
        trainer = AnswerTrainer(model=model, args=settings, train_dataset=EpochRows([]), negatives=negatives)
        with torch.inference_mode():
            losses[negatives] = float(trainer.compute_loss(model, dict(batch)))
    assert losses[50_000] == pytest.approx(losses[0], rel=1e-5)
    assert losses[50] < losses[0]


SHARDED = """
import os
import sys
import time
import torch
import torch.distributed as dist
from pathlib import Path
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM
from biomark.generative.training.loss import answer_loss
from biomark.generative.training.model import head_of

dist.init_process_group("gloo")
torch.set_num_threads(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
batch = torch.load(sys.argv[2])
labels = batch.pop("labels")
whole = answer_loss(model, head_of(model), batch, labels)
whole.backward()
expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
model.zero_grad()
# The units that accelerate makes: layers, the embedding, the last norm with the head, the rest.
mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
for layer in model.model.layers:
    fully_shard(layer, mesh=mesh)
if not model.config.tie_word_embeddings:
    fully_shard(model.model.embed_tokens, mesh=mesh)
    fully_shard([model.model.norm, model.lm_head], mesh=mesh, reshard_after_forward=False)
else:
    tail = [model.model.norm, model.model.embed_tokens, model.lm_head]
    fully_shard(tail, mesh=mesh, reshard_after_forward=False)
fully_shard(model, mesh=mesh)
size = sum(parameter.to_local().numel() for parameter in model.parameters())
assert size < 0.6 * sum(grad.numel() for grad in expected.values()), size
loss = answer_loss(model, head_of(model), batch, labels)
loss.backward()
assert torch.allclose(loss, whole, rtol=1e-5), (loss, whole)
for name, parameter in model.named_parameters():
    assert torch.allclose(parameter.grad.full_tensor(), expected[name], atol=1e-4, rtol=1e-4), name
sys.stdout.write(f"equal on {dist.get_rank()}\\n")  # in one piece, as both processes write to one pipe
sys.stdout.flush()
dist.barrier()
left = [Path(f"{sys.argv[2]}.{rank}") for rank in range(2)]
left[dist.get_rank()].touch()
while not all(path.exists() for path in left):  # until the other one has left the barrier, too
    time.sleep(0.01)
os._exit(0)  # gloo's threads may abort a process that ends while a mesh still holds them
"""


@pytest.mark.parametrize("name", ["llama", pytest.param("qwen3", marks=pytest.mark.slow)])
def test_sharded_weights_give_the_same_loss_and_gradients(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, tmp_path: Path, name: str
) -> None:
    _, vocabulary = causal.prepare_model(tuning_recipe)
    torch.save(collate(pack(examples_of(tuning_recipe, vocabulary, 8), 256, seed=1), 0), tmp_path / "batch.pt")
    (tmp_path / "sharded.py").write_text(SHARDED)
    done = torchrun(str(tmp_path / "sharded.py"), str(tuning_home / name), str(tmp_path / "batch.pt"))
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"equal on (\d)", done.stdout)) == ["0", "1"]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 9), st.booleans())
def test_the_blocks_of_a_mask_are_its_demonstrations(sizes: list[int], prompt: int, full_prompts: bool) -> None:
    row = [TokenisedDemonstration((7,) * size, min(prompt, size)) for size in sizes]
    (mask,) = collate([row], 0, full_prompts=full_prompts)["attention_mask"][0]
    assert block_sizes(mask) == sizes


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

    def noted(mask: torch.Tensor) -> list[int]:
        computed.append(block_sizes(mask))
        return computed[-1]

    monkeypatch.setattr(blocks, "block_sizes", noted)
    trainer = AnswerTrainer(
        model=model, args=generative.arguments(recipe, tuning_home / "unused"), train_dataset=EpochRows([]), negatives=0
    )
    trainer.compute_loss(model, collate(rows[:1], 0)).backward()
    assert computed == ([] if checkpointing else [[len(example.ids) for example in rows[0]]])
