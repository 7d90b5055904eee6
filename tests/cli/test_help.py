"""What the command line says of itself, the shell's completion, and the commands of the README."""

from __future__ import annotations

import re
import shlex

import pytest
from cli_cases import Biomark

from biomark import formats, models
from biomark.cli import app
from biomark.tagging.recognizer import load_onnx
from conftest import ROOT

pytest_plugins = ("cli_fixtures",)

pytestmark = pytest.mark.usefixtures("cli_folder")


def test_the_help_lists_what_there_is(biomark: Biomark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = " ".join(re.sub(r"[│\n]", " ", biomark("annotate", "--help").out).split())
    able = [(f.name, f.read is not None, f.write is not None) for f in formats.FORMATS.values()]
    assert f"The input's format: {', '.join(name for name, read, _ in able if read)}. Default: guessed." in shown
    assert f"The output's format: {', '.join(name for name, _, write in able if write)}." in shown
    known = load_onnx(models.folder_of("default")).types
    assert f"The default model knows {', '.join(known or ())}; it finds" in shown
    assert "<bool>" not in shown
    general, _, panel = shown.partition("Language models (openai:NAME")
    assert "--overwrite" in general
    assert all(option in panel for option in ("--base-url", "--shape", "--demonstrations", "--set"))
    for command in (("convert",), ("corpora", "list"), ("knowledge", "build")):
        assert "<bool>" not in biomark(*command, "--help").out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("biomark annotate --to ht", {"html"}),
        ("biomark annotate --to medline", set()),
        ("biomark annotate --types gene,dis", {"gene,disease"}),
        ("biomark annotate --model def", {"default"}),
        ("biomark annotate --model op", {"openai:"}),
        ("biomark convert --from pub", {"pubannotation", "pubtator"}),
    ],
)
def test_the_shell_completes_formats_types_and_models(
    biomark: Biomark, monkeypatch: pytest.MonkeyPatch, line: str, expected: set[str]
) -> None:
    monkeypatch.setenv("_BIOMARK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    assert set(biomark().out.split()) == expected


def test_every_command_and_option_says_what_it_is_for() -> None:
    from typer.main import get_command

    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {"annotate", "convert"} <= set(commands)
    for name, command in commands.items():
        assert command.help or getattr(command, "commands", None), name
        for parameter in command.params:
            if parameter.name != "help":
                assert parameter.help, f"{name} {parameter.name}"


def readme_commands() -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0].rpartition("|")[2].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("biomark ")]


@pytest.mark.parametrize("line", readme_commands())
def test_what_the_readme_says_is_understood(line: str) -> None:
    from typer.main import get_command

    command, arguments = get_command(app), shlex.split(line)[1:]
    while hasattr(command, "commands"):
        assert arguments[0] in command.commands, f"no command {arguments[0]}"
        command = command.commands[arguments.pop(0)]
    command.make_context("biomark", arguments)  # reads the arguments and runs nothing


def test_the_examples_can_be_read_and_hold_no_annotations(biomark: Biomark) -> None:
    done = biomark("annotate", ROOT / "examples" / "abstracts.pubtator", "--to", "terminal")
    assert done.status == 0
    assert "[zileuton|chemical]" in done.out
    assert "\t" not in (ROOT / "examples" / "abstracts.pubtator").read_text()
    assert biomark("annotate", ROOT / "examples" / "note.txt").status == 0


def test_lines_reach_a_terminal_in_one_way() -> None:
    for path in (ROOT / "src/biomark/cli").glob("*.py"):
        if path.name != "common.py":
            assert "typer.echo" not in path.read_text(), f"{path.name}: use echo or say of common.py"
