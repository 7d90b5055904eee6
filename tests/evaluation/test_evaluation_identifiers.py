from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_cases import any_mentions, document, mention, named
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark import formats
from biomark.errors import SpanError
from biomark.evaluation import Accuracy, Counts, IdentifierScores, IdentifierTally, evaluate, gather_identifiers
from biomark.evaluation.pairs import Gold
from biomark.spans import Document, Entity, Infons

DISEASE = ("disease", 12, 25)
AGAIN = ("disease", 50, 56)


def scored(gold: Iterable[Entity], predicted: Iterable[Entity]) -> IdentifierScores:
    found = evaluate([document(*gold)], [document(*predicted)], identifiers=True).overall.identifiers
    assert found is not None
    return found


def test_the_example_of_the_documentation() -> None:
    gold = [
        named("chemical", 0, 7, "D001241"),
        named("disease", 12, 25, "D001249|D012120"),
        named("disease", 50, 56, "D001249"),
        named("gene", 35, 40),
    ]
    predicted = [
        named("chemical", 0, 7, "MESH:D001241", "MESH:D001241 MESH:D008687"),
        named("disease", 12, 25, "MESH:D001249", "MESH:D001249 MESH:D012120|MESH:D001249"),
        named("disease", 19, 25, "MESH:D001249"),
        named("gene", 35, 40, "NCBIGene:7124"),
    ]
    found = scored(gold, predicted)
    assert found.mention.counts == Counts(tp=1, fp=2, fn=2)
    assert found.document.counts == Counts(tp=2, fp=1, fn=1)
    assert (found.accuracy.gold, found.accuracy.mentions) == (3, 2)
    assert (found.accuracy.at_1, found.accuracy.at_5) == (1 / 2, 1.0)
    assert found.accuracy.share == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("gold", "predicted", "mentions", "documents"),
    [
        (["D000001"], ["MESH:D000001"], (1, 0, 0), (1, 0, 0)),
        (["MSH:D000001"], ["mesh:D000001"], (1, 0, 0), (1, 0, 0)),
        (["D000001"], ["D000002"], (0, 1, 1), (0, 1, 1)),
        (["D000001"], [""], (0, 0, 1), (0, 0, 1)),
        (["D000001"], [], (0, 0, 1), (0, 0, 1)),
        ([""], ["D000001"], (0, 0, 0), (0, 1, 0)),
        (["-1"], ["D000001"], (0, 0, 0), (0, 1, 0)),
        ([""], [""], (0, 0, 0), (0, 0, 0)),
        ([], ["D000001"], (0, 1, 0), (0, 1, 0)),
        ([], [""], (0, 0, 0), (0, 0, 0)),
        (["D000001|D000002"], ["D000002|D000001"], (1, 0, 0), (2, 0, 0)),
        (["D000001|D000002"], ["D000001"], (0, 1, 1), (1, 0, 1)),
        (["D000001"], ["D000001|D000002"], (0, 1, 1), (1, 1, 0)),
        (["D000001|D000001"], ["D000001"], (1, 0, 0), (1, 0, 0)),
        (["D000001+D000002"], ["MESH:D000002+MESH:D000001"], (1, 0, 0), (1, 0, 0)),
        (["D000001+D000002"], ["D000001|D000002"], (0, 1, 1), (0, 2, 1)),
        (["D000001", "D000001"], ["D000001"], (1, 0, 0), (1, 0, 0)),
        (["D000001", ""], ["D000001"], (1, 0, 0), (1, 0, 0)),
        (["D000001", ""], ["D000002"], (0, 1, 1), (0, 1, 1)),
        (["D000001", "D000002"], ["D000002"], (1, 0, 1), (1, 0, 1)),
        (["D000001", "D000002"], ["D000002", "D000001"], (2, 0, 0), (2, 0, 0)),
        (["D000001"], ["D000001", "D000002"], (1, 1, 0), (1, 1, 0)),
        (["D000001", "D000002"], ["D000001|D000002"], (0, 1, 2), (2, 0, 0)),
    ],
)
def test_counts_at_one_place(gold: list, predicted: list, mentions: tuple, documents: tuple) -> None:
    found = scored([named(*DISEASE, ids) for ids in gold], [named(*DISEASE, ids) for ids in predicted])
    assert found.mention.counts == Counts(*mentions)
    assert found.document.counts == Counts(*documents)


