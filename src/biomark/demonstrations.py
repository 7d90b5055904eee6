"""Instructions, prompts and demonstrations in the form of BioNER-LLaMA (Keloth et al. 2024).

A demonstration is a sentence, an instruction that names one entity type, and the sentence again with
the mentions of that type marked. A sentence without any is a demonstration too: its output is the
sentence itself. Other shapes of answers (`biomark.shapes`) can take the place of marks.
"""

from __future__ import annotations

import json
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from biomark.corpora import read_corpus, wanted_types
from biomark.entity_types import canonical, distinct, entity_types, label, with_canonical_types
from biomark.errors import FormatError, UsageError
from biomark.formats import Reject, raise_rejected
from biomark.formats.base import Sink, Source
from biomark.shapes import DICE, MARK, TANL, Shape, shape_named
from biomark.shapes.alpaca import INSTRUCTION, PROMPT
from biomark.shapes.dice import NOTHING
from biomark.spans import Document, Entity, Span
from biomark.text.sentences import OWN, splitter_named, with_sentences


class Form(NamedTuple):
    """A wording of prompts.

    Attributes:
        instructions: by shape of the answer the instruction, with a place for a type's label; a shape that is not
            here has the request of `biomark.shapes` as its instruction.
        template: what stands around instruction and input.
    """

    instructions: Mapping[str, str]
    template: str


FORMS: Mapping[str, Form] = {
    "alpaca": Form({MARK.name: INSTRUCTION}, PROMPT),
    "short": Form(
        {MARK.name: "Mark {label}", TANL.name: "Bracket {label}", DICE.name: "List {label}"}, "{instruction}: {input} ="
    ),
}
"""The paper's wording, and a short one for small models, which read every token of it in training."""

TUNED: Mapping[str, str] = {
    MARK.name: "mentions that overlap another one",
    TANL.name: "mentions that overlap another one",
    DICE.name: "mentions that overlap another one, or whose words stand elsewhere without being a mention",
}
"""The shapes that models can be tuned to answer in, and what each cannot hold beside discontinuous mentions."""

_TYPED = re.compile(r"([\w-]+)=(.*)", re.DOTALL)

GuidelineText = str | Mapping[str, str]
"""A sentence for all types, or one for each type that has one."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a tuned model is asked for the mentions of one type in one sentence, in training as in use.

    Attributes:
        form: one of `FORMS`.
        shape: of the answers; one of `TUNED`.
        guidelines: append to the instruction the sentence of `entity_types.toml` that says what to mark.
        guideline_text: append the user's own sentence instead.
        sentences: what splits texts that nobody has split; one of `biomark.text.sentences.SPLITTERS`.
    """

    form: str = "alpaca"
    shape: str = MARK.name
    guidelines: bool = False
    guideline_text: GuidelineText = ""
    sentences: str = OWN

    def guideline(self, type: str) -> str:
        """What the instruction for a type says beyond what it asks for; empty: nothing.

        Raises:
            UsageError: if biomark's own sentence is wanted, and there is none for the type.
        """
        text = self.guideline_text
        own = (text if isinstance(text, str) else text.get(type, "")).strip()
        if own or not self.guidelines:
            return own
        if type not in entity_types():
            raise UsageError(
                f"no guideline for the type {type!r}; there are some for {', '.join(entity_types())}; write your own "
                "sentence (`guideline_text`)"
            )
        return entity_types()[type].guideline


def parse_guideline_text(texts: Sequence[str]) -> GuidelineText:
    """The user's own guideline sentences: one for all types, or `TYPE=TEXT` for each type that has one.

    Raises:
        UsageError: if they are of both kinds, or a type has two.
    """
    typed = [(canonical(match[1]), match[2]) for text in texts if (match := _TYPED.fullmatch(text))]
    if len(texts) == 1 and not typed:
        if not texts[0].strip():
            raise UsageError("`guideline_text` is empty; write the sentence that says what to mark")
        return texts[0]
    if len(typed) < len(texts) or len(dict(typed)) < len(typed):
        raise UsageError("`guideline_text` takes one sentence for all types, or one TYPE=TEXT for each type")
    return dict(typed)


