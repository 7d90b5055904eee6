"""The working folder of tests of commands, with a small recognizer as the default model."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_cases import ABSTRACT

from biomark import models
from biomark.errors import UsageError
from conftest import TermRecognizer


@pytest.fixture
def cli_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recognizer: TermRecognizer) -> Path:
    """The folder, in which the test runs; it holds a document of PubTator and a note."""

    def load(name: str = "default", *how: object) -> TermRecognizer:
        if name != "default":
            raise UsageError(f"unknown model {name!r}; name a folder or choose from default")
        return recognizer

    monkeypatch.setattr(models, "load", load)
    monkeypatch.chdir(tmp_path)
    Path("in.pubtator").write_text(ABSTRACT)
    Path("note.txt").write_text("Asthma eased by zileuton.\n")
    return tmp_path
