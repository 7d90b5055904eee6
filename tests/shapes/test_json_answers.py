"""Answers of the shape `json` whose structure is not the requested one."""

from __future__ import annotations

import json

import pytest
from shape_cases import ASPIRIN, NOTE, PAIN, PROBLEMS

from biomark.shapes import SHAPES
from biomark.shapes.json_list import JSON
from biomark.spans import Entity, Span

TEXT = "Aspirin eases gout; gout returns."


def test_an_answer_that_is_nested_without_end_is_rejected_alone() -> None:
    decoded = JSON.decode("[" * 100_000 + "]" * 100_000, TEXT, ("disease",))
    assert decoded.entities == ()
    assert len(decoded.rejected) == 1
    assert not decoded.faithful


def test_strings_are_mentions_of_the_only_type() -> None:
    assert [e.mention(TEXT) for e in JSON.decode('["Aspirin"]', TEXT, ("chemical",)).entities] == ["Aspirin"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('["Aspirin"]', "the item is not a mention with a text and a type"),
        ('{"entities": [17]}', "not a mention with a text and a type"),
        ('{"chemical": 3}', "the value is not a list of mentions"),
    ],
)
def test_what_is_no_mention_is_rejected_with_its_reason(answer: str, reason: str) -> None:
    decoded = JSON.decode(answer, TEXT, ("chemical", "disease"))
    assert decoded.entities == ()
    assert any(reason in rejected.reason for rejected in decoded.rejected)


def test_types_may_be_the_keys_and_mentions_too() -> None:
    for answer in ('{"chemical": ["Aspirin"]}', '{"Aspirin": "chemical"}'):
        entities = JSON.decode(answer, TEXT, ("chemical", "disease")).entities
        assert [(e.mention(TEXT), e.type) for e in entities] == [("Aspirin", "chemical")]


ITEMS = '{"text": "chest pain", "type": "problem", "occurrence": 1}'


@pytest.mark.parametrize(
    ("answer", "expected", "rejects"),
    [
        (f"[{ITEMS}]", [PAIN], 0),
        (f'Sure! ```json\n{{"entities": [{ITEMS}]}}\n``` Anything else?', [PAIN], 0),
        (f'{{"entities": [{ITEMS}, {{"text": "aspirin", "type": "treat', [PAIN], 1),
        ("[{'text': 'chest pain', 'type': 'problem'}]", [PAIN], 0),
        ('[{"mention": "CHEST  PAIN", "label": "Problem"}]', [PAIN], 0),
        ('{"problem": ["chest pain"], "treatment": ["aspirin"]}', [PAIN, ASPIRIN], 0),
        ('[{"text": "back pain", "type": "problem"}, {"text": "aspirin", "type": "drug"}]', [], 2),
        (f"[{ITEMS}, {ITEMS}]", [PAIN], 1),
        ('[{"text": "chest pain", "type": "problem", "occurrence": "7"}]', [PAIN], 0),
        ("I found none.", [], 1),
        ('{"entities": []}', [], 0),
    ],
)
def test_json_as_models_write_it(answer, expected, rejects):
    decoded = SHAPES["json"].decode(answer, NOTE, PROBLEMS)
    assert list(decoded.entities) == expected
    assert len(decoded.rejected) == rejects


def test_occurrences_at_the_boundaries_of_words_count_first():
    text = "IL2R and IL2 and IL2"
    spans = {1: (9, 12), 2: (17, 20), 3: (0, 3)}
    for number, (start, end) in spans.items():
        entity = Entity((Span(start, end),), "gene")
        answer = SHAPES["json"].encode(text, [entity], ["gene"]).text
        assert json.loads(answer)["entities"] == [{"text": "IL2", "type": "gene", "occurrence": number}]
    twice = SHAPES["json"].decode('[{"text": "IL2", "type": "gene"}]', text, ["gene"])
    assert twice.entities == ()
    assert "no valid number" in twice.rejected[0].reason


def test_the_schema_of_json_fits_what_is_encoded():
    schema = SHAPES["json"].schema(PROBLEMS)
    item = schema["properties"]["entities"]["items"]
    encoded = json.loads(SHAPES["json"].encode(NOTE, [PAIN, ASPIRIN], PROBLEMS).text)
    assert all(sorted(row) == sorted(item["required"]) for row in encoded["entities"])
    assert item["properties"]["type"]["enum"] == list(PROBLEMS)
