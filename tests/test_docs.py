"""The documentation site: its notebook runs, its navigation has all pages, and it works without a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
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


def test_scores_in_the_text_are_those_of_the_page_of_models() -> None:
    """The README and docs/results.md repeat figures of docs/results/models.json, which change with each model."""
    cells = json.loads((DOCS / "results" / "models.json").read_text("utf-8"))["cells"]
    known = {(cell["model"], cell["test"].partition(":")[0]): cell for cell in cells}

    def figures(model: str, corpora: Iterable[str]) -> list[str]:
        return [f"{known[model, corpus]['strict']['f1']:.3f}" for corpus in corpora if (model, corpus) in known]

    three = ("ncbi_disease", "bc5cdr_chemical", "bc2gm")
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in ("default", "default+dictionary", "dictionary", "nano"):
        (row,) = re.findall(rf"^\| .* \| `{re.escape(name)}[ `].*\| (0[.\d, ]+) \|$", readme, re.MULTILINE)
        assert row.split(", ") == figures(name.replace("+", "-"), three), name
    for model, words in (
        ("spacy", r"reaches (\S+), (\S+)\sand\s(0\.\d+)"),
        ("crf-one-type", r"field (\S+), (\S+)\sand\s(0\.\d+)"),
    ):
        assert re.findall(words, readme) == [tuple(figures(model, three))], model
    text = (DOCS / "results.md").read_text("utf-8")
    wide = (*("ncbi_disease", "bc5cdr_disease", "bc5cdr_chemical", "nlm_chem", "bc2gm", "nlm_gene", "s800"), "linnaeus")
    titles = {"default": "default", "default + dictionary": "default-dictionary", "dictionary": "dictionary"}
    titles |= {"spaCy's NER, a model for each type": "spacy", "nano": "nano"}
    for title, model in titles.items():
        (row,) = re.findall(rf"^\| {re.escape(title)} \|( [*\d].*) \|$", text, re.MULTILINE)
        assert re.findall(r"[\d.]+", row) == figures(model, (*wide, "bioid", "tmvar3")), title
    parts = text.partition("## Dictionary")[2].partition("##")[0]
    rows = [
        line.strip("| ").replace("*", "").split(" | ") for line in parts.splitlines() if re.search(r"0\.\d{4}", line)
    ]
    for place, row in enumerate(rows):
        corpus = ("ncbi_disease", "bc5cdr_disease", "bc5cdr_chemical", "linnaeus")[place // 3]
        cell = known[("dictionary", "default", "default-dictionary")[place % 3], corpus]
        scores = [cell[scheme][figure] for scheme in ("strict", "partial") for figure in ("precision", "recall", "f1")]
        assert row[-6:] == [f"{score:.4f}" for score in scores], row
    assert len(rows) == 12


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
