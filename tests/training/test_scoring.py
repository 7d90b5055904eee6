"""Development sentences on which models are scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from biomark import formats
from biomark.spans import Document, Entity, Span
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.training import scoring  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


def test_development_sentences_are_split_as_the_recipe_has_it(tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    formats.write(
        [Document("1", "Fever (see Fig. 3).", entities=(Entity((Span(0, 5),), "disease"),))], tmp_path / "a.jsonl"
    )
    for split_by, expected in (("biomark", 1), ("spacy", 2)):
        (found,) = scoring.read_devel(
            [str(tmp_path / "a.jsonl")], ["disease"], sentences=9, split_by=split_by, reject=fail
        )
        assert len(found.documents) == expected


def test_development_sentences_keep_their_mentions() -> None:
    text = "No fever was seen. Dry\ncough was. Asthma came."
    spans = (Span(3, 8), Span(19, 28), Span(19, 40))
    document = Document("7", text, sentences=(), entities=tuple(Entity((span,), "disease") for span in spans))
    parts, lost = scoring._sentences([document])
    assert lost == 1
    assert [(part.id, part.text) for part in parts] == [
        ("7:0", "No fever was seen."),
        ("7:1", "Dry\ncough was."),
        ("7:2", "Asthma came."),
    ]
    assert [[entity.mention(part.text) for entity in part.entities] for part in parts] == [
        ["fever"],
        ["Dry\ncough"],
        [],
    ]
