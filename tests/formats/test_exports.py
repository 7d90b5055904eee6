"""JSON that annotation tools export: read mention by mention, told by its fields wherever these stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from biomark import formats
from biomark.spans import Document, Entity, Infons, Rejected, Relation, Span
from format_cases import parsed

TEXT = "Asthma and croup."
ASTHMA = Span(0, 6)
CROUP = Span(11, 16)

DOCCANO = {"id": 5, "text": TEXT, "label": [[0, 6, "Disease"], [11, 16, "Disease"]], "Comments": []}
DOCCANO_RELATIONS = {
    "id": 5,
    "text": TEXT,
    "entities": [
        {"id": 1, "label": "Disease", "start_offset": 0, "end_offset": 6},
        {"id": 2, "label": "Disease", "start_offset": 11, "end_offset": 16},
    ],
    "relations": [{"id": 9, "from_id": 1, "to_id": 2, "type": "with"}],
}
PRODIGY = {
    "text": TEXT,
    "_input_hash": 77,
    "_task_hash": -5,
    "tokens": [{"text": "Asthma", "start": 0, "end": 6, "id": 0, "ws": True}],
    "spans": [{"start": 0, "end": 6, "token_start": 0, "token_end": 0, "label": "Disease"}],
    "answer": "accept",
}
SPACY = {
    "text": TEXT,
    "ents": [{"start": 0, "end": 6, "label": "Disease", "kb_id": "D001249"}],
    "sents": [{"start": 0, "end": 17}],
    "tokens": [{"id": 0, "start": 0, "end": 6}],
}
LANGEXTRACT = {
    "extractions": [
        {
            "extraction_class": "disease",
            "extraction_text": "Asthma",
            "char_interval": {"start_pos": 0, "end_pos": 6},
            "alignment_status": "match_exact",
            "attributes": {"course": "chronic"},
        }
    ],
    "text": TEXT,
    "document_id": "doc_5",
}
BERN2 = {
    "text": TEXT,
    "annotations": [
        {
            "id": ["mesh:D001249", "CUI-less"],
            "is_neural_normalized": False,
            "mention": "Asthma",
            "obj": "disease",
            "prob": 0.75,
            "span": {"begin": 0, "end": 6},
        }
    ],
    "timestamp": "",
    "sha256": "0",
}
PUBANNOTATION = {
    "sourcedb": "PubMed",
    "sourceid": "5",
    "divid": 1,
    "text": TEXT,
    "denotations": [
        {"id": "T1", "span": {"begin": 0, "end": 6}, "obj": "Disease"},
        {"id": "T2", "span": [{"begin": 0, "end": 6}, {"begin": 11, "end": 16}], "obj": "Disease"},
    ],
    "relations": [{"id": "R1", "subj": "T1", "pred": "partOf", "obj": "T2"}],
    "attributes": [{"id": "A1", "subj": "T1", "pred": "course", "obj": "chronic"}],
    "modifications": [{"id": "M1", "pred": "Negation", "obj": "T2"}],
}

DISEASE = Entity((ASTHMA,), "Disease")
WANTED = {
    "doccano": (DOCCANO, Document("5", TEXT, entities=(DISEASE, Entity((CROUP,), "Disease")))),
    "doccano with relations": (
        DOCCANO_RELATIONS,
        Document(
            "5",
            TEXT,
            entities=(
                Entity((ASTHMA,), "Disease", infons=Infons({"id": "1"})),
                Entity((CROUP,), "Disease", infons=Infons({"id": "2"})),
            ),
            relations=(Relation("with", (("", "1"), ("", "2")), Infons({"id": "9"})),),
        ),
    ),
    "prodigy": (
        PRODIGY,
        Document("-5", TEXT, entities=(DISEASE,), infons=Infons({"_input_hash": "77", "_task_hash": "-5"})),
    ),
    "prodigy of spaCy": (
        SPACY,
        Document("1", TEXT, sentences=(Span(0, 17),), entities=(Entity((ASTHMA,), "Disease", ("D001249",)),)),
    ),
    "langextract": (
        LANGEXTRACT,
        Document(
            "doc_5",
            TEXT,
            entities=(
                Entity(
                    (ASTHMA,),
                    "disease",
                    infons=Infons({"alignment_status": "match_exact", "attributes": '{"course": "chronic"}'}),
                ),
            ),
        ),
    ),
    "bern2": (
        BERN2,
        Document(
            "1",
            TEXT,
            entities=(
                Entity((ASTHMA,), "disease", ("mesh:D001249",), 0.75, Infons({"is_neural_normalized": "false"})),
            ),
        ),
    ),
    "pubannotation": (
        PUBANNOTATION,
        Document(
            "5-1",
            TEXT,
            entities=(
                Entity((ASTHMA,), "Disease", infons=Infons({"course": "chronic", "id": "T1"})),
                Entity((ASTHMA, CROUP), "Disease", infons=Infons({"Negation": "true", "id": "T2"})),
            ),
            relations=(Relation("partOf", (("subj", "T1"), ("obj", "T2")), Infons({"id": "R1"})),),
            infons=Infons({"sourcedb": "PubMed"}),
        ),
    ),
}


def read_file(path: Path) -> tuple[list[Document], list[Rejected]]:
    rejects: list[Rejected] = []
    return list(formats.read(path, reject=rejects.append)), rejects


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("shape", ["a line", "a list", "over lines"])
def test_every_export_in_every_shape(name: str, shape: str, tmp_path: Path) -> None:
    values, wanted = WANTED[name]
    written = {
        "a line": ("x.jsonl", json.dumps(values) + "\n"),
        "a list": ("x.json", json.dumps([values])),
        "over lines": ("x.json", json.dumps(values, indent=2)),
    }
    file, text = written[shape]
    (tmp_path / file).write_text(text)
    assert formats.guess_format(tmp_path / file).name == name.split(maxsplit=1)[0]
    assert read_file(tmp_path / file) == ([wanted], [])


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("file", ["x.jsonl", "x.json"])
def test_a_long_text_hides_no_mentions(name: str, file: str, tmp_path: Path) -> None:
    """The fields that tell a tool may stand beyond the bytes that are looked at first."""
    values, wanted = WANTED[name]
    text = TEXT + " No fever." * 20_000
    long = {"text": text, **{key: value for key, value in values.items() if key != "text"}}
    (tmp_path / file).write_text(json.dumps(long, indent=1 if file == "x.json" else None))
    (document,), rejects = read_file(tmp_path / file)
    assert not rejects
    assert document.entities == wanted.entities


@pytest.mark.parametrize(
    ("format", "values", "kept", "reasons"),
    [
        (
            "doccano",
            {"text": TEXT, "label": [[0, 60, "D"], [None, 6, "D"], [6, 0, "D"], "Asthma", [0, 6, "D"]]},
            1,
            ["beyond the end", '"start" must be a whole number', "start < end", "must be [START, END, TYPE]"],
        ),
        (
            "prodigy",
            {"text": TEXT, "spans": [{"start": 0, "end": 6}, {"start": 0, "end": 6, "label": "D"}, None]},
            1,
            ['"label" is missing', "must be a JSON object"],
        ),
        (
            "langextract",
            {
                "text": TEXT,
                "extractions": [
                    {"extraction_class": "d", "extraction_text": "wheeze", "char_interval": None},
                    {
                        "extraction_class": "d",
                        "extraction_text": "wheeze",
                        "char_interval": {"start_pos": 0, "end_pos": 6},
                        "alignment_status": "match_exact",
                    },
                    {
                        "extraction_class": "d",
                        "extraction_text": "asthma bronchiale",
                        "char_interval": {"start_pos": 0, "end_pos": 6},
                        "alignment_status": "match_lesser",
                    },
                ],
            },
            1,
            ["has no offsets (char_interval)", "has 'Asthma', not 'wheeze'"],
        ),
        (
            "bern2",
            {
                "text": TEXT,
                "annotations": [
                    {"mention": "Asthma", "obj": "disease", "span": {"begin": 1, "end": 7}, "id": []},
                    {"mention": "Asthma", "obj": "disease", "span": {"begin": 0, "end": 6}, "id": ["CUI-less"]},
                    {"mention": "Asthma", "obj": "disease", "id": []},
                    {"mention": "Asthma", "obj": "disease", "span": {"begin": 0, "end": 6}, "prob": "high"},
                ],
            },
            1,
            ["at 1-7", 'no "span"', '"prob" must be a number'],
        ),
        (
            "pubannotation",
            {
                "text": TEXT,
                "denotations": [{"span": {"begin": 0}, "obj": "D"}, {"span": {"begin": 0, "end": 6}, "obj": "D"}],
                "attributes": [{"subj": "T9", "pred": "a", "obj": "b"}],
                "relations": [{"subj": "T1"}],
            },
            1,
            ['"end" must be a whole number', '"obj" is missing', "T9, which is not a readable mention"],
        ),
    ],
)
def test_an_odd_mention_costs_no_other(format: str, values: dict[str, object], kept: int, reasons: list[str]) -> None:
    (document,), rejects = parsed(json.dumps(values).encode(), format)
    assert len(document.entities) == kept
    assert len(rejects) == len(reasons)
    for reason in reasons:
        assert any(reason in reject.reason for reject in rejects), reason
    assert {(reject.line, reject.source) for reject in rejects} == {(1, "standard input")}


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_what_an_annotator_rejected_is_told(answer: str) -> None:
    documents, (reject,) = parsed(json.dumps({**PRODIGY, "answer": answer}).encode(), "prodigy")
    assert not documents
    assert answer in reject.reason


def test_an_error_of_bern2_is_told() -> None:
    documents, (reject,) = parsed(b'[{"pmid": "5", "error_code": 1, "error_message": "no abstract"}]', "bern2")
    assert not documents
    assert (reject.document_id, "no abstract" in reject.reason) == ("5", True)


def test_labels_of_a_whole_document_are_no_mentions() -> None:
    (document,), rejects = parsed(json.dumps({"id": 1, "text": TEXT, "label": ["urgent"]}).encode(), "jsonl")
    assert (document.entities, document.infons, rejects) == ((), Infons({"label": '["urgent"]'}), [])


def test_an_unknown_field_that_may_hold_mentions_is_told_once() -> None:
    line = json.dumps({"text": TEXT, "mentions": [{"from": 0, "to": 6}], "journal": "J", "year": 2020}) + "\n"
    documents, (reject,) = parsed((line * 3).encode(), "jsonl")
    assert [document.infons["journal"] for document in documents] == ["J"] * 3
    assert (reject.line, "mentions" in reject.reason) == (1, True)


@pytest.mark.parametrize("wrap", [lambda values: values, lambda values: [values]])
def test_our_own_form_in_other_shapes(wrap: Callable[[object], object], tmp_path: Path) -> None:
    """`start`, `end` and `label`, as many tools write them, are read for `spans` and `type`."""
    values = {"text": TEXT, "entities": [{"start": 0, "end": 6, "label": "Disease", "score": 0.5, "by": "me"}]}
    (tmp_path / "x.json").write_text(json.dumps(wrap(values), indent=1))
    (document,), rejects = read_file(tmp_path / "x.json")
    assert not rejects
    assert document.entities == (Entity((ASTHMA,), "Disease", score=0.5, infons=Infons({"by": "me"})),)
