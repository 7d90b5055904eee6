"""A little of `make torture TORTURE="--only fuzz"`: small files of every format and answers of every shape, changed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "torture"))

from fuzz import KINDS, Tally, trial


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_changed_files_and_answers(kind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if KINDS[kind] == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    tally = Tally()
    for number in range(kind, 16 * len(KINDS), len(KINDS)):
        trial(0, number, tally, small=True)
    assert not tally.faults, tally.faults[0]
    assert tally.documents or KINDS[kind] == "parquet"  # which refuses nearly all changes as a whole
