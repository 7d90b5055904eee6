"""Messages: the library names fields, the command line names options."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_settings import commands
from typer.main import get_command

import biomark as package
from biomark import annotation, models
from biomark.cli import app, options_of
from biomark.cli.common import with_options
from biomark.errors import UsageError
from conftest import Outcome

COMMANDS = dict(commands(get_command(app)))
SOURCES = Path(package.__file__).parent
# Options of other programs, and the colours of a page
OTHERS = ("pip install --no-deps", "torchrun --nproc-per-node", "{{ --pale: ", " { --pale: ", "; --deep: ")


def texts() -> Iterator[tuple[str, str]]:
    """All texts in the library's code, documentation included, with the module of each."""
    for path in sorted(SOURCES.rglob("*.py")):
        room = path.relative_to(SOURCES).parts[0]
        if room in ("cli", "lab"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield str(path.relative_to(SOURCES)), node.value


def test_the_library_names_no_options() -> None:
    named = [
        (module, text)
        for module, text in texts()
        if re.search(r"--[a-z]", text) and not any(other in text for other in OTHERS)
    ]
    assert not named


@pytest.mark.parametrize(("name", "command"), list(COMMANDS.items()))
def test_help_texts_are_sentences_that_markup_leaves_whole(name: str, command: Any) -> None:
    texts = {"the command": command.help, **{p.name: getattr(p, "help", None) for p in command.params}}
    for what, text in texts.items():
        assert text, what
        assert text.rstrip().endswith("."), f"{what}: {text}"
        # rich takes [words] for markup and drops them.
        assert not re.search(r"(?<!\\)\[[a-z]", text), f"{what}: {text}"


@pytest.mark.parametrize(("name", "command"), list(COMMANDS.items()))
def test_every_option_is_named_for_its_field(name: str, command: Any) -> None:
    """Each option's field is put in its place, alone and with a value."""
    for option in command.params:
        if option.param_type_name != "option" or option.name == "help":
            continue
        long = max(option.opts, key=len)
        field = option.name.strip("_")
        assert with_options(f"`{field}` is wrong", options_of(command)) == f"{long} is wrong"
        assert with_options(f"write `{field}=a b`", options_of(command)) == f"write {long} 'a b'"


@pytest.mark.parametrize(
    ("command", "message", "expected"),
    [
        ("annotate", "name the format (`input format`), one of", "name the format (--from), one of"),
        ("annotate", "name the format (`output format`)", "name the format (--to)"),
        ("corpora fetch", "copy them (`source`)", "copy them (--from)"),
        ("annotate", "raise `max_tokens`", "raise `max_tokens`"),
        ("annotate", "set `ontology=two-step` or", "set --set ontology=two-step or"),
        ("train", "set `negatives=0`", "set --set negatives=0"),
        ("evaluate", "`encoding=latin-1`", "`encoding=latin-1`"),
        ("annotate", "`default` is a model, `İ` none", "`default` is a model, `İ` none"),
    ],
)
def test_fields_without_an_option_of_their_own(command: str, message: str, expected: str) -> None:
    assert with_options(message, options_of(COMMANDS[f"biomark {command}"])) == expected


def test_python_and_the_command_line_each_get_their_own_words(biomark: Callable[..., Outcome]) -> None:
    with pytest.raises(UsageError, match=r"^`min_score` must be in \[0, 1\], got 3$"):
        annotation.annotate("Asthma.", min_score=3)
    with pytest.raises(UsageError, match=r"dictionary needs a term store \(`store`\)"):
        models.load("dictionary")
    done = biomark("annotate", "--model", "dictionary", stdin=b"Asthma.")
    assert (done.status, "dictionary needs a term store (--store);" in done.err) == (2, True)
    done = biomark("annotate", "--types", ",", stdin=b"Asthma.")
    assert "--types names no type; name some, for instance --types disease,chemical" in done.err
