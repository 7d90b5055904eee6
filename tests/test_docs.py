"""The documentation site: its notebook runs, its navigation has all pages, and it works without a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from browser import Opened, chromium, window

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def test_the_notebook_runs(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((DOCS / "first-steps.ipynb").read_text("utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "first-steps.ipynb", "exec"), names)
    mentions = [(entity.mention(names["text"]), entity.type) for entity in names["document"].entities]
    assert mentions == [
        ("Aspirin", "chemical"),
        ("asthma", "disease"),
        ("zileuton", "chemical"),
    ]
    assert (names["strict"].precision, names["strict"].recall) == (2 / 3, 1.0)


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w/-]+\.(?:md|ipynb)", (ROOT / "mkdocs.yml").read_text("utf-8")))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb")}
    assert listed == pages


def test_the_site_loads_nothing_from_outside() -> None:
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "font: false" in settings
    assert "iframe-worker.js" in settings  # else the theme loads a script of this name from a server
    outside = re.compile(r"!\[[^]]*\]\(https?:|<(script|img|iframe)\b[^>]*https?:")
    assert [page for page in DOCS.rglob("*.md") if outside.search(page.read_text("utf-8"))] == []


# The README and docs/results.md repeat figures of docs/results/models.json, which change with each model.


@pytest.fixture(scope="module")
def cells() -> dict[tuple[str, str], Any]:
    """The scores of each model on each corpus."""
    facts = json.loads((DOCS / "results" / "models.json").read_text("utf-8"))
    return {(cell["model"], cell["test"].partition(":")[0]): cell for cell in facts["cells"]}


def f1(cells: dict[tuple[str, str], Any], model: str, *corpora: str) -> list[str]:
    return [f"{cells[model, corpus]['strict']['f1']:.3f}" for corpus in corpora if (model, corpus) in cells]


def test_the_readme_has_the_scores_of_the_page_of_models(cells: dict[tuple[str, str], Any]) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    corpora = ("ncbi_disease", "bc5cdr_chemical", "bc2gm")
    for name in ("default", "default+dictionary", "dictionary", "nano"):
        (row,) = re.findall(rf"^\| .* \| `{re.escape(name)}[ `].*\| (0[.\d, ]+) \|$", text, re.MULTILINE)
        assert row.split(", ") == f1(cells, name.replace("+", "-"), *corpora), name
    for model, words in (("spacy", "type, reaches"), ("crf-one-type", "random field")):
        (found,) = re.findall(rf"{words} (0\.\d+), (0\.\d+)\sand\s(0\.\d+)", text)
        assert list(found) == f1(cells, model, *corpora), model


def test_the_results_have_the_scores_of_the_page_of_models(cells: dict[tuple[str, str], Any]) -> None:
    section = (DOCS / "results.md").read_text("utf-8").partition("## The models that users can choose")[2]
    rows = re.findall(r"^\| (\D+?) \|( [*0].*)\|$", section.partition("##")[0], re.MULTILINE)
    models = ("default", "default-dictionary", "dictionary", "nano", "spacy", "crf-one-type")
    corpora = ("ncbi_disease", "bc5cdr_disease", "bc5cdr_chemical", "nlm_chem", "bc2gm", "nlm_gene", "s800", "linnaeus")
    for model, (title, row) in zip(models, rows, strict=True):
        assert re.findall(r"[\d.]+", row) == f1(cells, model, *corpora, "bioid", "tmvar3"), title


def test_the_section_on_dictionaries_has_the_scores_of_the_page_of_models(cells: dict[tuple[str, str], Any]) -> None:
    section = (DOCS / "results.md").read_text("utf-8").partition("## Dictionary")[2].partition("##")[0]
    rows = [re.findall(r"0\.\d{4}", line) for line in section.splitlines() if re.search(r"0\.\d{4}", line)]
    corpora = ("ncbi_disease", "bc5cdr_disease", "bc5cdr_chemical", "linnaeus")
    models = ("dictionary", "default", "default-dictionary")
    for (corpus, model), row in zip(product(corpora, models), rows, strict=True):
        schemes = (cells[model, corpus][scheme] for scheme in ("strict", "partial"))
        expected = [f"{scores[name]:.4f}" for scores in schemes for name in ("precision", "recall", "f1")]
        assert row == expected, (corpus, model)


@pytest.mark.slow
def test_the_site_is_searched_without_a_server(tmp_path: Path) -> None:
    for name in ("mkdocs", "material", "mkdocs_jupyter", "mkdocstrings"):
        pytest.importorskip(name)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    with chromium() as browser, window(browser) as context:
        opened = Opened(context)
        opened.page.goto((tmp_path / "index.html").as_uri())
        opened.page.locator("input.md-search__input").click()
        opened.page.keyboard.type("Retry-After")
        opened.page.locator(".md-search-result__item a[href*=serve]").first.wait_for(state="attached")
        assert opened.problems == []
        assert [one for one in opened.requests if not one.startswith(("file:", "data:", "blob:"))] == []
