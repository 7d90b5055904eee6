from __future__ import annotations

import random
from dataclasses import replace

import pytest
from evaluation_cases import TEXT, any_mentions, document, mention, perturbed
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark.errors import SpanError, UsageError
from biomark.evaluation import Counts, compare, evaluate
from biomark.evaluation.counts import MOST_TYPES
from biomark.evaluation.mentions import Mentions
from biomark.evaluation.pairs import DEEPEST
from biomark.spans import Document, Infons

ASPIRIN = mention("chemical", 0, 7)
SEVERE_ASTHMA = mention("disease", 12, 25)
ASTHMA = mention("disease", 19, 25)
ASTHMA_AGAIN = mention("disease", 50, 56)
TNF = mention("gene", 35, 40)


def test_the_example_of_the_documentation() -> None:
    gold = document(ASPIRIN, SEVERE_ASTHMA, ASTHMA_AGAIN)
    found = evaluate([gold], [document(ASPIRIN, ASTHMA, mention("disease", 29, 33))])
    assert found.overall.strict.counts == Counts(tp=1, fp=2, fn=2)
    assert found.overall.strict.precision == found.overall.strict.recall == pytest.approx(1 / 3)
    assert found.overall.partial.counts == Counts(tp=2, fp=1, fn=1)
    assert found.overall.partial.f1 == pytest.approx(2 / 3)
    assert found.types["chemical"].strict.f1 == 1.0
    assert found.types["disease"].strict.counts == Counts(tp=0, fp=2, fn=2)
    assert found.types["disease"].partial.f1 == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("gold", "predicted", "counts"),
    [
        ([mention("disease", 0, 5)], [mention("disease", 5, 9)], Counts(0, 1, 1)),
        ([mention("disease", 0, 5)], [mention("disease", 4, 9)], Counts(1, 0, 0)),
        ([mention("disease", 0, 9)], [mention("disease", 0, 2), mention("disease", 3, 9)], Counts(1, 0, 0, 1)),
        ([mention("disease", 0, 2), mention("disease", 3, 9)], [mention("disease", 0, 9)], Counts(2, 0, 0, -1)),
        ([mention("disease", 0, 2, 6, 9)], [mention("disease", 3, 5)], Counts(0, 1, 1)),
        ([mention("disease", 0, 5)], [mention("gene", 0, 5)], Counts(0, 1, 1)),
    ],
    ids=["touching", "overlapping", "torn apart", "joined", "in the gap", "other type"],
)
def test_partial_counts(gold: list, predicted: list, counts: Counts) -> None:
    score = evaluate([document(*gold)], [document(*predicted)], types=["disease", "gene"]).overall.partial
    assert score.counts == counts
    found, right = counts.tp, counts.tp_predicted
    assert (score.precision, score.recall) == (right / len(predicted), found / len(gold))


def test_strict_compares_all_parts() -> None:
    gold = document(mention("disease", 0, 2, 6, 9))
    assert evaluate([gold], [document(mention("disease", 0, 9))]).overall.strict.counts == Counts(0, 1, 1)
    assert evaluate([gold], [gold]).overall.strict.counts == Counts(1, 0, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_mentions(), min_size=1, max_size=3), st.lists(any_mentions(), min_size=3, max_size=3), st.randoms())
def test_order_never_matters(golds: list, predictions: list, random: random.Random) -> None:
    gold = [document(*entities, id=str(i)) for i, entities in enumerate(golds)]
    predicted = [document(*entities, id=str(i)) for i, entities in enumerate(predictions[: len(golds)])]
    first = evaluate(gold, predicted)

    def shuffled(documents: list) -> list:
        mixed = [replace(d, entities=tuple(random.sample(d.entities, len(d.entities)))) for d in documents]
        return random.sample(mixed, len(mixed))

    second = evaluate(shuffled(gold), shuffled(predicted))
    assert (second.overall, second.types, second.signature) == (first.overall, first.types, first.signature)
    assert [(m.kind, m.gold, m.predicted) for m in second.mistakes] == [
        (m.kind, m.gold, m.predicted) for m in first.mistakes
    ]


