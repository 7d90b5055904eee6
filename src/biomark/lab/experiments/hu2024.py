"""Hu et al. 2024: GPT-3.5 and GPT-4 prompted for clinical entities, five settings of the prompt.

The authors released the answers of both models. Here they are decoded, aligned and scored like those of any prompted
model, and also by a second route that shares only the scorer with the first one: answer → BIO tags of the corpus's
tokens → mentions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from html.parser import HTMLParser
from pathlib import Path

from biomark import evaluation
from biomark.corpora import corpus_named, locate, read_split
from biomark.errors import CorpusError, FormatError
from biomark.evaluation import Evaluation, Score
from biomark.formats.conll import Token, tagged_document
from biomark.lab.experiments.outcome import Outcome, Table, provenance
from biomark.shapes.span import SPAN
from biomark.spans import Document

CORPORA = ("mtsamples", "vaers")
MODELS = ("GPT-3.5", "GPT-4")
# The names of the released folders, and the parts of their prompts.
SETTINGS: Mapping[str, str] = {
    "baseline": "task and format",
    "baseline_definition_guideline": "+ definitions and guidelines",
    "baseline_definition_guideline_erroranalysis": "+ hints from errors",
    "baseline_definition_guideline_erroranalysis_1shot": "+ 1 example",
    "baseline_definition_guideline_erroranalysis_5shot": "+ 5 examples",
}
_FIRST, *_, _LAST = SETTINGS

PUBLISHED: Mapping[tuple[str, str, str], float] = {
    ("mtsamples", "GPT-3.5", _FIRST): 0.634,
    ("mtsamples", "GPT-3.5", _LAST): 0.794,
    ("mtsamples", "GPT-4", _FIRST): 0.804,
    ("mtsamples", "GPT-4", _LAST): 0.861,
    ("vaers", "GPT-3.5", _FIRST): 0.301,
    ("vaers", "GPT-3.5", _LAST): 0.676,
    ("vaers", "GPT-4", _FIRST): 0.593,
    ("vaers", "GPT-4", _LAST): 0.736,
}
"""The published relaxed F1 by corpus, model and setting, from the paper's abstract (doi 10.1093/jamia/ocad259)."""

_ABOUT = """\
Hu Y, Chen Q, Du J, et al. Improving large language models for clinical named entity recognition via prompt
engineering. J Am Med Inform Assoc 2024;31:1812-1820. The authors released every answer of both models to the test
sentences of both corpora. There are five prompts: the first one has only the task and the answer format, and each
further prompt adds one part (`+`). `biomark reproduce hu2024` decodes these answers with the shape `span`, aligns them
with the texts, and scores them as `biomark evaluate` does. *Partial* matching is what the paper calls relaxed: a
predicted mention counts if it overlaps a gold mention of the same type."""

_NOTES = (
    "*Published partial F1* is the relaxed F1 in the paper's abstract, which has only the first and the last prompt.",
    "*Partial F1 by BIO tags* checks our decoding by a second method: an HTML parser reads the answer, its words are "
    "matched with the tokens of the corpus, and the same scorer scores the BIO tags of these tokens.",
    "*Text changed* is the share of answers whose text without tags differs from the sentence. *Words changed* "
    "is the share of answers that differ in more than white space. *Rejected* counts mentions whose "
    "position in the sentence is ambiguous or missing, mentions of a class that the prompt did not request, and "
    "answers without the sentence.",
    "The scorer that the authors released differs from ours in two ways. It counts mentions that only touch as "
    "overlapping, and it gives a token the tag of the nearest word, at the same or an earlier position of the answer, "
    "that contains the token or is contained in it.",
)


@dataclass(frozen=True, slots=True)
class GptAnswer:
    """The recorded answer of a model to one sentence under one setting of the prompt."""

    document_id: str
    setting: str
    text: str


@dataclass(frozen=True, slots=True)
class RescoredAnswers:
    """The scores of one model on one corpus under one setting of the prompt."""

    corpus: str
    model: str
    setting: str
    spans: Evaluation
    tags: Evaluation
    answers: int
    changed: int
    reworded: int
    rejected: Mapping[str, int]

    @property
    def published(self) -> float | None:
        """The relaxed F1 that the paper reports, in [0, 1], or None if it reports none."""
        return PUBLISHED.get((self.corpus, self.model, self.setting))


