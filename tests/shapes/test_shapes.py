"""Shapes of answers: what is written is read back exactly, and whatever a model writes is read without harm."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark.errors import UsageError
from biomark.marks import type_named
from biomark.marks.alignment import folded
from biomark.shapes import SHAPES, shape_named
from biomark.spans import Entity, Span, flat

TYPES = ("disease", "cell_line")
SINGLE = [name for name, shape in SHAPES.items() if shape.single]
SEVERAL = [name for name, shape in SHAPES.items() if not shape.single]
SIGNED = ["mark", "span", "tanl", "gpt-ner"]
LISTED = ["dice", "dictionary", "dialogue", "prompt-ner"]
# Small alphabets make repeated words, and signs beside signs, likely.
PIECES = [
    *("The labeled sentence:", "The given sentence: ", "Text: "),
    *("<mark>", "</mark>", '<span class="', 'disease">', '<span class="disease">', "</span>", "<entity>", "[SEP]"),
    *("@", "@@", "#", "##", "[ ", "[", " | ", "|", " ]", " | disease ]", "cell line", '"', "'", "\\", "{", "}", "`"),
    *(
        " ",
        ",",
        ", ",
        ".",
        "\n",
        "\u2028",
        "a",
        "A",
        "İ",
        "β",
        "e\u0301",
        "👩‍🔬",
        "1,25-D3",
        "p53",
        " p53 ",
        "Entity is ",
        "Entity type is ",
        "\nPassage:",
        " | True",
        " - no ",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def asked(name):
    return TYPES[:1] if SHAPES[name].single else TYPES


@st.composite
def annotated(draw, texts=TEXTS):
    text = draw(texts)
    ends = st.integers(0, len(text))
    found = []
    for start, end, type in draw(st.lists(st.tuples(ends, ends, st.sampled_from(TYPES)), max_size=5)):
        if start != end:
            found.append(Entity((Span(min(start, end), max(start, end)),), type))
    if len(text) > 3 and draw(st.booleans()):
        found.append(Entity((Span(0, 1), Span(2, 3)), TYPES[0]))
    return text, found


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


SOURCE = "Fever and chest pain after HeLa [1] treatment; fever fell."
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


PROBLEMS = ("problem", "treatment")
NOTE = 'She denies chest pain , takes "low-dose" aspirin & rests .'
PAIN, ASPIRIN = Entity((Span(11, 21),), "problem"), Entity((Span(41, 48),), "treatment")


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


@pytest.mark.parametrize("before", ["The labeled sentence: ", "\nThe labeled sentence:\n", " The labeled sentence:"])
def test_a_repeated_question_is_no_part_of_the_answer(before):
    found = SHAPES["gpt-ner"].decode(f"{before}@@Fever## fell.", "Fever fell.", ("disease",))
    assert [(e.start, e.end) for e in found.entities] == [(0, 5)]
    assert found.faithful
    text = "The labeled sentence: fever."
    marked = "The labeled sentence: @@fever##."
    assert SHAPES["gpt-ner"].decode(marked, text, ("disease",)).faithful


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


def test_dice_repeats_the_words_of_the_user():
    words = {"frailty": ("sign of frailty", "what makes old people fall.")}
    fell = Entity((Span(3, 7),), "frailty")
    worded = shape_named("dice", words)
    answer = worded.encode("He fell.", [fell], ("frailty",)).text
    assert answer == "Entity type is sign of frailty. What makes old people fall. Entity is fell."
    asked = "Entity type is sign of frailty. What makes old people fall. Entity is <entity>.\n"
    assert asked in worded.request(("frailty",))
    misleading = shape_named("dice", {"frailty": ("frailty", "the entity is a fall")})
    worse = shape_named("dice", {"frailty": ("entity is", "entity type is")})
    for shape in (worded, misleading, worse):
        decoded = shape.decode(shape.encode("He fell.", [fell], ("frailty",)).text, "He fell.", ("frailty",))
        assert decoded.entities == (fell,)
        assert decoded.faithful


CLINICAL = ("problem", "treatment", "test")


def test_dice_says_all_types_in_one_answer():
    """Monajatipoor et al. 2024: one request for all types, and a part of the answer for each."""
    shape = shape_named(
        "dice", {"problem": ("problem", "what ails"), "treatment": ("treatment", ""), "test": ("test", "")}
    )
    rest = Entity((Span(51, 56),), "problem")
    answer = shape.encode(NOTE, [PAIN, rest, ASPIRIN], CLINICAL).text
    assert answer == (
        "Entity type is problem. What ails. Entity is chest pain [SEP] rests. "
        "Entity type is treatment. Entity is aspirin. Entity type is test. Entity is <entity>."
    )
    assert shape.question(NOTE, CLINICAL) == (f"Passage: {NOTE}\nOutput:",)
    assert not shape.single
    decoded = shape.decode(answer, NOTE, CLINICAL)
    assert decoded.entities == (PAIN, ASPIRIN, rest)
    assert [place.of(answer) for place in decoded.places] == ["chest pain [SEP]", "aspirin.", "rests."]


@pytest.mark.parametrize(
    ("answer", "expected", "reasons"),
    [
        ("Entity type is Problems. Entity is chest pain.\nEntity type is treatment. Entity is aspirin.", 2,
         ["about test"]),
        ("Entity type is treatment. A drug. Entity is <entity>. Entity type is problem. Entity is <Entity>.", 0,
         ["about test"]),
        ("Entity type is drug. Entity is aspirin. Entity type is problem. Entity is chest pain.", 1,
         ["about treatment, test", "type 'drug' was not requested"]),
        ("Entity is aspirin.", 0, ["not a list of mentions"]),
        ("Entity type is problem.", 0, ["not a list of mentions"]),
    ],
)  # fmt: skip
def test_dice_as_models_write_it(answer, expected, reasons):
    decoded = SHAPES["dice"].decode(answer, NOTE, CLINICAL)
    assert len(decoded.entities) == expected
    assert len(decoded.rejected) == len(reasons)
    assert all(reason in rejected.reason for reason, rejected in zip(reasons, decoded.rejected, strict=True))


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


@pytest.mark.parametrize("shape", ["mark", "span", "tanl", "gpt-ner"])
def test_an_answer_about_something_else_does_not_mean_that_there_is_nothing(shape: str) -> None:
    text = "Patients with asthma were given aspirin."
    found = SHAPES[shape].decode("I'm sorry, but I cannot help with that.", text, ("disease",))
    assert [rejected.reason for rejected in found.rejected] == ["the answer does not copy the text"]
    for nothing in (text, "None.", "none", "N/A", "Patients with asthma got aspirin", "asthma"):
        found = SHAPES[shape].decode(nothing, text, ("disease",))
        assert (found.entities, found.rejected) == ((), ())


def test_what_ends_an_answer_is_never_a_part_of_it() -> None:
    assert SHAPES["tanl"].stops("Fever.") == ("\n",)
    assert SHAPES["tanl"].stops("Fever\nand pain.") == ()
    assert SHAPES["dice"].stops("Fever.") == ("\nPassage:",)
    assert SHAPES["dice"].stops("It\nPassage: x") == ()
    assert {name for name, shape in SHAPES.items() if shape.one_message} == {"tanl", "dice"}
    assert {name for name, shape in SHAPES.items() if shape.stops("Fever.")} == {"tanl", "dice"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("entity type is disease. entity is asthma [ sep ] gout.", ["asthma", "gout"]),
        ("entity type is disease . entity is asthma [SEP] gout .", ["asthma", "gout"]),
        ("entity type is disease. entity is < entity >.", []),
    ],
)
def test_dice_is_read_as_tokenizers_of_words_write_it(answer: str, expected: list[str]) -> None:
    text = "Asthma, then gout."
    found = SHAPES["dice"].decode(answer, text, ("disease",))
    assert [entity.mention(text).lower() for entity in found.entities] == expected
    assert not found.rejected


def test_dice_with_blanks_before_signs_has_each_type_of_a_users_own_words() -> None:
    text = "Frail, with asthma."
    shape = shape_named("dice", {"frailty": ("signs of frailty", "any sign"), "disease": ("disease", "")})
    answer = (
        "entity type is signs of frailty . any sign . entity is frail . entity type is disease . entity is asthma ."
    )
    found = shape.decode(answer, text, ("frailty", "disease"))
    assert [(entity.type, entity.mention(text)) for entity in found.entities] == [
        ("frailty", "Frail"),
        ("disease", "asthma"),
    ]
    assert not found.rejected


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
