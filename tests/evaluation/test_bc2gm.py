"""BC2GM's official counting, against a restatement of it over the raw files.

The official script reads `.eval` lines, so the restatement does too: offsets that skip white space
and include the end, no documents, no code of ours.
"""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import pytest
from evaluation_cases import document, mention

from biomark import formats
from biomark.evaluation import Counts, evaluate, read_predicted
from biomark.formats import bc2gm
from biomark.spans import Document

Places = dict[str, list[tuple[int, int]]]


def _places(path: Path) -> Places:
    places: Places = defaultdict(list)
    for line in path.read_text().splitlines():
        id, offsets, _ = line.split("|", 2)
        start, last = offsets.split()
        places[id].append((int(start), int(last)))
    return places


def _official(gold: Places, alternatives: Places, answers: Places) -> tuple[int, int, int]:
    """A gold mention is found if an answer is it, or is an alternative that shares a character with it."""
    found = missed = wrong = 0
    for id, places in gold.items():
        for start, last in places:
            accepted = {(start, last)} | {(s, e) for s, e in alternatives.get(id, []) if s <= last and start <= e}
            if accepted & set(answers.get(id, [])):
                found += 1
            else:
                missed += 1
    for id, places in answers.items():
        known = {*gold.get(id, []), *alternatives.get(id, [])}
        wrong += sum(place not in known for place in set(places))
    return found, wrong, missed


def _answers(gold: Places, alternatives: Places, lengths: dict[str, int], seed: int) -> Places:
    """Gold with mentions lost, moved, made up, and put in the place of alternatives, none twice."""
    rng = random.Random(seed)
    answers: Places = defaultdict(list)
    for id, length in lengths.items():
        chosen = [place for place in gold.get(id, []) if rng.random() < 0.6]
        chosen += [place for place in alternatives.get(id, []) if rng.random() < 0.3]
        if rng.random() < 0.3:
            start = rng.randrange(length)
            chosen.append((start, min(length - 1, start + rng.randint(0, 8))))
        answers[id] = sorted(set(chosen))
    return answers


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_are_the_official_ones(corpora: Path, tmp_path: Path, seed: int) -> None:
    folder = corpora / "bc2gm"
    gold, alternatives = _places(folder / "test.GENE.eval"), _places(folder / "test.ALTGENE.eval")
    documents = tuple(formats.read(folder / "test.in"))
    lengths = {d.id: len("".join(d.text.split())) for d in documents}
    answers = _answers(gold, alternatives, lengths, seed)
    texts = {d.id: "".join(d.text.split()) for d in documents}
    path = tmp_path / "answers.eval"
    rows = (f"{id}|{a} {b}|{texts[id][a : b + 1]}\n" for id, places in answers.items() for a, b in places)
    path.write_text("".join(rows))

    predicted = read_predicted(str(path), documents, reject=formats.raise_rejected)
    found = evaluate(documents, predicted, style="bc2gm")
    counts = found.overall.strict.counts
    assert (counts.tp, counts.fp, counts.fn) == _official(gold, alternatives, answers)
    assert counts.tp + counts.fn == 6331
    assert found.overall.strict.precision == counts.tp / (counts.tp + counts.fp)
    assert sum(m.predicted is not None for m in found.mistakes) == counts.fp
    assert sum(m.gold is not None for m in found.mistakes) == counts.fn


def _gene_document(gold: list, alternatives: list) -> Document:
    plain = document(*(mention("GENE", *place) for place in gold))
    others = tuple(mention("ALTGENE", *place) for place in alternatives)
    return Document(plain.id, plain.text, entities=plain.entities, alternatives=others)


@pytest.mark.parametrize(
    ("gold", "alternatives", "predicted", "counts"),
    [
        ([(0, 11)], [(0, 7)], [(0, 7)], Counts(1, 0, 0)),
        ([(0, 11)], [(0, 7)], [(0, 11), (0, 7)], Counts(1, 0, 0)),
        ([(0, 11)], [(0, 7), (8, 11)], [(0, 7), (8, 11), (0, 3)], Counts(1, 1, 0)),
        ([(0, 7), (8, 18)], [(0, 18)], [(0, 18)], Counts(2, 0, 0)),
        ([(0, 7)], [(8, 11)], [(8, 11)], Counts(0, 0, 1)),
        ([(0, 7)], [], [(0, 8)], Counts(1, 0, 0)),
    ],
    ids=["alternative", "both", "two alternatives", "one for two", "of nothing", "white space at the end"],
)
def test_alternatives(gold: list, alternatives: list, predicted: list, counts: Counts) -> None:
    answers = document(*(mention("Gene", *place) for place in predicted))
    found = evaluate([_gene_document(gold, alternatives)], [answers], style="bc2gm")
    assert found.overall.strict.counts == counts


def test_alternatives_count_in_the_style_bc2gm_alone() -> None:
    gold = _gene_document([(0, 11)], [(0, 7)])
    assert evaluate([gold], [document(mention("gene", 0, 7))]).overall.strict.counts == Counts(0, 1, 1)


def test_answers_without_sentences_take_the_text_of_gold(tmp_path: Path) -> None:
    (tmp_path / "answers.eval").write_text("1|0 6|Aspirin\n1|0 9|Aspirin\n9|0 1|xx\n1|99 3|\n1|7 9|\n")
    rejected = []
    (found,) = bc2gm.read_mentions(tmp_path / "answers.eval", [document()], rejected.append)
    assert [e.mention(found.text) for e in found.entities] == ["Aspirin", "and"]
    assert [(r.document_id, r.line) for r in rejected] == [("1", 2), ("1", 4), ("9", 3)]
