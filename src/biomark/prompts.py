"""Instructions, prompts and demonstrations in the form of BioNER-LLaMA (Keloth et al. 2024).

A demonstration is a sentence, an instruction that names one entity type, and the sentence again with
the mentions of that type marked. A sentence without any is a demonstration too: its output is the
sentence itself.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from biomark.corpora import read_corpus, wanted_types
from biomark.entity_types import entity_types, label, with_canonical_types
from biomark.errors import FormatError, UsageError
from biomark.formats import Reject, raise_rejected
from biomark.formats.base import Sink, Source
from biomark.marks import CLOSE, OPEN, encode
from biomark.sentences import with_sentences
from biomark.spans import Document, Entity, Span

INSTRUCTION = (
    "Given a sentence extract {label} entities from it by highlighting them with "
    f"{OPEN} and {CLOSE}. If not present output the same sentence."
)
"""Keloth et al. 2024, Figure 2, with the label of an entity type in the place of "disease"."""

PROMPT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
"""The template of Stanford Alpaca for instructions with an input (Taori et al. 2023)."""


class Form(NamedTuple):
    """A wording of prompts: the instruction with a place for a type's label, the template around it."""

    instruction: str
    template: str


FORMS: Mapping[str, Form] = {
    "alpaca": Form(INSTRUCTION, PROMPT),
    "short": Form("Mark {label}", "{instruction}: {input} ="),
}
"""The paper's wording, and a short one for small models, which read every token of it in training."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One example for a model to learn from.

    Attributes:
        instruction: names the entity type.
        input: the sentence.
        output: the sentence with the mentions of that type marked.
        document_id: where the sentence is from.
        window: its code points in that document.
    """

    instruction: str
    input: str
    output: str
    document_id: str
    window: Span


class Sampler:
    """Takes a fraction of a stream: one item, chosen at random, of each 1 / fraction in a row.

    The number taken is thus the fraction of any stream's length, rounded up or down, and what is
    taken depends on the seed alone.

    Args:
        fraction: above 0, at most 1.
        seed: any text; equal seeds take equal places.

    Raises:
        UsageError: if the fraction is not a share.
    """

    def __init__(self, fraction: float, seed: str) -> None:
        if not 0 < fraction <= 1:
            raise UsageError(f"a fraction lies above 0 and up to 1, not at {fraction}")
        self._fraction = fraction
        self._random = random.Random(seed)
        self._seen = self._turn = self._due = 0
        self._next = self._random.random()

    def takes_next(self) -> bool:
        """Whether the stream's next item is in the sample."""
        self._seen += 1
        # Item i covers the interval from i × fraction on; each unit interval has one random point.
        while self._next < self._seen * self._fraction:
            self._due += 1
            self._turn += 1
            self._next = self._turn + self._random.random()
        taken = self._due > 0
        self._due -= taken
        return taken


def instruction(type: str, *, guidelines: bool = False, form: str = "alpaca") -> str:
    """The instruction for one entity type.

    Args:
        type: one of biomark's names or the user's own.
        form: one of `FORMS`.
        guidelines: append the sentence of `entity_types.toml` that says what to mark.

    Raises:
        UsageError: if there is no guideline for the type.
    """
    text = FORMS[form].instruction.format(label=label(type))
    if not guidelines:
        return text
    if type not in entity_types():
        raise UsageError(f"no guideline for the type {type!r}; there are some for {', '.join(entity_types())}")
    return f"{text} {entity_types()[type].guideline}"


def prompt(instruction: str, input: str, *, form: str = "alpaca") -> str:
    """The full prompt, up to where the model's response begins."""
    return FORMS[form].template.format(instruction=instruction, input=input)


def demonstrations(
    documents: Iterable[Document],
    types: Sequence[str],
    *,
    guidelines: bool = False,
    form: str = "alpaca",
    fraction: float = 1.0,
    seed: str = "0",
    lost: Counter[str] | None = None,
) -> Iterator[Demonstration]:
    """A demonstration for each sentence and type.

    Args:
        documents: with biomark's names of types; all mentions of `types` have to be annotated.
        types: in the order in which the demonstrations of a sentence come.
        guidelines, form: see `instruction`.
        fraction: the share of each type's demonstrations to take; see `Sampler`.
        seed: of the sample; give each corpus its own.
        lost: counts the mentions that no demonstration holds, by the reason.

    Raises:
        UsageError: if the fraction is not a share, or a guideline is missing.
    """
    lost = Counter() if lost is None else lost
    instructions = {type: instruction(type, guidelines=guidelines, form=form) for type in types}
    samplers = {type: Sampler(fraction, f"{seed} {type}") for type in types}
    for document in map(with_sentences, documents):
        mentions = _by_sentence(document, types, lost)
        for index, sentence in enumerate(document.sentences):
            for type in types:
                if samplers[type].takes_next():
                    input = sentence.of(document.text)
                    marked = encode(input, mentions.get((index, type), ()))
                    _count(marked.left_out, lost)
                    yield Demonstration(instructions[type], input, marked.text, document.id, sentence)


