"""MeSH, CTD, UMLS and NCBI Gene as sources of terms, and concepts with very many names in any format."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from biomark.errors import KnowledgeError
from biomark.knowledge.entries import Entry, Link, Name, NameKind
from biomark.knowledge.sources import open_source
from biomark.knowledge.sources.base import NAMES
from biomark.spans import Rejected
from knowledge_cases import MESH, concept, descriptor, merged, read, term, write


def mosses() -> str:
    facts = "<RegistryNumber>50-00-1</RegistryNumber><ScopeNote>A fever of\n   moss &amp; stone.\n</ScopeNote>"
    return (
        descriptor("D000001", "C01 F03.100", concept(term("Fevers", record="Y"), term("FVR", tag="ABB")))
        + descriptor(
            "D000002",
            "C01.200 F03.100.300",
            concept(term("Moss Fever", record="Y"), term("Fever, Moss"), term("MF", tag="ACR"), facts=facts),
            concept(term("Stone Moss Fever"), preferred="N", facts="<ScopeNote>Narrower.</ScopeNote>"),
        )
        + "".join(
            descriptor(f"D00001{number}", tree, concept(term(f"thing {number}", record="Y")))
            for number, tree in enumerate(("D03.1", "D12.776.5 D23.1", "B01", "A11.251.210.1", "Z01", "F01.100"))
        )
    )


class TestMesh:
    @pytest.mark.parametrize("name", ["desc.xml", "desc.xml.gz"])
    def test_descriptors(self, tmp_path: Path, name: str) -> None:
        source = open_source(str(write(tmp_path / name, MESH.format(mosses()))))
        rejected: list[Rejected] = []
        entries = merged(source.entries(rejected.append))
        assert rejected == []
        assert (source.description.format, source.description.version) == ("mesh", "20250101")
        assert "nlm.nih.gov" in source.description.licence
        assert entries["MESH:D000001"] == Entry(
            "MESH:D000001",
            "disease",
            (Name("Fevers", NameKind.PREFERRED), Name("FVR", NameKind.ABBREVIATION)),
            semantic_types=("Diseases", "Psychiatry and Psychology"),
        )
        assert entries["MESH:D000002"] == Entry(
            "MESH:D000002",
            "disease",
            (
                Name("Moss Fever", NameKind.PREFERRED),
                Name("Fever, Moss"),
                Name("MF", NameKind.ABBREVIATION),
                Name("Stone Moss Fever", NameKind.RELATED),
            ),
            definition="A fever of moss & stone.",
            links=((Link.SAME, "CAS:50-00-1"), (Link.PARENT, "MESH:D000001")),
            semantic_types=("Diseases", "Psychiatry and Psychology"),
        )
        types = {entry.names[0].text: entry.type for entry in entries.values()}
        assert [types[f"thing {number}"] for number in range(6)] == [
            "chemical", "", "species", "cell_line", "", ""
        ]  # fmt: skip
        own = {entry.names[0].text: entry.semantic_types for entry in entries.values()}
        assert [own[f"thing {number}"] for number in (1, 4, 5)] == [
            ("Chemicals and Drugs",), ("Geographicals",), ("Psychiatry and Psychology",)
        ]  # fmt: skip

    def test_semantic_types_of_older_files(self, tmp_path: Path) -> None:
        """Until 2016 the files had UMLS's; they are more exact than MeSH's own trees."""

        def facts(*names: str) -> str:
            rows = "".join(
                f"<SemanticType><SemanticTypeUI>T1</SemanticTypeUI><SemanticTypeName>{name}</SemanticTypeName></SemanticType>"
                for name in names
            )
            return f"<SemanticTypeList>{rows}</SemanticTypeList>"

        record = descriptor(
            "D000001",
            "G07.1",
            concept(term("sleep", record="Y"), facts=facts("Organism Function", "Sign or Symptom")),
            concept(term("doze"), preferred="N", facts=facts("Finding")),
        )
        (entry,) = read(write(tmp_path / "desc.xml", MESH.format(record)))[0]
        assert (entry.type, entry.semantic_types) == ("", ("Organism Function", "Sign or Symptom"))

    def test_supplementary_records(self, tmp_path: Path) -> None:
        mapped = (
            "<HeadingMappedToList><HeadingMappedTo><DescriptorReferredTo><DescriptorUI>*D000002</DescriptorUI>"
            "<DescriptorName><String>Moss Fever</String></DescriptorName></DescriptorReferredTo></HeadingMappedTo>"
            "</HeadingMappedToList>"
        )
        records = "".join(
            f'<SupplementalRecord SCRClass="{kind}"><SupplementalRecordUI>C00000{kind}</SupplementalRecordUI>{mapped}'
            f"<ConceptList>{concept(term(f'thing {kind}', record='Y'))}</ConceptList></SupplementalRecord>"
            for kind in range(1, 6)
        )
        path = write(tmp_path / "supp.xml", f"<SupplementalRecordSet>{records}</SupplementalRecordSet>")
        entries, rejected = read(path)
        assert rejected == []
        assert [entry.type for entry in entries] == ["chemical", "treatment", "disease", "species", ""]
        assert [entry.semantic_types for entry in entries] == [
            ("Chemical",), ("Chemotherapy Protocol",), ("Disease",), ("Organism",), ("Population Group",)
        ]  # fmt: skip
        assert entries[2].names == (Name("thing 3", NameKind.PREFERRED),)
        assert {entry.links for entry in entries} == {((Link.PARENT, "MESH:D000002"),)}

    @pytest.mark.parametrize("name", ["cut.xml", "cut.xml.gz"])
    def test_a_cut_off_file_gives_what_stands_before_the_break(self, tmp_path: Path, name: str) -> None:
        text = MESH.format(mosses())
        cut = text.index("thing 2")
        entries, rejected = read(write(tmp_path / name, text[:cut]))
        named = [entry.names[0].text for entry in entries if entry.names]
        assert named == ["Fevers", "Moss Fever", "thing 0", "thing 1"]
        (broken,) = rejected
        assert "the XML is invalid here" in broken.reason
        assert broken.line == text[:cut].count("\n") + 1

    def test_a_gzip_file_that_breaks_off(self, tmp_path: Path) -> None:
        whole = gzip.compress(MESH.format(mosses() + "<!-- -->" * 10).encode())
        path = tmp_path / "desc.xml.gz"
        path.write_bytes(whole[:-40])
        _, rejected = read(path)
        assert any("the compressed file breaks off" in reject.reason for reject in rejected)

    def test_entities_are_refused(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "bomb.xml",
            '<!DOCTYPE x [<!ENTITY a "aaaa">]><DescriptorRecordSet>&a;</DescriptorRecordSet>',
        )
        with pytest.raises(KnowledgeError, match="entities"):
            read(path)

    def test_another_root_and_a_record_without_identifier(self, tmp_path: Path) -> None:
        with pytest.raises(KnowledgeError, match="the root element is <collection>, not <DescriptorRecordSet>"):
            read(write(tmp_path / "other.xml", "<collection><a/></collection>"), "mesh")
        record = descriptor("D000001", "C01", concept(term("one", record="Y")))
        path = write(tmp_path / "desc.xml", MESH.format("<DescriptorRecord></DescriptorRecord>" + record))
        entries, rejected = read(path)
        assert [entry.identifier for entry in entries] == ["MESH:D000001"]
        assert [(reject.reason, reject.line) for reject in rejected] == [("the record has no identifier", 4)]


CTD = """# This file was generated by a test
#
# Use is subject to the terms set forth at http://example.org/terms and more
#
# Report created: Tue Apr 30 10:17:30 EDT 2024
#
# Fields:
# {}
#
"""


class TestCtd:
    def test_diseases(self, tmp_path: Path) -> None:
        columns = "DiseaseName\tDiseaseID\tAltDiseaseIDs\tDefinition\tParentIDs\tTreeNumbers\tSynonyms"
        rows = (
            "Moss Fever\tMESH:D000001\tDO:DOID:0001|OMIM:100\tA fever.\tMESH:D9|OMIM:7\tC01\tFever, Moss|MF||m\n"
            "no id\t\t\t\t\t\t\n"
            "too few\tMESH:D000002\n"
            '"Fern ""Fever"""\tOMIM:200\t\t\t\t\t.*|(a+)+$\n'
        )
        source = open_source(str(write(tmp_path / "CTD_diseases.tsv.gz", CTD.format(columns) + rows)))
        rejected: list[Rejected] = []
        first, second = source.entries(rejected.append)
        assert source.description.version == "Tue Apr 30 10:17:30 EDT 2024"
        assert source.description.licence == "terms of use, http://example.org/terms"
        assert first == Entry(
            "MESH:D000001",
            "disease",
            (Name("Moss Fever", NameKind.PREFERRED), Name("Fever, Moss"), Name("MF"), Name("m")),
            "A fever.",
            (
                (Link.PARENT, "MESH:D9"),
                (Link.PARENT, "OMIM:7"),
                (Link.SAME, "DOID:0001"),
                (Link.SAME, "OMIM:100"),
            ),
        )
        assert second.names == (Name('Fern "Fever"', NameKind.PREFERRED), Name(".*"), Name("(a+)+$"))
        assert [(reject.line, reject.source) for reject in rejected] == [
            (11, source.name), (12, source.name)
        ]  # fmt: skip
        assert rejected[0].reason == "the row has no DiseaseID"
        assert "the line has 2 fields, but the header has 7 columns" in rejected[1].reason

    def test_chemicals_as_csv_and_genes(self, tmp_path: Path) -> None:
        chemicals = write(
            tmp_path / "CTD_chemicals.csv",
            CTD.format("ChemicalName,ChemicalID,CasRN,Definition,ParentIDs,Synonyms")
            + '"2,3-mossol",MESH:C000001,50-00-1,"Green, they say",MESH:D9,"2,3-M|mossol"\n',
        )
        assert read(chemicals) == (
            [
                Entry(
                    "MESH:C000001",
                    "chemical",
                    (Name("2,3-mossol", NameKind.PREFERRED), Name("2,3-M"), Name("mossol")),
                    "Green, they say",
                    ((Link.PARENT, "MESH:D9"), (Link.SAME, "CAS:50-00-1")),
                )
            ],
            [],
        )
        genes = write(
            tmp_path / "CTD_genes.tsv",
            "GeneSymbol\tGeneName\tGeneID\tAltGeneIDs\tSynonyms\nMOS1\tmoss protein 1\t42\t43\tMS|M-1\n",
        )
        (entry,) = read(genes)[0]
        assert (entry.identifier, entry.type) == ("NCBIGene:42", "gene")
        assert entry.names == (Name("MOS1", NameKind.PREFERRED), Name("moss protein 1"), Name("MS"), Name("M-1"))
        assert entry.links == ((Link.SAME, "NCBIGene:43"),)

    def test_other_columns(self, tmp_path: Path) -> None:
        path = write(tmp_path / "CTD_pathways.tsv", CTD.format("PathwayName\tPathwayID") + "a\tb\n")
        with pytest.raises(KnowledgeError, match=re.escape(str(path)) + ".*has the columns.*add DiseaseID"):
            read(path, "ctd")


