"""The circle: mentions are corrected on the page, a model is trained on them, and it annotates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from biomark import formats, models
from biomark.spans import Document
from browser import Opened, chromium, window
from toy_bert import save_bert
from toy_corpus import DISEASES, documents

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from biomark.tagging.training.trainer import train  # noqa: E402
from biomark.training.recipe import load_recipe  # noqa: E402

pytestmark = pytest.mark.long
torch.set_num_threads(1)


@pytest.fixture
def recipe(tmp_path: Path, word_pieces: Tokenizer) -> Path:
    save_bert(tmp_path / "encoder", word_pieces)
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"""
name = "corrected"
encoder = "{tmp_path / "encoder"}"
train = ["{tmp_path / "train.jsonl"}"]
devel = ["{tmp_path / "devel.jsonl"}"]
types = ["symptom"]
epochs = 3
batch_pieces = 256
max_pieces = 48
learning_rate = 3e-3
head_learning_rate = 1e-2
average = 0.9
"""
    )
    return path


def test_what_is_corrected_on_the_page_is_learned(tmp_path: Path, recipe: Path) -> None:
    # A model has found none of the mentions; a person marks each name once, and all equal ones with it
    given = [Document(d.id, d.text) for d in documents("symptom", DISEASES, 95, 1, clauses=3)]
    formats.write(given, tmp_path / "page.html")
    with chromium() as browser, window(browser) as context:
        page = Opened(context).go(tmp_path / "page.html")
        for name in DISEASES:
            index, start = next((n, d.text.index(name)) for n, d in enumerate(given) if name in d.text)
            page.evaluate(
                """async ([index, start, end]) => {
                  const { app } = await biomark;
                  app.setEverywhere(true);
                  app.select({ index, spans: [[start, end]], mention: null });
                }""",
                [index, start, start + len(name)],
            )
            own = page.get_by_label("A type of your own")
            own.fill("symptom")
            own.press("Enter")
        text = page.evaluate("async () => (await biomark).exported('jsonl')[0].text()")
    lines = text.splitlines(keepends=True)
    (tmp_path / "train.jsonl").write_text("".join(lines[:80]))
    (tmp_path / "devel.jsonl").write_text("".join(lines[80:]))
    expected = documents("symptom", DISEASES, 95, 1, clauses=3)
    corrected = [Document.from_dict(json.loads(line)) for line in lines]
    assert [[e.spans for e in d.entities] for d in corrected] == [[e.spans for e in d.entities] for d in expected]

    run = train(load_recipe(recipe), tmp_path / "run", reject=formats.raise_rejected, progress=lambda _: None)
    (found,) = models.load(str(run)).annotate([Document("new", "Zinc may cause dry cough.")])
    assert [(e.mention(found.document.text), e.type) for e in found.document.entities] == [("dry cough", "symptom")]