def run(scale: str) -> Outcome:
    """Score the recorded answers of both models to both corpora.

    Args:
        scale: without effect, since all answers are scored at any scale.

    Raises:
        CorpusError: if the corpora or the answers are missing.
        FormatError: if a file does not contain recorded answers.
    """
    rows = [row for corpus in CORPORA for model in MODELS for row in _rows(corpus, model)]
    files = [_file(corpus, model) for corpus in CORPORA for model in MODELS]
    gold = [locate(c, "test") / c.splits["test"].file for c in map(corpus_named, CORPORA)]
    return Outcome(
        title="Prompted GPT-3.5 and GPT-4 on clinical text (Hu et al. 2024)",
        about=_ABOUT,
        tables=tuple(_table(corpus, [row for row in rows if row.corpus == corpus]) for corpus in CORPORA),
        notes=(_agreement(rows), *_NOTES),
        data={**provenance([*gold, *files], "numpy"), "rows": [_data(row) for row in rows]},
    )


def _agreement(rows: Sequence[RescoredAnswers]) -> str:
    known = [(abs(row.spans.overall.partial.f1 - row.published), row) for row in rows if row.published is not None]
    most, row = max(known, key=lambda difference: difference[0])
    where = f"{row.corpus}, {row.model}, {SETTINGS[row.setting]}"
    pairs = [
        (getattr(row.spans.overall, scheme).f1, getattr(row.tags.overall, scheme).f1)
        for row in rows
        for scheme in ("strict", "partial")
    ]
    routes = max(abs(one - other) for one, other in pairs)
    return (
        f"The largest difference from a published figure is {most:.3f} ({where}). The F1 of our decoding and that of "
        f"the BIO tags differ in {sum(abs(a - b) > 1e-9 for a, b in pairs)} of {len(pairs)} scores (strict and "
        f"partial), by {routes:.3f} at most."
    )


def _file(corpus: str, model: str) -> Path:
    """Return the path of the recorded answers, which are beside the corpus."""
    row = corpus_named(corpus)
    test = locate(row, "test") / row.splits["test"].file
    path = test.with_name(f"{test.name.removesuffix('.jsonl')}.{model}.outputs.jsonl")
    if not path.is_file():
        raise CorpusError(
            f"{path} does not exist; save the released answers ({row.homepage}) there, one JSON object per line "
            "with id, setting and output"
        )
    return path


def read_answers(path: Path) -> list[GptAnswer]:
    """Read the recorded answers in a file.

    Raises:
        FormatError: if a line is not a recorded answer; the message has its number.
    """
    answers = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        try:
            row = json.loads(line) if line else None
            if row:
                answers.append(GptAnswer(str(row["id"]), str(row["setting"]), str(row["output"])))
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(f"{path}:{number}: no recorded answer with id, setting and output: {error!r}") from error
    return answers


def _rows(corpus: str, model: str) -> Iterable[RescoredAnswers]:
    gold = {document.id: document for document in read_split(f"{corpus}:test")}
    answers = read_answers(_file(corpus, model))
    for setting in SETTINGS:
        chosen = [(gold[a.document_id], a.text) for a in answers if a.setting == setting and a.document_id in gold]
        yield score(corpus, model, setting, tuple(gold.values()), chosen)


def score(
    corpus: str, model: str, setting: str, gold: Sequence[Document], answers: Sequence[tuple[Document, str]]
) -> RescoredAnswers:
    """Score the answers to documents, by both routes."""
    names = corpus_named(corpus).names
    decoded = [(document, SPAN.decode(answer, document.text, tuple(names))) for document, answer in answers]
    reasons = [rejected.reason for _, answer in decoded for rejected in answer.rejected]
    placed = [renamed(replace(document, entities=d.entities), names) for document, d in decoded]
    tagged = [renamed(by_tags(document, answer, names), names) for document, answer in answers]
    return RescoredAnswers(
        corpus,
        model,
        setting,
        spans=evaluation.evaluate(gold, placed, corpus=f"{corpus}:test"),
        tags=evaluation.evaluate(gold, tagged, corpus=f"{corpus}:test"),
        answers=len(answers),
        changed=sum(not d.faithful for _, d in decoded),
        reworded=sum(_squeezed(_Words.text(answer)) != _squeezed(document.text) for document, answer in answers),
        rejected={reason: reasons.count(reason) for reason in sorted(set(reasons))},
    )


def renamed(document: Document, names: Mapping[str, str]) -> Document:
    """Return the document with biomark's names for the types of the corpus."""
    return replace(document, entities=tuple(replace(e, type=names[e.type]) for e in document.entities))