def metathesaurus(folder: Path, *, suffix: str = "") -> Path:
    folder.mkdir()
    types = "C0000001|T047|B|Disease|AT1||\nC0000001|T116|A|Protein|AT2||\nC0000002|T116|A|Protein|AT3||\n"
    types += (
        "C0000002|T121|A|Drug|AT4||\nC0000003|T170|A|Book|AT5||\nbroken|T047|A|x|AT6||\nC0000004|T116|A|Protein|||\n"
    )
    rows = [
        "C0000001|ENG|P|L1|PF|S1|Y|A1||M1|D000001|MSH|MH|D000001|Moss Fever|0|N|256|",
        "C0000001|ENG|S|L1|VO|S2|Y|A2||M1|D000001|MSH|ET|D000001|Fever, Moss|0|N|256|",
        "C0000001|ENG|S|L2|PF|S3|Y|A3||||NCI|AB|C11|MF|0|N|256|",
        "C0000001|ENG|S|L2|PF|S3|Y|A4||||NCI|PT|C11|moss fever|0|N|256|",
        "C0000001|GER|P|L3|PF|S4|Y|A5||||MSHGER|MH|D000001|Moosfieber|0|N|256|",
        "C0000001|ENG|S|L3|PF|S4|Y|A6||||OLD|PT|1|suppressed|0|O|256|",
        "C0000001|ENG|S|L3|PF|S4|Y|A7||||OMIM|PT|MTHU000001|moss|0|N|256|",
        "C0000002|ENG|S|L3|PF|S4|Y|A8||||SNOMEDCT_US|PT|123|mossin|0|N|256|",
        "C0000003|ENG|P|L3|PF|S4|Y|A9||||MSH|MH|D000003|book|0|N|256|",
        "C0000002|ENG|too|few",
    ]
    definitions = "C0000001|A1|AT1||MSHGER|Ein Fieber.|N||\nC0000001|A1|AT1||MSH|A fever.|N||\n"
    definitions += "C0000001|A1|AT1||NCI|Second.|N||\nC0000003|A1|AT1||MSH|A book.|N||\n"
    write(folder / f"MRSTY.RRF{suffix}", types)
    write(folder / f"MRCONSO.RRF{suffix}", "\n".join(rows) + "\n")
    write(folder / f"MRDEF.RRF{suffix}", definitions)
    return folder


