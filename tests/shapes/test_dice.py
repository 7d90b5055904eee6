"""The shape `dice`: all types in one answer, and answers as models and tokenizers write them."""

import pytest
from shape_cases import ASPIRIN, CLINICAL, NOTE, PAIN

from biomark.shapes import SHAPES, shape_named
from biomark.spans import Entity, Span


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
