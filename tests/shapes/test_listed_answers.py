"""Shapes that list mentions: what lists can hold, and lists as models write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import ASPIRIN, LISTED, NOTE, PAIN, PROBLEMS, SOURCE

from biomark.shapes import SHAPES
from biomark.spans import Entity, Span


@given(st.lists(st.sampled_from(["p53", "IL-2", "β", "and", "p53 gene"]), max_size=8))
def test_lists_hold_every_word_all_of_whose_occurrences_are_mentions(words):
    text = " ".join(words)
    entities, at = [], 0
    for word in words:
        if word != "and":
            entities.append(Entity((Span(at, at + len(word)),), "disease"))
        at += len(word) + 1
    for name in LISTED:
        assert SHAPES[name].encode(text, entities, ("disease",)).left_out == ()


def test_lists_leave_out_mentions_that_stand_elsewhere_unmarked():
    text = "p53 and p53 bind IL2 of IL2R."
    first, other = Entity((Span(0, 3),), "gene"), Entity((Span(17, 20),), "gene")
    inside = Entity((Span(24, 27),), "gene")
    for name in LISTED:
        encoded = SHAPES[name].encode(text, [first, other, inside], ("gene",))
        assert encoded.left_out == (first, inside)
        assert SHAPES[name].decode(encoded.text, text, ("gene",)).entities == (other,)


@pytest.mark.parametrize(
    ("name", "answer", "expected", "rejects"),
    [
        ("dialogue", '["Fever", "fever"]', [(0, 5), (47, 52)], 0),
        ("dialogue", '["fever"]', [(47, 52)], 0),
        ("dialogue", '["FEVER"]', [(0, 5), (47, 52)], 0),
        ("dialogue", "['Fever', 'cough']", [(0, 5)], 1),
        ("dialogue", '```\n["chest pain", "fev', [(10, 20)], 1),
        ("dialogue", "- chest pain\n- HeLa", [(10, 20), (27, 31)], 1),
        ("dialogue", "[]", [], 0),
        ("dialogue", '["pain", "chest pain"]', [(10, 20)], 1),
        ("dialogue", '["ever"]', [], 1),
        ("dice", "Entity type is Disease. Entity is chest pain [SEP] fever.", [(10, 20), (47, 52)], 0),
        ("dice", "entity is Chest Pain[sep]HeLa", [(10, 20), (27, 31)], 0),
        ("dice", "Entity is <entity>.", [], 0),
        ("dice", "chest pain", [(10, 20)], 1),
        ("dice", "Entity is chest pain.\nI hope that helps.", [(10, 20)], 0),
        ("prompt-ner", "1. chest pain | True | as it is a symptom\n2. HeLa | False | a cell line", [(10, 20)], 0),
        ("prompt-ner", "Candidates:\n- Chest Pain - yes\n- HeLa – No – a cell line\n\nThat is all.", [(10, 20)], 0),
        ("prompt-ner", "```\n1) **fever**: True (a sign)\n2) `HeLa`: no.\n```", [(47, 52)], 0),
        ("prompt-ner", "| candidate | verdict |\n|---|---|\n| chest pain | TRUE |", [(10, 20)], 0),
        ("prompt-ner", "1. chest pain | True | it is pain - yes\n2. back pain | True", [(10, 20)], 1),
        ("prompt-ner", "1. chest pain | True\n2. fev", [(10, 20)], 1),
        ("prompt-ner", "1. chest pain | true or false | unclear", [], 1),
        ("prompt-ner", "None.", [], 0),
        ("prompt-ner", "HeLa is no disease.", [], 1),
    ],
)
def test_lists_as_models_write_them(name, answer, expected, rejects):
    decoded = SHAPES[name].decode(answer, SOURCE, ("disease",))
    places = [(entity.start, entity.end) for entity in decoded.entities]
    assert places == expected
    assert len(decoded.rejected) == rejects


def test_candidates_of_other_types_are_shown_as_such():
    text = "HeLa cells, fever|2 and chest pain"
    found = [Entity((Span(0, 4),), "cell_line"), Entity((Span(12, 19),), "disease"), Entity((Span(24, 34),), "disease")]
    encoded = SHAPES["prompt-ner"].encode(text, found, ("disease",))
    assert encoded.left_out == ()
    assert encoded.text == (
        "1. HeLa | False | as it is a cell line\n2. fever|2 | True | as it is a disease\n"
        "3. chest pain | True | as it is a disease"
    )
    assert SHAPES["prompt-ner"].encode(text, found, ("gene",)).text.count("False") == 3


@pytest.mark.parametrize(
    ("answer", "expected", "rejects"),
    [
        ('{"chest pain": "problem", "aspirin": "treatment"}', [PAIN, ASPIRIN], 0),
        ('```json\n{"chest pain": "Clinical Problem"}\n```', [PAIN], 0),
        ("{'chest pain': 'problem'}", [PAIN], 0),
        ('[{"chest pain": "problem"}, {"aspirin": "treatments"}]', [PAIN, ASPIRIN], 0),
        ('{"problem": ["chest pain"], "aspirin": ["treatment"]}', [PAIN, ASPIRIN], 0),
        ('{"chest pain": "problem", "aspirin": "drug", "tea": "treatment"}', [PAIN], 2),
        ('{"chest pain": "problem", "aspirin": "treat', [PAIN], 1),
        ("{}", [], 0),
        ("[]", [], 0),
        ("I found none.", [], 1),
        ('["chest pain"]', [], 1),
    ],
)
def test_dictionaries_as_models_write_them(answer, expected, rejects):
    decoded = SHAPES["dictionary"].decode(answer, NOTE, PROBLEMS)
    assert list(decoded.entities) == expected
    assert len(decoded.rejected) == rejects


def test_a_dictionary_is_what_its_schema_allows():
    types = ("problem", "treatment")
    answer = SHAPES["dictionary"].encode(NOTE, [PAIN, ASPIRIN], types).text
    assert answer == '{"chest pain": "clinical problem", "aspirin": "treatment"}'
    assert SHAPES["dictionary"].schema(types)["additionalProperties"]["enum"] == ["clinical problem", "treatment"]
    twice = [PAIN, Entity(PAIN.spans, "treatment")]  # a key has one value
    assert SHAPES["dictionary"].encode(NOTE, twice, types).left_out == (twice[1],)
    assert SHAPES["dice"].encode(NOTE, twice, types).left_out == ()
