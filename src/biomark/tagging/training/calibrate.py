"""Calibration of an exported model on the development splits: its calibrators and its lowest score of a mention."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
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

Considered = Sequence[tuple[Document, Sequence[MentionCandidate]]]
Judgement = tuple[list[Judged], int]  # predicted mentions, and the number of gold mentions


def calibrate(folder: Path, recipe: TaggingRecipe, reject: Reject) -> None:
    """Learn the calibrators of an exported model, choose its lowest scores, and add both to the model's card.

    The calibrator of a type (`biomark.tagging.calibration`) is learnt from the candidates on the development splits
    that annotate the type, and its lowest score is chosen on them, too (see `_least`).

    Args:
        folder: the folder of the exported model; its `model.json` is rewritten.
        recipe: the recipe of the model.
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
    splits = {split.name: _judged_by_type(split, pairs, calibrators) for split, pairs in by_split}
    least = {
        entity_type: _least([by_type[entity_type] for by_type in splits.values() if entity_type in by_type])
        for entity_type in recipe.types
    }
    whole = calibration(*_together(judgement for by_type in splits.values() for judgement in by_type.values()))
    card |= {
        "min_score": least,
        "calibration": {
            entity_type: [round(v, 4) for v in asdict(made).values()] for entity_type, made in calibrators.items()
        },
        "devel": {name: _facts(*_together(by_type.values()), least) for name, by_type in splits.items()},
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


def _judged_by_type(
    split: Devel, considered: Considered, calibrators: Mapping[str, Calibrator]
) -> dict[str, Judgement]:
    """Return the mentions of each type that a split annotates, and the number of its gold mentions."""
    scored = [replace(d, entities=tuple(entities(own, calibrators.get, lambda _: 0.0))) for d, own in considered]
    return {
        entity_type: judged(Gold(split.documents, types=(entity_type,)).pair(scored)) for entity_type in split.types
    }


def _together(judgements: Iterable[Judgement]) -> Judgement:
    mentions, gold = zip(*judgements, strict=True)
    return [mention for some in mentions for mention in some], sum(gold)


def _least(judgements: Sequence[Judgement]) -> float:
    """Return the lowest score of a type: half of its best mean F1 over splits, rounded up to a twentieth.

    A mention raises the expected F1 if its probability is above half of the F1 that is reached (Lipton et al. 2014,
    arXiv 1402.1892).
    """
    means = (sum(_f1(*judgement, least) for judgement in judgements) / max(len(judgements), 1) for least in _LEAST)
    return math.ceil(10 * max(means)) / 20


def _f1(mentions: Sequence[Judged], gold: int, least: float) -> float:
    kept = [mention for mention in mentions if mention.score >= least]
    return 2 * sum(mention.right for mention in kept) / max(len(kept) + gold, 1)


def _facts(mentions: Sequence[Judged], gold: int, least: Mapping[str, float]) -> dict[str, float]:
    kept = [mention for mention in mentions if mention.score >= least[mention.type]]
    right = sum(mention.right for mention in kept)
    values = {
        "precision": right / max(len(kept), 1),
        "recall": right / max(gold, 1),
        "f1": 2 * right / max(len(kept) + gold, 1),
        "calibration_error": calibration(mentions, gold).error,
    }
    return {name: round(value, 4) for name, value in values.items()}
