"""A benchmark of strict F1 on a corpus as it is and in perturbed writing, and on clinical notes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from biomark import corpora, evaluation
from biomark.entity_types import with_canonical_types
from biomark.errors import UsageError
from biomark.formats import Reject, raise_rejected
from biomark.lab.bench import crf, machine, spacy_ner
from biomark.recognizers import Recognizer, types_known
from biomark.spans import Document, Entity
from biomark.text.perturbation import PERTURBATIONS

AS_IT_IS, NOTES = "as it is", "notes"
BASELINES = ("crf", "spacy")
"""The baselines that can be trained: a conditional random field, and spaCy's default NER."""


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """The scores of a recognizer on documents in one writing.

    Attributes:
        precision: strict precision over all scored types, in [0, 1].
        recall: strict recall, in [0, 1].
        f1: strict F1, in [0, 1].
        changed: the number of gold mentions that this writing changes.
        found: the share of these that the recognizer predicts with the right type and spans; 0 if there are none.
        found_before: the share of these that it predicts in the unchanged text.
    """

    precision: float
    recall: float
    f1: float
    changed: int = 0
    found: float = 0.0
    found_before: float = 0.0


RobustnessRows = Mapping[str, Mapping[str, RobustnessRow]]
"""The scores by the name of the recognizer and of the writing."""


def robustness(
    documents: Sequence[Document],
    types: Sequence[str],
    recognizers: Mapping[str, Recognizer],
    *,
    notes: Sequence[Document] = (),
    seed: int = 0,
    reject: Reject = raise_rejected,
    progress: Callable[[str], None] = lambda message: None,
) -> RobustnessRows:
    """Measure strict F1 of recognizers on documents in each writing of `biomark.text.perturbation`, and on notes.

    Each recognizer is scored only on the types that it knows.

    Args:
        documents: the documents, with gold mentions and distinct ids.
        types: the types that the documents annotate.
        recognizers: the recognizers by name.
        notes: other documents with gold mentions, which are not perturbed and are scored on all types in them.
        seed: the seed of the random choices in the writings, together with a document's id.
        reject: is called with each reject of a recognizer.
        progress: is called with a line of text for each recognizer and writing.

    Raises:
        UsageError: if there is no document, or a recognizer knows none of the types.
    """
    if not documents:
        raise UsageError("there is no document to annotate; name a file or split that has some")
    gold, others = list(map(with_canonical_types, documents)), list(map(with_canonical_types, notes))
    in_notes = tuple(dict.fromkeys(entity.type for document in others for entity in document.entities))
    texts = {AS_IT_IS: gold, **writings(gold, seed), **({NOTES: others} if others else {})}
    rows: dict[str, dict[str, RobustnessRow]] = {}
    for name, recognizer in recognizers.items():
        before: _Predictions | None = None
        rows[name] = {}
        for writing, changed in texts.items():
            known = _known(name, recognizer, in_notes if writing == NOTES else types)
            answers = _Predictions(changed, recognizer, known, reject)
            row = answers.row(None if writing == NOTES else before)
            before = before or answers
            rows[name][writing] = row
            progress(f"{name}, {writing}: F1 {row.f1:.3f}")
    return rows


def facts(rows: RobustnessRows, documents: Sequence[Document], types: Sequence[str], *, seed: int) -> dict[str, object]:
    """Return the figures and facts of the data for JSON; `strict` has a `RobustnessRow` by recognizer and writing."""
    gold = [entity for document in map(with_canonical_types, documents) for entity in document.entities]
    return {
        "bench": "robustness",
        "documents": len(documents),
        "mentions": sum(entity.type in types for entity in gold),
        "types": list(types),
        "seed": seed,
        "strict": {name: {writing: asdict(row) for writing, row in its.items()} for name, its in rows.items()},
        **machine("onnxruntime"),
    }


def writings(documents: Sequence[Document], seed: int = 0) -> dict[str, list[Document]]:
    """Return the documents in each writing, by the writing's name; the result depends only on the seed."""
    return {
        name: [change(document, random.Random(f"{seed} {name} {document.id}")) for document in documents]
        for name, change in PERTURBATIONS.items()
    }


def baselines(
    names: Sequence[str],
    train: Sequence[str],
    types: Sequence[str],
    folder: Path,
    *,
    reject: Reject,
    progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Recognizer]:
    """Load baselines by name; those that do not exist yet are trained.

    Args:
        names: some of `BASELINES`.
        train: files or splits that annotate all of the types.
        types: the types to learn.
        folder: the parent of the baselines' folders.
        reject: is called with each part of the corpora that cannot be read.
        progress: is called with lines of text about the training.

    Raises:
        UsageError: if a name is unknown.
        MissingExtraError: if a library is not installed.
    """
    recognizers: dict[str, Recognizer] = {}
    for name in names:
        place = folder / name
        if name == "crf":
            if not (place / crf.CARD).is_file():
                documents = (d for corpus in train for d in corpora.read_corpus(corpus, reject=reject))
                crf.train(map(with_canonical_types, documents), types, place, progress=progress)
            recognizers[name] = crf.CrfRecognizer(place)
        elif name == "spacy":
            if not place.is_dir():
                spacy_ner.train(train, types, place, reject=reject, progress=progress)
            recognizers[name] = spacy_ner.SpacyRecognizer(place)
        else:
            raise UsageError(f"unknown baseline {name!r}; choose from {', '.join(BASELINES)}")
    return recognizers


class _Predictions:
    """The gold mentions and the predictions of a recognizer for the same documents."""

    def __init__(self, gold: Sequence[Document], recognizer: Recognizer, types: Sequence[str], reject: Reject) -> None:
        self._gold, self._types = gold, types
        self._predicted: list[Document] = []
        for annotated in recognizer.annotate(gold, types):
            for rejected in annotated.rejected:
                reject(rejected)
            self._predicted.append(annotated.document)
        self._found = [{(e.type, e.spans) for e in document.entities} for document in self._predicted]

    def row(self, before: _Predictions | None = None) -> RobustnessRow:
        """Return the scores; `before` holds the predictions for the unperturbed documents."""
        strict = evaluation.evaluate(self._gold, self._predicted, types=self._types).overall.strict
        pairs = list(self._changed(before)) if before else []
        found = sum(self._has(n, new) for n, _, new in pairs)
        found_before = sum(before._has(n, old) for n, old, _ in pairs) if before else 0
        return RobustnessRow(
            precision=round(strict.precision, 4),
            recall=round(strict.recall, 4),
            f1=round(strict.f1, 4),
            changed=len(pairs),
            found=round(found / max(1, len(pairs)), 4),
            found_before=round(found_before / max(1, len(pairs)), 4),
        )

    def _has(self, document: int, entity: Entity) -> bool:
        return (entity.type, entity.spans) in self._found[document]

    def _changed(self, before: _Predictions) -> Iterator[tuple[int, Entity, Entity]]:
        """Yield the gold mentions whose text has changed: the index of the document, the old and the new mention."""
        for n, (was, now) in enumerate(zip(before._gold, self._gold, strict=True)):
            for old, new in zip(was.entities, now.entities, strict=True):
                if old.type in self._types and old.mention(was.text) != new.mention(now.text):
                    yield n, old, new


def _known(name: str, recognizer: Recognizer, types: Sequence[str]) -> tuple[str, ...]:
    known = tuple(types_known(recognizer, types))
    if not known:
        raise UsageError(f"{name} supports none of {', '.join(types) or 'no types'}; it supports {recognizer.types}")
    return known
