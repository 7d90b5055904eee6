"""Shapes of answers: what is written is read back exactly, and whatever a model writes is read without harm."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import PIECES, SOURCE, TYPES, annotated, asked

from biomark.errors import UsageError
from biomark.marks import type_named
from biomark.marks.alignment import folded
from biomark.shapes import SHAPES, shape_named
from biomark.spans import flat

SINGLE = [name for name, shape in SHAPES.items() if shape.single]
SEVERAL = [name for name, shape in SHAPES.items() if not shape.single]
SIGNED = ["mark", "span", "tanl", "gpt-ner"]


def without(entities, others):
    rest = list(entities)
    for entity in others:
        rest.remove(entity)
    return sorted(rest, key=lambda e: (e.spans, e.type))


@pytest.mark.parametrize("name", SHAPES)
@given(case=annotated())
@settings(max_examples=250)
def test_what_is_encoded_is_decoded(name, case):
    text, entities = case
    types = asked(name)
    encoded = SHAPES[name].encode(text, entities, types)
    decoded = SHAPES[name].decode(encoded.text, text, types)
    expected = without([e for e in entities if e.type in types], encoded.left_out)
    assert sorted(decoded.entities, key=lambda e: (e.spans, e.type)) == expected
    assert decoded.rejected == ()
    assert decoded.faithful


PLAIN = st.lists(st.sampled_from(["p53", "IL-2", "İ", "βx", "e\u0301", "👩‍🔬", ",", "1,25-D3"]), max_size=9).map(
    " ".join
)


@pytest.mark.parametrize("name", [*SIGNED, "json"])
@given(case=annotated(PLAIN))
@settings(max_examples=100)
def test_in_a_text_without_signs_only_what_the_form_cannot_hold_is_left_out(name, case):
    text, entities = case
    entities = [e for e in entities if e.type in asked(name)]
    left_out = SHAPES[name].encode(text, entities, asked(name)).left_out
    held = flat(entities) if name != "json" else {e for e in entities if len(e.spans) == 1 and e.mention(text).strip()}
    assert len(left_out) == len(entities) - len(held)


BITS = st.sampled_from(
    [*PIECES, "fever", "Fever", "chest pain", "HeLa", "```json\n", "```", '{"text": "', "null", "[{", "Here:"]
)
ANSWERS = st.one_of(st.text(max_size=60), st.lists(BITS, max_size=20).map("".join))


@pytest.mark.parametrize("name", SHAPES)
@given(answer=ANSWERS)
@settings(max_examples=250)
def test_no_answer_does_harm(name, answer):
    decoded = SHAPES[name].decode(answer, SOURCE, asked(name))
    for entity in decoded.entities:
        assert entity.type in asked(name)
        assert 0 <= entity.start < entity.end <= len(SOURCE)
        letters = Counter("".join(folded(entity.mention(SOURCE)).split()))
        assert "\\" in answer or (letters - Counter(folded(answer))).total() <= letters.total() / 7
    if name in {"mark", "span", "tanl", "gpt-ner"}:
        assert flat(decoded.entities) == decoded.entities
    assert all(rejected.reason for rejected in decoded.rejected)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("sign", ["[", "{", '{"a":[', "<mark>", "@@", '<span class="disease">', "[ ", "```", '"', "\\"])
def test_absurd_answers_take_no_time(name, sign):
    decoded = SHAPES[name].decode(sign * 5000, SOURCE, asked(name))
    assert decoded.entities == ()


@pytest.mark.parametrize("name", SHAPES)
def test_an_empty_answer_says_nothing(name):
    decoded = SHAPES[name].decode("", SOURCE, asked(name))
    assert decoded.entities == ()
    assert not decoded.faithful


@pytest.mark.parametrize("name", SHAPES)
def test_a_request_names_the_types(name):
    shape = SHAPES[name]
    assert "cell" in (shape.request(TYPES[1:]) or shape.question("", TYPES[1:])[0])
    assert SHAPES[name].single == (name in SINGLE)


def test_questions_are_those_of_the_papers():
    (asked,) = SHAPES["alpaca"].question("Fever.", ("disease",))
    assert asked == (
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n\n### Instruction:\nGiven a sentence extract disease "
        "entities from it by highlighting them with <mark> and </mark>. If not present output the same sentence."
        "\n\n### Input:\nFever.\n\n### Response:"
    )
    assert SHAPES["span"].question("Fever.", TYPES) == ("### Text\nFever.",)
    assert SHAPES["tanl"].question("Fever.", TYPES) == ("Fever.\n",)
    assert SHAPES["dice"].question("Fever.", TYPES) == ("Passage: Fever.\nOutput:",)
    assert SHAPES["gpt-ner"].question("Fever.", ("disease",)) == ("The given sentence: Fever.\nThe labeled sentence:",)
    assert SHAPES["dialogue"].question("Fever.", ("cell_line",)) == (
        "Text: Fever.",
        "I've read this text.",
        "What describes cell line in the text?",
    )


def test_a_request_for_several_types_in_brackets_names_none_of_them_for_all():
    assert "[ mention | disease ]" in SHAPES["tanl"].ask(("disease",))
    several = SHAPES["tanl"].ask(("disease", "chemical"))
    assert "[ mention | type ], where the entity types are: disease, chemical." in several


@pytest.mark.parametrize("name", SINGLE)
def test_shapes_of_one_type_say_so(name):
    with pytest.raises(UsageError, match="one type at a time"):
        SHAPES[name].request(TYPES)


def test_unknown_shapes_are_an_error():
    with pytest.raises(UsageError, match="mark, span, tanl, dice, gpt-ner, json, dictionary, dialogue, prompt-ner"):
        shape_named("xml")


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("Disease", "disease"),
        ("diseases", "disease"),
        ("CellLine", "cell_line"),
        ("cell lines", "cell_line"),
        ("x", None),
        ("", None),
    ],
)
def test_types_are_known_by_their_other_names(name, type):
    assert type_named(name, TYPES) == type


@pytest.mark.parametrize("name", SHAPES)
@given(case=annotated())
@settings(max_examples=150)
def test_a_mention_has_its_place_in_the_answer(name, case):
    text, entities = case
    types = asked(name)
    answer = SHAPES[name].encode(text, entities, types).text
    decoded = SHAPES[name].decode(answer, text, types)
    assert len(decoded.places) == len(decoded.entities)
    for entity, place in zip(decoded.entities, decoded.places, strict=True):
        assert place is not None
        assert 0 <= place.start < place.end <= len(answer)
        said = place.of(answer)
        mention = entity.mention(text)
        assert (
            mention in said
            or json.dumps(mention, ensure_ascii=False)[1:-1] in said
            or json.dumps(mention)[1:-1] in said
        )


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("mark", "Fever and <mark>chest pain</mark> after", ["<mark>chest pain</mark>"]),
        ("span", 'Here:\n<SPAN CLASS="disease">Fever</SPAN> and pain', ['<SPAN CLASS="disease">Fever</SPAN>']),
        ("tanl", "[Fever|disease] and [ chest pain | disease ]", ["[Fever|disease]", "[ chest pain | disease ]"]),
        ("dialogue", '["chest pain", "Fever"]', ['"Fever"', '"chest pain"']),
        ("dialogue", "['chest pain']", [None]),
        ("dice", "Entity type is disease. Entity is Fever [SEP] chest pain.", ["Fever [SEP]", "chest pain."]),
        ("prompt-ner", "1. HeLa | False\n2. chest pain | True | so", ["chest pain | True"]),
        ("prompt-ner", "1. Fever after | False\n2. Fever | True | so", ["Fever | True"]),
        ("json", '{"entities": [{"text": "Fever", "type": "disease", "occurrence": 1}]}',
         ['"Fever", "type": "disease", "occurrence": 1}']),
        ("dictionary", '{"Fever": "disease", "chest pain": "disease"}',
         ['"Fever": "disease"', '"chest pain": "disease"']),
    ],
)  # fmt: skip
def test_where_answers_say_mentions(name, answer, said):
    decoded = SHAPES[name].decode(answer, SOURCE, ("disease",))
    assert [place.of(answer) if place else None for place in decoded.places] == said


def test_what_ends_an_answer_is_never_a_part_of_it() -> None:
    assert SHAPES["tanl"].stops("Fever.") == ("\n",)
    assert SHAPES["tanl"].stops("Fever\nand pain.") == ()
    assert SHAPES["dice"].stops("Fever.") == ("\nPassage:",)
    assert SHAPES["dice"].stops("It\nPassage: x") == ()
    assert {name for name, shape in SHAPES.items() if shape.one_message} == {"tanl", "dice"}
    assert {name for name, shape in SHAPES.items() if shape.stops("Fever.")} == {"tanl", "dice"}


@pytest.mark.parametrize("name", SHAPES)
def test_white_space_is_no_mention(name: str) -> None:
    text = "asthma \u2028 aspirin"
    answers = (
        "disease: \u2028",
        "\u2028",
        '["\u2028"]',
        '{"entities": [{"text": "\u2028", "type": "disease"}]}',
        "- \u2028",
    )
    for answer in answers:
        assert SHAPES[name].decode(answer, text, ("disease",)).entities == ()
