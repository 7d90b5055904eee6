"""What an ontology adds to a prompt, before the text or in a second step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from biomark.formats import raise_rejected
from biomark.knowledge.building import build
from biomark.knowledge.entries import Entry, Name
from biomark.knowledge.store import Store
from biomark.prompted.chat import Request
from biomark.prompted.prompts import Ontology
from biomark.prompted.recognizer import PromptedRecognizer
from biomark.prompted.settings import PromptOptions
from biomark.spans import Document
from knowledge_cases import Terms
from oracle import DOCUMENTS, TYPES, Oracle, example, expected, knows, mentions, said


def test_an_ontology_speaks_before_the_text_in_one_message(store: Store) -> None:
    chat = Oracle(lambda request: "Aspirin today.")
    options = PromptOptions(ontology="one-step", shape="tanl", shots=1, choose="first")
    recognizer = PromptedRecognizer(chat, options, store=store, pool=[example("Asthma is rare.", "5")])
    list(recognizer.annotate([Document("d", "Aspirin today.")], TYPES))
    assert (
        chat.asked[0]
        .messages[0]
        .content.endswith(
            "\n\n### Knowledge\nAsthma semantic type is disease.\n\nAsthma is rare.\n[ Asthma | disease ] is rare."
            "\n\n### Knowledge\nAspirin semantic type is chemical.\n\nAspirin today.\n"
        )
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    entries = [
        Entry("MESH:D001249", "disease", (Name("asthma"),), "A disease of the airways."),
        Entry("MESH:D001241", "chemical", (Name("aspirin"),)),
    ]
    build([Terms(entries)], tmp_path / "terms.store", reject=raise_rejected)
    with closing(Store(tmp_path / "terms.store")) as opened:
        yield opened


def test_one_step_tells_what_is_known_of_the_text(store: Store) -> None:
    chat = Oracle(knows("span"))
    options = PromptOptions(ontology="one-step", definitions=True, shots=1, choose="first")
    recognizer = PromptedRecognizer(chat, options, store=store, pool=[example("Aspirin today.", "5")])
    assert mentions(recognizer.annotate(DOCUMENTS, TYPES)) == expected(DOCUMENTS)
    first = next(r for r in chat.asked if "helps against" in r.messages[-1].content)
    assert first.messages[-1].content == (
        "### Knowledge\nAspirin semantic type is chemical.\nasthma semantic type is disease. A disease of the airways."
        "\n\n### Text\nAspirin helps against asthma."
    )
    assert "Aspirin semantic type is chemical." in first.messages[1].content
    nothing = next(r for r in chat.asked if "no news" in r.messages[-1].content)
    assert "Knowledge" not in nothing.messages[-1].content


def test_two_steps_tell_of_the_terms_that_the_model_lists(store: Store) -> None:
    def say(request: Request) -> str:
        if "List all words and phrases" in request.messages[0].content:
            return "1. Asthma\n- unicorns\n* aspirin\n2. fever\n"
        return knows("span")(request)

    chat = Oracle(say)
    recognizer = PromptedRecognizer(chat, PromptOptions(ontology="two-step"), store=store)
    assert mentions(recognizer.annotate(DOCUMENTS[3:], TYPES)) == expected(DOCUMENTS[3:])
    assert len(chat.asked) == 2
    assert (
        chat.asked[1]
        .messages[-1]
        .content.startswith(
            "### Knowledge\nAsthma semantic type is disease.\naspirin semantic type is chemical.\n\n### Text\n"
        )
    )


@pytest.fixture
def metathesaurus(tmp_path: Path) -> Iterator[Store]:
    """A store with types that biomark has no name for, as UMLS has."""
    own = "Organic Chemical", "Pharmacologic Substance"
    entries = [
        Entry("UMLS:C0000001", "chemical", (Name("aspirin"),), semantic_types=own),
        Entry("UMLS:C0000002", "", (Name("sleep"), Name("colds")), "Rest.", semantic_types=("Organism Function",)),
        Entry("UMLS:C0000003", "disease", (Name("cold"),), semantic_types=("Disease or Syndrome",)),
        Entry("UMLS:C0000004", "", (Name("cold"),), semantic_types=("Natural Phenomenon or Process",)),
        Entry("UMLS:C0000005", "disease", (Name("fever"),), semantic_types=("Sign or Symptom",)),
    ]
    build([Terms(entries)], tmp_path / "umls.store", reject=raise_rejected)
    with closing(Store(tmp_path / "umls.store")) as opened:
        yield opened


def test_dirag_asks_for_any_medical_term_and_tells_the_ontologys_own_types(metathesaurus: Store) -> None:
    text = "Aspirin for a cold disturbed her sleep; no fever."

    def say(request: Request) -> str:
        return "Aspirin, cold, tea\nsleep\n- fevers" if len(chat.asked) == 1 else text

    chat = Oracle(say)
    options = PromptOptions(ontology="two-step", shape="tanl")
    list(PromptedRecognizer(chat, options, store=metathesaurus).annotate([Document("d", text)], ("disease",)))
    first, second = chat.asked
    assert "may be medical terms, of whatever type" in first.messages[0].content
    assert "disease" not in str(said(first)[0])
    told = second.messages[-1].content.partition("### Knowledge\n")[2].split("\n\n")[0].split("\n")
    assert told == [
        "Aspirin semantic type is Organic Chemical.",
        "Aspirin semantic type is Pharmacologic Substance.",
        "cold semantic type is Disease or Syndrome.",
        "cold semantic type is Natural Phenomenon or Process.",
        "sleep semantic type is Organism Function.",
    ]


def test_terms_are_looked_up_as_they_are_written_and_else_by_their_form(metathesaurus: Store) -> None:
    ontology = Ontology(metathesaurus, definitions=True)
    text = "Colds, 2-day fevers, and aspirins"
    assert ontology.of_answer("COLDS\n2-day fevers\naspirins", text) == (
        "COLDS semantic type is Organism Function. Rest.",
        "aspirins semantic type is Organic Chemical.",
        "aspirins semantic type is Pharmacologic Substance.",
    )
    assert ontology.of_text("Sleep with fever") == (
        "Sleep semantic type is Organism Function. Rest.",
        "fever semantic type is Sign or Symptom.",
    )


def test_a_term_with_a_comma_is_one_term(tmp_path: Path) -> None:
    entries = [Entry("X:1", "chemical", (Name("1,25-dihydroxyvitamin D3"), Name("heart, left")))]
    build([Terms(entries)], tmp_path / "a.store", reject=raise_rejected)
    with closing(Store(tmp_path / "a.store")) as store:
        for answer in ("1,25-dihydroxyvitamin D3\nheart, left", "1,25-dihydroxyvitamin D3, tea"):
            found = Ontology(store).of_answer(answer, "1,25-Dihydroxyvitamin D3 in the heart, left.")
            assert found[0] == "1,25-dihydroxyvitamin D3 semantic type is chemical."
            assert len(found) == 1 + ("left" in answer)


def test_terms_that_are_not_in_the_text_are_not_told(store: Store) -> None:
    assert Ontology(store).of_answer("asthma\naspirin", "Asthma.") == ("asthma semantic type is disease.",)
    assert Ontology(store).of_answer("none", "Asthma.") == ()
