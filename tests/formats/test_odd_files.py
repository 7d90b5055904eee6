"""Files as other tools write them and as attackers do: what is odd is told alone, and the rest is read."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from biomark import formats
from biomark.formats.identifiers import split_ids
from biomark.formats.placing import fits
from biomark.spans import Document, Entity, Infons, Passage, Rejected, Relation, Span
from format_cases import parsed, through, written

TEXT = "Croup or IL\u20106\u03b1"


def bioc(*annotations: object, relations: object = (), **fields: object) -> bytes:
    passage = {"offset": 0, "text": TEXT, "annotations": list(annotations), **fields}
    return json.dumps({"documents": [{"id": "1", "passages": [passage], "relations": list(relations)}]}).encode()  # type: ignore[call-overload]


def annotation(text: str, offset: object, length: object, **more: object) -> dict[str, object]:
    locations = [{"offset": offset, "length": length}]
    return {"id": "0", "infons": {"type": "Disease"}, "text": text, "locations": locations, **more}


GOOD = annotation("Croup", 0, 5)


def read_pair(folder: Path, text: bytes, **files: str) -> tuple[Document, list[Rejected]]:
    (folder / "n.txt").write_bytes(text)
    for suffix, lines in files.items():
        (folder / f"n.{suffix}").write_text(lines)
    rejects: list[Rejected] = []
    (document,) = formats.read(folder, reject=rejects.append)
    return document, rejects


def mentions(document: Document) -> list[str]:
    return [entity.mention(document.text) for entity in document.entities]


# BioC


@pytest.mark.parametrize(
    "odd",
    [
        annotation("or", None, 2),
        annotation("or", 6, "two"),
        annotation("or", 6, -2),
        annotation("or", 10**30, 2),
        annotation("or", 6, 2, id=None),
        annotation("or", 6, 2, infons=["type"]),
        {**annotation("or", 6, 2), "text": 7.5},
        annotation("or", 6, 2, locations={"offset": 6, "length": 2}),
        annotation("or", 6, 2, infons={"type": "X", "biomark ids": "[" * 100_000}),
        annotation("or", 6, 2, infons={"type": "X", "identifier": [{}]}),
        "or",
        None,
    ],
)
def test_an_odd_annotation_is_rejected_alone(odd: object) -> None:
    (document,), rejects = parsed(bioc(GOOD, odd), "bioc_json")
    assert mentions(document) == ["Croup"]
    assert len(rejects) == 1
    assert len(str(rejects[0])) < 500


@pytest.mark.parametrize(
    "odd", [{"nodes": [{"refid": None, "role": None}]}, {"id": None}, {"infons": 3}, {"nodes": ["0"]}, 7]
)
def test_an_odd_relation_is_rejected_alone(odd: object) -> None:
    good = {"id": "R0", "infons": {"type": "X"}, "nodes": [{"refid": "0", "role": "a"}]}
    (document,), rejects = parsed(bioc(GOOD, relations=[good, odd]), "bioc_json")
    assert mentions(document) == ["Croup"]
    assert [relation.type for relation in document.relations] == ["X"]
    assert len(rejects) == 1


@pytest.mark.parametrize("fields", [{"annotations": {}}, {"annotations": "x"}, {"sentences": 4}, {"relations": "x"}])
def test_what_is_no_list_costs_no_text(fields: dict[str, object]) -> None:
    (document,), rejects = parsed(bioc(**fields), "bioc_json")
    assert document.text == TEXT
    assert len(rejects) == 1


@pytest.mark.parametrize("place", ['offset="" length="2"', 'length="2"', 'offset="6" length="0"', 'offset="6.0"'])
def test_an_odd_location_of_xml_is_rejected_alone(place: str) -> None:
    xml = f"""<collection><document><id>1</id><passage><offset>0</offset><text>Croup or flu</text>
    <annotation id="a"><infon key="type">D</infon><location offset="0" length="5"/><text>Croup</text></annotation>
    <annotation id="b"><infon key="type">D</infon><location {place}/><text>or</text></annotation>
    </passage></document></collection>"""
    (document,), (reject,) = parsed(xml.encode(), "bioc_xml")
    assert mentions(document) == ["Croup"]
    assert (reject.line, reject.document_id) == (3, "1")


def test_an_empty_text_beside_sentences_is_none() -> None:
    sentences = [{"offset": 0, "text": "Croup.", "annotations": [GOOD]}, {"offset": 7, "text": "Flu."}]
    (document,), rejects = parsed(bioc(text="", sentences=sentences), "bioc_json")
    assert (document.text, mentions(document), rejects) == ("Croup.\nFlu.", ["Croup"], [])
    assert document.sentences == (Span(0, 6), Span(7, 11))


def test_an_odd_sentence_costs_no_document() -> None:
    texts = [(0, "Croup"), (3, "up or"), (9, "else"), (None, "or"), (6, "or")]
    sentences = [{"offset": offset, "text": text} for offset, text in texts]
    (document,), rejects = parsed(bioc(GOOD, sentences=sentences), "bioc_json")
    assert (document.sentences, mentions(document)) == ((Span(0, 5), Span(6, 8)), ["Croup"])
    assert len(rejects) == 3


def test_an_infon_that_stands_twice_is_kept_twice() -> None:
    infons = '<infon key="identifier">MESH:D1</infon><infon key="identifier">OMIM:2</infon>'
    infons += '<infon key="note">x</infon><infon key="note">y</infon><infon key="type">D</infon>'
    xml = f"""<collection><document><id>1</id><passage><offset>0</offset><text>croup</text><annotation id="0">{infons}
    <location offset="0" length="5"/><text>croup</text></annotation></passage></document></collection>"""
    json_ = bioc(GOOD).replace(
        b'"type": "Disease"', b'"type": "D", "note": "x", "note": "y", "identifier": "MESH:D1", "identifier": "OMIM:2"'
    )
    for data, format in ((xml.encode(), "bioc_xml"), (json_, "bioc_json")):
        (document,), rejects = parsed(data, format)
        assert not rejects
        (entity,) = document.entities
        assert (entity.ids, entity.infons["note"], entity.type) == (("MESH:D1", "OMIM:2"), "x|y", "D")
        assert through(document, format)[0] == document


@pytest.mark.parametrize(
    ("identifier", "ids"), [(None, ()), (5594, ("5594",)), (["MESH:D1", "OMIM:2"], ("MESH:D1", "OMIM:2")), ("-", ())]
)
def test_identifiers_of_every_kind(identifier: object, ids: tuple[str, ...]) -> None:
    (document,), _ = parsed(bioc(annotation("Croup", 0, 5, infons={"identifier": identifier})), "bioc_json")
    assert document.entities[0].ids == ids


def test_gaps_that_would_fill_the_memory_are_a_reject() -> None:
    passages = [{"offset": n * 900_000, "text": "a"} for n in range(3)]
    data = json.dumps({"documents": [{"id": "1", "passages": passages}, {"id": "2", "passages": passages[:2]}]})
    tracemalloc.start()
    try:
        (document,), (reject,) = parsed(data.encode(), "bioc_json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (document.id, reject.document_id) == ("2", "1")
    assert "1,000,000 blanks" in reject.reason
    assert peak < 20_000_000


@pytest.mark.parametrize("roles", ["json", "xml"])
def test_relations_of_pubtator3_relate_identifiers(roles: str) -> None:
    disease: object = "Disease|MESH:D003440"
    gene: object = "Gene|3569"
    if roles == "json":
        disease = {"identifier": "MESH:D003440", "type": "Disease", "name": "Croup"}
        gene = {"identifier": "3569", "type": "Gene"}
    relation = {
        "id": "R1",
        "infons": {"score": "0.9", "type": "Association", "role1": disease, "role2": gene},
        "nodes": [{"refid": "0", "role": "1,0"}],
    }
    (document,), rejects = parsed(bioc(GOOD, relations=[relation]), "bioc_json")
    assert not rejects
    assert document.relations[0].arguments == (("", "MESH:D003440"), ("", "3569"))
    assert b"\n1\tAssociation\tMESH:D003440\t3569\n" in written([document], "pubtator")[0]
    for format in ("bioc_json", "bioc_xml", "jsonl"):
        assert through(document, format)[0] == document
    again = json.loads(written([document], "bioc_json")[0])["documents"][0]["relations"][0]
    assert again["nodes"] == [{"refid": "0", "role": "1,0"}]


def test_relations_between_mentions_become_relations_between_identifiers_in_pubtator() -> None:
    entities = (
        Entity((Span(0, 5),), "Disease", ("D1",), infons=Infons({"id": "a"})),
        Entity((Span(6, 8),), "Gene", ("7", "8"), infons=Infons({"id": "b"})),
        Entity((Span(9, 11),), "Gene", infons=Infons({"id": "c"})),
    )
    relations = tuple(Relation("X", (("", "a"), ("", other))) for other in ("b", "c"))
    data, lost = written([Document("1", TEXT, entities=entities, relations=relations)], "pubtator")
    assert data.split(b"\n")[5:] == [b"1\tX\tD1\t7|8", b"", b""]
    assert lost["relations of mentions without identifiers"] == 1


# Words that tools bring into another form


@pytest.mark.parametrize(
    ("there", "told", "same"),
    [
        ("IL\u20106\u03b1", "IL-6a", True),
        ("SARS\u2010CoV\u20102", "SARS CoV 2", True),
        ("SARS\u2028CoV 2", "SARS-CoV-2", True),
        ("\u03b2\u2013blocker", "b-blocker", True),
        ("Croup", "CROUP", True),
        ("Behc\u0327et", "Behcet", False),  # of another length: offsets would not hold
        ("Beh\u00e7et\u2019s", "Behcet's", True),
        ("Croup", "Croud", False),
        ("IL-6", "IL-7", False),
        ("-", " ", False),
    ],
)
def test_words_that_differ_in_case_greek_or_hyphens_alone(there: str, told: str, same: bool) -> None:
    assert fits(there, told) is same


@pytest.mark.parametrize("format", ["bioc_json", "pubtator", "brat"])
def test_the_mention_is_the_texts_own_words(format: str, tmp_path: Path) -> None:
    if format == "bioc_json":
        (document,), rejects = parsed(bioc(annotation("IL-6A", 9, 5)), format)
    elif format == "pubtator":
        (document,), rejects = parsed(f"1|t|{TEXT}\n1|a|\n1\t9\t14\tIL-6A\tGene\n".encode(), format)
    else:
        document, rejects = read_pair(tmp_path, TEXT.encode(), ann="T1\tGene 9 14\tIL-6A\n")
    assert (mentions(document), rejects) == (["IL\u20106\u03b1"], [])


@pytest.mark.parametrize(("offset", "hint"), [(10, "count UTF-16 units"), (13, "count bytes of UTF-8"), (2, None)])
def test_the_hint_names_what_offsets_count(offset: int, hint: str | None) -> None:
    text = "\U0001f600 Beh\u00e7et croup"
    data = bioc(annotation("croup", offset, 5), text=text)
    _, (reject,) = parsed(data, "bioc_json")
    assert ("count" in reject.reason) is (hint is not None)
    assert hint is None or hint in reject.reason


# PubTator


@pytest.mark.parametrize("cut", ["1", "1\t", "1\t0", "1\t0\t4", "1\t0\t4\tFlu"])
def test_a_line_that_breaks_off_is_rejected(cut: str) -> None:
    documents, (reject,) = parsed(f"1|t|Croup\n1|a|\n{cut}\n\n2|t|ok\n".encode(), "pubtator")
    assert [document.id for document in documents] == ["1", "2"]
    assert (reject.line, "5 to 7 columns" in reject.reason) == (3, True)


@pytest.mark.parametrize(("title", "abstract"), [("Croup ", "Flu."), (" Croup\u00a0", "Flu."), (" Croup ", " Flu.")])
def test_blanks_that_offsets_leave_out(title: str, abstract: str) -> None:
    lines = f"1|t|{title}\n1|a|{abstract}\n1\t0\t5\tCroup\tD\n1\t6\t9\tFlu\tD\n"
    (document,), rejects = parsed(lines.encode(), "pubtator")
    assert (document.text, mentions(document), rejects) == ("Croup\nFlu.", ["Croup", "Flu"], [])


def test_blanks_that_offsets_count_stay() -> None:
    (document,), rejects = parsed(b"1|t|Croup \n1|a|Flu.\n1\t7\t10\tFlu\tD\n", "pubtator")
    assert (document.text, mentions(document), rejects) == ("Croup \nFlu.", ["Flu"], [])


def test_an_abstract_that_touches_the_title_loses_no_character() -> None:
    passages = (Passage(Span(0, 5), "title"), Passage(Span(5, 9), "abstract"))
    document = Document("1", "CroupFlu.", passages, entities=(Entity((Span(0, 5),), "D"), Entity((Span(5, 8),), "D")))
    again, lost = through(document, "pubtator")
    assert (again.text, again.entities) == (document.text, document.entities)
    assert lost["abstracts that touch what is before them (written as title)"] == 1


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        ("tmVar:p|SUB|V|600|E;HGVS:p.V600E;VariantGroup:0;CorrespondingGene:673;RS#:113488022", ("rs113488022",)),
        ("tmVar:c|DEL|35|G;HGVS:c.35delG;VariantGroup:1;CorrespondingGene:2706", ("c|DEL|35|G",)),
        ("p|SUB|H|20|Y;Gene:338;Disease:D006938;VariantGroup:0", ("p|SUB|H|20|Y",)),
        ("rs334;Disease:D000755;VariantGroup:1", ("rs334",)),
        ("HGVS:p.V600E;CorrespondingGene:673", ("HGVS:p.V600E",)),
        ("CorrespondingGene:673;VariantGroup:0", ()),
        ("c|SUB|T|920|G", ("c|SUB|T|920|G",)),
        ("rs1;rs2", ("rs1", "rs2")),
        ("D001|D002,D003", ("D001", "D002", "D003")),
    ],
)
def test_a_variant_has_one_identifier(column: str, ids: tuple[str, ...]) -> None:
    assert split_ids(column) == ids
    line = f"1|t|Croup\n1|a|\n1\t0\t5\tCroup\tX\t{column}\n\n"
    (document,), _ = parsed(line.encode(), "pubtator")
    assert document.entities[0].ids == ids
    assert written([document], "pubtator")[0] == line.encode()  # the column stays as it was


# brat


@pytest.mark.parametrize("offsets", [("0 5", "9 12"), ("1 6", "10 13")])
def test_offsets_may_count_the_byte_order_mark(offsets: tuple[str, str], tmp_path: Path) -> None:
    lines = f"T1\tD {offsets[0]}\tCroup\nT2\tD {offsets[1]}\tFlu\n"
    document, rejects = read_pair(tmp_path, "\ufeffCroup in Flu".encode(), ann=lines)
    assert (document.text, mentions(document), rejects) == ("Croup in Flu", ["Croup", "Flu"], [])


@pytest.mark.parametrize("offset", [4, 5, 3])
def test_offsets_may_count_the_mark_and_line_ends_each_way(offset: int, tmp_path: Path) -> None:
    lines = f"T1\tD {offset} {offset + 5}\tCroup\n"
    text = "\ufeffOh\r\nCroup"
    document, rejects = read_pair(tmp_path, text.encode(), ann=lines)
    assert (mentions(document), rejects) == (["Croup"], [])


def test_parts_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = "T1\tD 17 22;0 6\tcroup severe\nT2\tD 22 0\tcroup severe\n"
    document, (reject,) = read_pair(tmp_path, b"severe flu, mild croup", ann=lines)
    assert [entity.spans for entity in document.entities] == [(Span(0, 6), Span(17, 22))]
    assert reject.line == 2


def test_files_of_the_shared_tasks(tmp_path: Path) -> None:
    document, rejects = read_pair(
        tmp_path, b"IL-6 activates STAT3.", a1="T1\tProtein 0 4\tIL-6\nT2\tProtein 15 20\tSTAT3\n",
        a2="T3\tActivation 5 14\tactivates\nT2\tProtein 0 4\tIL-6\nE1\tActivation:T3 Theme:T2 Cause:T1\n",
    )  # fmt: skip
    assert mentions(document) == ["IL-6", "STAT3", "activates"]
    assert document.infons["brat"] == "E1\tActivation:T3 Theme:T2 Cause:T1"
    assert [(reject.line, Path(reject.source or "").name) for reject in rejects] == [(2, "n.a2")]
    for name in ("n.txt", "n.a1", "n.a2"):
        assert formats.guess_format(tmp_path / name).name == "brat"
        assert [d.entities for d in formats.read(tmp_path / name, reject=rejects.append)] == [document.entities]
    formats.write([document], tmp_path / "out", "brat")
    assert list(formats.read(tmp_path / "out")) == [document]


def test_a_mention_over_a_lines_end_is_written_line_by_line(tmp_path: Path) -> None:
    text = "acute\nrenal\r\n\r\nfailure\n"
    document = Document("n", text, entities=(Entity((Span(0, 22),), "D"),))
    assert not formats.write([document], tmp_path, "brat")
    assert (tmp_path / "n.ann").read_text() == "T1\tD 0 5;6 11;15 22\tacute renal    failure\n"
    assert list(formats.read(tmp_path)) == [document]


def test_line_ends_that_brat_cannot_hold_are_counted(tmp_path: Path) -> None:
    spans = [(Span(0, 6),), (Span(5, 6),), (Span(0, 5), Span(6, 9))]
    document = Document("n", "croup\nflu", entities=tuple(Entity(parts, "D") for parts in spans))
    lost = formats.write([document], tmp_path, "brat")
    assert lost == {
        "mentions of line ends alone": 1,
        "line ends that are ends of mentions": 1,
        "line ends that are gaps of mentions": 1,
    }
    (again,) = formats.read(tmp_path)
    assert mentions(again) == ["croup", "croup\nflu"]


def test_a_note_that_is_nested_too_deeply(tmp_path: Path) -> None:
    document, (reject,) = read_pair(tmp_path, b"croup", ann=f"T1\tD 0 5\tcroup\n#1\tbiomark T1\t{'[' * 100_000}\n")
    assert (mentions(document), reject.line) == (["croup"], 2)
    assert len(str(reject)) < 400


# CoNLL


def test_word_numbers_are_told_and_the_words_are_read() -> None:
    lines = "1 Acute JJ B-D\n2 croup NN I-D\n3 . . O\n\n1 Flu NN B-D\n\n"
    documents, (reject,) = parsed(lines.encode(), "conll")
    assert [document.text for document in documents] == ["Acute croup .", "Flu"]
    assert mentions(documents[0]) == ["Acute croup"]
    assert (reject.line, "numbers the words" in reject.reason) == (1, True)


def test_numbers_that_are_words_stay_words() -> None:
    documents, rejects = parsed(b"1 CD O\n\n2 CD B-Dose\nmg NN I-Dose\n\n1 O\n2 O\n\n", "conll")
    assert [document.text for document in documents] == ["1", "2 mg", "1 2"]
    assert not rejects


def test_comments_are_passed_over_and_name_documents() -> None:
    lines = (
        "# doc_id = 12\n# text = vitamin E\nCroup\tB-D\n#\tO\n\nagain\tO\n\n# newdoc id = O\nFlu B-D\n# O\n\n"
        "#begin document (x/y); part 000\nFever B-D\n#end document\n# id 7f\tdomain=train\n"
    )
    documents, rejects = parsed(lines.encode(), "conll")
    assert [(document.id, document.text) for document in documents] == [
        ("12", "Croup #\nagain"),
        ("O", "Flu #"),
        ("x/y", "Fever"),
    ]
    assert not rejects


@pytest.mark.parametrize(
    "line",
    ["-DOCSTART-\tx\t\u00b2\t-\tO", f"-DOCSTART-\tx\t{'9' * 5000}\t-\tO", "-DOCSTART-\t\\q\t1\t-\tO",
     "-DOCSTART-\tx\t1\t\\\tO", "-DOCSTART-\t\\ud800\t1\t-\tO"],
)  # fmt: skip
def test_odd_beginnings_of_documents(line: str) -> None:
    documents, _ = parsed(
        f"{line}\n\ncroup\t0\t5\t-\tB-D\n\n-DOCSTART-\ty\t0\t-\tO\n\nok\t0\t2\t-\tO\n".encode(), "conll"
    )
    assert documents[-1].text == "ok"


@pytest.mark.parametrize("tag", ["B-", "I-", "-D", "b-D"])
def test_a_tag_without_a_type_is_told(tag: str) -> None:
    (document,), (reject,) = parsed(f"croup {tag}\n".encode(), "conll")
    assert (document.entities, "unknown tag" in reject.reason) == ((), True)


# XML


@pytest.mark.parametrize("encoding", ["gb2312", "utf-7", "big5", "shift_jis", "cp1252", "koi8-r", "euc-kr"])
def test_xml_in_every_encoding_that_python_knows(encoding: str) -> None:
    xml = f"""<?xml version="1.0" encoding="{encoding}"?><collection><document><id>1</id><passage>
    <offset>0</offset><text>croup</text></passage></document></collection>"""
    (document,), rejects = parsed(xml.encode(encoding), "bioc_xml")
    assert (document.text, rejects) == ("croup", [])


def test_xml_of_characters_of_two_bytes() -> None:
    text = "\u54ee\u5598 croup"
    xml = f"""<?xml version="1.0" encoding="GB2312"?><collection><document><id>1</id><passage><offset>0</offset>
    <text>{text}</text></passage></document></collection>"""
    assert parsed(xml.encode("gb2312"), "bioc_xml")[0][0].text == text
    documents, (reject,) = parsed(xml.encode("gb2312").replace(b"croup", b"\xff\xff"), "bioc_xml")
    assert (documents, "GB2312" in reject.reason) == ([], True)


@pytest.mark.parametrize("encoding", ["x-unknown", "hex", "undefined", "utf-32"])
@pytest.mark.parametrize("format", ["bioc_xml", "medline_xml"])
def test_xml_in_an_encoding_that_nobody_knows_is_rejected_by_its_name(encoding: str, format: str) -> None:
    root = "collection" if format == "bioc_xml" else "PubmedArticleSet"
    xml = f'<?xml version="1.0" encoding="{encoding}"?><{root}></{root}>'
    documents, (reject,) = parsed(xml.encode(), format)
    assert (documents, encoding in reject.reason) == ([], True)


# JSON Lines


def test_every_line_has_mentions_and_each_its_text() -> None:
    entity = Entity((Span(0, 5), Span(9, 11)), "Disease")
    data, _ = written([Document("1", TEXT, entities=(entity,)), Document("2", TEXT)], "jsonl")
    first, second = map(json.loads, data.decode().splitlines())
    assert [mention["text"] for mention in first["entities"]] == ["Croup IL"]
    assert second["entities"] == []


def test_an_odd_mention_of_json_lines_is_rejected_alone() -> None:
    odd = [{"spans": [[0, 5]], "type": "D", "text": "Flu"}, {"spans": [[0, 99]], "type": "D"}, {"type": "D"}, 7]
    good = {"spans": [[0, 5]], "type": "D", "text": "Croup"}
    (document,), rejects = parsed(json.dumps({"text": TEXT, "entities": [*odd, good]}).encode(), "jsonl")
    assert mentions(document) == ["Croup"]
    assert len(rejects) == 4
