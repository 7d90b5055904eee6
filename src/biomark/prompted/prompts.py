"""Prompts for chat models: optional parts (Hu et al. 2024), demonstrations, and knowledge from an ontology.

A prompt is a system message (task, definitions, guidelines, hints, and the shape's instruction for the answer),
demonstrations as turns of user and assistant, and the text; for some shapes all of it is one message.
DiRAG (Monajatipoor et al. 2024) puts an ontology's knowledge of the text's terms before the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from biomark.entity_types import entity_types, label
from biomark.errors import UsageError
from biomark.formats import Source
from biomark.knowledge.caution import Caution
from biomark.knowledge.forms import form
from biomark.knowledge.matcher import Matcher
from biomark.knowledge.store import Store, Term
from biomark.marks import Signs
from biomark.prompted.chat import ASSISTANT, SYSTEM, USER, Message
from biomark.prompted.chat.templates import without_system
from biomark.prompted.retrieval import BY_COSINE, BY_EMBEDDING, CHOOSERS, MOST, Chooser, Example
from biomark.prompted.settings import PromptOptions
from biomark.runtime.toml import converted, parse_toml
from biomark.shapes import Shape, shape_named
from biomark.spans import Entity

PARTS = ("task", "definition", "guideline", "hints")
ONE_STEP, TWO_STEP = "one-step", "two-step"
YES_NO, SECOND_ROUND = "yes-no", "second-round"
_VERIFIED = (SECOND_ROUND, YES_NO)
_TERMS = 32  # the largest number of an ontology's sentences in a prompt

HINTS: Mapping[str, str] = {
    "": (
        "Mark every mention, also one that was mentioned before. Mark a long form and its abbreviation in brackets as "
        "two mentions. Leave articles, and punctuation at the edges, out of a mention. A mention counts whether it is "
        "affirmed, denied or only suspected."
    ),
    "disease": "Mark diseases of animals and tumours too; of `breast and ovarian cancer` mark the whole phrase.",
    "chemical": "Do not mark proteins, antibodies, buffers, or dosages and units beside a drug's name.",
    "problem": "Mark findings that are abnormal, not those that are normal; mark each of several problems on its own.",
    "treatment": "Do not mark doses, routes and times, or the places and people that give a treatment.",
    "test": "Mark the test, not its value or finding; vital signs such as blood pressure are tests.",
    "gene": "Mark proteins too; do not mark the species, the mutation, or the cell beside a gene's name.",
}
"""Instructions from error analyses (Hu et al. 2024): for all types (the key is ""), and for some types."""


def check(options: PromptOptions) -> None:
    """Check the settings of prompts.

    Raises:
        UsageError: if a setting is invalid, or settings exclude each other.
    """
    shape_named(options.shape)
    _known("parts", options.parts, PARTS)
    _known("verify", options.verify, _VERIFIED)
    _known("ontology", [options.ontology] if options.ontology else [], (ONE_STEP, TWO_STEP))
    _known("choose", [options.choose], CHOOSERS)
    if not 0 <= options.shots <= MOST:
        raise UsageError(f"`shots` must be from 0 to {MOST}, got {options.shots}")
    if options.samples < 1 or options.max_tokens < 0 or options.window < 0:
        raise UsageError("`samples` must be at least 1, `max_tokens` and `window` at least 0")
    if not (isfinite(options.heat) and options.heat >= 0) or (options.samples > 1 and not options.heat):
        raise UsageError(
            "`temperature` must be at least 0, and above 0 for several `samples`; otherwise all are the same"
        )
    if options.diversity and options.choose not in BY_COSINE:
        raise UsageError(f"`diversity` is for the choosers {', '.join(BY_COSINE)}, not for {options.choose}")
    if options.embedder and options.choose not in BY_EMBEDDING:
        raise UsageError(f"`embedder` is for the choosers {' and '.join(BY_EMBEDDING)}, not for {options.choose}")
    if not 0 <= options.diversity < 1:
        raise UsageError(f"`diversity` must be in [0, 1), got {options.diversity}")
    if options.definitions and not options.ontology:
        raise UsageError("`definitions` are those of the ontology's terms; set `ontology=two-step` or one-step")


def _known(name: str, values: Iterable[str], known: Iterable[str]) -> None:
    if unknown := [value for value in values if value not in known]:
        raise UsageError(f"`{name}`: unknown {', '.join(unknown)}; choose from {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts about a type in prompts; an empty text is left out."""

    label: str = ""
    definition: str = ""
    guideline: str = ""
    hints: str = ""


