"""What a prompt says: its parts, demonstrations, the words of the user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biomark import demonstrations
from biomark.embedding import Vectors
from biomark.errors import UsageError
from biomark.prompted import prompters, retrieval
from biomark.prompted.chat import ASSISTANT, SYSTEM, USER, Request, Unanswered
from biomark.prompted.chat.templates import plain
from biomark.prompted.prompts import HINTS, Prompter, readable, wordings
from biomark.prompted.recognizer import PromptedRecognizer
from biomark.prompted.retrieval import Example
from biomark.prompted.settings import PromptOptions
from biomark.shapes import SHAPES, shape_named
from biomark.spans import Document, Entity, Span
from biomark.text.sentences import with_sentences
from conftest import TermRecognizer
from oracle import DOCUMENTS, TYPES, Oracle, example, expected, knows, mentions, said, text_of


def system_of(options: PromptOptions, types: Sequence[str] = ("disease",)) -> str:
    first = Prompter(types, options).messages("Text.", "d")[0]
    assert first.role == SYSTEM
    return first.content


def test_demonstrations_by_mentions_look_at_the_types_that_are_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    finders = []

    def noted(how, pool, *, mentions, **more):  # type: ignore[no-untyped-def]
        finders.append(mentions)
        return retrieval.chooser("tfidf", pool)

    monkeypatch.setattr(prompters, "chooser", noted)
    options = PromptOptions(choose="entity-knn", shots=1)
    for types in (["gene"], ["gene", "disease"], ["frailty"]):
        pool = [Example("Aspirin.", (), "p", tuple(types))]
        recognizer = PromptedRecognizer(Oracle(knows("json")), options, pool=pool, drafter=TermRecognizer())
        list(recognizer.annotate([Document("d", "Asthma.")], types))
    found = [finder("Aspirin, asthma and ALOX5.") for finder in finders]
    assert found == [["ALOX5"], ["asthma", "ALOX5"], []]


def test_the_paper_s_own_prompt_has_no_system_message() -> None:
    options = PromptOptions(shape="alpaca", parts=("task", "hints"), shots=1, choose="first")
    pool = [Example("Asthma passes.", (Entity((Span(0, 6),), "disease"),), "p", ("disease",))]
    chooser = retrieval.chooser("first", pool)
    shown, answer, asked = Prompter(("disease",), options, chooser).messages("Gout.", "d")
    assert [m.role for m in (shown, answer, asked)] == ["user", "assistant", "user"]
    assert answer.content == "<mark>Asthma</mark> passes."
    assert shown.content == asked.content.replace("Gout.", "Asthma passes.")
    assert asked.content == demonstrations.prompt(demonstrations.instruction("disease"), "Gout.")


def test_parts_are_switched_on_one_by_one() -> None:
    marks = {
        "task": "### Task",
        "definition": "syndrome, injury",
        "guideline": "leave out organisms",
        "hints": HINTS[""],
    }
    for part, words in marks.items():
        said = system_of(PromptOptions(parts=(part,)))
        assert [name for name, words in marks.items() if words in said] == [part]
        assert words in said
    assert system_of(PromptOptions(parts=())) == "### Answer\n" + SHAPES["span"].request(("disease",))


def test_words_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "words.toml"
    file.write_text(
        '[frailty]\nlabel = "sign of frailty"\ndefinition = "what makes old people fall"\n[disease]\nhints = "H!"\n'
    )
    options = PromptOptions(parts=("task", "definition", "hints"), wording=file)
    said = system_of(options, ("frailty", "disease"))
    assert "sign of frailty: what makes old people fall" in said
    assert "sign of frailty and disease entities" in said
    assert "disease: H!" in said
    for bad in ("[disease]\nname = 'x'", "disease = 'x'", "[disease]\nhints = 3", "="):
        file.write_text(bad)
        with pytest.raises(UsageError, match=re.escape(str(file))):
            wordings(("disease",), file)


def test_a_model_without_system_messages_is_told_all_the_same() -> None:
    (only,) = Prompter(("disease",), PromptOptions(no_system=True)).messages("Text.", "d")
    assert only.role == USER
    assert system_of(PromptOptions()) in only.content


POOL = [
    example("Asthma is common.", "1"),
    example("Nothing here.", "2"),
    example("Aspirin and asthma.", "3"),
    example("TNF-α rises in asthma, and zileuton lowers it.", "9"),  # a sentence of the documents
    example("Zileuton for asthma, and nothing else here.", "0"),  # from a document of theirs
]


def test_demonstrations_have_the_form_of_the_question() -> None:
    example = POOL[0]
    turns = {}
    for shape in ("gpt-ner", "dialogue"):
        chat = Oracle(knows(shape))
        options = PromptOptions(shape=shape, shots=1, choose="first")
        recognizer = PromptedRecognizer(chat, options, pool=[example])
        (found,) = recognizer.annotate([Document("d", "Asthma again.")], ("disease",))
        assert mentions([found]) == [[("disease", 0, "Asthma")]]
        turns[shape] = said(chat.asked[0])[1:]
    assert turns["gpt-ner"] == [
        (USER, f"The given sentence: {example.text}\nThe labeled sentence:"),
        (ASSISTANT, "@@Asthma## is common."),
        (USER, "The given sentence: Asthma again.\nThe labeled sentence:"),
    ]
    question = (USER, "What describes disease in the text?")
    assert turns["dialogue"] == [
        *((USER, f"Text: {example.text}"), (ASSISTANT, "I've read this text."), question),
        (ASSISTANT, '["Asthma"]'),
        *((USER, "Text: Asthma again."), (ASSISTANT, "I've read this text."), question),
    ]


CLINICAL = ("problem", "treatment")


def clinical(text: str, **types: str) -> Example:
    """A sentence, with a mention of each type."""
    found = [Entity((Span(text.index(words), text.index(words) + len(words)),), type) for type, words in types.items()]
    return Example(text, tuple(found), text, CLINICAL)


NOTES = [
    clinical("He has a cough.", problem="cough"),
    clinical("Aspirin for pain.", treatment="Aspirin", problem="pain"),
]


def test_tanl_is_one_message_of_examples_and_ends_with_its_line() -> None:
    """Monajatipoor et al. 2024: text and tagged text, apart by blank lines, the most similar example last."""
    chat = Oracle(lambda request: "\n[ Fever | clinical problem ] and pain.")
    options = PromptOptions(shape="tanl", parts=("task",), shots=2, choose="first")
    document = Document("d", "Fever and pain.")
    (found,) = PromptedRecognizer(chat, options, pool=NOTES).annotate([document], CLINICAL)
    assert mentions([found]) == [[("problem", 0, "Fever")]]
    (only,) = chat.asked[0].messages
    assert only.role == USER
    assert only.content == (
        "### Task\nFind all clinical problem and treatment entities that are mentioned in the text.\n\n"
        "### Answer\nWrite the text again, word for word, with each mention of an entity as "
        "[ mention | type ], where the entity types are: clinical problem, treatment. "
        "If there is none, write the text as it is.\n\n"
        "He has a cough.\nHe has a [ cough | clinical problem ].\n\n"
        "Aspirin for pain.\n[ Aspirin | treatment ] for [ pain | clinical problem ].\n\n"
        "Fever and pain.\n"
    )
    assert chat.asked[0].stops == ("\n",)
    assert plain(chat.asked[0].messages).text == only.content  # a base model goes on with it


def test_dice_asks_about_all_types_at_once() -> None:
    def say(request: Request) -> str:
        return "Entity type is problem. Entity is Fever [SEP] pain. Entity type is treatment. Entity is <entity>."

    chat = Oracle(say)
    words = {"problem": "what ails", "treatment": "what helps"}
    options = PromptOptions(shape="dice", parts=(), shots=2, choose="first")
    (found,) = PromptedRecognizer(chat, options, pool=NOTES).annotate([Document("d", "Fever and pain.")], CLINICAL)
    assert mentions([found]) == [[("problem", 0, "Fever"), ("problem", 10, "pain")]]
    assert len(chat.asked) == 1
    shape = shape_named("dice", {type: (type, said) for type, said in words.items()})
    prompter = Prompter(CLINICAL, options, retrieval.chooser("first", NOTES))
    prompter.shape = shape
    (only,) = prompter.messages("Fever and pain.", "d")
    assert only.content.partition("\n\n")[2] == (
        "Passage: He has a cough.\nOutput: Entity type is problem. What ails. Entity is cough. "
        "Entity type is treatment. What helps. Entity is <entity>.\n\n"
        "Passage: Aspirin for pain.\nOutput: Entity type is problem. What ails. Entity is pain. "
        "Entity type is treatment. What helps. Entity is Aspirin.\n\n"
        "Passage: Fever and pain.\nOutput:"
    )


def test_the_most_similar_example_is_last() -> None:
    pool = [clinical("Fever and pain came.", problem="Fever"), *NOTES]
    for shape in ("tanl", "span"):
        chat = Oracle(lambda request: "Fever and pain.")
        options = PromptOptions(shape=shape, shots=3, choose="tfidf")
        list(PromptedRecognizer(chat, options, pool=pool).annotate([Document("d", "Fever and pain.")], CLINICAL))
        whole = "\n".join(content for _, content in said(chat.asked[0]))
        assert whole.index("He has a cough.") < whole.index("Aspirin for pain.") < whole.index("Fever and pain came.")


def test_no_sentence_of_a_window_or_of_what_was_cut_is_shown() -> None:
    """Not even from a document with another name, such as the same abstract in another corpus."""
    long = "Asthma and aspirin, " * 30 + "so it is."
    text = f"Asthma is common. {long} Nothing here."

    def say(request: Request) -> str | Exception:
        long = len(request.messages[-1].content) > 500
        return Unanswered("too long", too_long=True) if long else knows("span")(request)

    chat = Oracle(say)
    pool = [*POOL, example(long, "7")]
    options = PromptOptions(window=5000, shots=9)
    (found,) = PromptedRecognizer(chat, options, pool=pool).annotate([Document("d", text)], TYPES)
    assert mentions([found]) == expected([Document("d", text)])
    assert len(chat.asked) > 2
    for request in chat.asked:
        shown = {text_of([turn]) for turn in said(request)[1:-1:2]}
        assert shown == {e.text for e in POOL[2:]}


def test_nothing_is_sent_before_all_demonstrations_are_checked() -> None:
    chat = Oracle(knows("span"))

    def pool() -> Iterator[Example]:
        yield from POOL
        assert not chat.asked
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        list(PromptedRecognizer(chat, pool=pool()).annotate(DOCUMENTS, TYPES))
    assert not chat.asked


def test_demonstrations_are_chosen_by_the_embedder_that_was_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Lengths:
        """Texts of nearly equal length are alike."""

        def embed(self, texts: Sequence[str]) -> Vectors:
            angles = np.array([len(text) / 100 for text in texts])
            return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def load(name: str) -> Lengths:
        assert name == "some/encoder"
        return Lengths()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("biomark.embedding.load", load)
    chat = Oracle(knows("span"))
    options = PromptOptions(choose="knn", embedder="some/encoder", shots=1)
    list(PromptedRecognizer(chat, options, pool=POOL).annotate([Document("d", "Fourteen here.")], TYPES))
    assert text_of(said(chat.asked[0])[1:2]) == "Nothing here."


@pytest.mark.parametrize("how", ["random", "first", "tfidf", "bm25"])
def test_demonstrations_are_turns_and_never_the_text_or_its_document(how: str) -> None:
    chat = Oracle(knows("span"))
    options = PromptOptions(choose=how, shots=4)
    found = list(PromptedRecognizer(chat, options, pool=POOL).annotate(DOCUMENTS, TYPES))
    assert mentions(found) == expected(DOCUMENTS)
    by_text = {e.text: e for e in POOL}
    document_of = {s.of(d.text): d.id for d in DOCUMENTS for s in with_sentences(d).sentences}
    for request in chat.asked:
        turns = request.messages[1:-1]
        assert [m.role for m in turns] == [USER, ASSISTANT] * (len(turns) // 2)
        assert len(turns) >= 6
        asked = text_of(said(request))
        for question, answer in zip(turns[::2], turns[1::2], strict=True):
            shown = by_text[text_of([("user", question.content)])]
            assert shown.text != asked
            assert shown.document_id != document_of[asked]
            assert answer.content == SHAPES["span"].encode(shown.text, shown.entities, TYPES).text


def test_demonstrations_that_lack_a_type_are_not_shown_for_it() -> None:
    chat = Oracle(knows("mark"))
    pool = [example("Asthma is common.", "8", ("disease",)), example("Aspirin alone.", "7", ("chemical",))]
    options = PromptOptions(shape="mark", choose="first")
    list(PromptedRecognizer(chat, options, pool=pool).annotate(DOCUMENTS[:1], TYPES))
    for request in chat.asked:
        shown = text_of([("user", request.messages[1].content)])
        assert shown == ("Asthma is common." if "disease entities" in request.messages[0].content else "Aspirin alone.")
    with pytest.raises(UsageError, match=r"annotates all of disease, chemical, only chemical or disease"):
        list(PromptedRecognizer(chat, PromptOptions(), pool=pool).annotate(DOCUMENTS, TYPES))


def test_demonstrations_that_do_not_read_back_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    nested = Example("lung cancer", (Entity((Span(0, 11),), "disease"), Entity((Span(5, 11),), "disease")), "1", TYPES)
    lost: Counter[str] = Counter()
    assert readable([*POOL, nested], SHAPES["span"], [TYPES], lost) == (*POOL, nested)
    assert lost == {"mentions that answers of the shape span cannot hold": 1}
    # A shape that puts its tags in the wrong place must mislead no model
    real = type(SHAPES["span"]).encode
    monkeypatch.setattr(
        type(SHAPES["span"]),
        "encode",
        lambda self, text, entities, types: real(self, text, [] if "common" in text else entities, types),
    )
    assert readable(POOL, SHAPES["span"], [TYPES], lost) == tuple(POOL[1:])
    assert lost["demonstrations whose answer does not read back"] == 1


@pytest.mark.parametrize(
    "settings",
    [{"shape": "x"}, {"parts": ("x",)}, {"verify": ("x",)}, {"ontology": "x"}, {"choose": "x"}, {"shots": 33},
     {"samples": 0}, {"definitions": True}, {"ontology": "one-step"}, {"temperature": -1.0},
     {"temperature": float("nan")}, {"samples": 2, "temperature": 0.0}, {"diversity": 1.0},
     {"choose": "bm25", "diversity": 0.3}, {"embedder": "sentence-transformers/any"}],
)  # fmt: skip
def test_options_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PromptedRecognizer(Oracle(knows("span")), PromptOptions(**settings))


def test_types_must_be_named() -> None:
    with pytest.raises(UsageError, match="`types=disease,chemical`"):
        PromptedRecognizer(Oracle(knows("span"))).annotate(DOCUMENTS)
