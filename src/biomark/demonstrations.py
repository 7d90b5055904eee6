"""Instructions, prompts and demonstrations in the form of BioNER-LLaMA (Keloth et al. 2024).

A demonstration is an instruction that names one entity type, a sentence, and the same sentence with
the mentions of that type marked. A sentence without mentions is a demonstration, too, whose output is the
sentence itself. Outputs may have other shapes (`biomark.shapes`) instead of marks.
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
        instructions: shape of the answer → instruction, with the placeholder `{label}` for the type; the instruction
            of other shapes is their request in `biomark.shapes`.
        template: the text around the placeholders `{instruction}` and `{input}`.
    """

    instructions: Mapping[str, str]
    template: str


FORMS: Mapping[str, Form] = {
    "alpaca": Form({MARK.name: INSTRUCTION}, PROMPT),
    "short": Form(
        {MARK.name: "Mark {label}", TANL.name: "Bracket {label}", DICE.name: "List {label}"}, "{instruction}: {input} ="
    ),
}
"""The paper's wording, and a short one for small models, which read every token of prompts in training."""

TUNED: Mapping[str, str] = {
    MARK.name: "mentions that overlap another one",
    TANL.name: "mentions that overlap another one",
    DICE.name: "mentions that overlap another one, or whose words stand elsewhere without being a mention",
}
"""The shapes of answers on which models can be tuned, each with the mentions that it cannot represent, beside
discontinuous ones."""

_TYPED = re.compile(r"([\w-]+)=(.*)", re.DOTALL)

GuidelineText = str | Mapping[str, str]
"""A guideline sentence for all types, or entity type → sentence."""


@dataclass(frozen=True, slots=True)
class Style:
    """The style of the prompts and answers of a tuned model, in training and in use.

    Attributes:
        form: the wording of prompts, one of `FORMS`.
        shape: the shape of answers, one of `TUNED`.
        guidelines: append the guideline of `entity_types.toml` to the instruction.
        guideline_text: append the user's own sentence instead.
        sentences: the splitter of texts without sentences, one of `biomark.text.sentences.SPLITTERS`.
    """

    form: str = "alpaca"
    shape: str = MARK.name
    guidelines: bool = False
    guideline_text: GuidelineText = ""
    sentences: str = OWN

    def guideline(self, entity_type: str) -> str:
        """Return the guideline sentence to append to the instruction for a type; empty if there is none.

        Raises:
            UsageError: if biomark's own guideline is requested, but the type has none.
        """
        text = self.guideline_text
        own = (text if isinstance(text, str) else text.get(entity_type, "")).strip()
        if own or not self.guidelines:
            return own
        if entity_type not in entity_types():
            raise UsageError(
                f"no guideline for the type {entity_type!r}; there are some for {', '.join(entity_types())}; write "
                "your own sentence (`guideline_text`)"
            )
        return entity_types()[entity_type].guideline


def parse_guideline_text(texts: Sequence[str]) -> GuidelineText:
    """Return the user's own guideline sentences: one for all types, or `TYPE=TEXT` for each type that has one.

    Raises:
        UsageError: if they are of both kinds, or a type has two.
    """
    typed = [(canonical(match[1]), match[2]) for text in texts if (match := _TYPED.fullmatch(text))]
    if len(texts) == 1 and not typed:
        if not texts[0].strip():
            raise UsageError("`guideline_text` is empty; give a sentence that describes what to mark")
        return texts[0]
    if len(typed) < len(texts) or len(dict(typed)) < len(typed):
        raise UsageError("`guideline_text` must be one sentence for all types, or one TYPE=TEXT for each type")
    return dict(typed)


def check(style: Style, types: Sequence[str] | None) -> None:
    """Check that a style is valid.

    Args:
        style: the style to check.
        types: the entity types of the demonstrations; None: not known yet.

    Raises:
        UsageError: if the shape or the splitter is unknown, a guideline text is empty, or it is for another type.
        MissingExtraError: if the splitter needs a library that is not installed.
    """
    if style.shape not in TUNED:
        raise UsageError(f"shape must be one of {', '.join(TUNED)}, got {style.shape!r}")
    splitter_named(style.sentences)
    texts = {} if isinstance(style.guideline_text, str) else style.guideline_text
    if empty := [entity_type for entity_type, text in texts.items() if not text.strip()]:
        raise UsageError(f"the guideline text for {', '.join(empty)} is empty")
    if types is not None and (unknown := sorted(set(texts).difference(types))):
        raise UsageError(
            f"the guideline text is for {', '.join(unknown)}, but the types are {', '.join(types)}; remove it"
        )


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A training example of a language model.

    Attributes:
        instruction: the instruction, which names the entity type.
        input: the sentence.
        output: the sentence with the mentions of that type marked, or an answer of another shape.
        document_id: the id of the sentence's document.
        window: the span of the sentence in that document.
    """

    instruction: str
    input: str
    output: str
    document_id: str
    window: Span

    @property
    def empty(self) -> bool:
        """Return whether the output has no mention, for any of the shapes `TUNED`."""
        return self.output == self.input or self.output.endswith(NOTHING)


class Sampler:
    """A stratified random sample of a stream: one item of every 1 / fraction consecutive ones.

    The size of the sample is thus the fraction of the stream's length, rounded up or down, and the
    chosen positions depend on the seed alone.

    Args:
        fraction: the share of items to take, in (0, 1].
        seed: any text; equal seeds choose equal positions.

    Raises:
        UsageError: if the fraction is not in (0, 1].
    """

    def __init__(self, fraction: float, seed: str) -> None:
        if not 0 < fraction <= 1:
            raise UsageError(f"fraction must be in (0, 1], got {fraction}")
        self._fraction = fraction
        self._random = random.Random(seed)
        self._seen = self._turn = self._due = 0
        self._next = self._random.random()

    def takes_next(self) -> bool:
        """Return whether the stream's next item is in the sample, and advance to that item."""
        self._seen += 1
        # Item i covers the interval [i × fraction, (i + 1) × fraction); each unit interval has one random point.
        while self._next < self._seen * self._fraction:
            self._due += 1
            self._turn += 1
            self._next = self._turn + self._random.random()
        taken = self._due > 0
        self._due -= taken
        return taken