@pytest.mark.parametrize("wrong", [("disease", 12, 24), ("disease", 19, 25), ("gene", 12, 25)])
def test_spans_and_type_must_be_right_at_a_mention(wrong: tuple) -> None:
    gold = [named(*DISEASE, "D000001"), named("gene", 35, 40, "7124")]
    found = scored(gold, [named(*wrong, "D000001")])
    assert found.mention.counts == Counts(0, 1, 2)
    same_type = wrong[0] == "disease"
    assert found.document.counts == (Counts(1, 0, 1) if same_type else Counts(0, 1, 2))
    assert (found.accuracy.mentions, found.accuracy.at_1) == (0, 0.0)


def test_numbers_of_genes_and_species_differ() -> None:
    gold = [named("gene", 35, 40, "9606"), named("species", 29, 33, "9606")]
    found = scored(gold, [named("gene", 35, 40, "NCBIGene:9606"), named("species", 29, 33, "txid:9606")])
    assert found.mention.counts == Counts(2, 0, 0)
    assert scored(gold, [named("species", 29, 33, "NCBIGene:9606")]).mention.counts == Counts(0, 1, 2)


@pytest.mark.parametrize(
    ("ids", "candidates", "first", "first_five"),
    [
        ("D000001", "", True, True),
        ("D000002", "", False, False),
        ("D000001", "D000001 D000002", True, True),
        ("D000002", "D000002 D000001", False, True),
        ("D000002", "MESH:D000002 MESH:D000003 MESH:D000004 MESH:D000005 MESH:D000001", False, True),
        ("D000002", "D000002 D000003 D000004 D000005 D000006 D000001", False, False),
        ("D000007", "D000002 D000003 D000004 D000005 D000001", False, False),
        ("", "D000002 D000003 D000004 D000005 D000001", False, True),
        ("", "D000002 D000003 D000004 D000005 D000006 D000001", False, False),
        ("D000002", "D000002 D000002 D000002 D000002 D000002 D000001", False, True),
        ("", "", False, False),
    ],
)
def test_the_first_five_candidates(ids: str, candidates: str, first: bool, first_five: bool) -> None:
    # A second mention has candidates, so that there is an accuracy@5 in every case.
    gold = [named(*DISEASE, "D000001"), named(*AGAIN, "D000009")]
    found = scored(gold, [named(*DISEASE, ids, candidates), named(*AGAIN, "D000009", "D000009")]).accuracy
    assert (found.first, found.first_five) == (1 + first, 1 + first_five)
    assert (found.at_1, found.at_5) == ((1 + first) / 2, (1 + first_five) / 2)


def test_a_composite_candidate() -> None:
    gold = [named(*DISEASE, "D000001|D000002")]
    assert scored(gold, [named(*DISEASE, "D000001", "D000001 D000002|D000001")]).accuracy.first_five == 1
    assert scored(gold, [named(*DISEASE, "D000001", "D000001 D000002")]).accuracy.first_five == 0


def test_without_candidates_there_is_no_accuracy_at_5() -> None:
    found = scored([named(*DISEASE, "D000001")], [named(*DISEASE, "D000001")]).accuracy
    assert (found.at_1, found.at_5) == (1.0, None)


def test_several_predictions_at_a_place_must_all_be_right() -> None:
    gold = [named(*DISEASE, "D000001"), named(*DISEASE, "D000002")]
    assert scored(gold, [named(*DISEASE, "D000002")]).accuracy.first == 1
    assert scored(gold, [named(*DISEASE, "D000002"), named(*DISEASE, "D000001")]).accuracy.first == 1
    assert scored(gold, [named(*DISEASE, "D000002"), named(*DISEASE)]).accuracy.first == 1
    guesses = [named(*DISEASE, f"D00000{i}") for i in range(1, 6)]
    assert scored(gold, guesses).accuracy.first == 0


# Few identifiers in several spellings, so that generated mentions agree often.
SPELLINGS = ("D000001", "MESH:D000001", "msh:D000002", "D000002+D000001", "D000001+D000002", "7", "NCBIGene:7", "-1")


