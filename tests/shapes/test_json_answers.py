"""Answers of the shape `json` whose structure is not the requested one."""

from __future__ import annotations

import pytest

from biomark.shapes.json_list import JSON

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