class TestUmls:
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_folder(self, tmp_path: Path, suffix: str) -> None:
        folder = metathesaurus(tmp_path / "2026AA", suffix=suffix)
        for name in (folder, folder / f"MRCONSO.RRF{suffix}"):
            source = open_source(str(name))
            rejected: list[Rejected] = []
            entries = merged(source.entries(rejected.append))
            assert (source.description.version, source.description.format) == ("2026AA", "umls")
            assert "UMLS" in source.description.licence
            assert source.position() == source.size == sum(path.stat().st_size for path in folder.iterdir())
            assert entries == {
                "UMLS:C0000001": Entry(
                    "UMLS:C0000001",
                    "disease",
                    (
                        Name("Moss Fever", NameKind.PREFERRED),
                        Name("Fever, Moss"),
                        Name("MF", NameKind.ABBREVIATION),
                        Name("moss fever", NameKind.PREFERRED),
                        Name("moss", NameKind.PREFERRED),
                    ),
                    "A fever.",
                    ((Link.SAME, "MESH:D000001"), (Link.SAME, "NCIT:C11")),
                    semantic_types=("Disease", "Protein"),
                ),
                "UMLS:C0000002": Entry(
                    "UMLS:C0000002",
                    "chemical",
                    (Name("mossin", NameKind.PREFERRED),),
                    links=((Link.SAME, "SNOMEDCT:123"),),
                    semantic_types=("Protein", "Drug"),
                ),
                "UMLS:C0000003": Entry(
                    "UMLS:C0000003",
                    "",
                    (Name("book", NameKind.PREFERRED),),
                    "A book.",
                    ((Link.SAME, "MESH:D000003"),),
                    semantic_types=("Book",),
                ),
                "UMLS:C0000004": Entry("UMLS:C0000004", "gene", semantic_types=("Protein",)),
            }
            assert [reject.line for reject in rejected] == [6, 10]
            assert not source.left_out

    def test_release_file_and_missing_files(self, tmp_path: Path) -> None:
        folder = metathesaurus(tmp_path / "META")
        write(folder / "release.dat", "umls.release.name=2025AB\numls.release.date=20251103\n")
        assert open_source(str(folder)).description.version == "2025AB"
        (folder / "MRDEF.RRF").unlink()
        assert read(folder)[0]
        (folder / "MRSTY.RRF").unlink()
        with pytest.raises(KnowledgeError, match=r"lacks MRSTY\.RRF"):
            read(folder)


