"""The recipe for synthetic clinical notes: what it marks, what it leaves, and that it can be repeated."""

from __future__ import annotations

import random
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import biomark
from biomark import Document, Span
from conftest import ROOT

sys.path.insert(0, str(ROOT / "recipes"))

import clinical_notes
from clinical.grammar import HERE, Grammar, PatternError, Piece, Writer, parse, rows, vocabulary
from clinical.noise import HYPHEN, Noise, wrapped
from clinical.notes import NoteWriter

TYPES = {"disease", "chemical", "gene", "species", "variant"}


@pytest.fixture(scope="module")
def writer() -> NoteWriter:
    return NoteWriter()


@pytest.fixture(scope="module")
def notes(writer: NoteWriter) -> list[Document]:
    return list(clinical_notes.notes(writer, 600, 7))


def types_at(document: Document, span: Span) -> list[tuple[str, str]]:
    """The mentions that share a character with a place: text and type."""
    return [(e.mention(document.text), e.type) for e in document.entities if e.extent.overlaps(span)]


def test_same_seed_same_notes(writer: NoteWriter, notes: list[Document]) -> None:
    assert list(clinical_notes.notes(NoteWriter(), 5, 7)) == notes[:5]
    assert next(clinical_notes.notes(writer, 1, 8)) != notes[0]


def test_mentions_are_whole_and_apart(notes: list[Document]) -> None:
    for document in notes:
        for a, b in zip(document.entities, document.entities[1:], strict=False):
            assert a.end <= b.start
        for entity in document.entities:
            mention = entity.mention(document.text)
            assert entity.type in TYPES
            assert mention == mention.strip() != ""
            before, after = document.text[: entity.start][-1:], document.text[entity.end :][:1]
            assert not (before.isalnum() and mention[0].isalnum()), (document.id, mention)
            assert not (after.isalnum() and mention[-1].isalnum()), (document.id, mention)


def test_notes_are_of_the_size_and_variety_that_is_promised(notes: list[Document]) -> None:
    lengths = sorted(len(document.text) for document in notes)
    assert 700 < lengths[len(lengths) // 2] < 2000
    assert sum(length < 300 for length in lengths) > 60  # single sections, as they are pasted
    assert {entity.type for document in notes for entity in document.entities} == TYPES
    assert sum(document.text.isupper() for document in notes) > 10
    assert sum(document.text.islower() for document in notes) > 10


def test_the_list_of_abbreviations() -> None:
    table = list(rows(HERE / "abbreviations.tsv"))
    assert all(len(row) == 3 and all(row) and row[1] in {*TYPES, "none"} for row in table)
    assert len({(name, type) for name, type, _ in table}) == len(table) > 300
    assert sum(type == "none" for _, type, _ in table) > 100


def test_abbreviations_have_the_types_of_the_list(notes: list[Document]) -> None:
    """What the list knows as no mention alone is never one, and what it knows as a mention has one of its types."""
    types = defaultdict(set)
    for name, type, _ in rows(HERE / "abbreviations.tsv"):
        types[name].add(type)
    # The letters are those of a gene, or of an organism, where the list has another meaning; PsA in a line in capitals.
    other = {("PSA", "disease"), ("PAH", "gene"), ("MEN1", "gene"), ("MG", "chemical"), ("CA", "chemical")}
    for document in notes:
        for entity in document.entities:
            mention = entity.mention(document.text)
            if mention in types and (mention, entity.type) not in other and not document.text.isupper():
                assert entity.type in types[mention], (document.id, mention, entity.type)


def test_persons_are_no_mentions(notes: list[Document]) -> None:
    surnames = sorted({pattern for symbol, pattern, _ in vocabulary() if symbol == "surname"}, key=len, reverse=True)
    assert len(surnames) > 190
    assert {"Parkinson", "Graves", "Hodgkin", "Crohn", "Addison", "Cushing"} <= set(surnames)
    title = r"\b(?:Drs?\.?|Prof\.|Mr\.?|Mrs\.|Ms\.?|Nurse|RN|MD)\s+(?:[A-Z]\.\s+)?"
    name = re.compile(title + "(" + "|".join(map(re.escape, surnames)) + r")\b", re.IGNORECASE)
    places = [(document, Span(*found.span(1))) for document in notes for found in name.finditer(document.text)]
    assert len(places) > 200
    for document, span in places:
        assert not types_at(document, span), (document.id, span.of(document.text))


@pytest.mark.parametrize(
    ("pattern", "mentions"),
    [
        (r"CKD stage \d\w?", {("CKD", "disease")}),
        (r"[sS]tage (I|II|III|IV|IIA|IIIB) (?=\w)", set()),
        (r"(acute|Acute) <?COPD exacerbation", {("COPD", "disease")}),
        (r"HCQ retinopathy", {("HCQ", "chemical"), ("retinopathy", "disease")}),
        (r"\bCMV pneumonitis", {("CMV", "species"), ("pneumonitis", "disease")}),
        (r"BK viruria", {("BK", "species"), ("viruria", "disease")}),
        (r"(influenza|Influenza|Flu|flu) A/B", {None}),
        (r"FLT3-ITD", {("FLT3", "gene"), ("ITD", "variant")}),
        (r"BUN/Cr \d", {("BUN", "chemical"), ("Cr", "chemical")}),
        (r"AST/ALT \d", {("AST", "gene"), ("ALT", "gene")}),
        (r"oxycodone-acetaminophen", {("oxycodone-acetaminophen", "chemical")}),
        (r"IgA nephropathy", {("IgA nephropathy", "disease")}),
        (r"HCV screen", {("HCV", "species")}),
        (r"depression screen", {("depression", "disease")}),
        (r"M-spike", {("M-spike", "disease")}),
        (r"PSMA PET", {("PSMA", "gene")}),
        (r"[Rr]ubella (non-?)?immune", {None}),
        (r"\bRVR\b", {("RVR", "disease")}),
    ],
)
def test_borders_and_types(notes: list[Document], pattern: str, mentions: set[tuple[str, str] | None]) -> None:
    """What the guideline in docs/tuning.md asks for; None: it is one disease as a whole."""
    found = [(d, Span(*m.span())) for d in notes for m in re.finditer(pattern, d.text)]
    assert found
    for document, span in found:
        if None in mentions:
            assert [type for _, type in types_at(document, span)] == ["disease"]
        else:
            assert set(types_at(document, span)) == mentions, (document.id, span.of(document.text))


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(PMH|HPI|ROS|NKDA|BID|TID|QID|PRN|q\dh|s/p|c/b|d/c'd|CXR|MRI|WBC|INR|eGFR|TPN|ADT|DAPT|pRBC)\b",
        r"\b(ANA|RF|ANCA|anti-CCP|anti-dsDNA|anti-HBs|anti-mitochondrial|TRAb|DSA|LAC)(?= (neg|\+|1:))",
        r"\b(UPCR|UACR|LFTs|schistocytes|preemie|IVDU|NSR|LVEF|No progression|No relapse)\b",
        r"\b(LAD \d\d%|LA dilated|ROM limited)",
        r"ASA (I|II|III|IV),",
        r"SpO2",
        r"(Toxicities|COMPLICATIONS|Complications|ALLERGIES|Allergies):",
    ],
)
def test_what_is_no_mention(notes: list[Document], pattern: str) -> None:
    found = [(d, Span(*m.span())) for d in notes for m in re.finditer(pattern, d.text)]
    assert found
    for document, span in found:
        assert not types_at(document, span), (document.id, document.text[span.start - 20 : span.end + 20])