class _Words(HTMLParser):
    """An HTML parser that collects the words of an answer with the class and the number of their outermost span."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[tuple[str, str, int]] = []
        self.pieces: list[str] = []
        self._open: list[str] = []
        self._number = 0

    @classmethod
    def of(cls, answer: str) -> list[tuple[str, str, int]]:
        """Return each word with its class ("" outside of spans) and the number of its span."""
        parser = cls()
        parser.feed(answer)
        parser.close()
        return parser.words

    @classmethod
    def text(cls, answer: str) -> str:
        """Return the answer without its HTML tags."""
        parser = cls()
        parser.feed(answer)
        parser.close()
        return "".join(parser.pieces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Handle the opening tag of a span."""
        if tag == "span":
            self._number += not self._open
            self._open.append(dict(attrs).get("class") or "")

    def handle_endtag(self, tag: str) -> None:
        """Handle the closing tag of the last span."""
        if tag == "span" and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Collect the words of text between tags."""
        self.pieces.append(data)
        entity_type = self._open[0] if self._open else ""
        self.words += [(word, entity_type, self._number) for word in _split(data)]


def by_tags(document: Document, answer: str, names: Iterable[str]) -> Document:
    """Return the document with the mentions of the BIO tags that an answer gives to its tokens.

    Args:
        document: its text is its tokens, joined by blanks.
        answer: the text as HTML.
        names: the classes that count.
    """
    tokens = document.text.split(" ")
    pieces = [(piece, index) for index, token in enumerate(tokens) for piece in _split(token)]
    words = _Words.of(answer)
    matcher = SequenceMatcher(None, [word for word, *_ in words], [piece for piece, _ in pieces], autojunk=False)
    spans: dict[int, tuple[str, int]] = {}
    for _, ours, our_end, theirs, their_end in matcher.get_opcodes():
        if our_end - ours == their_end - theirs:  # the same words, or as many others: misprints
            for (_, entity_type, number), (_, index) in zip(words[ours:our_end], pieces[theirs:their_end], strict=True):
                if entity_type in names:
                    spans.setdefault(index, (entity_type, number))
    for index in range(1, len(tokens) - 1):  # a token left out in the middle of a span
        before = spans.get(index - 1)
        if before and index not in spans and before == spans.get(index + 1):
            spans[index] = before
    tags = []
    for index in range(len(tokens)):
        entity_type, _ = spans.get(index, ("", 0))
        begins = spans.get(index) != spans.get(index - 1)
        tags.append(f"{'B' if begins else 'I'}-{entity_type}" if entity_type else "O")
    return tagged_document(document.id, [[Token(token, tag) for token, tag in zip(tokens, tags, strict=True)]])


def _split(text: str) -> list[str]:
    """Split a text into lower-case words and punctuation characters."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _table(corpus: str, rows: Sequence[RescoredAnswers]) -> Table:
    header = (
        "model",
        "prompt",
        *(f"{scheme} {figure}" for scheme in ("strict", "partial") for figure in ("P", "R", "F1")),
    )
    lines = []
    for row in rows:
        scores = [f"{x:.3f}" for s in (row.spans.overall.strict, row.spans.overall.partial) for x in _figures(s)]
        published = "" if row.published is None else f"{row.published:.3f}"
        shares = (f"{count / max(row.answers, 1):.1%}" for count in (row.changed, row.reworded))
        tags = f"{row.tags.overall.partial.f1:.3f}"
        rejected = str(sum(row.rejected.values()))
        lines.append((row.model, SETTINGS[row.setting], *scores, published, tags, *shares, rejected))
    more = ("published partial F1", "partial F1 by BIO tags", "text changed", "words changed", "rejected")
    return Table(corpus_named(corpus).title, (*header, *more), tuple(lines))


def _figures(score: Score) -> tuple[float, float, float]:
    return score.precision, score.recall, score.f1


def _data(row: RescoredAnswers) -> dict[str, object]:
    routes = {
        route: {scheme: _score(getattr(evaluation.overall, scheme)) for scheme in ("strict", "partial")}
        for route, evaluation in (("spans", row.spans), ("tags", row.tags))
    }
    return {
        "corpus": row.corpus,
        "model": row.model,
        "setting": row.setting,
        **routes,
        "published_relaxed_f1": row.published,
        "answers": row.answers,
        "changed": row.changed,
        "reworded": row.reworded,
        "rejected": dict(row.rejected),
        "signature": row.spans.signature,
    }


def _score(score: Score) -> dict[str, object]:
    figures = {name: round(getattr(score, name), 4) for name in ("precision", "recall", "f1", "low", "high")}
    return {**figures, **asdict(score.counts)}