@settings(max_examples=40, deadline=None)
@given(any_mentions())
def test_gold_against_itself_is_perfect(entities: tuple) -> None:
    found = evaluate([document(*entities)], [document(*entities)])
    perfect = 1.0 if entities else 0.0
    for score in (found.overall.strict, found.overall.partial):
        assert (score.precision, score.recall, score.f1, score.low, score.high) == (perfect,) * 5
    assert not found.mistakes


def test_no_predictions_and_no_gold() -> None:
    nothing = evaluate([document(ASPIRIN)], [document()]).overall.strict
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.counts) == (0.0, 0.0, 0.0, Counts(0, 0, 1))
    both_empty = evaluate([document()], [document()])
    assert both_empty.overall.strict.f1 == 0.0
    assert any("gold has no mention, so" in note for note in both_empty.notes)
    no_gold = evaluate([document()], [document(TNF)])
    assert no_gold.overall.strict.counts == Counts(0, 1, 0)


@pytest.mark.parametrize(
    ("gold", "predicted", "told"),
    [
        (
            [document(ASTHMA, id="7")],
            [document(ASTHMA, id="PMID7")],
            r"gold has 1 \(7\), the predictions have 1 \(PMID7\)",
        ),
        ([document(ASTHMA)], [], r"the predictions have no documents; gold has 1 \(1\)"),
        ([], [document(ASTHMA)], "gold has no document"),
        ([], [], "gold has no document"),
    ],
)
def test_where_no_document_matches_there_is_no_score(gold: list, predicted: list, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        evaluate(gold, predicted)
    with pytest.raises(UsageError, match=told):
        compare(gold, predicted, predicted)


def nested(depth: int) -> Document:
    return Document("1", "a" * 2 * depth, entities=tuple(mention("disease", n, 2 * depth - n) for n in range(depth)))


def test_mentions_that_nest_without_end_are_refused_by_name() -> None:
    deep = nested(DEEPEST)
    assert evaluate([deep], [deep]).overall.strict.f1 == 1.0
    with pytest.raises(UsageError, match=r"document 1: 501 gold mentions overlap at offset 500"):
        evaluate([nested(DEEPEST + 1)], [nested(1)])
    with pytest.raises(UsageError, match="document 1: 501 predicted mentions"):
        evaluate([replace(nested(1), text="a" * 1002)], [nested(DEEPEST + 1)])


def test_more_types_than_counts_fit_into_the_memory_are_refused() -> None:
    def gold(types: int) -> list[Document]:
        return [document(mention(f"type {n}", 0, 7), id=str(n)) for n in range(types)]

    assert evaluate(gold(MOST_TYPES), gold(MOST_TYPES)).overall.strict.f1 == 1.0
    with pytest.raises(UsageError, match=r"251 types of mentions \(type 0, .*`types`"):
        evaluate(gold(MOST_TYPES + 1), gold(1))


@settings(max_examples=200, deadline=None)
@given(any_mentions(), any_mentions())
def test_overlaps_are_those_that_a_look_at_each_mention_finds(mentions: tuple, others: tuple) -> None:
    index = Mentions(mentions)
    for other in others:
        overlapping = [m for m in index if any(a.overlaps(b) for a in m.spans for b in other.spans)]
        assert list(index.overlapping(other)) == overlapping
        assert index.touched_by(other) == bool(overlapping)
        assert all(other.overlaps(m) == (m in overlapping) for m in index)
    depths = [sum(m.start <= place < m.end for m in index) for place in range(len(TEXT))]
    assert index.depth()[0] == max(depths)
    assert depths[index.depth()[1]] == max(depths)


def test_types_that_gold_does_not_annotate_are_left_out_and_told() -> None:
    predicted = document(SEVERE_ASTHMA, ASPIRIN, TNF, replace(TNF, spans=ASTHMA.spans))
    found = evaluate([document(SEVERE_ASTHMA)], [predicted])
    assert found.overall.strict.f1 == 1.0
    assert list(found.types) == ["disease"]
    assert "predicted types that are not scored (see `types`): gene (2), chemical (1)" in found.notes
    asked = evaluate([document(SEVERE_ASTHMA)], [predicted], types=["disease", "gene"])
    assert asked.overall.strict.counts == Counts(1, 2, 0)
    assert "gold has no mention of gene; it annotates disease (1)" in asked.notes


def test_types_are_compared_under_biomarks_names() -> None:
    gold = document(replace(SEVERE_ASTHMA, type="SpecificDisease"), replace(ASPIRIN, type="Substance"))
    predicted = document(replace(SEVERE_ASTHMA, type="Disease"), replace(ASPIRIN, type="Drug"))
    assert evaluate([gold], [predicted]).overall.strict.counts == Counts(1, 0, 1)
    for name in ("chemical", "Drug"):  # in any spelling
        assert evaluate([gold], [predicted], type_map={"Substance": name}).overall.strict.counts == Counts(2, 0, 0)


def test_duplicates_count_once_whatever_their_ids() -> None:
    again = replace(ASTHMA, ids=("D001249",), score=0.5, infons=Infons({"note": "again"}))
    found = evaluate([document(ASTHMA, again)], [document(again, ASTHMA, ASTHMA)])
    assert found.overall.strict.counts == Counts(1, 0, 0)
    assert [note.rsplit(": ")[-1] for note in found.notes[1:]] == ["1", "2"]


def test_intervals_of_one_document_are_explained() -> None:
    one, two = document(ASTHMA), replace(document(ASTHMA), id="other")
    note = "gold is one document, so the intervals have no width and do not show how scores vary between documents"
    assert evaluate([one], [one]).notes == (note,)
    assert compare([one], [one], [one]).notes == (note,)
    assert evaluate([one, two], [one, two]).notes == ()


def test_documents_without_a_partner_are_told() -> None:
    gold = [document(ASTHMA, id="1"), document(ASTHMA, TNF, id="2")]
    found = evaluate(gold, [document(TNF, id="3"), document(ASTHMA, id="1")])
    assert found.overall.strict.counts == Counts(1, 0, 2)
    assert any("whose 2 mentions all count as missed: 1 (2)" in note for note in found.notes)
    assert any("not in gold and are not scored: 1 (3)" in note for note in found.notes)


def test_texts_that_differ_are_an_error_that_names_the_document() -> None:
    with pytest.raises(SpanError, match=r"document 1: .* differ from offset 8 on"):
        evaluate([document()], [document(text=TEXT.replace("and", "or"))])
    same = evaluate([document(ASTHMA)], [document(ASTHMA, text=TEXT.replace(" ", "\n") + " \n")])
    assert same.overall.strict.f1 == 1.0


def test_two_documents_with_one_id_are_an_error() -> None:
    with pytest.raises(UsageError, match="gold has two documents with the id 1"):
        evaluate([document(), document()], [])
    with pytest.raises(UsageError, match="two predicted documents with the id 1"):
        evaluate([document()], [document(), document()])


def test_an_unknown_style_is_an_error() -> None:
    with pytest.raises(UsageError, match="bc2gm"):
        evaluate([document()], [document()], style="bc5")


def _corpus(size: int) -> list:
    return [document(ASPIRIN, SEVERE_ASTHMA, TNF, ASTHMA_AGAIN, id=f"{i:04}") for i in range(size)]


def _system(gold: list, seed: int) -> list:
    rng = random.Random(seed)
    return [perturbed(document, rng) for document in gold]


def test_intervals_are_seeded_and_narrow_with_more_documents() -> None:
    def width(size: int) -> float:
        gold = _corpus(size)
        first, second = (evaluate(gold, _system(gold, 1)).overall.strict for _ in range(2))
        assert first == second
        assert first.low < first.f1 < first.high
        return first.high - first.low

    # Ten times the documents: about a third of the width.
    assert width(1000) < width(100) / 2


def test_systems_that_are_the_same_do_not_differ() -> None:
    gold = _corpus(40)
    found = compare(gold, _system(gold, 1), _system(gold, 1))
    assert found.overall["strict"].p == found.types["gene"]["partial"].p == 1.0
    assert found.overall["strict"].difference == 0.0


def test_a_system_that_is_better_everywhere_differs_significantly() -> None:
    gold = _corpus(40)
    found = compare(gold, _system(gold, 1), gold)
    assert found.overall["strict"].p < 0.001
    assert found.overall["strict"].b == 1.0
    assert found.overall["strict"].difference > 0
    swapped = compare(gold, gold, _system(gold, 1)).overall["strict"]
    assert swapped.difference == pytest.approx(-found.overall["strict"].difference)


def test_the_interval_of_a_difference_is_that_of_the_same_documents() -> None:
    gold = _corpus(60)
    a, b = _system(gold, 1), _system(gold, 2)
    found = compare(gold, a, b).overall["strict"]
    assert found.low < found.difference < found.high
    swapped = compare(gold, b, a).overall["strict"]
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))
    same = compare(gold, a, a).overall["strict"]
    assert (same.low, same.high, same.won, same.lost) == (0.0, 0.0, 0, 0)


