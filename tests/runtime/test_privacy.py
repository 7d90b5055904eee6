"""Nothing is reported to anybody: no files in the user's home and cache folders, no look-ups, no connections."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from biomark.runtime.privacy import NO_REPORTS
from conftest import HANG, ROOT

ANNOTATES = """
import sys, time
import biomark
(document,) = biomark.annotate("Aspirin-induced asthma is rare in children.")
print(len(document.entities), flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def run(*command: str, home: Path, cached: bool = False, **variables: str) -> str:
    """What a process prints whose home folder, or whose cache folder, is `home`."""
    environment = {k: v for k, v in os.environ.items() if k not in {*NO_REPORTS, "XDG_CACHE_HOME", "HF_HOME"}}
    environment |= {"HOME": str(home), **variables} | ({"XDG_CACHE_HOME": str(home / "cache")} if cached else {})
    done = subprocess.run(command, env=environment, input="", capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_reports_are_off_whatever_the_environment_was_and_before_anything_is_imported(home: Path) -> None:
    code = (
        "import os, sys, subprocess, biomark\n"
        "print([m for m in ('onnxruntime', 'huggingface_hub', 'transformers', 'torch') if m in sys.modules])\n"
        "sys.stdout.flush()\n"
        "subprocess.run([sys.executable, '-c', 'import json, os; print(json.dumps(dict(os.environ)))'], check=True)\n"
    )
    switched_on = dict.fromkeys(NO_REPORTS, "0")
    imported, of_child = run(sys.executable, "-c", code, home=home, **switched_on).splitlines()
    assert imported == "[]"
    assert json.loads(of_child).items() >= NO_REPORTS.items()


def test_the_hub_is_told_nothing_of_the_user(home: Path) -> None:
    pytest.importorskip("transformers")
    code = (
        "import biomark\n"
        "from huggingface_hub import constants\n"
        "from huggingface_hub.utils import build_hf_headers\n"
        "print(constants.HF_HUB_DISABLE_TELEMETRY)\n"
    )
    assert run(sys.executable, "-c", code, home=home) == "True\n"


@pytest.mark.parametrize("cached", [False, True])
def test_annotating_leaves_nothing_in_the_home_and_cache_folders(home: Path, cached: bool) -> None:
    """onnxruntime's device id and its queue of events are there as soon as a model is loaded."""
    assert run(sys.executable, "-c", ANNOTATES, "0", home=home, cached=cached) == "2\n"
    note = str(ROOT / "examples" / "note.txt")
    assert run(sys.executable, "-m", "biomark", "annotate", note, "--to", "jsonl", home=home, cached=cached)
    assert list(home.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_process_that_lives_on_opens_no_connection(home: Path, tmp_path: Path) -> None:
    """onnxruntime looks up its maker's host when a process has lived for half a minute."""
    log = tmp_path / "calls"
    trace = ("strace", "-f", "-qq", "-e", "trace=network,mkdir,mkdirat,openat", "-o", str(log))
    assert run(*trace, sys.executable, "-c", ANNOTATES, "45", home=home) == "2\n"
    calls = log.read_text("utf-8", "replace").splitlines()
    assert calls
    assert [call for call in calls if re.search(r" (socket|connect|send\w*)\(", call)] == []
    assert [call for call in calls if re.search(r" mkdir\w*\(|O_CREAT", call)] == []
    assert list(home.iterdir()) == []