def test_acuity_severity_and_side_stay_outside(notes: list[Document]) -> None:
    outside = re.compile(r"(severe|mild|moderate|worsening|left|right|bilateral|left-sided|possible|stable|h/o) ")
    for document in notes:
        for entity in document.entities:
            mention = entity.mention(document.text)
            whole = mention.lower().startswith(("mild cognitive impairment", "severe combined immunodeficiency"))
            assert whole or not outside.match(mention.lower()), (document.id, mention)


def test_names_of_terminologies(tmp_path: Path) -> None:
    (tmp_path / "disease.tsv").write_text(
        "name\ttype\nvolkovosis\tdisease\nacute volkovosis\tdisease\nremedial teaching\tdisease\n", "utf-8"
    )
    (tmp_path / "chemical.tsv").write_text("name\ttype\nzorbamide\tchemical\n2-zorbane\tchemical\n", "utf-8")
    diseases = clinical_notes.names(tmp_path, "disease", 3)
    chemicals = clinical_notes.names(tmp_path, "chemical", 2)
    assert (diseases, chemicals) == (["volkovosis"], ["zorbamide"])
    documents = list(clinical_notes.notes(NoteWriter(diseases, chemicals), 20, 1))
    mentions = {(e.mention(d.text).lower(), e.type) for d in documents for e in d.entities}
    assert {("volkovosis", "disease"), ("zorbamide", "chemical")} <= mentions
    with pytest.raises(SystemExit, match=r"gene\.tsv does not exist"):
        clinical_notes.names(tmp_path, "gene", 2)


def test_the_script_writes_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes" / "notes.jsonl"
    monkeypatch.setattr(sys, "argv", ["clinical_notes.py", "-o", str(path), "--count", "3", "--seed", "7"])
    clinical_notes.main()
    assert list(biomark.read(path)) == list(clinical_notes.notes(NoteWriter(), 3, 7))


def grammar(*alternatives: tuple[str, str, str]) -> Writer:
    return Writer(Grammar(alternatives), random.Random(1), "cardio")


def test_patterns() -> None:
    writer = grammar(("drug@cardio", "aspirin", "chemical"), ("site", "hip", ""), ("fx", "{site} fx", "disease"))
    assert writer.pattern("No {fx}, {drug}") == [
        Piece("No "),
        Piece("hip fx", "disease"),
        Piece(", "),
        Piece("aspirin", "chemical"),
    ]
    assert writer.pattern("<c:{drug}-x>") == [Piece("aspirin-x", "chemical")]
    assert writer.pattern("a < b > c") == [Piece("a < b > c")]
    assert {writer.pattern("{1.5-1.7}")[0].text for _ in range(50)} == {"1.5", "1.6", "1.7"}
    assert {"".join(piece.text for piece in writer.pattern("{a|b{c|}|}")) for _ in range(50)} == {"a", "b", "bc", ""}


@pytest.mark.parametrize("pattern", ["{site", "<d:pain", "pain}", "{a b{c|d}}"])
def test_patterns_that_do_not_close(pattern: str) -> None:
    with pytest.raises(PatternError):
        parse(pattern)


def test_symbols_that_no_file_has() -> None:
    with pytest.raises(PatternError, match="'nowhere'"):
        Grammar([("here", "{nowhere}", "")]).check()


def test_noise_moves_no_mention() -> None:
    lines = [[Piece("mild "), Piece("Crohn's colitis", "disease"), Piece(", on ")], [Piece("6-MP", "chemical")]]
    noise = Noise(case="upper", width=10, signs=HYPHEN)
    document = noise.document("note", lines, random.Random(1))
    assert document.text == "MILD\nCROHN’S\nCOLITIS,\nON \n6‐MP"
    assert [e.mention(document.text) for e in document.entities] == ["CROHN’S\nCOLITIS", "6‐MP"]
    assert wrapped("a b", 0) == "a b"
