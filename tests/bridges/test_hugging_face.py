"""Data sets of Hugging Face, and biomark in the place of a pipeline of transformers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import code

import biomark
from biomark.bridges.datasets import from_bigbio, from_tokens, to_bigbio, to_tokens
from biomark.errors import FormatError, UsageError
from biomark.spans import Document, Entity, Infons, Passage, Rejected, Relation, Span
from terms import TermRecognizer

TEXT = "Aspirin-induced asthma is rare in children."
NOTE = Document(
    "PMID 7",
    "Gout, αβ\nNo 😀 pain.",
    passages=(Passage(Span(0, 5), "title"), Passage(Span(9, 19), "abstract")),
    entities=(
        Entity((Span(0, 4),), "disease", ("MESH:D006073", "C0018099"), infons=Infons({"id": "T1"})),
        Entity((Span(9, 11), Span(14, 18)), "problem", infons=Infons({"id": "T2"})),
    ),
    relations=(Relation("near", (("arg1", "T1"), ("arg2", "T2")), Infons({"id": "R1"})),),
)


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))


class TestBigBio:
    def test_a_document_has_the_form_of_the_schema(self) -> None:
        pytest.importorskip("datasets")
        (row,) = to_bigbio([NOTE])
        assert [(p["type"], p["text"], p["offsets"]) for p in row["passages"]] == [
            ("title", ["Gout,"], [[0, 5]]),
            ("", [" αβ\n"], [[5, 9]]),
            ("abstract", ["No 😀 pain."], [[9, 19]]),
        ]
        assert row["entities"] == [
            {
                "id": "T1",
                "type": "disease",
                "text": ["Gout"],
                "offsets": [[0, 4]],
                "normalized": [{"db_name": "MESH", "db_id": "D006073"}, {"db_name": "", "db_id": "C0018099"}],
            },
            {"id": "T2", "type": "problem", "text": ["No", "pain"], "offsets": [[9, 11], [14, 18]], "normalized": []},
        ]
        assert (row["document_id"], row["events"], row["coreferences"]) == ("PMID 7", [], [])
        assert row["relations"] == [{"id": "R1", "type": "near", "arg1_id": "T1", "arg2_id": "T2", "normalized": []}]

    def test_it_comes_back(self) -> None:
        pytest.importorskip("datasets")
        assert list(from_bigbio(to_bigbio([NOTE]))) == [NOTE]

    @settings(max_examples=60)
    @given(st.data())
    def test_every_document_comes_back(self, data: st.DataObject) -> None:
        pytest.importorskip("datasets")
        from_bigbio_ids = st.sampled_from(["MESH:D1", "D1", "a:b:c", ":x", "A:A:x", "rs:", "α 2"])
        text = data.draw(st.text(st.sampled_from("ab α\n\t😀İ |"), max_size=12))
        ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
        spans = [Span(a, b) for a, b in zip(ends[::2], ends[1::2], strict=False) if a < b]
        entities = [
            Entity((span,), "x:y", tuple(data.draw(st.lists(from_bigbio_ids, max_size=2))), infons={"id": f"T{n}"})
            for n, span in enumerate(spans)
        ]
        if len(spans) > 1:
            entities.append(Entity(tuple(spans), "parts", infons={"id": "whole"}))
        passages = [Passage(span, "title") for span in spans] if data.draw(st.booleans()) else []
        document = Document("1", text, tuple(passages), entities=tuple(entities))
        assert list(from_bigbio(to_bigbio([document]))) == [document]

    def test_what_the_schema_cannot_hold_is_counted(self) -> None:
        pytest.importorskip("datasets")
        lost: Counter[str] = Counter()
        scored = replace(NOTE, entities=(replace(NOTE.entities[0], score=0.5, infons=Infons({"note": "x"})),))
        (row,) = to_bigbio([scored], lost=lost)
        assert row["entities"][0]["id"] == "0_T0"
        assert lost == {"scores": 1, "mention infons": 1, "relations that are not between two mentions": 1}

    def test_events_and_coreferences_are_kept(self) -> None:
        pytest.importorskip("datasets")
        trigger = {"text": ["Gout"], "offsets": [[0, 4]]}
        (row,) = to_bigbio([NOTE])
        row["events"] = [{"id": "E1", "type": "x", "trigger": trigger, "arguments": [{"role": "r", "ref_id": "T1"}]}]
        row["coreferences"] = [{"id": "C1", "entity_ids": ["T1", "T2"]}]
        (again,) = to_bigbio(from_bigbio([row]))
        assert (again["events"], again["coreferences"]) == (row["events"], row["coreferences"])

    def test_what_cannot_be_read_is_rejected_and_the_rest_goes_on(self) -> None:
        pytest.importorskip("datasets")
        rows: list[Any] = [*to_bigbio([NOTE, NOTE, NOTE]), None, {"id": "9"}]
        rows[0]["entities"][0]["text"] = ["Pout"]
        rows[1]["entities"][1]["offsets"] = [[9, 99]]
        rows[2]["passages"][0]["offsets"] = [[0, 7]]
        rejected: list[Rejected] = []
        found = list(from_bigbio(rows, reject=rejected.append))
        assert [[e.type for e in d.entities] for d in found] == [["problem"], ["disease"]]
        reasons = [r.reason for r in rejected]
        assert "at 0-4 the text has ['Gout'], not ['Pout']" in reasons[0]
        assert "9-99 lies beyond the end of the text (19 code points)" in reasons[1]
        assert "the passage at 0-7 has 5 characters" in reasons[2]
        assert "lacks 'passages'" in reasons[4]
        with pytest.raises(FormatError, match="PMID 7"):
            list(from_bigbio(rows))


class TestTokens:
    def test_a_row_is_a_sentence_with_offsets_and_labels(self) -> None:
        pytest.importorskip("datasets")
        lost: Counter[str] = Counter()
        document = Document("1", "Two gout attacks. αβ!", entities=(Entity((Span(4, 8),), "disease"),))
        nested = replace(document, entities=(*document.entities, Entity((Span(4, 16),), "problem")))
        table = to_tokens([document, nested], lost=lost)
        assert table.features["ner_tags"].feature.names == [
            "O", "B-disease", "I-disease", "B-problem", "I-problem",
        ]  # fmt: skip
        assert table[0] == {
            "document_id": "1",
            "tokens": ["Two", "gout", "attacks", "."],
            "offsets": [[0, 3], [4, 8], [9, 16], [16, 17]],
            "ner_tags": [0, 1, 0, 0],
        }
        assert (table[1]["tokens"], table[1]["offsets"]) == (["αβ", "!"], [[18, 20], [20, 21]])
        assert table[2]["ner_tags"] == [0, 3, 4, 0]
        assert lost == {"mentions that are nested, discontinuous or across sentences (left out)": 1}

    def test_mentions_come_back_at_their_offsets(self) -> None:
        pytest.importorskip("datasets")
        text = "  Two gout attacks.\nThe 1,25-D3 level; β-thalassaemia!"
        spans = [(6, 10, "disease"), (24, 31, "chemical"), (39, 53, "disease")]
        entities = tuple(Entity((Span(start, end),), type) for start, end, type in spans)
        other = Document("2", "Gout", entities=(Entity((Span(0, 4),), "disease"),))
        one, two = from_tokens(to_tokens([Document("1", text, entities=entities), other]))
        assert (one.id, one.text, one.entities) == ("1", text.replace("\n", " "), entities)
        assert two.entities == other.entities
        assert len(one.sentences) == 2

    def test_columns_of_others(self) -> None:
        datasets = pytest.importorskip("datasets")
        table = datasets.Dataset.from_list([{"words": ["Two", "gout"], "tags": ["O", "B-disease"]}] * 2)
        found = list(from_tokens(table, tokens="words", tags="tags"))
        assert [(d.id, d.text, d.entities[0].start) for d in found] == [("1", "Two gout", 4), ("2", "Two gout", 4)]
        with pytest.raises(FormatError, match="no column 'tokens'; it has words, tags"):
            list(from_tokens(table))

    def test_a_row_that_cannot_be_read_is_rejected(self) -> None:
        datasets = pytest.importorskip("datasets")
        rows = [{"tokens": ["a", "b"], "ner_tags": ["O"]}, {"tokens": ["a"], "ner_tags": ["??"]}]
        rejected: list[Rejected] = []
        assert list(from_tokens(datasets.Dataset.from_list(rows), reject=rejected.append)) == []
        assert [r.document_id for r in rejected] == ["1", "2"]
        wrong = [{"document_id": "1", "tokens": ["ab"], "offsets": [[0, 3]], "ner_tags": ["O"]}]
        with pytest.raises(FormatError, match="the word 'ab' does not fit its offsets"):
            list(from_tokens(datasets.Dataset.from_list(wrong)))


class TestPipeline:
    def test_a_text_gives_a_list_in_the_form_of_transformers(self) -> None:
        ner = biomark.pipeline("ner", TermRecognizer())
        (document,) = biomark.annotate(TEXT, model=TermRecognizer())
        found = ner(TEXT)
        assert found == [
            {"entity_group": e.type, "score": e.score, "word": e.mention(TEXT), "start": e.start, "end": e.end}
            for e in document.entities
        ]
        assert found

    def test_lists_and_streams(self) -> None:
        ner = biomark.pipeline("token-classification", types=["disease"])
        assert ner([]) == []
        assert [[group["word"] for group in groups] for groups in ner([TEXT, "", "x"])] == [["asthma"], [], []]
        assert [len(groups) for groups in ner(text for text in (TEXT, ""))] == [1, 0]

    def test_a_text_is_a_text_even_if_a_file_has_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("asthma").write_text("x", "utf-8")
        assert biomark.pipeline()("asthma") is not None

    def test_wrong_arguments_are_named(self) -> None:
        with pytest.raises(UsageError, match="unknown task 'summarization'; choose from ner, token-classification"):
            biomark.pipeline("summarization")
        with pytest.raises(FormatError, match="None is not a text"):
            biomark.pipeline()([None])  # type: ignore[list-item]


def test_the_lines_of_the_page_run() -> None:
    found: dict[str, Any] = {}
    exec(code("huggingface.md"), found)
    assert [group["word"] for group in found["groups"]] == ["Aspirin", "asthma"]
    pytest.importorskip("datasets")
    exec(code("huggingface.md", 1), found)
    assert found["again"] == found["documents"]
    assert "ner_tags" in found["rows"].column_names
