"""Repairs of mentions: borders, short forms at all their places, one type a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.spans import Document, Entity, Passage, Span
from biomark.tagging.repair import repaired
from biomark.tagging.repair.abbreviated import with_short_forms
from biomark.tagging.repair.borders import with_borders
from biomark.tagging.repair.types import with_one_type


def mentions(text: str, *found: tuple[str, str] | tuple[str, str, float]) -> list[Entity]:
    """Entities for surfaces, each at its first place after the one before it."""
    made, start = [], 0
    for surface, type, *score in found:
        start = text.index(surface, start)
        made.append(Entity((Span(start, start + len(surface)),), type, score=score[0] if score else 0.9))
        start += 1
    return sorted(made, key=lambda e: (e.start, e.end))


def shown(text: str, entities: list[Entity]) -> list[tuple[str, str]]:
    return [(entity.mention(text), entity.type) for entity in entities]


class TestBorders:
    @pytest.mark.parametrize(
        ("text", "mention", "type", "right"),
        [
            ("the moss growth factor (MGF) rose", "moss growth factor (", "gene", "moss growth factor"),
            ("the moss growth factor (MGF) rose", "moss growth factor (MGF", "gene", "moss growth factor (MGF)"),
            ("given (Mos)-binding protein", "Mos)-binding protein", "gene", "(Mos)-binding protein"),
            ("seen (fern fever) once", "(fern fever", "disease", "fern fever"),
            ("seen (fern fever) once", "fern fever)", "disease", "fern fever"),
            ("seen (fern fever) once", "(fern fever)", "disease", "fern fever"),
            ("a [fern (moss) fever] here", "fern (moss", "disease", "fern (moss)"),
            ("grade (a [b] c) of it", "grade (a [b", "disease", "grade"),
            ("(R)-mossamine was", "(R)-mossamine", "chemical", "(R)-mossamine"),
            ("MOS(1-31) was", "MOS(1-31)", "gene", "MOS(1-31)"),
            ("MOS3- cells", "MOS3-", "gene", "MOS3"),
            ("MOS3‐positive", "MOS3‐", "gene", "MOS3"),
            ("had fern fever.", "fern fever.", "disease", "fern fever"),
            ("“fern fever” is", "“fern fever”", "disease", "fern fever"),
            ("a / fern fever, too", "/ fern fever,", "disease", "fern fever"),
            ("😀 fern fever 🌿", "😀 fern fever 🌿", "disease", "fern fever"),
            ("❤️ fern fever", "❤️ fern fever", "disease", "fern fever"),
            ("the Fern's fever", "Fern'", "disease", "Fern"),
            ("Ca2+ and Mo⁺", "Ca2+", "chemical", "Ca2+"),
            ("Ca2+ and Mo⁺", "Mo⁺", "chemical", "Mo⁺"),
            ("O2- was", "O2-", "chemical", "O2-"),
            ("HCl-induced", "HCl-", "chemical", "HCl"),
            ("MOS3+ cells", "MOS3+", "gene", "MOS3+"),
            ("the kappa E3' enhancer", "kappa E3'", "gene", "kappa E3'"),
            ("called 'MOS3' here", "MOS3'", "gene", "MOS3"),
            ("'MOS-only' protein", "'MOS-only' protein", "gene", "'MOS-only' protein"),
            ("at -308G>A in", "-308G>A", "variant", "-308G>A"),
            ("at -mossase in", "-mossase", "gene", "mossase"),
            ("Muscus filicis sp. nov. grows", "Muscus filicis sp. nov.", "species", "Muscus filicis sp. nov."),
            ("Muscus filicis. It", "Muscus filicis.", "species", "Muscus filicis"),
            ("Given MOS*", "MOS*", "gene", "MOS*"),
        ],
    )
    def test_a_reader_accepts_them(self, text: str, mention: str, type: str, right: str) -> None:
        found = with_borders(Document("1", text), mentions(text, (mention, type)))
        assert shown(text, found) == [(right, type)]

    @pytest.mark.parametrize("mention", ["(", " - ", "[", "…", "😀"])
    def test_a_mention_without_a_letter_or_digit_is_none(self, mention: str) -> None:
        text = f"So {mention} it is"
        assert with_borders(Document("1", text), mentions(text, (mention, "gene"))) == []

    def test_none_lies_over_an_empty_line(self) -> None:
        text = "He had fern\n\nfever and moss\n \ndisease."
        found = with_borders(Document("1", text), mentions(text, ("fern\n\nfever", "disease")))
        assert shown(text, found) == [("fern", "disease"), ("fever", "disease")]

    def test_halves_of_a_word_that_an_empty_line_divides_are_left_out(self) -> None:
        text = "Growth of mosso-\n\ncytes and ferns"
        assert with_borders(Document("1", text), mentions(text, ("mosso-\n\ncytes", "gene"))) == []
        found = with_borders(Document("1", text), mentions(text, ("mosso-\n\ncytes and ferns", "gene")))
        assert found == []

    def test_none_reaches_beyond_its_passage(self) -> None:
        text = "moss factor (MGF)more"
        passages = (Passage(Span(0, 16), "title"), Passage(Span(16, len(text)), "abstract"))
        found = with_borders(Document("1", text, passages), mentions(text, ("moss factor (MGF", "gene")))
        assert shown(text, found) == [("moss factor", "gene")]

    def test_of_two_that_come_to_overlap_the_likelier_one_stays(self) -> None:
        text = "the moss factor (MGF)-2 gene"
        found = mentions(text, ("moss factor (MGF", "gene", 0.6), ("MGF)-2", "gene", 0.8))
        assert shown(text, with_borders(Document("1", text), found)) == [("(MGF)-2", "gene")]

    def test_a_discontinuous_mention_stays(self) -> None:
        entity = Entity((Span(0, 4), Span(9, 14)), "disease", score=0.5)
        assert with_borders(Document("1", "fern and fever."), [entity]) == [entity]

    @pytest.mark.parametrize("sign", ["(", ")", "((", "a)", "-", "\n", "a-\n\nb"])
    def test_time_grows_with_the_text(self, sign: str) -> None:
        text = "a" + sign * 100_000 + "b"
        with_borders(Document("1", text), [Entity((Span(0, len(text)),), "gene", score=0.5)])


class TestShortForms:
    text = "We met moss fever (MF) twice. MF was mild, MFs differ, MF-related too; AMF, MF-3 and MF_1 are others."

    def test_all_places_of_a_defined_one_are_mentions(self) -> None:
        found = with_short_forms(self.text, mentions(self.text, ("moss fever", "disease", 0.9)))
        assert shown(self.text, found) == [
            ("moss fever", "disease"),
            ("MF", "disease"),
            ("MF", "disease"),
            ("MFs", "disease"),
            ("MF", "disease"),
        ]
        assert [entity.score for entity in found] == [0.9] * 5

    def test_a_score_is_not_higher_than_such_places_are_right(self) -> None:
        found = with_short_forms(self.text, mentions(self.text, ("moss fever", "disease", 0.999)))
        assert [entity.score for entity in found] == [0.999] + [0.95] * 4

    @pytest.mark.parametrize(
        ("long", "short", "counted"),
        [
            (0.81, None, True),
            (0.79, None, False),
            (0.61, 0.5, True),
            (0.55, 0.5, False),
            (None, 0.96, True),
            (None, 0.9, False),
        ],
    )
    def test_how_sure_a_definition_must_be(self, long: float | None, short: float | None, counted: bool) -> None:
        said = [("moss fever", "disease", long)] * (long is not None) + [("MF", "disease", short)] * (short is not None)
        found = with_short_forms(self.text, mentions(self.text, *said))  # type: ignore[arg-type]
        assert (len(found) > len(said)) is counted

    @pytest.mark.parametrize(("noun", "places"), [("disease", 3), ("gene", 1)])
    def test_the_noun_of_a_long_form_speaks_for_its_short_form(self, noun: str, places: int) -> None:
        text = "Moss-related airway disease (MRAD) is rare. MRAD heals; MRAD returns."
        some = [("airway disease", noun, 0.7), ("MRAD", "disease", 0.7)]
        found = with_short_forms(text, [e for e in mentions(text, *some) if e.start < text.index("is rare")])
        assert shown(text, found).count(("MRAD", "disease")) == places

    def test_a_definition_overrules_other_types(self) -> None:
        said = [("moss fever", "disease", 0.9), ("MF", "gene", 0.6), ("MF", "gene", 0.99), ("MFs differ", "gene", 0.7)]
        found = with_short_forms(self.text, mentions(self.text, *said))
        assert shown(self.text, found) == [
            ("moss fever", "disease"),
            ("MF", "disease"),
            ("MF", "disease"),
            ("MFs differ", "gene"),
            ("MF", "disease"),
        ]

    def test_an_unsure_definition_overrules_nothing(self) -> None:
        said = [("moss fever", "disease", 0.7), ("MF", "disease", 0.7), ("MF", "gene", 0.6)]
        found = with_short_forms(self.text, mentions(self.text, *said))
        assert shown(self.text, found)[2] == ("MF", "gene")

    def test_a_definition_in_reverse_and_over_a_line_end(self) -> None:
        text = "MF (moss\nfever) is rare.\n\nIn MF all heal."
        found = with_short_forms(text, mentions(text, ("moss\nfever", "disease")))
        assert [(e.start, e.type) for e in found] == [(0, "disease"), (4, "disease"), (29, "disease")]

    def test_a_word_and_a_part_of_a_name_are_no_short_forms(self) -> None:
        text = "mossy fever events (mossy) of mossase reductase (MR)-2 and mossy MR"
        said = mentions(text, ("mossy fever events", "disease"), ("mossase reductase", "gene"))
        assert with_short_forms(text, said) == said

    def test_a_name_of_two_words(self) -> None:
        text = "moss factor 2 (MF 2) and MF 2 bind; MF 20 does not"
        found = with_short_forms(text, mentions(text, ("moss factor 2", "gene")))
        assert shown(text, found) == [("moss factor 2", "gene"), ("MF 2", "gene"), ("MF 2", "gene")]

    def test_thousands_of_definitions_and_places(self) -> None:
        text = " ".join(f"moss fever {n} (MF{n}) MF{n}" for n in range(10_000))
        found = [Entity((Span(at, at + 10),), "disease", score=0.9) for at in range(0, 100, 50)]
        with_short_forms(text, found)
        with_short_forms("moss fever (MF) " * 20_000, mentions("moss fever (MF)", ("moss fever", "disease")))


class TestTypes:
    def test_the_type_with_the_highest_sum_holds_everywhere(self) -> None:
        text = "MOS, MOS, MOS and MOS; mos"
        found = mentions(text, *[("MOS", "chemical", 0.8)] * 3, ("MOS", "gene", 0.85), ("mos", "gene", 0.5))
        made = with_one_type(text, found)
        assert shown(text, made) == [("MOS", "chemical")] * 4 + [("mos", "gene")]
        assert [entity.score for entity in made] == [0.8, 0.8, 0.8, 0.85, 0.5]

    def test_of_two_types_at_one_place_one_stays(self) -> None:
        text = "Fern fever and fern fever"
        found = mentions(text, ("Fern fever", "disease", 0.9), ("fern fever", "disease", 0.8))
        found += mentions(text, ("Fern fever", "gene", 0.95))
        assert shown(text, with_one_type(text, found)) == [("Fern fever", "disease"), ("fern fever", "disease")]

    def test_a_text_may_have_both(self) -> None:
        text = "MOS heals. MOS heals. The MOS gene"
        found = mentions(text, ("MOS", "chemical", 0.95), ("MOS", "chemical", 0.95), ("MOS", "gene", 0.92))
        assert with_one_type(text, found) == found

    def test_of_two_that_cross_the_likelier_one_stays(self) -> None:
        text = "red fern fever"
        found = [*mentions(text, ("red fern", "species", 0.5)), *mentions(text, ("fern fever", "disease", 0.9))]
        assert shown(text, with_one_type(text, found)) == [("fern fever", "disease")]

    def test_one_inside_of_another_stays_unless_far_less_likely(self) -> None:
        text = "mossase deficiency"
        for score, count in ((0.6, 2), (0.5, 1)):
            found = [*mentions(text, ("mossase", "gene", score)), *mentions(text, (text, "disease", 0.95))]
            assert len(with_one_type(text, found)) == count

    def test_a_chemical_in_a_variant_is_none(self) -> None:
        text = "arginine to tryptophan at codon 198, and arginine 84"
        found = [
            *mentions(text, ("arginine", "chemical", 0.9)),
            *mentions(text, ("arginine to tryptophan at codon 198", "variant", 0.8)),
            *mentions(text, ("arginine 84", "chemical", 0.9)),
            *mentions(text, ("arginine 84", "variant", 0.5)),
        ]
        assert [entity.type for entity in with_one_type(text, found)] == ["variant", "variant"]

    def test_thousands_of_mentions(self) -> None:
        found = [Entity((Span(n, n + 20),), "gene" if n % 2 else "disease", score=n % 7 / 7) for n in range(40_000)]
        with_one_type("ab cd" * 10_000, found)


TYPES = ("disease", "gene", "chemical", "variant", "species")
PIECES = [
    "moss",
    "fever",
    "(MF)",
    "MF",
    " ",
    "\n",
    "\n\n",
    "(",
    ")",
    "-",
    "[",
    "😀",
    "İ",
    "'",
    "a moss fever (AMF)",
    "\t",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=30),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12), st.sampled_from(TYPES), st.floats(0, 1)), max_size=12),
)
def test_what_holds_of_all_repairs(pieces: list[str], drawn: list[tuple[int, int, str, float]]) -> None:
    text = "".join(pieces)
    found = [Entity((Span(at, at + n),), type, score=s) for at, n, type, s in drawn if at + n <= len(text)]
    document = Document("1", text)
    made = repaired(document, with_borders(document, found))
    assert made == sorted(made, key=lambda e: (e.start, e.end))
    assert len({entity.spans for entity in made}) == len(made)
    for entity in made:
        mention = entity.mention(text)
        assert mention == mention.strip()
        assert "\n\n" not in mention
        assert any(character.isalnum() for character in mention)
    assert {entity.type for entity in made} <= {entity.type for entity in found}