GENE_INFO = (
    "#tax_id\tGeneID\tSymbol\tLocusTag\tSynonyms\tdbXrefs\tchromosome\tmap_location\tdescription\ttype_of_gene\t"
    "Symbol_from_nomenclature_authority\tFull_name_from_nomenclature_authority\tNomenclature_status\t"
    "Other_designations\tModification_date\tFeature_type\n"
)


class TestNcbiGene:
    def test_genes(self, tmp_path: Path) -> None:
        rows = (
            "9606\t42\tMOS1\t-\tMS|M-1\tMIM:100|HGNC:HGNC:7|Ensembl:ENSG1\t1\t1p\tmoss protein 1\tprotein-coding\t"
            "MOS1\tmoss protein one\tO\tmoss-like protein|MS\t20240101\t-\n"
            "10090\t43\tT\t-\t-\t-\t-\t-\t-\tprotein-coding\t-\t-\t-\t-\t20240101\t-\n"
            "10090\t44\tNEWENTRY\t-\t-\t-\t-\t-\trecord\tother\t-\t-\t-\t-\t20240101\t-\n"
            "mouse\t45\tX\t-\t-\t-\t-\t-\t-\tprotein-coding\t-\t-\t-\t-\t20240101\t-\n"
            "9606\t46\n"
        )
        source = open_source(str(write(tmp_path / "some.gene_info.gz", GENE_INFO + rows)))
        rejected: list[Rejected] = []
        human, mouse = source.entries(rejected.append)
        assert source.description.format == "ncbi_gene"
        assert human == Entry(
            "NCBIGene:42",
            "gene",
            (
                Name("MOS1", NameKind.PREFERRED),
                Name("moss protein one"),
                Name("moss protein 1"),
                Name("MS"),
                Name("M-1"),
                Name("moss-like protein", NameKind.RELATED),
            ),
            links=((Link.SAME, "OMIM:100"), (Link.SAME, "HGNC:7"), (Link.SAME, "Ensembl:ENSG1")),
            taxon="NCBITaxon:9606",
        )
        assert mouse == Entry("NCBIGene:43", "gene", (Name("T", NameKind.PREFERRED),), taxon="NCBITaxon:10090")
        assert [reject.line for reject in rejected] == [5, 6]
        assert source.left_out == {"genes called NEWENTRY": 1}

    def test_the_old_header(self, tmp_path: Path) -> None:
        header = "#Format: tax_id GeneID Symbol Synonyms dbXrefs description (tab is used as a separator)\n"
        (entry,) = read(write(tmp_path / "gene_info", header + "9606\t1\tA1\t-\t-\tmoss\n"))[0]
        assert [name.text for name in entry.names] == ["A1", "moss"]


