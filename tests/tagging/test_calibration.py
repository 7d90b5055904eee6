"""Scores → probabilities: candidates of a document, what is learnt of them, and which of them stay."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from biomark.evaluation.reliability import Judged, calibration
from biomark.spans import Entity, Span
from biomark.tagging.calibration import Calibrator, MentionCandidate, candidates, entities
from biomark.tagging.text import BEGIN, INSIDE, OUTSIDE, Floats, decode_tags
from biomark.tagging.words import WordReader, Words

TEXT = "Severe asthma was rare. Asthma and asthma, too; no severe asthmatic."


def passage(reader: WordReader, text: str, said: dict[int, tuple[int, float]]) -> tuple[Floats, Words]:
    """A passage whose word n has a tag with a probability as `said`, all others *outside* with 0.9."""
    (words,) = reader.words(text, [Span(0, len(text))])
    chances = np.full((len(words), 1, 3), 0.05, dtype=np.float32)
    chances[:, 0, OUTSIDE] = 0.9
    for place, (tag, chance) in said.items():
        chances[place, 0] = (1 - chance) / 2
        chances[place, 0, tag] = chance
    return np.log(chances), words


def test_other_places_of_the_same_words_are_candidates(word_pieces: Tokenizer) -> None:
    # Severe asthma was rare . Asthma and asthma , too ; no severe asthmatic .
    said = {0: (BEGIN, 0.9), 1: (INSIDE, 0.8), 7: (BEGIN, 0.7)}
    found = candidates(TEXT, [passage(WordReader(word_pieces), TEXT, said)], ["disease"])
    by_span = {(c.entity.start, c.entity.end): c for c in found}
    # The `asthma` inside of a mention is no candidate, nor is another word or another case.
    assert sorted(by_span) == [(0, 13), (35, 41)]
    assert all(candidate.tagged and candidate.elsewhere is None for candidate in found)


def test_a_place_that_was_passed_over_knows_of_the_others(word_pieces: Tokenizer) -> None:
    text = "Gout eased. No gout, gout? And gouty."
    said = {4: (BEGIN, 0.8)}  # Gout eased . No gout , gout ? And gouty .
    found = candidates(text, [passage(WordReader(word_pieces), text, said)], ["disease"])
    assert [(c.entity.start, c.tagged) for c in found] == [(15, True), (21, False)]
    tagged, passed_over = found
    assert tagged.score == pytest.approx(0.8, abs=1e-5)
    assert passed_over.score == pytest.approx(0.05, abs=1e-5)
    assert (tagged.elsewhere, passed_over.elsewhere) == (passed_over.score, tagged.score)
    trusting = Calibrator(1.0, 0.0, 1.0, 2.0)
    assert [e.start for e in entities(found, {"disease": trusting}.get, lambda _: 0.5)] == [15, 21]
    assert [e.start for e in entities(found, {}.get, lambda _: 0.0)] == [15]


def test_passages_of_a_document_know_of_each_other(word_pieces: Tokenizer) -> None:
    reader, text = WordReader(word_pieces), "Gout.\nNo gout, gout."
    title, abstract = reader.words(text, [Span(0, 5), Span(6, len(text))])
    logs = [np.log(np.full((len(words), 1, 3), 1 / 3, dtype=np.float32)) for words in (title, abstract)]
    logs[0][0, 0] = np.log([0.1, 0.8, 0.1])
    for place in range(len(abstract)):
        logs[1][place, 0] = np.log([0.9, 0.05, 0.05])
    assert [c.entity.start for c in candidates(text, list(zip(logs, (title, abstract), strict=True)), ["disease"])] == [
        0
    ]
    logs[1][1, 0] = np.log([0.1, 0.8, 0.1])
    found = candidates(text, list(zip(logs, (title, abstract), strict=True)), ["disease"])
    assert [(c.entity.start, c.entity.mention(text)) for c in found] == [(0, "Gout"), (9, "gout"), (15, "gout")]


def test_thousands_of_places_take_no_longer_than_their_number() -> None:
    found = [MentionCandidate(Entity((Span(3 * n, 3 * n + 4),), "gene", score=0.9 - n % 2 / 10)) for n in range(40_000)]
    kept = entities(found, {"gene": Calibrator()}.get, lambda _: 0.0)
    assert [e.start for e in kept] == list(range(0, 120_000, 6))


def test_of_two_that_overlap_the_likelier_one_stays() -> None:
    def candidate(start: int, end: int, score: float, type: str = "gene") -> MentionCandidate:
        return MentionCandidate(Entity((Span(start, end),), type, score=score))

    found = [candidate(0, 4, 0.6), candidate(2, 9, 0.8), candidate(8, 12, 0.7), candidate(3, 5, 0.5, "disease")]
    plain = {"gene": Calibrator(), "disease": Calibrator()}.get
    assert [(e.start, e.type) for e in entities(found, plain, lambda _: 0.0)] == [(2, "gene"), (3, "disease")]
    assert [e.start for e in entities(found, plain, lambda _: 0.75)] == [2]
    assert [e.score for e in entities(found[1:2], {"gene": Calibrator(2.0, 0.0)}.get, lambda _: 0.0)] == [
        pytest.approx(16 / 17)
    ]


@given(
    st.lists(st.sampled_from(["gout", "of the knee", "and", "zinc", "Gout", "knee,", "(gout)"]), max_size=14), st.data()
)
def test_candidates_are_words_of_their_text(word_pieces: Tokenizer, parts: list[str], data: st.DataObject) -> None:
    text = " ".join(parts)
    (words,) = WordReader(word_pieces).words(text, [Span(0, len(text))]) if text else (None,)
    if words is None or not len(words):
        return
    seed = data.draw(st.integers(0, 2**16))
    logs = np.log(np.random.default_rng(seed).dirichlet((1, 1, 1), (len(words), 2)).astype(np.float32) + 1e-6)
    found = candidates(text, [(logs, words)], ["gene", "disease"])
    tagged = [candidate.entity for candidate in found if candidate.tagged]
    assert sorted(tagged, key=lambda e: (e.start, e.type)) == sorted(
        decode_tags(logs, words, ["gene", "disease"]), key=lambda e: (e.start, e.type)
    )
    names = {(entity.mention(text), entity.type) for entity in tagged}
    starts, ends = set(words.starts.tolist()), set(words.ends.tolist())
    for candidate in found:
        entity = candidate.entity
        assert (entity.mention(text), entity.type) in names
        assert entity.start in starts
        assert entity.end in ends
        assert 0 <= candidate.score <= 1
    kept = entities(found, {"gene": Calibrator(0.7, 0.1, 0.4, 0.2)}.get, lambda _: 0.3)
    assert all(not (a.type == b.type and a.overlaps(b)) for n, a in enumerate(kept) for b in kept[:n])


def test_learnt_calibrators_make_probabilities_of_overconfident_scores() -> None:
    pytest.importorskip("torch")
    from biomark.tagging.training.calibrate import fit

    chance = random.Random(5)
    examples = []
    for _ in range(6000):
        score = chance.choice((0.6, 0.9, 0.99, 0.999))
        elsewhere = chance.choice((None, 0.2, 0.99))
        # What is true of such a score: its log-odds are half as large, a little lower, and others count as well.
        odds = 0.5 * math.log(score / (1 - score)) - 0.3
        odds += 0.0 if elsewhere is None else 0.4 * math.log(elsewhere / (1 - elsewhere)) + 0.2
        candidate = MentionCandidate(Entity((Span(0, 1),), "gene", score=score), elsewhere)
        examples.append((candidate, chance.random() < 1 / (1 + math.exp(-odds))))
    learnt = fit(examples)
    assert learnt is not None
    assert learnt.slope == pytest.approx(0.5, abs=0.06)
    assert learnt.elsewhere == pytest.approx(0.4, abs=0.06)
    gold = sum(right for _, right in examples)
    before = [Judged("gene", candidate.score, right) for candidate, right in examples]
    after = [Judged("gene", learnt(candidate), right) for candidate, right in examples]
    assert calibration(before, gold).error > 0.06
    assert calibration(after, gold).error < 0.02
    assert fit(examples[:49]) is None
    assert fit([(candidate, candidate.score < 0.7) for candidate, _ in examples]) is None


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 3), st.floats(-3, 3))
def test_calibrators_keep_the_order_of_scores(one: float, other: float, slope: float, offset: float) -> None:
    calibrator = Calibrator(slope, offset)
    low, high = (calibrator(MentionCandidate(Entity((Span(0, 1),), "gene", score=s))) for s in sorted((one, other)))
    assert 0 <= low <= high <= 1
    same = Calibrator()(MentionCandidate(Entity((Span(0, 1),), "gene", score=one)))
    assert same == pytest.approx(one, abs=2e-6)
