"""The shape `gpt-ner`: the text with `@@` and `##` around each mention of one type (GPT-NER: Wang et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

from biomark.entity_types import label
from biomark.marks import Signs
from biomark.shapes.signs import Signed

_BEFORE = "The labeled sentence:"


def _signs(types: Sequence[str]) -> Signs:
    return Signs("@@", "##", "(?P<opens>@@)|##", {types[0]: ""})


def _ask(types: Sequence[str]) -> str:
    return (
        f"Label the {label(types[0])} entities in the given sentence: write the sentence again, word for word, "
        "with @@ before and ## after each of them. If there is none, write the sentence as it is."
    )


def _question(text: str, types: Sequence[str]) -> tuple[str, ...]:
    return (f"The given sentence: {text}\n{_BEFORE}",)


GPT_NER = Signed("gpt-ner", single=True, signs=_signs, ask=_ask, question=_question, before=_BEFORE)