def instruction(entity_type: str, style: Style | None = None) -> str:
    """Return the instruction for one entity type.

    Args:
        entity_type: one of biomark's names or the user's own.
        style: the style of prompts; None: that of the paper.

    Raises:
        UsageError: if biomark's own guideline is requested, but the type has none.
    """
    style = style or Style()
    wording = FORMS[style.form].instructions.get(style.shape)
    text = wording.format(label=label(entity_type)) if wording else shape_named(style.shape).request((entity_type,))
    return f"{text} {guideline}" if (guideline := style.guideline(entity_type)) else text


def prompt(instruction: str, text: str, *, form: str = "alpaca") -> str:
    """Return the full prompt, up to the beginning of the model's response.

    Args:
        instruction: the instruction.
        text: the sentence.
        form: the wording of the prompt, one of `FORMS`.
    """
    return FORMS[form].template.format(instruction=instruction, input=text)


def demonstrations(
    documents: Iterable[Document],
    types: Sequence[str],
    style: Style | None = None,
    *,
    fraction: float = 1.0,
    seed: str = "0",
    lost: Counter[str] | None = None,
) -> Iterator[Demonstration]:
    """Yield a demonstration for each sentence and type.

    Args:
        documents: documents with biomark's names of types, in which all mentions of `types` are annotated.
        types: the entity types, in the order of the demonstrations of a sentence.
        style: the style of prompts and answers; None: that of the paper.
        fraction: the share of each type's demonstrations to take, in (0, 1]; see `Sampler`.
        seed: the seed of the sample, which should differ between corpora.
        lost: receives counts of the mentions that no demonstration contains, by reason.

    Raises:
        UsageError: if the fraction is not in (0, 1], or a guideline is missing.
        MissingExtraError: if the splitter needs a library that is not installed.
    """
    style = style or Style()
    lost = Counter() if lost is None else lost
    shape = shape_named(style.shape)
    instructions = {entity_type: instruction(entity_type, style) for entity_type in types}
    samplers = {entity_type: Sampler(fraction, f"{seed} {entity_type}") for entity_type in types}
    for document in (with_sentences(document, style.sentences) for document in documents):
        mentions = _by_sentence(document, types, lost)
        for index, sentence in enumerate(document.sentences):
            for entity_type in types:
                if samplers[entity_type].takes_next():
                    text = sentence.of(document.text)
                    answer = shape.encode(text, mentions.get((index, entity_type), ()), (entity_type,))
                    _count(answer.left_out, shape, lost)
                    yield Demonstration(instructions[entity_type], text, answer.text, document.id, sentence)


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
    """Yield the demonstrations of several corpora, one after the other; the fraction applies to each corpus.

    A corpus yields demonstrations only for the `types` that it annotates, because a sentence without
    marks states that it has no mention of the type.

    Args:
        corpora: splits of the catalogue or paths; see `biomark.corpora.read_corpus`.
        types: biomark's names of the types; None: all that a corpus annotates.
        style, fraction, lost: see `demonstrations`.
        seed: the seed of the sample.
        reject: as for `biomark.formats.read`.

    Raises:
        UsageError: if a corpus is unknown or annotates none of the types, the fraction is not in (0, 1], or the style
            is invalid (see `check`).
        MissingExtraError: if the splitter needs a library that is not installed.
    """
    style = style or Style()
    Sampler(fraction, "")  # raises an error before any corpus is read
    check(style, types)
    wanted = wanted_types(corpora, types)
    check(style, types or distinct(entity_type for annotated in wanted.values() for entity_type in annotated))
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
    """Return the mentions by index of the sentence and type, with offsets from the start of the sentence."""
    starts = [sentence.start for sentence in document.sentences]
    mentions: dict[tuple[int, str], list[Entity]] = {}
    for entity in document.entities:
        if entity.type not in types:
            continue
        index = bisect_right(starts, entity.start) - 1
        if index < 0 or not document.sentences[index].contains(entity.extent):
            lost["mentions that cross a sentence boundary"] += 1
        else:
            mentions.setdefault((index, entity.type), []).append(entity.shift(-starts[index]))
    return mentions


def _count(left_out: Iterable[Entity], shape: Shape, lost: Counter[str]) -> None:
    for entity in left_out:
        lost["discontinuous mentions" if len(entity.spans) > 1 else TUNED[shape.name]] += 1


def read(path: Path) -> Iterator[Demonstration]:
    """Yield the demonstrations of a file that `write` has written.

    Raises:
        FormatError: if the file has another format.
    """
    try:
        text = Source(path).text()
        rows = [json.loads(line) for line in text.split("\n") if line] if _lines(path) else json.loads(text)
        for row in rows:
            yield Demonstration(**{**row, "window": Span(*row["window"])})
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path}: is not a file of `biomark demonstrations`: {error!r}") from error


def _lines(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".jsonl")


def write(demonstrations: Iterable[Demonstration], path: Path) -> Counter[str]:
    """Write a stream of demonstrations as a JSON list, or one per line if the name ends in `.jsonl`.

    Each is an object with `instruction`, `input` and `output` (the form of Stanford Alpaca), `document_id`,
    and `window`, a list of two offsets. A name that ends in `.gz` is compressed.

    Returns:
        The numbers of demonstrations `with` and `without` a mention.

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
