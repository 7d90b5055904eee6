from __future__ import annotations

import pytest
from evaluation_cases import TEXT, TYPES, any_mentions, document, mention
from hypothesis import given, settings

from biomark.evaluation import MistakeKind, evaluate
from biomark.evaluation.mistakes import form, is_abbreviation, sentence_of, surface_forms
from biomark.text.sentences import with_sentences


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([("disease", 12, 25)], [], [MistakeKind.MISSING]),
        ([("disease", 12, 25)], [("disease", 26, 28)], [MistakeKind.MISSING, MistakeKind.WRONG]),
        ([("disease", 12, 25)], [("disease", 19, 25)], [MistakeKind.BOUNDARY]),
        ([("disease", 12, 25)], [("gene", 12, 25)], [MistakeKind.TYPE]),
        ([("disease", 12, 25)], [("gene", 19, 25)], [MistakeKind.TYPE]),
        (
            [("disease", 12, 25)],
            [("disease", 12, 18), ("disease", 19, 25)],
            [MistakeKind.BOUNDARY, MistakeKind.BOUNDARY],
        ),
        ([("disease", 12, 25)], [("gene", 12, 25), ("disease", 19, 25)], [MistakeKind.TYPE, MistakeKind.BOUNDARY]),
        ([("disease", 12, 25)], [("disease", 12, 25), ("gene", 19, 25)], [MistakeKind.WRONG]),
    ],
    ids=[
        "missing",
        "apart",
        "boundary",
        "type",
        "type and boundary",
        "torn apart",
        "two for one",
        "beside a right one",
    ],
)
def test_classes(gold: list, predicted: list, kinds: list[MistakeKind]) -> None:
    found = evaluate(
        [document(*(mention(*m) for m in gold))], [document(*(mention(*m) for m in predicted))], types=TYPES
    )
    assert [mistake.kind for mistake in found.mistakes] == kinds


@settings(max_examples=100, deadline=None)
@given(any_mentions(), any_mentions())
def test_every_error_belongs_to_one_class_and_they_add_up(gold: tuple, predicted: tuple) -> None:
    found = evaluate([document(*gold)], [document(*predicted)], types=TYPES)
    counts = found.overall.strict.counts
    assert sum(mistake.gold is not None for mistake in found.mistakes) == counts.fn
    assert sum(mistake.predicted is not None for mistake in found.mistakes) == counts.fp
    sides = [side for mistake in found.mistakes for side in ("gold", "predicted") if getattr(mistake, side)]
    mentions = [m for mistake in found.mistakes for m in mistake.mentions]
    assert len(set(zip(sides, mentions, strict=True))) == len(mentions)
    for mistake in found.mistakes:
        if mistake.gold and mistake.predicted:
            same = mistake.gold.type == mistake.predicted.type
            assert mistake.gold.overlaps(mistake.predicted)
            assert mistake.kind == (MistakeKind.BOUNDARY if same else MistakeKind.TYPE)
        if mistake.kind is MistakeKind.MISSING:
            assert not any(mistake.gold.overlaps(p) and p.type == mistake.gold.type for p in predicted)
        if mistake.kind is MistakeKind.WRONG:
            assert not any(mistake.predicted.overlaps(g) and g.type == mistake.predicted.type for g in gold)


@pytest.mark.parametrize("mention", ["TNF", "BRCA1", "NF-κB", "5-HT", "mTOR", "COX-2", "AD"])
def test_abbreviations(mention: str) -> None:
    assert is_abbreviation(mention)


@pytest.mark.parametrize(
    "mention", ["Aspirin", "asthma", "breast cancer", "A", "12", "TNF alpha", "p53-dependent", "-"]
)
def test_what_is_no_abbreviation(mention: str) -> None:
    assert not is_abbreviation(mention)


def test_the_sentence_of_an_error() -> None:
    (mistake,) = evaluate([document(mention("gene", 35, 40))], [document()]).mistakes
    sentence = sentence_of(mistake, with_sentences(mistake.document))
    assert sentence.of(TEXT) == "TNF-α, also in asthma."
    assert mistake.has_abbreviation


def test_an_error_across_two_sentences_has_both() -> None:
    (mistake,) = evaluate([document(mention("disease", 29, 40))], [document()]).mistakes
    assert sentence_of(mistake, with_sentences(mistake.document)).of(TEXT) == TEXT


def test_surface_forms_ignore_case_and_white_space() -> None:
    seen = surface_forms([document(mention("disease", 12, 25))])
    assert seen == {"severe asthma"}
    assert form("Severe\n ASTHMA") in seen
