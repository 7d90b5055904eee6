"""Sources of terms: OBO, tables, corpora; broken files, and the real ones."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.errors import CorpusError, KnowledgeError, UsageError
from biomark.knowledge.entries import Entry, Link, Name, NameKind
from biomark.knowledge.sources import FORMATS, open_source
from biomark.knowledge.sources.base import other_identifier
from biomark.knowledge.sources.rows import split
from biomark.spans import Rejected
from conftest import ROOT
from knowledge_cases import read, write

OBO = r"""format-version: 1.2
data-version: releases/2024-01-31
property_value: http://purl.org/dc/terms/license "https://creativecommons.org/publicdomain/zero/1.0/" xsd:string
synonymtypedef: SHORT "an abbreviation of the name" EXACT

[Term]
id: DOID:0001 ! a comment
name: spotted moss fever
alt_id: DOID:0099
def: "A fever of \"moss\" walkers.\nIt is rare." [url:http\://example.org/moss] {comment="x"}
synonym: "moss fever, spotted" EXACT []
synonym: "SMF" EXACT OMO:0003000 [PMID:1]
synonym: "SpMF" EXACT SHORT []
synonym: "MF-S" EXACT [] {synonymtypedef="acronym"}
synonym: "moss disease" RELATED []
synonym: "stone moss fever" NARROW []
synonym: "fever" BROAD OMO:0003000 []
synonym: "unscoped" []
exact_synonym: "old tag" []
xref: MSH:D000001
xref: SNOMEDCT_US_2025_09_01:12345 "with a text"
xref: OMIM:100 {http://purl.org/x#source="x"}
xref: ICD10CM:A00
xref: PMID:77
xref: http\://example.org/page
xref: no identifier
property_value: skos:exactMatch "NCI:C11" xsd:string
property_value: skos:broadMatch "ICD10CM:A00" xsd:string
property_value: skos:narrowMatch "MIM:100" xsd:string
property_value: creator ""
is_a: DOID:0002 {source="x"} ! fever

[Term]
id: DOID:0002
name: a\: b \{c\} [d].* {origin="hand"}

[Term]
id: DOID:0003
name: obsolete moss fever
is_obsolete: true
replaced_by: DOID:0001

[Term]
id: DOID:0004
name: obsolete
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


class TestObo:
    @pytest.mark.parametrize("name", ["moss.obo", "moss.txt", "moss.obo.gz"])
    def test_terms(self, tmp_path: Path, name: str) -> None:
        source = open_source(str(write(tmp_path / name, OBO)))
        rejected: list[Rejected] = []
        moss, other, former = source.entries(rejected.append)
        assert source.description.version == "releases/2024-01-31"
        assert source.description.licence == "https://creativecommons.org/publicdomain/zero/1.0/"
        assert (source.description.name, source.description.format) == (name, "obo")
        assert source.position() == source.size == (tmp_path / name).stat().st_size
        assert rejected == []
        assert moss == Entry(
            "DOID:0001",
            names=(
                Name("spotted moss fever", NameKind.PREFERRED),
                Name("moss fever, spotted"),
                Name("SMF", NameKind.ABBREVIATION),
                Name("SpMF", NameKind.ABBREVIATION),
                Name("MF-S", NameKind.ABBREVIATION),
                Name("moss disease", NameKind.RELATED),
                Name("stone moss fever", NameKind.RELATED),
                Name("fever", NameKind.BROAD),
                Name("unscoped", NameKind.RELATED),
                Name("old tag"),
            ),
            definition='A fever of "moss" walkers. It is rare.',
            links=(
                (Link.FORMER, "DOID:0099"),
                (Link.SAME, "MESH:D000001"),
                (Link.SAME, "SNOMEDCT:12345"),
                (Link.PARENT, "ICD10CM:A00"),
                (Link.SAME, "NCIT:C11"),
                (Link.PARENT, "DOID:0002"),
            ),
        )
        assert other.names == (Name("a: b {c} [d].*", NameKind.PREFERRED),)
        assert former == Entry("DOID:0001", links=((Link.FORMER, "DOID:0003"),))

    @pytest.mark.parametrize(
        ("header", "term", "expected"),
        [
            ("", "id: GO:1\nnamespace: biological_process", ("biological process",)),
            ("default-namespace: human_phenotype", "id: HP:1", ("human phenotype",)),
            ("default-namespace: disease_ontology", "id: DOID:1", ("disease",)),
            ("default-namespace: one", "id: X:1\nnamespace: other|thing", ("other thing",)),
            ("default-namespace: chebi_ontology", "id: CHEBI:1", ()),
            ("", "id: X:1", ()),
        ],
    )
    def test_a_namespace_is_a_semantic_type(
        self, tmp_path: Path, header: str, term: str, expected: tuple[str, ...]
    ) -> None:
        text = f"format-version: 1.2\n{header}\n\n[Term]\n{term}\nname: moss\n\n[Term]\nid: Y:2\nname: fern\n"
        first, second = read(write(tmp_path / "a.obo", text))[0]
        assert first.semantic_types == expected
        assert second.semantic_types == (
            (header.partition(": ")[2].removesuffix("_ontology").replace("_", " "),) if header else ()
        )

    def test_bad_lines_are_told_and_the_rest_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "bad.obo"
        path.write_bytes(
            b"format-version: 1.2\n\n[Term]\nid: X:1\nname: one\nsynonym: not quoted\nno colon\n"
            b'synonym: "caf\xe9" EXACT []\nname:\n\n[Term]\nname: nameless\n\n[Term]\nid: X:2\nname: two\nid:\n'
        )
        entries, rejected = read(path)
        assert [(entry.identifier, entry.names[0].text) for entry in entries] == [("X:1", "one"), ("X:2", "two")]
        assert [reject.line for reject in rejected] == [6, 7, 8, 9, 11, 17]
        assert "is not UTF-8" in rejected[2].reason
        assert all(reject.source == str(path) for reject in rejected)


class TestTable:
    @pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
    def test_all_columns(self, tmp_path: Path, delimiter: str) -> None:
        rows = [
            ["Identifier", "Label", "Type", "Synonyms", "Definition", "Kind", "notes"],
            ["MSH:D000001", "Moss Fever", "Disease", "MF| fever of moss |", "A fever.", "", "x"],
            ["X:2", "T", "device", "", "", "abbreviation", ""],
            ["X:3", "odd", "device", "", "", "nickname", ""],
            ["X:4", "", "device", "", "", "", ""],
        ]
        path = write(tmp_path / "terms.csv", "\n".join(delimiter.join(row) for row in rows))
        entries, rejected = read(path)
        assert entries == [
            Entry(
                "MESH:D000001",
                "disease",
                (Name("Moss Fever", NameKind.PREFERRED), Name("MF"), Name("fever of moss")),
                "A fever.",
            ),
            Entry("X:2", "device", (Name("T", NameKind.ABBREVIATION),)),
        ]
        assert [(reject.line, reject.source) for reject in rejected] == [(4, str(path)), (5, str(path))]
        assert "one of preferred, exact, abbreviation, mention, related, broad, not nickname" in rejected[0].reason

    def test_names_and_types_alone(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "devices.tsv", "\ufeffname\ttype\r\nstent\tdevice\r\nDrug Pumps\tdevice\r\n☃\tdevice\r\n"
        )
        entries, rejected = read(path)
        assert rejected == []
        assert [entry.identifier for entry in entries] == [
            "user:device/stent",
            "user:device/drug-pump",
            "user:device/☃",
        ]
        assert {entry.type for entry in entries} == {"device"}
        (entry,) = read(write(tmp_path / "list.txt", "term\nstent, drug-eluting\n"))[0]
        assert (entry.identifier, entry.type) == ("user:stent-drug-eluting", None)
        assert entry.names == (Name("stent, drug-eluting", NameKind.PREFERRED),)

    def test_terms_of_one_letter_and_regular_expressions_pass_through(self, tmp_path: Path) -> None:
        terms = ["a", "T", ".*", "(a+)+$", "[x", "\\d{2}", '5" tube', '"', "null", "1,25-(OH)2 D3", "%s", "'; --"]
        path = write(tmp_path / "terms.tsv", "id\tname\n" + "".join(f"X:{n}\t{t}\n" for n, t in enumerate(terms)))
        entries, rejected = read(path)
        assert rejected == []
        assert [entry.names[0].text for entry in entries] == terms

    def test_wrong_columns_name_the_file_the_found_and_the_needed(self, tmp_path: Path) -> None:
        path = write(tmp_path / "wrong.tsv", "foo\tbar\n1\t2\n")
        with pytest.raises(KnowledgeError) as error:
            read(path)
        assert str(error.value) == f"{path}: has the columns 'foo', 'bar'; add name or label or term"

    def test_bytes_that_are_not_utf8(self, tmp_path: Path) -> None:
        path = tmp_path / "latin.tsv"
        path.write_bytes(b"name\ttype\nM\xe9ni\xe8re\tdisease\nmoss fever\tdisease\n")
        entries, (rejected,) = read(path)
        assert [entry.names[0].text for entry in entries] == ["moss fever"]
        assert (rejected.line, "is not UTF-8" in rejected.reason) == (2, True)
        path.write_bytes("name\ttype\nstent\tdevice\n".encode("utf-16"))
        entries, rejects = read(path)  # a byte order mark tells the encoding
        assert ([entry.names[0].text for entry in entries], list(rejects)) == (["stent"], [])

    def test_files_without_a_term_are_told(self, tmp_path: Path) -> None:
        for text in ("", "name\ttype\n"):
            entries, (rejected,) = read(write(tmp_path / "empty.tsv", text))
            assert (entries, rejected.reason) == ([], "the source has no terms in the format table")

    @given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])), min_size=1))
    def test_quoted_fields_come_back(self, fields: list[str]) -> None:
        for delimiter in "\t,;":
            quoted = delimiter.join('"' + field.replace('"', '""') + '"' for field in fields)
            assert split(quoted, delimiter) == fields
            plain = [field.replace(delimiter, " ").replace('"', "'") for field in fields]
            assert split(delimiter.join(plain), delimiter) == plain


