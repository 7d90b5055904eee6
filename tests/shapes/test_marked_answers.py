"""Shapes that write the text again with signs, as models write them."""

import pytest
from shape_cases import ASPIRIN, NOTE, PAIN, PROBLEMS

from biomark.shapes import SHAPES
from biomark.spans import Entity, Span


@pytest.mark.parametrize(
    ("answer", "expected", "reason"),
    [
        (
            '```html\nShe denies <span class="problem">chest pain</span> , takes "low-dose" aspirin & rests .\n```',
            [PAIN],
            "",
        ),
        (
            'Here is the output:\nShe denies <span class="Problem">chest pain</span>, takes low-dose aspirin.',
            [PAIN],
            "",
        ),
        ("She denies <span class='problems'>Chest  Pain</span> , takes “low-dose” aspirin", [PAIN], ""),
        ("She denies <SPAN CLASS=problem >chest pain</ SPAN>", [PAIN], ""),
        (
            'She <span class="negation">denies</span> <span class="problem">chest pain</span>.',
            [PAIN],
            "type 'negation' was not requested",
        ),
        ("She denies <span>chest pain</span>.", [], "type '' was not requested"),
        ('She denies <span class="problem">chest pain , takes', [], "not closed"),
        (
            '<span class="problem">chest pain</span>, "<span class="treatment">low-dose <span class="treatment">aspirin'
            "</span></span>",
            [PAIN],
            "inside another",
        ),
        (
            'She denies <span class="problem">chest pain</span> , takes <span class="treatment">aspi',
            [PAIN],
            "not closed",
        ),
        ('<p>She denies <span class="clinical problem">chest pain</span></p> &amp; rests', [PAIN], ""),
        ("She rests.", [], ""),
    ],
)
def test_spans_as_models_write_them(answer, expected, reason):
    decoded = SHAPES["span"].decode(answer, NOTE, PROBLEMS)
    found = [entity for entity in decoded.entities if entity in (PAIN, ASPIRIN)]
    assert found == expected
    assert reason in " ".join(rejected.reason for rejected in decoded.rejected)
    assert bool(decoded.rejected) == bool(reason)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("She denies [ chest pain | clinical problem ] , takes [aspirin|treatment].", [PAIN, ASPIRIN]),
        ("She denies [chest pain | problem], takes [ aspirin | drug ].", [PAIN]),
        ("She denies [ chest pain | clinical problem ] , takes [ aspirin | treat", [PAIN]),
    ],
)
def test_brackets_as_models_write_them(answer, expected):
    assert list(SHAPES["tanl"].decode(answer, NOTE, PROBLEMS).entities) == expected


def test_escapes_of_html_are_read():
    text = "Pain & <weakness> since May"
    entity = Entity((Span(0, 17),), "problem")
    found = SHAPES["span"].decode('<span class="problem">Pain &amp; &lt;weakness&gt;</span> since May', text, PROBLEMS)
    assert found.entities == (entity,)
    text = "Pain &amp; weakness since May"
    found = SHAPES["span"].decode('<span class="problem">Pain &amp; weakness</span> since', text, PROBLEMS)
    assert found.entities == (Entity((Span(0, 19),), "problem"),)


def test_brackets_of_the_text_survive():
    text = "As shown [ 3 | 4 ] and [5], poly[ADP] and HeLa [ 6 ] met."
    entities = [Entity((Span(28, 37),), "chemical"), Entity((Span(42, 46),), "cell_line")]
    encoded = SHAPES["tanl"].encode(text, entities, ("chemical", "cell_line"))
    assert encoded.text == "As shown [ 3 | 4 ] and [5], [ poly[ADP] | chemical ] and [ HeLa | cell line ] [ 6 ] met."
    assert encoded.left_out == ()
    careless = encoded.text.replace("As shown", "As it was shown")
    assert SHAPES["tanl"].decode(careless, text, ("chemical", "cell_line")).entities == tuple(entities)


@pytest.mark.parametrize("before", ["The labeled sentence: ", "\nThe labeled sentence:\n", " The labeled sentence:"])
def test_a_repeated_question_is_no_part_of_the_answer(before):
    found = SHAPES["gpt-ner"].decode(f"{before}@@Fever## fell.", "Fever fell.", ("disease",))
    assert [(e.start, e.end) for e in found.entities] == [(0, 5)]
    assert found.faithful
    text = "The labeled sentence: fever."
    marked = "The labeled sentence: @@fever##."
    assert SHAPES["gpt-ner"].decode(marked, text, ("disease",)).faithful


@pytest.mark.parametrize("shape", ["mark", "span", "tanl", "gpt-ner"])
def test_an_answer_about_something_else_does_not_mean_that_there_is_nothing(shape: str) -> None:
    text = "Patients with asthma were given aspirin."
    found = SHAPES[shape].decode("I'm sorry, but I cannot help with that.", text, ("disease",))
    assert [rejected.reason for rejected in found.rejected] == ["the answer does not copy the text"]
    for nothing in (text, "None.", "none", "N/A", "Patients with asthma got aspirin", "asthma"):
        found = SHAPES[shape].decode(nothing, text, ("disease",))
        assert (found.entities, found.rejected) == ((), ())
