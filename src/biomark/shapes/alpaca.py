"""The shape `alpaca`: the prompt of BioNER-LLaMA (Keloth et al. 2024, Figure 2), for tuned models and for GPT."""

from __future__ import annotations

from collections.abc import Sequence

from biomark.entity_types import label
from biomark.marks import CLOSE, OPEN, mark
from biomark.shapes.signs import Signed

INSTRUCTION = (
    "Given a sentence extract {label} entities from it by highlighting them with "
    f"{OPEN} and {CLOSE}. If not present output the same sentence."
)
"""The instruction of Keloth et al. 2024, Figure 2, with the label of an entity type in the place of "disease"."""

PROMPT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
"""The template of Stanford Alpaca for instructions with an input (Taori et al. 2023)."""


def _question(text: str, types: Sequence[str]) -> tuple[str, ...]:
    return (PROMPT.format(instruction=INSTRUCTION.format(label=label(types[0])), input=text),)


ALPACA = Signed("alpaca", single=True, signs=lambda types: mark(types[0]), ask=lambda types: "", question=_question)
"""The question is the whole prompt, so that there is no system message."""