def from_corpora(
    corpora: Sequence[str],
    types: Sequence[str] | None = None,
    *,
    guidelines: bool = False,
    form: str = "alpaca",
    fraction: float = 1.0,
    seed: int = 0,
    reject: Reject = raise_rejected,
    lost: Counter[str] | None = None,
) -> Iterator[Demonstration]:
    """The demonstrations of several corpora, one after the other; each keeps its own proportion.

    A corpus gives demonstrations for those of `types` that it annotates, for a sentence without
    marks says that there is no mention in it.

    Args:
        corpora: splits of the catalogue or paths; see `biomark.corpora.read_corpus`.
        types: biomark's names; None: all that a corpus annotates.
        guidelines, form, fraction, lost: see `demonstrations`.
        seed: of the sample.
        reject: as for `biomark.formats.read`.

    Raises:
        UsageError: if a corpus is unknown or annotates none of the types, or the fraction is not a share.
    """
    Sampler(fraction, "")  # a wrong fraction is refused before any corpus is looked for
    wanted = wanted_types(corpora, types)
    for corpus in corpora:
        yield from demonstrations(
            map(partial(with_canonical_types, names=wanted[corpus]), read_corpus(corpus, reject=reject)),
            wanted[corpus],
            guidelines=guidelines,
            form=form,
            fraction=fraction,
            seed=f"{seed} {corpus}",
            lost=lost,
        )


def _by_sentence(document: Document, types: Sequence[str], lost: Counter[str]) -> dict[tuple[int, str], list[Entity]]:
    """The mentions by sentence and type, with offsets in their sentence."""
    starts = [sentence.start for sentence in document.sentences]
    found: dict[tuple[int, str], list[Entity]] = {}
    for entity in document.entities:
        if entity.type not in types:
            continue
        index = bisect_right(starts, entity.start) - 1
        if index < 0 or not document.sentences[index].contains(entity.extent):
            lost["mentions that cross a sentence boundary"] += 1
        else:
            found.setdefault((index, entity.type), []).append(entity.shift(-starts[index]))
    return found


def _count(left_out: Iterable[Entity], lost: Counter[str]) -> None:
    for entity in left_out:
        lost["discontinuous mentions" if len(entity.spans) > 1 else "mentions that overlap another one"] += 1


def read(path: Path) -> Iterator[Demonstration]:
    """The demonstrations of a file that `write` made.

    Raises:
        FormatError: if the file is something else; the message names the demonstration.
    """
    try:
        text = Source(path).text()
        rows = [json.loads(line) for line in text.split("\n") if line] if _lines(path) else json.loads(text)
        for row in rows:
            yield Demonstration(**{**row, "window": Span(*row["window"])})
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path}: is no file that `biomark demonstrations` wrote: {error!r}") from error


def _lines(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".jsonl")


def write(demonstrations: Iterable[Demonstration], path: Path) -> Counter[str]:
    """Write demonstrations as they come: a JSON list, or a line each if the name ends in `.jsonl`.

    Each is an object with `instruction`, `input` and `output` (the form of Stanford Alpaca) and with
    `document_id` and `window`, a list of two offsets. `.gz` compresses.

    Returns:
        How many were written `with` and `without` a mention.

    Raises:
        FormatError: if the file cannot be written.
    """
    lines = _lines(path)
    written: Counter[str] = Counter()
    begin, between, end = ("", "\n", "\n") if lines else ("[\n", ",\n", "\n]\n")
    with Sink(path).open() as out:
        out.write(begin)
        for demonstration in demonstrations:
            window = [demonstration.window.start, demonstration.window.end]
            row = {**asdict(demonstration), "window": window}
            out.write((between if written else "") + json.dumps(row, ensure_ascii=False))
            written["without" if demonstration.output == demonstration.input else "with"] += 1
        out.write(end if written or not lines else "")
    return written