@st.composite
def named_mentions(draw: st.DrawFn) -> tuple[Entity, ...]:
    """Mentions that nest, repeat and cross, with identifiers and candidates."""
    found = []
    places = [*draw(any_mentions()), mention(*DISEASE), mention("gene", 35, 40), mention(*AGAIN)]
    for place in draw(st.lists(st.sampled_from(places), max_size=8)):
        ids = draw(st.lists(st.sampled_from(SPELLINGS), max_size=2))
        ranked = draw(st.lists(st.sampled_from((*SPELLINGS, "D000001|D000002")), max_size=7))
        infons = Infons({"candidates": " ".join(ranked)} if ranked else {})
        found.append(replace(place, ids=tuple(ids), infons=infons))
    return tuple(found)


corpora_of_three = st.lists(st.tuples(named_mentions(), named_mentions()), min_size=1, max_size=3)


ALL = ("chemical", "disease", "gene")


def tallied(gold: list[Document], predicted: list[Document]) -> IdentifierTally:
    """The counts without the scores, whose intervals take longer than all else."""
    return gather_identifiers(Gold(gold, types=ALL).pair(predicted), ALL)


def totals(tally: IdentifierTally, row: int) -> tuple[Counts, Counts]:
    """The counts of mentions and of documents: row 0 is all types together."""
    mention, document = tally.table().sum(axis=0)[row].tolist()
    return Counts(*mention), Counts(*document)


def documents(mentions: Iterable[tuple[Entity, ...]]) -> list[Document]:
    return [document(*entities, id=str(i)) for i, entities in enumerate(mentions)]


def by_hand(identifier: str, type: str) -> str:
    """The spelling of the few identifiers above, without the library."""
    if identifier in ("7", "NCBIGene:7"):
        return "NCBIGene:7" if type == "gene" or ":" in identifier else "7"
    numbers = [part[-1] for part in identifier.split("+")]
    return "both" if len(numbers) == 2 else f"M{numbers[0]}"


def set_of(entity: Entity, ids: Iterable[str]) -> frozenset[str]:
    return frozenset(by_hand(id, entity.type) for id in ids if id != "-1")


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(corpora_of_three)
def test_counts_are_those_of_plain_sets(mentions: list) -> None:
    gold, predicted = documents(g for g, _ in mentions), documents(p for _, p in mentions)
    tally = tallied(gold, predicted)
    accuracies = (sum(tally.accuracy.values(), Accuracy()), *tally.accuracy.values())
    for row, chosen in enumerate((ALL, *((type,) for type in ALL))):
        mention_counts, document_counts = totals(tally, row)
        golds, answers = set(), set()
        for g, p in zip(gold, predicted, strict=True):
            golds |= {(g.id, e.spans, e.type, set_of(e, e.ids)) for e in g.entities if e.type in chosen}
            answers |= {(p.id, e.spans, e.type, set_of(e, e.ids)) for e in p.entities if e.type in chosen}
        places = {answer[:3] for answer in golds if answer[3]}
        unnamed = {answer[:3] for answer in golds} - places
        golds = {answer for answer in golds if answer[3]}
        answers = {answer for answer in answers if answer[3]}
        wrong = {answer for answer in answers - golds if answer[:3] not in unnamed}
        assert mention_counts == Counts(len(golds & answers), len(wrong), len(golds - answers))
        gold_ids = {(id, type, one) for id, _, type, ids in golds for one in ids}
        given_ids = {(id, type, one) for id, _, type, ids in answers for one in ids}
        expected = Counts(len(gold_ids & given_ids), len(given_ids - gold_ids), len(gold_ids - given_ids))
        assert document_counts == expected
        accuracy = accuracies[row]
        predicted_places = {(p.id, e.spans, e.type) for p in predicted for e in p.entities}
        assert (accuracy.gold, accuracy.mentions) == (len(places), len(places & predicted_places))
        assert accuracy.first <= accuracy.first_five <= accuracy.mentions


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(corpora_of_three)
def test_accuracy_is_that_of_a_plain_loop(mentions: list) -> None:
    """On gold mentions that are handed to a system, each place once."""
    right = {1: 0, 5: 0}
    gold, predicted = [], []
    for i, (entities, answers) in enumerate(mentions):
        ones = list({(e.spans, e.type): e for e in entities}.values())
        said = [replace(e, ids=a.ids, infons=a.infons) for e, a in zip(ones, answers, strict=False)]
        gold.append(document(*ones[: len(said)], id=str(i)))
        predicted.append(document(*said, id=str(i)))
        for g, p in zip(ones, said, strict=False):
            wanted = set_of(g, g.ids)
            best = [set_of(p, p.ids)]
            for candidate in p.infons.get("candidates", "").split():
                best.append(set_of(p, candidate.split("|")))
            best = [ids for place, ids in enumerate(best) if ids and ids not in best[:place]]
            right[1] += bool(wanted) and wanted == set_of(p, p.ids)
            right[5] += bool(wanted) and wanted in best[:5]
    found = sum(tallied(gold, predicted).accuracy.values(), Accuracy())
    assert found.mentions == found.gold
    assert (found.first, found.first_five) == (right[1], right[5])