COUNT = 100_000
PEAK = 2 << 20  # bytes; all names together are six times as many


def many_obo(folder: Path) -> Path:
    path = folder / "many.obo"
    with path.open("w") as file:
        file.write("format-version: 1.2\n\n[Term]\nid: X:1\nname: one\n")
        file.writelines(f'synonym: "the {number}th name" EXACT []\n' for number in range(COUNT))
    return path


def many_mesh(folder: Path) -> Path:
    path = folder / "many.xml"
    with path.open("w") as file:
        head, tail = descriptor("D000001", "C01", concept(term("one", record="Y"), "TERMS")).split("TERMS")
        file.write("<DescriptorRecordSet>" + head)
        file.writelines(term(f"the {number}th name") + "\n" for number in range(COUNT))
        file.write(tail + "</DescriptorRecordSet>")
    return path


def many_umls(folder: Path) -> Path:
    (folder / "META").mkdir()
    write(folder / "META" / "MRSTY.RRF", "C0000001|T047|||||\n")
    with (folder / "META" / "MRCONSO.RRF").open("w") as file:
        row = "C0000001|ENG|S|L1|VO|S2|N|A2||||MSH|ET|D1|the {}th name|0|N||\n"
        file.writelines(row.format(number) for number in range(COUNT))
    return folder / "META"


@pytest.mark.long
@pytest.mark.parametrize("generate", [many_obo, many_mesh, many_umls])
def test_a_concept_with_100_000_names_needs_no_memory_for_them(
    tmp_path: Path, generate: Callable[[Path], Path]
) -> None:
    source = open_source(str(generate(tmp_path)))
    rejected: list[Rejected] = []
    names = largest = 0
    tracemalloc.start()
    try:
        for entry in source.entries(rejected.append):
            names += len(entry.names)
            largest = max(largest, len(entry.names))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rejected == []
    assert COUNT <= names <= COUNT + 1
    assert largest <= NAMES
    assert peak < PEAK


def test_many_synonyms_in_one_field_come_in_parts(tmp_path: Path) -> None:
    synonyms = [f"the {number}th name" for number in range(10 * NAMES)]
    path = write(tmp_path / "wide.tsv", "id\tname\ttype\tsynonyms\nX:1\tone\tgene\t" + "|".join(synonyms) + "\n")
    entries, rejected = read(path)
    assert rejected == []
    assert [name.text for entry in entries for name in entry.names] == ["one", *synonyms]
    assert {(entry.identifier, entry.type) for entry in entries} == {("X:1", "gene")}
    assert max(len(entry.names) for entry in entries) == NAMES
