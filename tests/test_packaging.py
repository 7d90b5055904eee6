"""What is in the wheel, what it needs, and what importing it costs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import biomark
from conftest import HANG, ROOT

HEAVY = (
    "torch",
    "transformers",
    "spacy",
    "pandas",
    "polars",
    "pyarrow",
    "datasets",
    "mcp",
    "ray",
    "scipy",
    "sklearn",
    "matplotlib",
    "pydantic",
    "jinja2",
    "lxml",
    "openai",
    "fastapi",
    "starlette",
    "uvicorn",
    "prometheus_client",
)
NEED_AN_EXTRA = (
    "biomark.bridges.mcp",
    "biomark.bridges.spacy",
    "biomark.serve.app",
    "biomark.serve.examples",
    "biomark.serve.guard",
    "biomark.serve.inputs",
    "biomark.serve.metrics",
    "biomark.serve.outputs",
    "biomark.serve.problems",
    "biomark.serve.server",
    "biomark.lab.bench.decoding",
    "biomark.lab.bench.llama",
    "biomark.lab.bench.engine",
    "biomark.lab.bench.shapes",
    "biomark.lab.bench.training",
    "biomark.generative.decoding.cache",
    "biomark.generative.decoding.engine",
    "biomark.generative.decoding.head",
    "biomark.generative.decoding.limits",
    "biomark.generative.decoding.passes",
    "biomark.generative.decoding.probe",
    "biomark.generative.answering",
    "biomark.generative.recognizer",
    "biomark.prompted.chat.in_process",
    "biomark.runtime.quiet",
    "biomark.tagging.training",
    "biomark.generative.training",
    "biomark.training",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=HANG)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def python(code: str, folder: Path) -> str:
    """Run code with the wheel's own biomark; warnings are errors."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n" + code
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_wheel_holds_all_data_and_licences_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src" / "biomark"
    ours = {
        str(Path("biomark", path.relative_to(source)))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= names
    assert {"biomark/py.typed", "biomark/entity_types.toml", "biomark/page/page.html"} <= names
    rest = names - ours
    assert all(re.match(r"biomark-[^/]+\.dist-info/", name) for name in rest)
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in rest}


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 48 * 2**20


def test_the_light_set_is_what_pyproject_says(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(name).decode())
    light = {re.match(r"[\w-]+", line)[0] for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line}  # type: ignore[index]
    assert light == {re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"]}  # type: ignore[index]
    assert light.isdisjoint(HEAVY)
    assert metadata["License-Expression"] == "Apache-2.0"


def test_importing_biomark_imports_nothing_heavy(installed: Path) -> None:
    names = (*HEAVY, "onnxruntime", "numpy", "rich")
    found = python(
        f"import biomark\nprint([m for m in {names} if m in sys.modules])\n"
        f"import biomark.cli\nprint([m for m in {(*HEAVY, 'onnxruntime')} if m in sys.modules])\n"
        "print(biomark.__file__)",
        installed,
    ).splitlines()
    assert found == ["[]", "[]", str(installed / "biomark" / "__init__.py")]


def test_all_but_what_needs_an_extra_can_be_imported_with_the_light_set_alone(installed: Path) -> None:
    code = f"""
for name in {HEAVY}:
    sys.modules[name] = None
import importlib, pkgutil, biomark
for module in pkgutil.walk_packages(biomark.__path__, "biomark."):
    if not module.name.startswith({NEED_AN_EXTRA}) and module.name != "biomark.__main__":
        importlib.import_module(module.name)
        print(module.name)
"""
    assert "biomark.formats.html" in python(code, installed).split()


def test_the_wheel_tells_spacy_of_its_component(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt"))
    assert "[spacy_factories]\nbiomark = biomark.bridges.spacy:make_component\n" in archive.read(name).decode()


def test_the_version_is_told_once() -> None:
    version = PROJECT["version"]
    assert biomark.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_constraints_pin_direct_dependencies_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins["torch"] == "2.13.0"
    assert list(pins) == sorted(pins)
    requirements = [
        *PROJECT["dependencies"],
        *(r for extra in PROJECT["optional-dependencies"].values() for r in extra),
    ]
    direct = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}  # type: ignore[index]
    assert set(pins) <= direct
