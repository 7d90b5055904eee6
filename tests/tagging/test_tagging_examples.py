"""The windows of an epoch: lists, shares of corpora, documents and windows, batches, steps."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from vaner_cases import train

from biomark import formats
from biomark.errors import UsageError
from biomark.spans import Document, Entity, Span
from biomark.tagging.text import BEGIN, OUTSIDE
from biomark.tagging.training.checks import check
from biomark.tagging.words import WordReader
from biomark.training.recipe import TaggingRecipe
from biomark.training.scoring import read_devel
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.tagging.training.examples import LENGTH_STEP, Examples, LabelledWindow, LeftOut, has_mention  # noqa: E402
from biomark.tagging.training.network import make_network  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("training_fixtures", "vaner_fixtures")

pytestmark = pytest.mark.usefixtures("training_corpora")


def test_development_splits_are_read_under_their_names_where_training_names_all(
    vaner_home: Path, vaner_recipe: TaggingRecipe
) -> None:
    tokenizer = make_network(vaner_recipe)[1]
    reader = WordReader(tokenizer, wording="biomark")
    devel = read_devel(vaner_recipe.devel, vaner_recipe.types, reject=fail)
    for share, named in ((1.0, True), (0.5, False), (0.0, False)):
        batches = Examples.of(devel, replace(vaner_recipe, corpus_name=share), reader)
        for split, its in zip(("disease", "chemical"), batches, strict=True):
            frames = {example.window.frame for batch in its for example in batch}
            assert frames == {reader.frame(split, split if named else "")}


@pytest.mark.parametrize("asked", [True, False])
def test_each_sentence_gets_a_list_more(vaner_home: Path, vaner_recipe: TaggingRecipe, asked: bool) -> None:
    encoder = str(vaner_home / ("llama" if asked else "bert"))
    plan = replace(vaner_recipe, encoder=encoder, instruction=asked, corpus_name=1.0 if asked else 0.0, max_pieces=250)
    more = replace(plan, knowledge=str(vaner_home / "terms.db"), dbr_terms=10, dbr_mentions=2)
    reader = WordReader(make_network(plan)[1], wording="biomark" if asked else "")

    def epoch(vaner_recipe: TaggingRecipe, number: int = 0) -> list[LabelledWindow]:
        return [example for batch in Examples(vaner_recipe, reader, fail).epoch(number) for example in batch]

    plain, made = epoch(plan), epoch(more)
    # Two files of six sentences, with one type each.
    assert len(made) == len(plain) + 12
    assert len(epoch(replace(more, dbr_share=0.0))) == len(plain)
    assert len(plain) < len(epoch(replace(more, dbr_share=0.5))) < len(made)
    before = Counter(key_of(example) for example in plain)
    lists = [example for example in made if not before[key_of(example)]]
    assert len(lists) == 12
    assert {example.tags.shape[1] for example in made} == ({1} if asked else {2})
    if asked:  # an example names its corpus, a list names none
        named = {reader.frame("disease", "disease"), reader.frame("chemical", "chemical")}
        assert {example.window.frame for example in plain} == named
        alone = Counter(example.window.frame for example in lists)
        assert alone == {reader.frame("disease"): 6, reader.frame("chemical"): 6}
    for example in lists:
        assert (example.labels == BEGIN).any()
        assert (example.labels == OUTSIDE).any()
    again = Counter(key_of(example) for example in epoch(more))
    assert again == Counter(key_of(example) for example in made)
    assert again != Counter(key_of(example) for example in epoch(more, 1))


@pytest.mark.parametrize("asked", [True, False])
def test_each_sentence_gets_a_list_of_names_near_it(vaner_home: Path, vaner_recipe: TaggingRecipe, asked: bool) -> None:
    encoder = str(vaner_home / ("qwen3" if asked else "bert"))
    plan = replace(vaner_recipe, encoder=encoder, instruction=asked, corpus_name=1.0 if asked else 0.0, max_pieces=250)
    more = replace(plan, knowledge=str(vaner_home / "terms.db"), dbr="near", dbr_terms=6, dbr_others=3)
    reader = WordReader(make_network(plan)[1], wording="biomark" if asked else "")

    def epoch(vaner_recipe: TaggingRecipe, number: int = 0) -> list[LabelledWindow]:
        return [example for batch in Examples(vaner_recipe, reader, fail).epoch(number) for example in batch]

    before = Counter(key_of(example) for example in epoch(plan))
    assert Counter(map(key_of, epoch(replace(plan, dbr="near")))) == before  # without lists no store is needed
    made = epoch(more)
    lists = [example for example in made if not before[key_of(example)]]
    assert len(made) == before.total() + 12
    assert len(lists) == 12
    if asked:  # a list names no corpus
        frames = Counter(example.window.frame for example in lists)
        assert frames == {reader.frame("disease", ""): 6, reader.frame("chemical", ""): 6}
        # The mentions of a sentence are in its list, and labelled.
        pieces = [[reader.tokenizer.id_to_token(int(id)) for id in e.window.words.pieces] for e in lists]
        texts = ["".join(some).replace("Ġ", " ") for some in pieces]
        for name in ("Marfan syndrome", "zileuton", "5-HT"):
            assert any(f" {name}" in f" {text}" for text in texts)
    assert all((example.labels == BEGIN).any() for example in lists)
    assert Counter(map(key_of, epoch(more))) == Counter(map(key_of, made))
    assert Counter(map(key_of, epoch(more, 1))) != Counter(map(key_of, made))


def test_an_epoch_may_have_a_fixed_number_of_steps(vaner_home: Path, vaner_recipe: TaggingRecipe) -> None:
    reader = WordReader(make_network(vaner_recipe)[1], wording="biomark")
    more = replace(vaner_recipe, knowledge=str(vaner_home / "terms.db"), dbr="near", dbr_terms=6)
    for plan in (vaner_recipe, more):
        whole = Examples(plan, reader, fail).epoch(0)
        for steps in (1, len(whole), 2 * len(whole) + 1):
            examples = Examples(replace(plan, epoch_steps=steps), reader, fail)
            found = [[key_of(example) for example in batch] for batch in examples.epoch(0)]
            assert len(found) == steps
            assert found[: len(whole)] == [[key_of(example) for example in batch] for batch in whole][:steps]
            assert found == [[key_of(example) for example in batch] for batch in examples.epoch(0)]
    assert len(Examples(vaner_recipe, reader, fail).epoch(0)) < len(Examples(more, reader, fail).epoch(0))


def key_of(example: LabelledWindow) -> tuple[object, ...]:
    return (example.window.frame, example.window.words.pieces.tobytes(), example.labels.tobytes())


def test_swapping_changes_the_share_of_documents_that_the_recipe_says(
    vaner_home: Path, vaner_recipe: TaggingRecipe
) -> None:
    more = replace(vaner_recipe, knowledge=str(vaner_home / "terms.db"))
    reader = WordReader(make_network(vaner_recipe)[1], wording="biomark")

    def texts(swap: float) -> Counter[bytes]:
        epochs = range(1 if swap in (0, 1) else 30)
        examples = Examples(replace(more, swap=swap), reader, fail)
        found = (e.window.words.pieces.tobytes() for n in epochs for batch in examples.epoch(n) for e in batch)
        return Counter(found)

    old = texts(0.0)
    changed = sum(count for key, count in texts(1.0).items() if key not in old)
    assert changed > 0
    half = texts(0.5)
    share = sum(count for key, count in half.items() if key not in old) / half.total()
    assert share == pytest.approx(0.5 * changed / old.total(), abs=0.15)


def test_what_splits_to_leave_out_share_is_not_learnt_from(
    vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path
) -> None:
    shared = "Marfan syndrome was seen in eleven of the patients whose parents had it too."
    other = "Fever was not seen in any of the patients whose records we could find at all."
    again = "Nor was it seen in any of those whose records were found in the year after that."
    texts = {"copy": shared.upper(), "part": f"{other} {shared} {again}", "none": other}
    mentions = (Entity((Span(0, 5),), "disease"),)
    formats.write([Document(id, text, entities=mentions) for id, text in texts.items()], tmp_path / "train.jsonl")
    formats.write([Document("scored", shared)], tmp_path / "test.jsonl")
    names = (str(tmp_path / "train.jsonl"),) * 2
    more = replace(vaner_recipe, train=names, types=("disease",), leave_out=(str(tmp_path / "test.jsonl"),))
    reader = WordReader(make_network(vaner_recipe)[1], wording="biomark")
    lines: list[str] = []
    examples = Examples(more, reader, fail, lines.append)
    assert examples.left_out == {names[0]: LeftOut(3, ("copy",), 1)}
    dropped = "1 of 3 documents and 1 sentences of other documents are left out"
    assert lines == [f"{names[0]}: {dropped}; {more.leave_out[0]} has them, too"]
    assert [len(source.passages[0].words) for source in examples.sources] == [35, 17] * 2
    folder = train(replace(more, epochs=1, devel=more.train), tmp_path / "run")
    found = json.loads((folder / "left_out.json").read_text())
    assert found == {names[0]: {"of": 3, "documents": ["copy"], "sentences": 1}}
    with pytest.raises(UsageError, match="leave_out names nowhere:test, which is neither a file nor a corpus"):
        check(replace(more, leave_out=("nowhere:test",)))


def test_an_epoch_reads_a_share_of_the_windows_without_mentions(training_recipe: TaggingRecipe, tmp_path: Path) -> None:
    sentences = [Document(str(n), f"Fever was seen {n} times." if n % 4 == 0 else "None.") for n in range(2000)]
    named = [replace(d, entities=(Entity((Span(0, 5),), "Disease"),) if len(d.text) > 5 else ()) for d in sentences]
    formats.write(named, tmp_path / "some.jsonl")
    plan = replace(training_recipe, train=(str(tmp_path / "some.jsonl"),), types=("disease",), negatives=0.2)
    _, tokenizer = make_network(plan)
    read = [
        [e for batch in Examples(way, WordReader(tokenizer), fail).epoch(0) for e in batch]
        for way in (plan, replace(plan, negatives=1.0))
    ]
    counts = [[sum(has_mention(e) is with_ for e in examples) for with_ in (True, False)] for examples in read]
    assert counts[0][0] == counts[1][0] == 500
    assert counts[1][1] == 1500
    assert 200 < counts[0][1] < 400


def test_a_batch_may_hold_so_many_windows_whatever_their_length(training_recipe: TaggingRecipe) -> None:
    _, tokenizer = make_network(training_recipe)
    batches = Examples(replace(training_recipe, batch_windows=3), WordReader(tokenizer), fail).epoch(0)
    sizes = Counter(map(len, batches))
    lengths = {-(-example.window.length // LENGTH_STEP) for batch in batches for example in batch}
    assert max(sizes) == 3
    assert sum(sizes[size] for size in (1, 2)) <= len(lengths), "only the last one of each length is smaller"


def test_an_epoch_reads_a_share_of_a_corpus(two_guidelines: TaggingRecipe) -> None:
    reader = WordReader(make_network(two_guidelines)[1])
    whole = Examples(two_guidelines, reader, fail).epoch(0)
    some = Examples(replace(two_guidelines, shares={"heads-train": 0.5}), reader, fail).epoch(0)

    def count(batches: list[list[LabelledWindow]]) -> Counter[str]:
        return Counter(example.corpus for batch in batches for example in batch)

    assert count(some)["whole-train"] == count(whole)["whole-train"]
    assert 0.25 < count(some)["heads-train"] / count(whole)["heads-train"] < 0.75
