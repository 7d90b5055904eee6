"""The model that the package carries: that it is there, light, and as good as its card says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

import biomark as package
from biomark import evaluation, models
from biomark.corpora import read_split
from biomark.spans import Document
from biomark.tagging.recognizer import WEIGHTS
from conftest import ROOT, Outcome

CARD = models.folder_of("default") / "README.md"


def test_it_is_small_and_described() -> None:
    facts = models.describe("default")
    assert facts["default_types"] == ["disease", "chemical", "gene", "species", "cell_line", "variant"]
    assert facts["types"] == [*facts["default_types"], "problem", "treatment", "test"]
    assert facts["precision"] == "int8"
    assert (models.folder_of("default") / WEIGHTS).stat().st_size < 30e6
    assert "Apache-2.0" in CARD.read_text("utf-8")


def test_it_reads_texts_as_people_have_them() -> None:
    """A note in capitals, typographic signs and Greek letters, a word that is cut, a list."""
    text = (
        "THE PATIENT HAS HYPERTENSION AND WAS GIVEN METOPROLOL.\nPMH:\n- COPD\n- gout\n\n"
        "Crohn’s disease: NF‐κB rose, and hepa-\ntitis was ruled out. Seen by Dr. A. Graves, takes ASA BID."
    )
    (document,) = package.annotate(text)
    found = {(e.mention(document.text), e.type) for e in document.entities}
    assert {("HYPERTENSION", "disease"), ("METOPROLOL", "chemical"), ("COPD", "disease"), ("gout", "disease")} <= found
    assert {
        ("Crohn’s disease", "disease"),
        ("NF‐κB", "gene"),
        ("hepa-\ntitis", "disease"),
        ("ASA", "chemical"),
    } <= found
    assert not {mention for mention, _ in found} & {"PMH", "Graves", "BID", "Dr. A. Graves"}


def test_a_guideline_can_be_asked_for(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    """BioRED takes patients for a species, S800 does not."""
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("The mutation was found in women with asthma; patients and mice were given insulin.")
    found = {}
    for model in ("default@biored", "default@s800"):
        assert biomark("annotate", source, "-o", out, "--model", model, "--overwrite").status == 0
        (document,) = package.read(out)
        found[model] = {e.mention(document.text) for e in document.entities if e.type == "species"}
    assert found == {"default@biored": {"women", "patients", "mice"}, "default@s800": set()}


def test_clinical_types_are_found_where_they_are_asked_for() -> None:
    text = "The patient was given antibiotics for pneumonia, and a chest x-ray was done."
    (plain,) = package.annotate(text)
    assert {e.type for e in plain.entities} <= {"disease", "chemical"}
    (asked,) = package.annotate(text, types="problem,treatment,test")
    assert ("pneumonia", "problem") in {(e.mention(text), e.type) for e in asked.entities}
    assert {e.type for e in asked.entities} <= {"problem", "treatment", "test"}


def test_it_finds_what_anyone_would() -> None:
    text = "Aspirin-induced asthma: TNF-alpha and IL-6 rose in patients with breast cancer who took metformin."
    (document,) = package.annotate(text)
    found = {(e.mention(document.text), e.type) for e in document.entities}
    assert {("asthma", "disease"), ("breast cancer", "disease"), ("metformin", "chemical")} <= found
    assert {("TNF-alpha", "gene"), ("IL-6", "gene")} <= found
    assert all(0 < e.score <= 1 for e in document.entities if e.score is not None)


def test_it_needs_no_torch() -> None:
    code = (
        "import sys, biomark; found = list(biomark.annotate('Fever after aspirin.'));"
        "assert found[0].entities; print([m for m in ('torch', 'transformers', 'pandas') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"


def test_the_examples_are_marked(biomark: Callable[..., Outcome]) -> None:
    shown = biomark("annotate", ROOT / "examples" / "abstracts.pubtator", "-o", "-")
    assert shown.status == 0
    rows = [line.split("\t") for line in shown.out.splitlines() if "\t" in line]
    assert {"zileuton", "doxorubicin"} <= {row[3].lower() for row in rows if row[4] == "chemical"}
    assert {"breast cancer", "asthma"} <= {row[3].lower() for row in rows if row[4] == "disease"}


def test_gene_names_with_greek_letters_are_whole() -> None:
    gold = list(package.read(ROOT / "examples" / "greek_genes.jsonl"))
    assert len(gold) == 60
    strict = evaluation.evaluate(gold, package.annotate(gold), types=["gene"]).overall.strict
    assert strict.counts.tp >= 55


def test_a_document_is_read_the_same_whatever_stands_beside_it() -> None:
    texts = ["Aspirin may cause asthma.", "IL-6 and TNF-α rose. " * 30, "Fever.", "Metformin lowers insulin in PCOS."]
    together = [document.entities for document in package.annotate(texts)]
    assert together == [next(package.annotate(text)).entities for text in texts]


def test_a_long_sentence_is_read_to_its_end() -> None:
    text = "We saw " + "no change in anything at all, and " * 300 + "breast cancer was treated with doxorubicin."
    (document,) = package.annotate(text)
    assert {"breast cancer", "doxorubicin"} <= {e.mention(text) for e in document.entities}


@pytest.mark.parametrize("text", ["", " ", "\n\n", "😀", "\u0130\u0307" * 50, "x" * 10_000, "<script>", "\x00\x01"])
def test_odd_texts_do_no_harm(text: str) -> None:
    (found,) = models.load("default").annotate([Document("1", text)])
    assert found.document.text == text
    assert not found.rejected


def test_the_readme_shows_what_comes_out(biomark: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # of pytest-xdist
    (block,) = re.findall(
        r"^\$ make demo\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    shown = biomark("annotate", ROOT / "examples" / "abstracts.pubtator", "--to", "terminal")
    assert len(block.splitlines()) == 4
    assert set(block.splitlines()) <= set(shown.out.splitlines())


@pytest.mark.parametrize(
    ("split", "type", "least"),
    [
        ("ncbi_disease:devel", "disease", 0.80),
        ("bc5cdr_chemical:devel_pick", "chemical", 0.90),
        ("bc2gm:devel_pick", "gene", 0.76),
        ("s800:devel", "species", 0.65),
        ("tmvar3:devel", "variant", 0.5),
    ],
)
def test_its_scores_have_not_fallen(corpora: Path, split: str, type: str, least: float) -> None:
    """On a part of the development splits; docs/results.md has the whole."""
    gold = list(islice(read_split(split, reject=lambda _: None), 700 if type == "gene" else 80))
    predicted = list(package.annotate(gold))
    found = evaluation.evaluate(gold, predicted, types=(type,))
    assert found.overall.strict.f1 > least
