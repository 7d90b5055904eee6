"""New sentences from a few: what passes, what is thrown away and why, and runs that stop and go on."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import toy_writer
from biomark.errors import UsageError
from biomark.formats import read
from biomark.marks import unmarked
from biomark.prompted.chat import Ask, Message, Reply, Request, Unanswered
from biomark.prompted.chat.account import Account
from biomark.prompted.invention import Inventor, rouge_l
from biomark.prompted.retrieval import Example, examples
from biomark.prompted.settings import InventionOptions
from biomark.shapes import SHAPES
from biomark.shapes.span import SPAN
from biomark.spans import Document, Entity, Rejected, Span
from conftest import ROOT, Outcome
from scripted import Says, answer, scripted
from serving import served

SEEDS = ROOT / "examples" / "frailty.jsonl"
TYPES = ("frailty",)
WANTED = InventionOptions(count=4)


@pytest.fixture(scope="module")
def seeds() -> tuple[Example, ...]:
    return tuple(examples([str(SEEDS)]))


# Likeness


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        # Lin 2004, section 3.1: three and two words in a row of four
        ("police killed the gunman", "police kill the gunman", 0.75),
        ("police killed the gunman", "the gunman kill police", 0.5),
        ("a b c d e", "a x b y c", 0.6),
        ("a b c", "a b c d e f", 6 / 9),
        ("a b", "c d", 0.0),
        ("a a b", "a b a", 4 / 6),
        ("", "a", 0.0),
        ("a", "a", 1.0),
    ],
)
def test_rouge_l_by_hand(a: str, b: str, value: float) -> None:
    assert rouge_l(a.split(), b.split()) == pytest.approx(value)


WORDS = st.lists(st.sampled_from("abc"), max_size=6)


@given(WORDS, WORDS)
def test_rouge_l_is_the_longest_subsequence_of_all(a: list[str], b: list[str]) -> None:
    of_a, of_b = ({part for n in range(len(x) + 1) for part in combinations(x, n)} for x in (a, b))
    longest = max(len(part) for part in of_a & of_b)
    assert rouge_l(a, b) == rouge_l(b, a) == (2 * longest / (len(a) + len(b)) if a and b else 0.0)


STRANGE = st.lists(st.sampled_from(["aq", "bq", "cq"]), max_size=6).map(" ".join)  # words of no seed


@given(STRANGE, st.lists(STRANGE, max_size=4))
def test_the_nearest_text_is_found(text: str, others: list[str]) -> None:
    pool = [*examples([str(SEEDS)]), *(Example(other, (), "", TYPES) for other in others)]
    likeness = max((rouge_l(text.split(), other.split()) for other in others), default=0.0)
    assert Inventor(pool, TYPES).likeness(text.upper()) == likeness


# Marks without a source


@pytest.mark.parametrize("name", ["mark", "span", "gpt-ner"])
@given(
    words=st.lists(st.sampled_from(["fall", "β-blocker", "1,25-D3", "👩‍🔬", "weak,", "İ"]), max_size=8), data=st.data()
)
def test_a_marked_text_gives_its_text_and_mentions(name: str, words: list[str], data: st.DataObject) -> None:
    text, entities = " ".join(words), []
    for n, word in enumerate(words):
        if data.draw(st.booleans()):
            start = len(" ".join([*words[:n], ""]))
            entities.append(Entity((Span(start, start + len(word)),), "frailty"))
    shape: Any = SHAPES[name]
    assert unmarked(shape.encode(text, entities, TYPES).text, shape.signs(TYPES)) == (text, tuple(entities))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('He <span class="Frailty"> fell </span>.', "fell"),
        ('He <span class="frailty">fell.', None),
        ("He fell</span>.", None),
        ('He <span class="disease">fell</span>.', None),
        ('He <span class="frailty"> </span>fell.', None),
        ('He <span class="frailty">fell <span class="frailty">again</span></span>.', None),
    ],
)
def test_marks_that_are_not_whole_give_nothing(said: str, found: str | None) -> None:
    read = unmarked(said, SPAN.signs(TYPES))
    if found is None:
        assert isinstance(read, Rejected)
    else:
        assert not isinstance(read, Rejected)
        assert [e.mention(read[0]) for e in read[1]] == [found]


# What passes


class Writer:
    """A model that writes what it is told to, request by request, and says yes or no."""

    def __init__(self, lists: Sequence[str | Reply], verdict: Callable[[str], str] = lambda question: "Yes.") -> None:
        self.account = Account()
        self.concurrency = 3
        self.asked: list[Request] = []
        self._lists = lists
        self._verdict = verdict

    def facts(self) -> dict[str, object]:
        return {"model": "writer"}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Ask]:
        yield self._ask

    async def _ask(self, request: Request) -> Reply:
        self.asked.append(request)
        question = request.messages[-1].content
        if question.endswith("Answer with yes or no."):
            return Reply((self._verdict(question),))
        if request.sample >= len(self._lists):
            raise Unanswered("nothing left to say")
        said = self._lists[request.sample]
        return said if isinstance(said, Reply) else Reply((said,))


def marked(text: str) -> str:
    """With signs in the place of brackets."""
    return text.replace("[", '<span class="frailty">').replace("]", "</span>")


GOOD = (
    "1. After lunch Mr Hill [slipped in the hall] once more.",
    "2. Nobody thought that his sister would be [too weak for the bus].",
    "3. At night a nurse found him [on the floor]!",
)


def test_sentences_that_pass_are_kept_with_their_origin(seeds: tuple[Example, ...]) -> None:
    model = Writer(["Sure, here they are:\n\n" + marked("\n".join(GOOD)) + "\n\nAnything else?"])
    inventor = Inventor(seeds, TYPES, InventionOptions(count=3))
    found = inventor.run(model)
    assert (found.written, found.thrown, found.stopped) == (3, {}, None)
    assert [d.text for d in found.documents] == [s[3:].replace("[", "").replace("]", "") for s in GOOD]
    assert [d.entities[0].mention(d.text) for d in found.documents] == [
        "slipped in the hall", "too weak for the bus", "on the floor"
    ]  # fmt: skip
    assert len({d.id for d in found.documents}) == 3
    told = found.documents[0].infons
    assert (told["invented_by"], told["request"], told["seed"], told["verified"]) == ("writer", "0", "0", "True")
    assert set(json.loads(told["shown"])) <= {seed.document_id for seed in seeds}
    assert 0 < float(told["rouge_l"]) < 0.7
    assert len(told["prompt"]) == 16
    # One question for the list, one for each mention
    assert len(model.asked) == 4


def test_what_does_not_pass_is_counted(seeds: tuple[Example, ...]) -> None:
    copy = seeds[0].text.replace("winter", "[autumn]")
    bad = [
        "1. Later he [fell.", "2. He <span>fell</span>.", "3. It rained all day in the town.", "4. [Tired] and tired.",
        f"5. {copy}", "6. After dinner Mr Hill [slipped in the hall] once more.", "7. They [like cake] on Sundays.",
        "8. Every Monday the [moon] is full.", "9. Cut off [in the",
    ]  # fmt: skip
    verdicts = {"like cake": "No, it is not.", "moon": "Perhaps."}

    def verdict(question: str) -> str:
        return next((said for mention, said in verdicts.items() if f'"{mention}"' in question), "**Yes**")

    lists = [marked(GOOD[0]), Reply((marked("\n".join(bad)),), finished=False), *[marked("\n".join(GOOD))] * 9]
    model = Writer(lists, verdict)
    found = Inventor(seeds, TYPES, InventionOptions(count=9, sentences=9)).run(model)
    assert len(found.documents) == 3
    assert found.written == 1 + 9 + 3 + 5 * 3
    assert found.thrown == {
        "too like another new one": 1 + 1 + 5 * 3,
        "the marks do not parse": 2,
        "nothing is mentioned": 1,
        "a mention stands elsewhere unmarked": 1,
        "too like a seed": 1,
        "refuted": 1,
        "not verified: neither yes nor no": 1,
        "cut off": 1,
    }
    assert found.stopped == "5 rounds in a row brought nothing that could be kept"
    assert found.written == len(found.documents) + sum(found.thrown.values())


def test_no_question_is_asked_twice(seeds: tuple[Example, ...]) -> None:
    model = Writer([marked(GOOD[0] + "\n" + GOOD[0])] * 9, lambda question: "No.")
    found = Inventor(seeds, TYPES, WANTED).run(model)
    assert found.thrown == {"refuted": 1, "written before": 9}
    assert len(model.asked) == 5 + 1


def test_a_model_that_brings_nothing_is_not_asked_for_ever(seeds: tuple[Example, ...]) -> None:
    model = Writer(["I cannot help with that."] * 99)
    found = Inventor(seeds, TYPES, WANTED).run(model)
    assert (found.documents, found.written) == ((), 0)
    assert "5 rounds" in str(found.stopped)
    assert len(model.asked) == 5


def test_a_model_that_answers_no_more_ends_the_run(seeds: tuple[Example, ...]) -> None:
    found = Inventor(seeds, TYPES, InventionOptions(count=3, sentences=3)).run(Writer([marked(GOOD[0])]))
    assert len(found.documents) == 1
    assert found.stopped == "nothing left to say"


def test_prompts_show_seeds_and_new_sentences_and_nothing_twice(seeds: tuple[Example, ...]) -> None:
    inventor = Inventor(seeds, TYPES, InventionOptions(shots=4))
    new = Document("new-1", "He fell over.", entities=(Entity((Span(3, 7),), "frailty"),))
    request, shown = inventor.request(0, [new])
    lines = request.messages[-1].content.splitlines()
    assert lines[0] == "### Examples"
    assert sum('<span class="frailty">' in line for line in lines) == len(set(lines[1:5])) == 4
    assert "new-1" in shown
    assert 'Put <span class="frailty"> and </span> around each frailty.' in request.messages[0].content
    assert request.temperature == 1.0
    assert inventor.request(0, [new]) == (request, shown)
    assert len({inventor.request(n)[0].messages for n in range(20)}) == 20


def test_few_seeds_and_bad_options(seeds: tuple[Example, ...]) -> None:
    with pytest.raises(UsageError, match="only 4 sentences"):
        Inventor([*seeds[:4], Example("Nothing here.", (), "x", TYPES)], TYPES)
    for options in ({"count": 0}, {"alike": 0.0}, {"alike": 1.1}, {"shots": 0}, {"sentences": 0}, {"max_tokens": -1}):
        with pytest.raises(UsageError, match="must be "):
            Inventor(seeds, TYPES, InventionOptions(**options))  # type: ignore[arg-type]


# The command, and servers


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def writes(request: dict[str, Any], number: int) -> Says:
    """Whatever it is asked for, the same for the same prompt."""
    said = request["messages"][-1]["content"]
    chance = random.Random(said)
    if said.endswith("Answer with yes or no."):
        return answer("Yes." if chance.random() < 0.5 else "No.", read=200, written=10)
    documents = [toy_writer.sentence(chance) for _ in range(3)]
    lines = [f"{n}. {SPAN.encode(d.text, d.entities, TYPES).text}" for n, d in enumerate(documents, 1)]
    return answer("\n".join(lines), read=200, written=100)


Biomark = Callable[..., Outcome]


def test_a_budget_stops_and_a_higher_one_goes_on(biomark: Biomark, away: Path) -> None:
    with scripted(writes) as there:
        command = (
            "invent", SEEDS, "-o", "new.jsonl", "--model", "openai:m", "--base-url", there.url, "--types", "frailty",
            "--count", "12", "--set", "sentences=3", "--record", "record.json", "--set", "concurrency=1", "--set",
        )  # fmt: skip
        done = biomark(*command, "budget=3000 tokens")
        assert done.status == 1, done.err
        assert "stopped: not asked, because the budget is spent" in done.err
        paid = len(there.asked)
        some = [d.text for d in read(away / "new.jsonl")]
        assert 0 < len(some) < 12
        assert biomark(*command, "budget=10000000 tokens").status == 0
        assert set(some) < {d.text for d in read(away / "new.jsonl")}
        whole, asked = (away / "new.jsonl").read_bytes(), len(there.asked)
        assert asked > paid
        # All is there already
        done = biomark(*command, "budget=10000000 tokens")
        assert done.status == 0
        assert len(there.asked) == asked
        assert (away / "new.jsonl").read_bytes() == whole
        assert f"{asked} more answers from the cache" in done.err
    record = json.loads((away / "record.json").read_text())
    assert record["kept"] == 12
    assert record["written"] == 12 + sum(record["thrown"].values())
    assert f"discarded: {record['thrown']['refuted']} (refuted)" in done.err
    assert record["invention"]["seed"] == 0
    assert "sk-secret" not in (away / "record.json").read_text()
    texts = [d.text for d in read(away / "new.jsonl")]
    words = [text.lower().replace(".", "").split() for text in texts]
    assert all(rouge_l(a, b) < 0.7 for a, b in combinations(words, 2))


def test_new_sentences_are_demonstrations(biomark: Biomark, away: Path) -> None:
    with scripted(writes) as there:
        done = biomark(
            "invent", SEEDS, "-o", "new.jsonl", "--model", "openai:m", "--base-url", there.url, "--types", "frailty",
            "--count", "3", "--set", "unverified=true",
        )  # fmt: skip
    assert done.status == 0, done.err
    assert biomark("demonstrations", "new.jsonl", "-o", "demos.json").status == 0
    rows = json.loads((away / "demos.json").read_text())
    documents = list(read(away / "new.jsonl"))
    assert [row["document_id"] for row in rows] == [d.id for d in documents]
    assert all("<mark>" in row["output"] for row in rows)
    assert all(d.infons["verified"] == "False" for d in documents)


def test_a_dry_run_shows_a_prompt_and_bad_usage_costs_nothing(biomark: Biomark, away: Path) -> None:
    start = ("invent", SEEDS, "--model", "openai:m", "--types", "frailty")
    done = biomark(*start, "-o", "new.jsonl", "--dry-run")
    assert done.status == 0
    assert "### Examples" in done.out
    assert not (away / "new.jsonl").exists()
    with scripted(writes) as there:
        for wrong in (("-o", "new.xyz"), ("-o", "new.jsonl", "--types", "fever"), ("-o", "new.jsonl", "--model", "m")):
            done = biomark(*start, "--base-url", there.url, *wrong)
            assert done.status == 2
            assert done.err.startswith("biomark: ")
        assert there.asked == []
    assert "--base-url" in biomark(*start, "-o", "new.jsonl").err


# A real model


FEW = InventionOptions(count=2, sentences=2, shots=1, temperature=0.0)
KNOWN = marked("1. The old man [fell again] now.\n2. [Too weak] for the garden, she said.")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, seeds: tuple[Example, ...]) -> Path:
    """A chat model that knows by heart what is asked with `FEW`."""
    torch.set_num_threads(1)
    inventor = Inventor(seeds, TYPES, FEW)
    talks: list[tuple[tuple[Message, ...], str]] = [(inventor.request(0)[0].messages, KNOWN)]
    for line in KNOWN.splitlines():
        found = unmarked(line[3:], SPAN.signs(TYPES))
        assert not isinstance(found, Rejected)
        text, (entity,) = found
        talks.append((inventor.yes_no(text, entity.mention(text), "frailty").messages, "Yes."))
    folder = tmp_path_factory.mktemp("writer") / "model"
    toy_writer.by_heart(talks, folder)
    return folder


ASKED = ("--count", "2", "--set", "sentences=2", "--set", "shots=1", "--set", "temperature=0")


def told(file: Path) -> list[tuple[str, list[str]]]:
    return [(d.text, [e.mention(d.text) for e in d.entities]) for d in read(file)]


TOLD = [("The old man fell again now.", ["fell again"]), ("Too weak for the garden, she said.", ["Too weak"])]


def test_a_model_in_this_process(biomark: Biomark, away: Path, model: Path) -> None:
    done = biomark("invent", SEEDS, "-o", "new.jsonl", "--model", f"hf:{model}", "--types", "frailty", *ASKED)
    assert done.status == 0, done.err
    assert told(away / "new.jsonl") == TOLD


def test_a_real_server(biomark: Biomark, away: Path, model: Path) -> None:
    with served(model, away) as url:
        done = biomark(
            "invent", SEEDS, "-o", "new.jsonl", "--model", f"openai:{model}", "--types", "frailty", *ASKED,
            "--base-url", url,
        )  # fmt: skip
    assert done.status == 0, done.err
    assert told(away / "new.jsonl") == TOLD
    assert "3 answers" in done.err