def check(style: Style, types: Sequence[str] | None) -> None:
    """Look for what cannot work.

    Args:
        style: what is looked at.
        types: all that it is for; None: not known yet.

    Raises:
        UsageError: if there is any such thing.
        MissingExtraError: if sentences are split by a library that is not installed.
    """
    if style.shape not in TUNED:
        raise UsageError(f"shape is {style.shape!r}; demonstrations are made in {', '.join(TUNED)}")
    splitter_named(style.sentences)
    texts = {} if isinstance(style.guideline_text, str) else style.guideline_text
    if empty := [type for type, text in texts.items() if not text.strip()]:
        raise UsageError(f"the guideline text for {', '.join(empty)} is empty")
    if types is not None and (unknown := sorted(set(texts).difference(types))):
        raise UsageError(f"there is a guideline text for {', '.join(unknown)}, which is none of {', '.join(types)}")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One example for a model to learn from.

    Attributes:
        instruction: names the entity type.
        input: the sentence.
        output: the sentence with the mentions of that type marked, or an answer of another shape.
        document_id: where the sentence is from.
        window: its code points in that document.
    """

    instruction: str
    input: str
    output: str
    document_id: str
    window: Span

    @property
    def empty(self) -> bool:
        """Whether the answer has no mention, in any of the shapes that models are tuned on."""
        return self.output == self.input or self.output.endswith(NOTHING)


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


def instruction(type: str, style: Style | None = None) -> str:
    """The instruction for one entity type.

    Args:
        type: one of biomark's names or the user's own.
        style: None: as the paper has it.

    Raises:
        UsageError: if there is no guideline for the type, and one is wanted.
    """
    style = style or Style()
    wording = FORMS[style.form].instructions.get(style.shape)
    text = wording.format(label=label(type)) if wording else shape_named(style.shape).request((type,))
    return f"{text} {guideline}" if (guideline := style.guideline(type)) else text


def prompt(instruction: str, input: str, *, form: str = "alpaca") -> str:
    """The full prompt, up to where the model's response begins."""
    return FORMS[form].template.format(instruction=instruction, input=input)


def demonstrations(
    documents: Iterable[Document],
    types: Sequence[str],
    style: Style | None = None,
    *,
    fraction: float = 1.0,
    seed: str = "0",
    lost: Counter[str] | None = None,
) -> Iterator[Demonstration]:
    """A demonstration for each sentence and type.

    Args:
        documents: with biomark's names of types; all mentions of `types` have to be annotated.
        types: in the order in which the demonstrations of a sentence come.
        style: None: as the paper has it.
        fraction: the share of each type's demonstrations to take; see `Sampler`.
        seed: of the sample; give each corpus its own.
        lost: counts the mentions that no demonstration holds, by the reason.

    Raises:
        UsageError: if the fraction is not a share, or a guideline is missing.
        MissingExtraError: if sentences are split by a library that is not installed.
    """
    style = style or Style()
    lost = Counter() if lost is None else lost
    shape = shape_named(style.shape)
    instructions = {type: instruction(type, style) for type in types}
    samplers = {type: Sampler(fraction, f"{seed} {type}") for type in types}
    for document in (with_sentences(document, style.sentences) for document in documents):
        mentions = _by_sentence(document, types, lost)
        for index, sentence in enumerate(document.sentences):
            for type in types:
                if samplers[type].takes_next():
                    input = sentence.of(document.text)
                    answer = shape.encode(input, mentions.get((index, type), ()), (type,))
                    _count(answer.left_out, shape, lost)
                    yield Demonstration(instructions[type], input, answer.text, document.id, sentence)


def from_corpora(
    corpora: Sequence[str],
    types: Sequence[str] | None = None,
    style: Style | None = None,
    *,
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
        style, fraction, lost: see `demonstrations`.
        seed: of the sample.
        reject: as for `biomark.formats.read`.

    Raises:
        UsageError: if a corpus is unknown or annotates none of the types, the fraction is not a share, or the style
            cannot work (see `check`).
        MissingExtraError: as for `demonstrations`.
    """
    style = style or Style()
    Sampler(fraction, "")  # what is wrong here is refused before any corpus is looked for
    check(style, types)
    wanted = wanted_types(corpora, types)
    check(style, types or distinct(type for annotated in wanted.values() for type in annotated))
    for corpus in corpora:
        yield from demonstrations(
            map(partial(with_canonical_types, names=wanted[corpus]), read_corpus(corpus, reject=reject)),
            wanted[corpus],
            style,
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


def _count(left_out: Iterable[Entity], shape: Shape, lost: Counter[str]) -> None:
    for entity in left_out:
        lost["discontinuous mentions" if len(entity.spans) > 1 else TUNED[shape.name]] += 1


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
            written["without" if demonstration.empty else "with"] += 1
        out.write(end if written or not lines else "")
    return written
