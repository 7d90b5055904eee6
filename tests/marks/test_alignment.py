"""What unfaithful answers mark is found in their source, or rejected; hardly ever misplaced."""

import pytest

from biomark.marks import align
from biomark.marks.alignment import occurrences, similar
from biomark.shapes import SHAPES
from unfaithful import KINDS, TYPES, case

SIGNED = ("span", "tanl", "mark", "gpt-ner")


def measure(count, kinds=KINDS, signs="span"):
    """Of generated answers: survivors, how many of them are found, mentions kept, how many of them are misplaced."""
    shape = SHAPES[signs]
    survivors = found = kept = misplaced = 0
    for seed in range(count):
        generated = case(seed, kinds, signs)
        decoded = shape.decode(generated.answer, generated.source, TYPES[:1] if shape.single else TYPES)
        places = {(e.spans, "" if shape.single else e.type) for e in decoded.entities}
        wanted = {(e.spans, "" if shape.single else e.type) for e in generated.survivors}
        assert len(places) == len(decoded.entities)
        survivors += len(wanted)
        found += len(wanted & places)
        kept += len(places)
        misplaced += sum(e.start not in generated.starts or e.end not in generated.ends for e in decoded.entities)
        for entity in decoded.entities:
            assert 0 <= entity.start < entity.end <= len(generated.source)
    assert survivors > count
    return survivors, found, kept, misplaced


def test_surviving_mentions_of_a_thousand_unfaithful_answers_are_found():
    survivors, found, kept, misplaced = measure(1000)
    assert found / survivors >= 0.99
    assert misplaced / kept <= 0.005


@pytest.mark.slow
@pytest.mark.parametrize("signs", SIGNED)
def test_surviving_mentions_of_ten_thousand_unfaithful_answers_are_found(signs):
    survivors, found, kept, misplaced = measure(10_000, signs=signs)
    assert found / survivors >= 0.99
    assert misplaced / kept <= 0.005


@pytest.mark.parametrize("kind", KINDS)
def test_surviving_mentions_are_found_whatever_went_wrong(kind):
    survivors, found, kept, misplaced = measure(150, (kind,))
    assert found / survivors >= 0.98
    assert misplaced / kept <= 0.01


@pytest.mark.parametrize("signs", SIGNED)
def test_surviving_mentions_are_found_whatever_the_signs_are(signs):
    survivors, found, _, _ = measure(100, signs=signs)
    assert found / survivors >= 0.98


SOURCE = "p53 binds MDM2, and BRCA1 binds RAD51; p53 is degraded."


@pytest.mark.parametrize(
    ("answer", "expected", "reason"),
    [
        # a word that has moved, to where nothing else of the answer stands
        ("MDM2 binds p53, and BRCA1 is degraded; p53 binds <mark>RAD51</mark>.", [(32, 37)], ""),
        ("<mark>RAD51</mark>: p53 binds MDM2, and BRCA1 binds RAD51; p53 is degraded.", [], "not in the source"),
        # a blank that is missing beside a mark
        ("p53 binds MDM2, and<mark>BRCA1</mark>binds RAD51; p53 is degraded", [(20, 25)], ""),
        # signs twice, and one that was forgotten
        ("<mark><mark>p53</mark></mark> binds MDM2", [(0, 3)], "inside another"),
        (
            "<mark>p53 binds MDM2, and <mark>BRCA1</mark> binds RAD51; p53 is degraded by the proteasome, also</mark>",
            [(20, 25)],
            "may be missing",
        ),
    ],
)
def test_words_that_moved_and_signs_in_disorder(answer, expected, reason):
    aligned = align(answer, SOURCE, "gene")
    assert [(entity.start, entity.end) for entity in aligned.entities] == expected
    assert bool(aligned.rejected) == bool(reason)
    assert reason in "".join(rejected.reason for rejected in aligned.rejected)


def test_a_text_of_five_thousand_words_is_read_in_linear_time():
    words = [f"word{i % 90}" for i in range(5000)]  # half a second; in quadratic time, minutes
    answer = [f'<span class="gene">{w}</span>' if i % 25 == 0 else w for i, w in enumerate(words) if i % 7 != 3]
    decoded = SHAPES["span"].decode(" ".join(answer), " ".join(words), TYPES)
    assert len(decoded.entities) >= 160


def test_occurrences_of_strings():
    text = "IL2R, il2 and IL2; Ｉｌ２"
    assert [(s.start, s.end) for s in occurrences("IL2", text)] == [(14, 17), (0, 3)]
    assert [(s.start, s.end) for s in similar("IL2", text)] == [(6, 9), (14, 17), (19, 22), (0, 3)]
    assert [s.of("a T - cell  line") for s in similar("T-cell line", "a T - cell  line")] == ["T - cell  line"]
    assert occurrences("", text) == similar(" ", text) == ()
