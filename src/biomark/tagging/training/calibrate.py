"""Calibration of an exported model on the development splits: its calibrators and its lowest score of a mention."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from biomark.evaluation.pairs import Gold
from biomark.evaluation.reliability import Judged, calibration, judged
from biomark.formats import Reject
from biomark.spans import Document
from biomark.tagging.calibration import Calibrator, MentionCandidate, entities, features
from biomark.tagging.recognizer import CARD, load_onnx
from biomark.tagging.training.examples import devel_name
from biomark.training.recipe import TaggingRecipe
from biomark.training.scoring import Devel, read_devel

_FEWEST = 50  # the lowest number of candidates from which a calibrator is learnt
_STEPS = 50
_RIDGE = 0.1
_LEAST = tuple(step / 20 for step in range(19))
_ABOUT_AS_GOOD = 0.003  # the difference in F1 up to which two lowest scores count as equally good

Considered = Sequence[tuple[Document, Sequence[MentionCandidate]]]


def calibrate(folder: Path, recipe: TaggingRecipe, reject: Reject) -> None:
    """Learn the calibrators of an exported model, choose its lowest score, and add both to the model's card.

    The calibrator of a type (`biomark.tagging.calibration`) is learnt from the candidates on the development splits
    that annotate the type. The lowest score is the smallest one whose mean strict F1 over these splits is within 0.3
    points of the best.

    Args:
        folder: of the exported model; its `model.json` is rewritten.
        recipe: of the model.
        reject: is called with each part of the splits that cannot be read.

    Raises:
        CorpusError: if a development split is missing.
    """
    card = json.loads((folder / CARD).read_text("utf-8"))
    by_split: list[tuple[Devel, Considered]] = []
    for split in read_devel(recipe.devel, recipe.types, reject=reject):
        model = load_onnx(folder, guideline=devel_name(recipe, split.name))
        considered = model.considered(split.documents, split.types)
        by_split.append((split, [(annotated.document, candidates) for annotated, candidates in considered]))
    calibrators = learn(by_split, recipe.types)
    splits: dict[str, tuple[list[Judged], int]] = {}
    for split, pairs in by_split:
        scored = (replace(d, entities=tuple(entities(own, calibrators.get, 0.0))) for d, own in pairs)
        splits[split.name] = judged(Gold(split.documents, types=split.types).pair(scored))
    means = {least: sum(_f1(*split, least) for split in splits.values()) / len(splits) for least in _LEAST}
    # A mention below the limit is lost to the user, so of equally good limits the lowest one is taken.
    least = min(least for least, mean in means.items() if mean >= max(means.values()) - _ABOUT_AS_GOOD)
    whole = calibration([m for mentions, _ in splits.values() for m in mentions], sum(g for _, g in splits.values()))
    card |= {
        "min_score": least,
        "calibration": {
            entity_type: [round(v, 4) for v in asdict(made).values()] for entity_type, made in calibrators.items()
        },
        "devel": {name: _facts(*split, least) for name, split in splits.items()},
        "calibration_error": round(whole.error, 4),
        "curve": [{key: round(value, 4) for key, value in asdict(point).items()} for point in whole.curve],
    }
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", "utf-8")


def learn(by_split: Iterable[tuple[Devel, Considered]], types: Sequence[str]) -> dict[str, Calibrator]:
    """Return a calibrator for each type with enough candidates; see `fit`."""
    examples: dict[str, list[tuple[MentionCandidate, bool]]] = {entity_type: [] for entity_type in types}
    for split, considered in by_split:
        by_id = {document.id: candidates for document, candidates in considered}
        scored = (replace(d, entities=tuple(c.entity for c in candidates)) for d, candidates in considered)
        for pair in Gold(split.documents, types=split.types).pair(scored):
            _, wrong = pair.unmatched()
            wrongs = {(mention.spans, mention.type) for mention in wrong}
            for candidate in by_id.get(pair.document.id, ()):
                right = (candidate.entity.spans, candidate.entity.type) not in wrongs
                examples[candidate.entity.type].append((candidate, right))
    made = {entity_type: fit(some) for entity_type, some in examples.items()}
    return {entity_type: calibrator for entity_type, calibrator in made.items() if calibrator}


def fit(examples: Sequence[tuple[MentionCandidate, bool]]) -> Calibrator | None:
    """Fit a calibrator by logistic regression (Newton's method, with a weak ridge penalty).

    Args:
        examples: candidates, each with whether it is a gold mention.

    Returns:
        The calibrator; None with fewer than 50 examples, or if higher scores are not right more often.
    """
    if len(examples) < _FEWEST:
        return None
    rows = np.array([features(candidate) for candidate, _ in examples])
    right = np.array([is_right for _, is_right in examples], dtype=np.float64)
    weights: npt.NDArray[np.float64] = np.zeros(
        rows.shape[1]
    )  # a start at zero, unlike one at the identity, keeps Newton's steps stable
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-rows @ weights))
        gradient = rows.T @ (chance - right) + _RIDGE * weights
        curvature = (rows.T * (chance * (1 - chance))) @ rows + _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return Calibrator(*map(float, weights)) if weights[0] > 0 else None


def _f1(mentions: Sequence[Judged], gold: int, least: float) -> float:
    kept = [mention for mention in mentions if mention.score >= least]
    return 2 * sum(mention.right for mention in kept) / max(len(kept) + gold, 1)


def _facts(mentions: Sequence[Judged], gold: int, least: float) -> dict[str, float]:
    kept = [mention for mention in mentions if mention.score >= least]
    right = sum(mention.right for mention in kept)
    values = {
        "precision": right / max(len(kept), 1),
        "recall": right / max(gold, 1),
        "f1": _f1(mentions, gold, least),
        "calibration_error": calibration(mentions, gold).error,
    }
    return {name: round(value, 4) for name, value in values.items()}
