"""The Dockerfile: its steps are run in a clean environment, since no container engine is at hand in tests."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from conftest import ROOT

LINES = (ROOT / "Dockerfile").read_text("utf-8").splitlines()


def steps(word: str) -> list[str]:
    """What follows a word of the Dockerfile's language, a line each."""
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(f"{word} ")]


def copied() -> list[str]:
    """The files and folders that the first stage copies."""
    return [name for step in steps("COPY") if not step.startswith("--from") for name in step.split()[:-1]]


def test_the_service_does_not_run_as_root() -> None:
    user = steps("USER")
    assert user == ["biomark"]
    assert LINES.index("USER biomark") < next(n for n, line in enumerate(LINES) if line.startswith("ENTRYPOINT"))


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert set(copied()) == allowed
    assert all((ROOT / name).exists() for name in copied())


@pytest.mark.slow
def test_its_steps_make_a_service(tmp_path: Path) -> None:
    source, home = tmp_path / "source", tmp_path / "opt"
    source.mkdir()
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    for step in steps("RUN"):
        if not step.startswith("useradd"):
            command = step.replace("/opt/biomark", str(home)).replace("python -m venv", f"{sys.executable} -m venv")
            subprocess.run(shlex.split(command), cwd=source, check=True)
    (tmp_path / "token").write_text("a-token-for-this-test")
    command = [*json.loads(steps("ENTRYPOINT")[0]), *json.loads(steps("CMD")[0]), "--port", "0"]
    command = [part.replace("/run/secrets/biomark-token", str(tmp_path / "token")) for part in command]
    environment = {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=out, stdout=out)
        try:
            while not (address := re.search(r"http://[\d.]+:(\d+)/", log.read_text())):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            request = urllib.request.Request(
                f"http://127.0.0.1:{address[1]}/v1/annotate",
                json.dumps({"text": "Aspirin for gout."}).encode(),
                {"Content-Type": "application/json", "Authorization": "Bearer a-token-for-this-test"},
            )
            with urllib.request.urlopen(request) as reply:
                (document,) = json.load(reply)["documents"]
        finally:
            process.terminate()
            process.wait()
    assert [entity["text"] for entity in document["entities"]] == ["Aspirin", "gout"]
