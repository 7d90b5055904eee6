"""A toy that writes annotated sentences: a chat model so small that it is trained in minutes, or in seconds by heart.

`python tests/toy_writer.py FOLDER` trains the one of docs/prompting.md: it has only ever read sentences about old
people that a grammar of a few lines makes, and shows how `biomark invent` runs, not how good its sentences are.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from biomark.prompted.chat import Message
from biomark.prompted.invention import Inventor
from biomark.prompted.retrieval import examples
from biomark.shapes.span import SPAN
from biomark.spans import Document, Entity, Span

Talk = tuple[tuple[Message, ...], str]  # a conversation and the answer

CONVERSATION = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WHO = ("He", "She", "The patient", "Her mother", "The old man", "Our neighbour", "This lady", "Mr Hill")
SIGNS = (
    "fell on the stairs", "fell again", "is too weak to stand", "walks with a frame", "lost ten pounds",
    "is always tired", "cannot lift a cup", "needs help with dressing", "stumbles often", "hardly leaves the bed",
    "shuffles",
)  # fmt: skip
OTHER = (
    "takes aspirin", "lives alone", "was seen today", "has asthma", "likes the garden", "is eighty years old",
    "came by bus", "sleeps well", "reads a lot", "had a cold",
)  # fmt: skip
WHEN = (
    "since May",
    "this year",
    "at home",
    "after the operation",
    "most days",
    "as her son says",
    "now",
    "in the ward",
)


def sentence(chance: random.Random) -> Document:
    """One of the grammar's sentences."""
    sign = chance.choice(SIGNS)
    parts = [f"{chance.choice(WHO)} ", sign, f" {chance.choice(WHEN)}", f" and {chance.choice(OTHER)}", "."]
    start = len(parts[0])
    if chance.random() < 0.5:
        parts[:2] = [parts[0], f"{chance.choice(OTHER)} and ", sign]
        start += len(parts[1])
        del parts[-2]
    return Document("", "".join(parts), entities=(Entity((Span(start, start + len(sign)),), "frailty"),))


def talks(inventor: Inventor, chance: random.Random) -> Iterable[Talk]:
    """Requests of `biomark invent`, one for sentences and then one about a mention, and what is to be said."""
    while True:
        kept = [sentence(chance) for _ in range(20)]
        new = [sentence(chance) for _ in range(inventor.options.sentences)]
        lines = [f"{n}. {SPAN.encode(d.text, d.entities, ['frailty']).text}" for n, d in enumerate(new, 1)]
        yield inventor.request(chance.randrange(10**6), kept)[0].messages, "\n".join(lines)
        text = new[0].text
        mention, said = (new[0].entities[0].mention(text), "Yes.")
        if chance.random() < 0.5:
            mention, said = next((o for o in OTHER if o in text), text.split()[0]), "No."
        yield inventor.yes_no(text, mention, "frailty").messages, said


def tokenizer_of(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer with a chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    found = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<pad>")
    found.chat_template = CONVERSATION
    return found


def untrained(tokenizer: PreTrainedTokenizerFast, *, width: int, layers: int) -> LlamaForCausalLM:
    """A small model."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=2048,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def loss_of(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, batch: Sequence[Talk]) -> torch.Tensor:
    """Of the answers alone."""
    rows = []
    for messages, said in batch:
        turns = [{"role": m.role, "content": m.content} for m in messages]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        rows.append((tokenizer(prompt)["input_ids"], tokenizer(said + "<|im_end|>")["input_ids"]))
    width = max(len(prompt) + len(said) for prompt, said in rows)
    ids = torch.tensor([prompt + said + [0] * (width - len(prompt + said)) for prompt, said in rows])
    labels = torch.full_like(ids, -100)
    for row, (prompt, said) in enumerate(rows):
        labels[row, len(prompt) : len(prompt) + len(said)] = torch.tensor(said)
    loss: torch.Tensor = model(input_ids=ids, labels=labels).loss
    return loss


def by_heart(known: Sequence[Talk], folder: Path) -> None:
    """Train a model that gives these answers, and save it."""
    tokenizer = tokenizer_of([m.content for messages, _ in known for m in messages], 480)
    model = untrained(tokenizer, width=64, layers=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(300):
        loss = loss_of(model, tokenizer, known)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.003:
            break
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(folder: Path, steps: int = 700) -> None:
    """Train the toy of the documentation, and save it."""
    torch.set_num_threads(1)
    chance = random.Random(0)
    seeds = Path(__file__).parents[1] / "examples" / "frailty.jsonl"
    stream = iter(talks(Inventor(examples([str(seeds)]), ["frailty"]), chance))
    tokenizer = tokenizer_of((m.content for _ in range(300) for m in next(stream)[0]), 1000)
    model = untrained(tokenizer, width=128, layers=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((step + 1) / 50, (steps - step) / steps)
        loss = loss_of(model, tokenizer, [next(stream) for _ in range(6)])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            sys.stderr.write(f"step {step}: loss {loss.item():.3f}\n")
    model.generation_config.do_sample = True  # else `transformers serve` passes over the temperature
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