def wordings(types: Sequence[str], file: Path | None = None) -> dict[str, Wording]:
    """Return the texts about types in prompts.

    Args:
        types: biomark's names of types, or the user's own.
        file: a TOML file with a table for each type, whose values replace biomark's texts.

    Raises:
        UsageError: if the file is not such a TOML file.
    """
    known = entity_types()
    by_type = {}
    own = _tables(file) if file else {}
    for entity_type in types:
        row = known.get(entity_type)
        wording = Wording(label(entity_type), row.definition, row.guideline) if row else Wording(label(entity_type))
        by_type[entity_type] = replace(wording, **{"hints": HINTS.get(entity_type, ""), **own.get(entity_type, {})})
    return by_type


def _tables(file: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the texts for each type in a user's file; an empty text also replaces biomark's."""
    tables = parse_toml(Source(file).text(), str(file))
    converted(tables, dict[str, Wording], str(file))
    return tables


class Prompter:
    """Writes the prompts about a group of types.

    Args:
        types: the types that share a question.
        options: the settings of the prompts.
        chooser: chooses the demonstrations; None: there are none.
        ontology: the source of knowledge about the texts of demonstrations; None: none.

    Raises:
        UsageError: if the wordings cannot be read.
    """

    def __init__(
        self,
        types: Sequence[str],
        options: PromptOptions,
        chooser: Chooser | None = None,
        ontology: Ontology | None = None,
    ) -> None:
        self.types = tuple(types)
        self._options = options
        self._chooser = chooser
        self._ontology = ontology if options.ontology == ONE_STEP else None
        self._wordings = wordings(types, options.wording)
        texts = {entity_type: (wording.label, wording.definition) for entity_type, wording in self._wordings.items()}
        self.shape = shape_named(options.shape, texts)
        self._labels = _joined([wording.label for wording in self._wordings.values()])

    def messages(self, text: str, document_id: str, known: Sequence[str] = (), around: str = "") -> tuple[Message, ...]:
        """Return the prompt about a text.

        Args:
            text: the text, such as a sentence.
            document_id: the id of its document, from which no demonstration is chosen.
            known: an ontology's sentences about the text.
            around: the longer text of which `text` is a part; none of its sentences is a demonstration.
        """
        chosen = self._chooser.choose(text, document_id, self._options.shots, around) if self._chooser else ()
        knowledge = (self._ontology.of_text(example.text) if self._ontology else () for example in chosen)
        questions = [self._question(example.text, known) for example, known in zip(chosen, knowledge, strict=True)]
        answers = [self.shape.encode(example.text, example.entities, self.types).text for example in chosen]
        last = self._question(text, known)
        system = self._system()
        if self.shape.one_message:
            shown = [
                _completed(question[0].content, answer) for question, answer in zip(questions, answers, strict=True)
            ]
            whole = "\n\n".join((system, *shown, last[0].content))
            return (Message(USER, whole, begun=True),)
        turns = [Message(SYSTEM, system)] if system else []
        for question, answer in zip(questions, answers, strict=True):
            turns += [*question, Message(ASSISTANT, answer)]
        return self._conversation((*turns, *last))

    def second_round(self, before: Sequence[Message], text: str, entities: Iterable[Entity]) -> tuple[Message, ...]:
        """Return the question about missed mentions (Ji 2023, VicunaNER)."""
        answer = self.shape.encode(text, entities, self.types).text
        question = (
            f"Some {self._labels} may have been missed. Answer once more about the same text and in the same form, "
            "with the mentions of the last answer and with those that it missed."
        )
        return (*before, Message(ASSISTANT, answer), Message(USER, question))

    def yes_no(self, text: str, mention: str, entity_type: str) -> tuple[Message, ...]:
        """Return the question whether a mention is of a type (Wang et al. 2023, GPT-NER)."""
        wording = self._wordings[entity_type]
        sections = [f"### Task\nSay whether a mention in a text is a {wording.label}. Answer with yes or no."]
        sections += [section for part in ("definition", "guideline") if (section := self._section(part, [entity_type]))]
        question = f'Is "{mention}" in this text a {wording.label}? Answer with yes or no.'
        return self._conversation(
            (Message(SYSTEM, "\n\n".join(sections)), Message(USER, f"### Text\n{text}\n\n{question}"))
        )

    def new_sentences(self, shown: Sequence[str], signs: Signs, count: int) -> tuple[Message, ...]:
        """Return the request for new sentences like the marked ones in `shown` (Wang et al. 2023, Self-Instruct)."""
        around = [(wording.label, signs.around(entity_type)) for entity_type, wording in self._wordings.items()]
        ask = "".join(f" Put {before} and {after} around each {name}." for name, (before, after) in around)
        sections = [
            f"### Task\nWrite {count} new sentences that mention {self._labels}, as different as possible from the "
            "examples and from each other: about other matters, in other words, with other mentions.",
            *(self._section(part, self.types) for part in ("definition", "guideline")),
            f"### Answer\nA numbered list, one sentence a line and nothing else.{ask}",
        ]
        examples = "\n".join(f"{n}. {text}" for n, text in enumerate(shown, 1))
        question = f"### Examples\n{examples}\n\nWrite {count} new sentences."
        return self._conversation((Message(SYSTEM, "\n\n".join(filter(None, sections))), Message(USER, question)))

    def candidates(self, text: str) -> tuple[Message, ...]:
        """Return the question about the medical terms of a text, step 1 of DiRAG (Monajatipoor et al. 2024)."""
        task = (
            "### Task\nList all words and phrases in the text that may be medical terms, of whatever type, each on a "
            "line of its own, as the text writes them, and nothing else. If there are none, write: none"
        )
        return self._conversation((Message(SYSTEM, task), Message(USER, f"### Text\n{text}")))

    def _system(self) -> str:
        """Return the system message; "" if the shape's question is the whole prompt."""
        request = self.shape.request(self.types)
        if not request:
            return ""
        sections = [self._section(part, self.types) for part in PARTS if part in self._options.parts]
        return "\n\n".join([*filter(None, sections), f"### Answer\n{request}"])

    def _section(self, part: str, types: Sequence[str]) -> str:
        """Return a part of the prompt; "" if it is switched off or has no text."""
        if part not in self._options.parts:
            return ""
        if part == "task":
            return f"### Task\nFind all {self._labels} that are mentioned in the text."
        texts = [(wording.label, getattr(wording, part)) for wording in map(self._wordings.__getitem__, types)]
        lines = [f"{name}: {text}" for name, text in texts if text]
        if part == "hints":
            lines.insert(0, HINTS[""])
        return "\n".join([f"### {_HEADINGS[part]}", *lines]) if lines else ""

    def _question(self, text: str, known: Sequence[str]) -> tuple[Message, ...]:
        """Return the messages that ask about a text, with an ontology's sentences before it."""
        first, *others = self.shape.question(text, self.types)
        contents = (_known_before(known) + first, *others)
        return tuple(Message(ASSISTANT if n % 2 else USER, content) for n, content in enumerate(contents))

    def _conversation(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return the messages, without a system message if the options exclude it."""
        if not self._options.no_system or messages[0].role != SYSTEM:
            return messages
        return without_system(messages)


_HEADINGS = {"definition": "Definitions", "guideline": "Annotation guideline", "hints": "Hints"}


def _completed(question: str, answer: str) -> str:
    """Return an example whose answer continues its question."""
    return question + ("" if question.endswith("\n") else " ") + answer


def _known_before(known: Sequence[str]) -> str:
    return "\n".join(("### Knowledge", *known)) + "\n\n" if known else ""


def _joined(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) + " entities"


def readable(
    pool: Iterable[Example], shape: Shape, groups: Sequence[Sequence[str]], lost: Counter[str]
) -> tuple[Example, ...]:
    """Return the examples whose answers decode to their mentions, because other examples would mislead a model.

    Args:
        pool: annotated sentences.
        shape: the shape of the answers.
        groups: the groups of types that share a question.
        lost: counts of examples that are left out, and of mentions that the shape cannot express.
    """
    kept = []
    for example in pool:
        readable_groups = [types for types in groups if set(types) <= set(example.types)]
        if all(_reads_back(example, shape, types, lost) for types in readable_groups):
            kept.append(example)
        else:
            lost["demonstrations whose answer does not read back"] += 1
    return tuple(kept)


def _reads_back(example: Example, shape: Shape, types: Sequence[str], lost: Counter[str]) -> bool:
    encoded = shape.encode(example.text, example.entities, types)
    decoded = shape.decode(encoded.text, example.text, types)
    expected = Counter((e.spans, e.type) for e in example.entities if e.type in types)
    expected -= Counter((e.spans, e.type) for e in encoded.left_out)
    if encoded.left_out:
        lost[f"mentions that answers of the shape {shape.name} cannot hold"] += len(encoded.left_out)
    return not decoded.rejected and Counter((e.spans, e.type) for e in decoded.entities) == Counter(set(expected))


class Ontology:
    """The knowledge of a term store about terms, as sentences: `X semantic type is Y.`

    Y is the name of the type in the term's source (`Sign or Symptom`), or else biomark's label.

    Args:
        store: the term store; it stays open.
        definitions: whether the concepts' definitions follow.
    """

    def __init__(self, store: Store, *, definitions: bool = False) -> None:
        self._store = store
        self._matcher = Matcher(store, others=True)
        self._definitions = definitions

    def of_text(self, text: str) -> tuple[str, ...]:
        """Return sentences about the terms whose names occur in a text: DiRAG in one step."""
        return self._sentences((match.span.of(text), match.terms[0]) for match in self._matcher.find(text))

    def of_answer(self, answer: str, text: str) -> tuple[str, ...]:
        """Return sentences about the listed terms that are in the text and in the store: steps 2 and 3 of DiRAG."""
        return self._sentences((name, term) for name in _listed(answer, text) for term in self._named(name))

    def _named(self, name: str) -> Sequence[Term]:
        """Return the terms with this name in any case, or else those with its normalised form, such as its singular."""
        forms = dict.fromkeys((form(name), form(name.casefold())))
        terms = [term for normalised in forms for term in self._store.by_form(normalised)]
        exact = [term for term in terms if term.text.casefold() == name.casefold()]
        return exact or [term for term in terms if term.caution is not Caution.NEVER]

    def _sentences(self, named_terms: Iterable[tuple[str, Term]]) -> tuple[str, ...]:
        sentences: dict[str, None] = {}
        for name, term in named_terms:
            concept = term.concept
            kinds = concept.semantic_types or (label(concept.type),)
            *others, last = (f"{name} semantic type is {kind}." for kind in kinds)
            if self._definitions and concept.definition:
                last = f"{last} {concept.definition}"
            sentences |= dict.fromkeys([*others, last])
        return tuple(sentences)[:_TERMS]


def yes_or_no(answer: str) -> bool | None:
    """Return whether an answer is yes (True) or no (False); None: neither."""
    words = answer.casefold().replace("*", " ").split()
    first = words[0].strip(".,!:;\"'") if words else ""
    return {"yes": True, "no": False}.get(first)


_BULLET = re.compile(r"^\s*+(?:[-*•]|\d++[.)])\s++")


_COMMAS = re.compile(r"[,;]\s")


def _listed(answer: str, text: str) -> list[str]:
    """Return the terms in an answer that occur in the text, once each; lines or commas separate them."""
    folded = text.casefold()
    terms: dict[str, None] = {}
    for line in answer.split("\n"):
        item = _BULLET.sub("", line)
        for names in ([item], _COMMAS.split(item)):
            cleaned = (name.strip().strip("\"'`.,;") for name in names)
            known = [name for name in cleaned if name and name.casefold() in folded]
            terms |= dict.fromkeys(known)
            if known:
                break
    return list(terms)