def test_documents_are_won_by_f1_then_by_fewer_errors() -> None:
    gold = [document(ASTHMA, id="1"), document(ASTHMA, id="2"), document(id="3"), document(ASTHMA, id="4")]
    a = [document(id="1"), document(ASTHMA, id="2"), document(ASTHMA, id="3"), document(ASTHMA, id="4")]
    b = [document(ASTHMA, id="1"), document(ASTHMA, ASTHMA_AGAIN, id="2"), document(id="3"), document(ASTHMA, id="4")]
    found = compare(gold, a, b).overall["strict"]
    assert (found.won, found.lost, found.documents) == (2, 1, 4)
    swapped = compare(gold, b, a).types["disease"]["strict"]
    assert (swapped.won, swapped.lost) == (1, 2)


def test_each_of_several_systems_has_the_scores_that_it_has_alone() -> None:
    gold = _corpus(20)
    systems = [_system(gold, seed) for seed in range(3)]
    found = compare(gold, *systems)
    assert list(found.systems) == ["A", "B", "C"]
    for alone, beside in zip(systems, found.systems.values(), strict=True):
        assert beside.overall == evaluate(gold, alone).overall
        assert beside.types == evaluate(gold, alone).types
    assert [(one.a, one.b) for one in found.differences] == [(0, 1), (0, 2)]
    assert found.differences[1].overall == compare(gold, systems[0], systems[2]).overall
    assert (found.overall, found.types) == (found.differences[0].overall, found.differences[0].types)