PUBTATOR = """1|t|Moss fever and MF in moss-eaters
1|a|Moss fever, stone fever; two in one.
1\t0\t10\tMoss fever\tSpecificDisease\tD000001
1\t15\t17\tMF\tDisease\tMESH:D000001
1\t33\t43\tMoss fever\tModifier\tD000001
1\t45\t56\tstone fever\tDisease\tD000002+D000003
1\t58\t68\ttwo in one\tDisease\tD000002|D000003
1\t21\t25\tmoss\tSpecies\t3208
1\t26\t32\teaters\tSpecies\t-1

"""


class TestCorpus:
    def test_mentions(self, tmp_path: Path) -> None:
        source = open_source(str(write(tmp_path / "moss.pubtator", PUBTATOR)))
        rejected: list[Rejected] = []
        entries = {entry.identifier: entry for entry in source.entries(rejected.append)}
        assert rejected == []
        assert entries == {
            "MESH:D000001": Entry(
                "MESH:D000001", "disease", (Name("MF", NameKind.MENTION, 1), Name("Moss fever", NameKind.MENTION, 2))
            ),
            "MESH:D000002+MESH:D000003": Entry(
                "MESH:D000002+MESH:D000003", "disease", (Name("stone fever", NameKind.MENTION, 1),)
            ),
            "MESH:D000002|MESH:D000003": Entry(
                "MESH:D000002|MESH:D000003", "disease", (Name("two in one", NameKind.MENTION, 1),)
            ),
            "NCBITaxon:3208": Entry("NCBITaxon:3208", "species", (Name("moss", NameKind.MENTION, 1),)),
        }
        assert source.left_out == {"mentions without an identifier": 1}

    def test_counts_are_handed_on_before_they_fill_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("biomark.knowledge.sources.corpus._HELD", 2)
        path = write(tmp_path / "moss.pubtator", PUBTATOR + re.sub("^1", "2", PUBTATOR, flags=re.MULTILINE))
        entries, _ = read(path)
        counts: Counter[str] = Counter()
        for entry in entries:
            counts.update({name.text: name.count for name in entry.names})
        assert counts == {"Moss fever": 4, "MF": 2, "stone fever": 2, "two in one": 2, "moss": 2}

    def test_unknown_names(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(KnowledgeError, match="neither a file or folder nor a split"):
            open_source(str(tmp_path / "nothing.obo"))
        with pytest.raises(UsageError, match="name a split of ncbi_disease"):
            open_source("ncbi_disease:nowhere")
        with pytest.raises(UsageError, match="unknown format of sources 'owl'; choose from obo, mesh"):
            open_source(str(tmp_path), "owl")
        with pytest.raises(
            KnowledgeError,
            match=r"cannot infer the format of this source; name the format \(`input format`\), one of obo",
        ):
            open_source(str(write(tmp_path / "prose.txt", "Moss grows on stones.\n")))
        title = "1|t|Brand, name, term\n1|a|x\n1\t4\t9\tBrand\tChemical\tD1\n"
        assert open_source(str(write(tmp_path / "titles.txt", title))).format is FORMATS["corpus"]
        monkeypatch.setenv("BIOMARK_CORPORA", str(tmp_path))
        monkeypatch.setattr("biomark.corpora.corpus_folders", lambda: (tmp_path,))
        with pytest.raises(CorpusError, match="ncbi_disease:train is not available"):
            open_source("ncbi_disease:train")


def test_cross_references() -> None:
    assert other_identifier("HGNC:HGNC:7") == "HGNC:7"
    assert other_identifier("DO:DOID:0001") == "DOID:0001"
    assert other_identifier("MGI:MGI:97") == "MGI:97"
    assert other_identifier("KEGG:H00001") == "KEGG:H00001"
    assert [other_identifier(reference) for reference in ("PMID:1", "http://a.b/c", "words", "", ":", "x:")] == [
        None
    ] * 6


class TestReal:
    """The Disease Ontology and corpora; the counts are those of grep, see each comment."""

    def test_disease_ontology(self, corpora: Path) -> None:
        found = {}
        for subset in ("cancer", "infectious_disease", "rare"):
            entries, rejected = read(corpora / "knowledge" / f"DO_{subset}_slim.obo")
            assert rejected == []
            kinds = Counter(name.kind for entry in entries for name in entry.names)
            links = Counter(link for entry in entries for link, _ in entry.links)
            found[subset] = (sum(bool(entry.names) for entry in entries), kinds[NameKind.PREFERRED], links[Link.FORMER])
        # grep -c '^name:' less -c '^is_obsolete'; '^alt_id:' and '^replaced_by:' together
        assert found == {"cancer": (729, 729, 210), "infectious_disease": (536, 536, 291), "rare": (3458, 3458, 481)}

    def test_term_table(self, corpora: Path) -> None:
        entries, rejected = read(corpora / "knowledge" / "HumanDO.tsv")
        assert rejected == []
        assert len(entries) == 12_296  # wc -l less the header
        assert all(re.fullmatch(r"DOID:\d+", entry.identifier) for entry in entries)
        assert not any('"' in name.text for entry in entries for name in entry.names)

    def test_corpora(self, corpora: Path) -> None:
        for corpus in ("ncbi_disease:devel", "bc5cdr:test"):
            source = open_source(corpus)
            mentions = sum(name.count for entry in source.entries(lambda rejected: None) for name in entry.names)
            name, _, part = corpus.partition(":")
            lines = (corpora / name / f"{part}.pubtator").read_text("utf-8").split("\n")
            fields = [line.split("\t") for line in lines if len(line.split("\t")) >= 6]
            assert mentions == sum(field[5] != "-1" for field in fields)
            assert mentions + source.left_out.total() == len(fields)


def test_each_format_is_named_in_the_documentation() -> None:
    text = (ROOT / "docs" / "knowledge.md").read_text("utf-8")
    assert all(f"| `{name}` |" in text for name in FORMATS)