@settings(max_examples=25, deadline=None)
@given(corpora_of_three, st.randoms())
def test_order_never_matters(mentions: list, random: random.Random) -> None:
    def shuffled(documents: list[Document]) -> list[Document]:
        mixed = [replace(d, entities=tuple(random.sample(d.entities, len(d.entities)))) for d in documents]
        mixed = [
            replace(d, entities=tuple(replace(e, ids=tuple(random.sample(e.ids, len(e.ids)))) for e in d.entities))
            for d in mixed
        ]
        return random.sample(mixed, len(mixed))

    gold, predicted = documents(g for g, _ in mentions), documents(p for _, p in mentions)
    first = evaluate(gold, predicted, identifiers=True)
    second = evaluate(shuffled(gold), shuffled(predicted), identifiers=True)
    assert (second.overall, second.types, second.signature) == (first.overall, first.types, first.signature)
    assert second.notes == first.notes


@settings(max_examples=60, deadline=None)
@given(corpora_of_three)
def test_counts_add_up_over_documents(mentions: list) -> None:
    gold, predicted = documents(g for g, _ in mentions), documents(p for _, p in mentions)

    def counted(chosen: slice) -> tuple[list[int], list[int]]:
        found = tallied(gold[chosen], predicted[chosen])
        accuracy = [(a.gold, a.mentions, a.first, a.first_five, a.ranked) for a in found.accuracy.values()]
        return found.counts.sum(axis=0).ravel().tolist(), [number for row in accuracy for number in row]

    whole = counted(slice(None))
    parts = [counted(slice(i, i + 1)) for i in range(len(gold))]
    for place in (0, 1):
        assert whole[place] == [sum(numbers) for numbers in zip(*(part[place] for part in parts), strict=True)]


@settings(max_examples=60, deadline=None)
@given(st.lists(named_mentions(), min_size=1, max_size=3))
def test_gold_against_itself_is_perfect(mentions: list) -> None:
    gold = documents(mentions)
    tally = tallied(gold, gold)
    for counts in totals(tally, 0):
        assert (counts.fp, counts.fn) == (0, 0)
    some = any(set_of(entity, entity.ids) for entities in mentions for entity in entities)
    found = sum(tally.accuracy.values(), Accuracy())
    assert (found.at_1, found.share, totals(tally, 0)[0].tp > 0) == (float(some), float(some), some)


def test_only_scored_types_count() -> None:
    gold, answers = [named(*DISEASE, "D000001")], [named(*DISEASE, "D000001"), named("chemical", 0, 7, "D000002")]
    assert scored(gold, answers).document.counts == Counts(1, 0, 0)
    found = evaluate([document(*gold)], [document(*answers)], types=["chemical", "disease"], identifiers=True)
    assert found.overall.identifiers is not None
    assert found.overall.identifiers.document.counts == Counts(1, 1, 0)
    spelled = [replace(answers[0], type="DiseaseClass")]
    assert scored(gold, spelled).mention.f1 == 1.0


def test_documents_without_predictions_are_missed() -> None:
    gold = [document(named(*DISEASE, "D000001"), id=id) for id in "ab"]
    found = evaluate(gold, [gold[1]], identifiers=True).overall.identifiers
    assert found is not None
    assert found.mention.counts == found.document.counts == Counts(1, 0, 1)
    assert (found.accuracy.gold, found.accuracy.mentions, found.accuracy.at_1) == (2, 1, 1.0)
    assert found.mention.low == 0.0
    assert found.mention.high == 1.0