@pytest.mark.parametrize(("names", "systems"), [(("x",), 2), (("x", "x"), 2), ((), 1), ((), 27)])
def test_systems_need_names_of_their_own(names: tuple[str, ...], systems: int) -> None:
    with pytest.raises(UsageError, match=r"a distinct name|2 to 26 systems"):
        compare([document()], *[[document()]] * systems, names=names)


def test_types_that_one_system_alone_predicts_are_compared_where_gold_has_none() -> None:
    found = compare([document()], [document(ASTHMA)], [document(TNF)])
    assert list(found.types) == ["disease", "gene"]
    assert (found.overall["strict"].won, found.overall["strict"].lost) == (0, 0)
    assert found.systems["A"].types["gene"].strict.counts == Counts(0, 0, 0)


def test_the_p_value_of_two_documents_is_the_exact_one() -> None:
    """With two documents there are four ways to swap, two of which differ as much as the real one."""
    gold = [document(ASTHMA, id="1"), document(ASTHMA, id="2")]
    found = compare(gold, gold, [document(id="1"), document(id="2")])
    assert found.overall["strict"].p == pytest.approx(0.5, abs=0.02)


def test_the_signature_says_what_was_scored() -> None:
    gold = [document(ASPIRIN, ASTHMA)]
    found = evaluate(gold, gold, corpus="ncbi_disease:test")
    fields = dict(field.split(":", 1) for field in found.overall.partial.signature.split("|"))
    assert fields["corpus"] == "ncbi_disease"
    assert fields["split"] == "test"
    assert fields["types"] == "chemical,disease"
    assert fields["scheme"] == "partial"
    assert fields["style"] == "standard"
    assert fields["documents"] == "1"
    other = evaluate([document(ASPIRIN, ASTHMA_AGAIN)], gold, corpus="folder/dev.pubtator").signature
    assert "corpus:dev.pubtator|split:dev|" in other
    assert f"gold:{fields['gold']}" not in other
