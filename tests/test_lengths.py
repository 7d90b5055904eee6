"""No module is so long that it cannot be read in one go."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import ROOT

MOST = 450


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_modules_have_at_most_450_lines(folder: str) -> None:
    lengths = {path.relative_to(ROOT): lines_of(path) for path in sorted((ROOT / folder).rglob("*.py"))}
    assert lengths
    assert {str(path): lines for path, lines in lengths.items() if lines > MOST} == {}


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n")
