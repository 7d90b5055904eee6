"""biomark as a component of spaCy's pipelines."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import code

from biomark import models
from biomark.errors import FormatError, ModelError, UsageError
from biomark.recognizers import Annotated
from biomark.spans import Document, Entity, Rejected, Span
from conftest import HANG, ROOT
from knowledge_cases import Terms, entry

spacy = pytest.importorskip("spacy")

from biomark.bridges import spacy as bridge  # noqa: E402

TEXT = "Aspirin-induced asthma is rare in children."


class Given:
    """A recognizer that finds what a test says, in every text that is long enough."""

    types = None

    def __init__(self, *entities: Entity, bad: str = "") -> None:
        self.entities = entities
        self.bad = bad

    def annotate(self, documents: Iterable[Document], *_: object, **__: object) -> Iterator[Annotated]:
        for document in documents:
            rejected = (Rejected("is odd", document_id=document.id),) if document.text == self.bad else ()
            found = tuple(e for e in self.entities if e.end <= len(document.text))
            yield Annotated(Document(document.id, document.text, entities=found), rejected)


def pipeline(monkeypatch: pytest.MonkeyPatch, *entities: Entity, bad: str = "", **config: object) -> Any:
    monkeypatch.setattr(bridge, "kept", lambda name: Given(*entities, bad=bad))
    nlp = spacy.blank("en")
    nlp.add_pipe("biomark", config=config)
    return nlp


def entity(start: int, end: int, type: str = "disease", score: float | None = None, *ids: str) -> Entity:
    return Entity((Span(start, end),), type, ids, score)


def test_mentions_of_the_default_model_become_spans_and_entities() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("biomark", config={"types": ["disease", "chemical"]})
    doc = nlp(TEXT)
    assert [(span.text, span.label_) for span in doc.spans["biomark"]] == [
        ("Aspirin", "chemical"),
        ("asthma", "disease"),
    ]
    assert [(span.text, span.label_) for span in doc.ents] == [("Aspirin", "chemical"), ("asthma", "disease")]
    (found,) = models.kept().annotate([Document("1", TEXT)], ["disease", "chemical"])
    assert doc._.biomark == found.document.entities
    assert [span._.biomark_score for span in doc.ents] == [e.score for e in found.document.entities]


def test_a_mention_inside_a_token_gets_the_token_and_keeps_its_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(monkeypatch, entity(1, 6, "disease", 0.5), entity(2, 8, "disease", 0.75))
    doc = nlp("nonasthma and more")  # one token, in which two mentions lie
    (span,) = doc.spans["biomark"]
    assert (span.text, span._.biomark_offsets, span._.biomark_score) == ("nonasthma", ((2, 8),), 0.75)
    assert [(e.start, e.end) for e in doc._.biomark] == [(1, 6), (2, 8)]


def test_two_types_at_one_place_keep_their_own_scores_and_identifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(monkeypatch, entity(0, 4, "disease", 0.5, "MESH:D1", "OMIM:2"), entity(0, 4, "gene", 0.9))
    doc = nlp("gout runs in families")
    found = {s.label_: (s.kb_id_, s._.biomark_score, s._.biomark_ids) for s in doc.spans["biomark"]}
    assert found == {"disease": ("MESH:D1", 0.5, ("MESH:D1", "OMIM:2")), "gene": ("", 0.9, ())}
    assert [e.label_ for e in doc.ents] == ["gene"]  # the likelier one


def test_entities_do_not_overlap_and_the_longest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Entity((Span(0, 4), Span(16, 20)), "problem", score=0.2)
    nlp = pipeline(monkeypatch, entity(0, 4), entity(0, 11), entity(5, 11, "problem"), parts)
    doc = nlp("left breast and lung tumour")
    assert [s.text for s in doc.spans["biomark"]] == ["left", "left breast", "left breast and lung", "breast"]
    assert [e.text for e in doc.ents] == ["left breast and lung"]
    assert doc.ents[0]._.biomark_offsets == ((0, 4), (16, 20))


@pytest.mark.parametrize(("overwrite", "labels"), [(True, ["disease"]), (False, ["MINE"])])
def test_entities_of_an_earlier_component(monkeypatch: pytest.MonkeyPatch, overwrite: bool, labels: list[str]) -> None:
    nlp = pipeline(monkeypatch, entity(0, 4), overwrite_ents=overwrite)
    ruler = nlp.add_pipe("entity_ruler", before="biomark")
    ruler.add_patterns([{"label": "MINE", "pattern": "gout attack"}, {"label": "WHEN", "pattern": "today"}])
    doc = nlp("gout attack today")
    assert [e.label_ for e in doc.ents] == [*labels, "WHEN"]
    assert [e._.biomark_score for e in doc.ents] == [None, None]


def test_a_stream_keeps_its_order_and_empty_texts() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("biomark", config={"types": "disease"})
    texts = [TEXT, "", " \n", "😀 İ", *[f"Patient {n} has asthma." for n in range(20)]]
    docs = list(nlp.pipe(texts, batch_size=3))
    assert [doc.text for doc in docs] == texts
    assert [len(doc.ents) for doc in docs] == [1, 0, 0, 0, *[1] * 20]
    assert [doc.ents for doc in nlp.pipe([])] == []


def test_what_cannot_be_annotated_goes_to_the_error_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(monkeypatch, entity(0, 4), bad="gout B")
    with pytest.raises(FormatError, match="document 1: is odd"):
        nlp("gout B")
    told: list[str] = []
    nlp.set_error_handler(lambda name, component, docs, error: told.append(f"{name} {docs[0].text}: {error}"))
    assert [len(doc.ents) for doc in nlp.pipe(["gout A", "gout B", "gout C"])] == [1, 1, 1]
    assert told == ["biomark gout B: document 2: is odd"]


def test_documents_keep_everything_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(monkeypatch, entity(0, 4, "disease", 0.5, "MESH:D1"))
    doc = nlp("gout attack")
    copy = spacy.tokens.Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert copy._.biomark == doc._.biomark
    assert [span._.biomark_ids for span in copy.spans["biomark"]] == [("MESH:D1",)]


def test_identifiers_of_a_term_store(tmp_path: Path) -> None:
    from biomark.knowledge.building import build

    build([Terms([entry("MESH:D001249", "disease", "asthma")])], tmp_path / "terms", reject=pytest.fail)
    nlp = spacy.blank("en")
    nlp.add_pipe("biomark", config={"types": "disease", "normalize": str(tmp_path / "terms")})
    assert [(e.kb_id_, e._.biomark_ids) for e in nlp(TEXT).ents] == [("MESH:D001249", ("MESH:D001249",))]


def test_a_pipeline_takes_its_own_model_along(tmp_path: Path) -> None:
    shutil.copytree(models.folder_of("default"), tmp_path / "mine")
    nlp = spacy.blank("en")
    nlp.add_pipe("biomark", config={"model": str(tmp_path / "mine"), "types": ["disease"], "min_score": 0.3})
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(tmp_path / "mine")
    again = spacy.load(tmp_path / "saved")
    assert [e.text for e in again(TEXT).ents] == ["asthma"]
    assert again.get_pipe("biomark").settings.min_score == 0.3
    again.to_disk(tmp_path / "saved")  # over itself
    assert [e.text for e in spacy.load(tmp_path / "saved")(TEXT).ents] == ["asthma"]
    (tmp_path / "saved" / "biomark" / "settings.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match="not a saved component"):
        spacy.load(tmp_path / "saved")


def test_settings_survive_bytes_and_pickle() -> None:
    component = bridge.BiomarkComponent(settings=bridge.ComponentSettings("default", ["disease"], 0.5))
    assert bridge.BiomarkComponent().from_bytes(component.to_bytes()).settings == component.settings
    assert pickle.loads(pickle.dumps(component)).settings == component.settings
    nlp = spacy.blank("en")
    nlp.add_pipe("biomark", config={"types": "disease"})
    assert [e.text for e in spacy.blank("en").from_bytes(nlp.to_bytes(), exclude=["biomark"])(TEXT).ents] == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "nowhere"}, "unknown model 'nowhere'"),
        ({"types": ["dissease"]}, "unknown type 'dissease'"),
        ({"min_score": 2}, "must be in"),
    ],
)
def test_wrong_settings_are_named(config: dict[str, object], message: str) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("biomark", config=config)
    with pytest.raises(UsageError, match=message):
        nlp(TEXT)


def run(script: str, folder: Path) -> str:
    """Run a script where biomark is installed with the entry points of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [f"{name} = {place}" for name, place in project["entry-points"]["spacy_factories"].items()]
    installed = folder / "biomark_entry-0.0.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: biomark-entry\nVersion: 0.0.0\n", "utf-8")
    (installed / "entry_points.txt").write_text("\n".join(["[spacy_factories]", *lines, ""]), "utf-8")
    path = os.pathsep.join([str(ROOT / "src"), str(folder)])
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_five_lines_of_the_page_run(tmp_path: Path) -> None:
    found = run(code("spacy.md"), tmp_path)
    assert found.startswith("[('Aspirin', 'chemical', 0.")
    assert "('asthma', 'disease', 0." in found


def test_medspacy_says_what_is_negated_uncertain_or_of_the_family(tmp_path: Path) -> None:
    pytest.importorskip("medspacy")
    found = run(code("spacy.md", 1), tmp_path)
    assert found.splitlines() == [
        "fever True False False False",
        "pneumonia False True False False",
        "breast cancer False False True False",
        "metformin False False False False",
    ]