def test_signatures_tell_gold_identifiers_apart() -> None:
    def signatures(ids: str, identifiers: bool = True) -> tuple[str, str]:
        gold = document(named(*DISEASE, ids))
        found = evaluate([gold], [gold], corpus="x:test", identifiers=identifiers)
        return found.signature, found.overall.strict.signature

    (one, strict), (other, also_strict) = signatures("D000001"), signatures("D000002")
    assert "|scheme:strict+partial+identifiers|" in one
    assert one != other == signatures("MESH:D000002")[0]
    assert strict == also_strict == signatures("D000001", identifiers=False)[1]
    assert "identifiers" not in signatures("D000001", identifiers=False)[0]
    gold = document(named(*DISEASE, "D000001"))
    found = evaluate([gold], [gold], identifiers=True).overall.identifiers
    assert found is not None
    assert "|scheme:identifiers,mention|" in found.mention.signature
    assert "|scheme:identifiers,document|" in found.document.signature


@pytest.mark.parametrize(
    ("gold", "predicted", "note"),
    [
        ("", "D000001", "gold has no identifiers"),
        ("D000001", "", "no predicted mention has an identifier"),
        ("D000001", "DOID:1", "of namespaces that gold never uses, which are all wrong: DOID (1)"),
    ],
)
def test_notes(gold: str, predicted: str, note: str) -> None:
    found = evaluate([document(named(*DISEASE, gold))], [document(named(*DISEASE, predicted))], identifiers=True)
    assert [note in told for told in found.notes[1:]] == [True]


def test_mentions_without_gold_identifier_are_told() -> None:
    gold = document(named(*DISEASE), named(*AGAIN), named("gene", 35, 40, "7124"))
    predicted = document(named(*DISEASE, "D000001"), named(*AGAIN), named("gene", 35, 40, "7124"))
    notes = evaluate([gold], [predicted], identifiers=True).notes
    assert any("not scored: 2; 1 of them are predicted with one" in note for note in notes)


def test_texts_that_differ_are_refused() -> None:
    with pytest.raises(SpanError):
        evaluate([document()], [document(text="Another text")], identifiers=True)


def test_nothing_to_score() -> None:
    found = evaluate([document()], [document()], identifiers=True).overall.identifiers
    assert found is not None
    assert found.mention.counts == Counts(0, 0, 0)
    assert evaluate([document()], [document()]).overall.identifiers is None


@pytest.mark.parametrize(("corpus", "mentions"), [("ncbi_disease", 960), ("bc5cdr", 9718)])
def test_real_corpora_against_counts_of_their_lines(corpora: Path, corpus: str, mentions: int) -> None:
    """PubTator's columns counted without biomark's readers, with every third identifier lost or replaced."""
    path = corpora / corpus / "test.pubtator"
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines() if line.count("\t") >= 5]
    rows = [row for row in rows if row[1].isdigit() and row[5] != "-1"]
    gold: dict[tuple, frozenset[str]] = {}
    answers: dict[tuple, frozenset[str]] = {}
    fates = random.Random(7)
    for pmid, start, end, _, _, ids, *_ in rows:
        key = (pmid, int(start), int(end))
        gold[key] = frozenset(id.strip().removeprefix("MESH:") for id in ids.split("|"))
        answers[key] = fates.choice((gold[key], gold[key], frozenset(), frozenset({"D999999"})))

    def answered(document: Document) -> Document:
        entities = []
        for e in document.entities:
            ids = answers.get((document.id, e.start, e.end), frozenset())
            entities.append(replace(e, ids=tuple(ids), infons=Infons()))
        return replace(document, entities=tuple(entities))

    reference = list(formats.read(path))
    found = evaluate(reference, map(answered, reference), identifiers=True)
    assert found.overall.identifiers is not None
    tp = sum(answers[key] == ids for key, ids in gold.items())
    fp = sum(bool(answers[key]) for key in gold) - tp
    assert (len(gold), found.overall.identifiers.accuracy.gold) == (mentions, mentions)
    assert found.overall.identifiers.mention.counts == Counts(tp, fp, mentions - tp)
    assert found.overall.identifiers.accuracy.first == tp
    perfect = evaluate(reference, reference, identifiers=True).overall.identifiers
    assert perfect is not None
    assert (perfect.mention.f1, perfect.document.f1, perfect.accuracy.at_1) == (1.0, 1.0, 1.0)
