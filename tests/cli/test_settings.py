"""Settings of language models and servers on the command line: a file, `--set`, options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from typer.main import get_command

from biomark.cli import app
from biomark.cli.settings import Settings, load_settings, template
from biomark.errors import UsageError
from biomark.prompted.settings import PromptOptions, ServerOptions
from conftest import Outcome
from oracle import away

__all__ = ["away"]
Biomark = Callable[..., Outcome]
ANNOTATE = ("prompt", "server", "generative")
INVENT = ("invention", "server", "generative")
MOST = 25


def commands(command: Any, name: str = "biomark") -> Iterator[tuple[str, Any]]:
    """Every command with its options, groups taken apart."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part, inner in command.commands.items():
        yield from commands(inner, f"{name} {part}")


@pytest.mark.parametrize(("name", "command"), list(commands(get_command(app))))
def test_no_command_has_more_options_than_a_reader_takes_in(name: str, command: Any) -> None:
    options = command.get_params(command.make_context(name, [], resilient_parsing=True))
    assert sum(p.param_type_name == "option" for p in options) <= MOST


def test_the_listing_is_a_file_with_all_defaults(tmp_path: Path) -> None:
    file = tmp_path / "llm.toml"
    file.write_text(template(), "utf-8")
    assert load_settings(file, [], ANNOTATE, {}) == Settings()
    for table in get_type_hints(Settings).values():
        for key in table.__dataclass_fields__:
            assert f"\n{key} = " in template() or f"\n# {key} =\n" in template() + "\n"


def test_an_option_wins_over_set_which_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "llm.toml"
    file.write_text('[prompt]\nshots = 1\nshape = "json"\nparts = ["task"]\n[server]\ntimeout = 9\n', "utf-8")
    found = load_settings(file, ["shots=2", "verify=yes-no,second-round"], ANNOTATE, {"shots": 3, "base_url": None})
    assert found.prompt == PromptOptions(shape="json", parts=("task",), shots=3, verify=("yes-no", "second-round"))
    assert found.server == ServerOptions(timeout=9.0)


def test_a_key_belongs_to_a_table_of_the_command() -> None:
    assert load_settings(None, ["shots=2"], ANNOTATE, {}).prompt.shots == 2
    assert load_settings(None, ["shots=2"], INVENT, {}).invention.shots == 2
    assert load_settings(None, ["prompt.shots=2"], ANNOTATE, {}).prompt.shots == 2
    assert load_settings(None, ["max-tokens=9"], ANNOTATE, {}).prompt.max_tokens == 9
    with pytest.raises(UsageError, match=r"unknown setting 'prompt\.shots'"):
        load_settings(None, ["prompt.shots=2"], INVENT, {})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("budget=5", ServerOptions(budget="5")),
        ("budget=200000 tokens", ServerOptions(budget="200000 tokens")),
        ('extra={"top_k": 20}', ServerOptions(extra='{"top_k": 20}')),
        ("stream=true", ServerOptions(stream=True)),
        ("timeout=30", ServerOptions(timeout=30.0)),
    ],
)
def test_values_of_set_need_no_quotes(change: str, expected: ServerOptions) -> None:
    assert load_settings(None, [change], ANNOTATE, {}).server == expected


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("[prompt]\nshot = 1\n", (), "llm.toml: in [prompt]: unknown setting 'shot'; did you mean 'shots'?"),
        ("[promt]\nshots = 1\n", (), "llm.toml: unknown setting 'promt'; did you mean 'prompt'?"),
        ("[prompt]\nshots = 'x'\n", (), "llm.toml: prompt.shots must be a whole number, got 'x'"),
        ("[invention]\nseeds = 1\n", (), "llm.toml: in [invention]: unknown setting 'seeds'; did you mean 'seed'?"),
        ("shots", (), "llm.toml: is not TOML"),
        ("", ("--set", "shot=1"), "--set: unknown setting 'shot'; did you mean 'shots'?"),
        ("", ("--set", "count=1"), "--set: unknown setting 'count'"),
        ("", ("--set", "min_identifier_score=1.5"), "`min_identifier_score` must be between 0 and 1, got 1.5"),
        ("[normalization]\nmin_identifier_score = nan\n", (), "`min_identifier_score` must be between 0 and 1"),
        ("", ("--set", "min_identifier_score=0"), "need the term store from which identifiers come"),
        ("", ("--set", "progress=maybe"), "--set: run.progress must be true or false, got 'maybe'"),
        ("", ("--set", "shots=x"), "--set: prompt.shots must be a whole number, got 'x'"),
        ("", ("--set", "İ"), "--set must have the form KEY=VALUE, got 'İ'"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(
    biomark: Biomark, away: Path, text: str, arguments: tuple[str, ...], message: str
) -> None:
    (away / "llm.toml").write_text(text, "utf-8")
    done = biomark("annotate", "--settings", "llm.toml", *arguments, stdin=b"Asthma.")
    assert done.status == 2
    assert message in done.err


def test_a_prompt_is_made_by_a_file(biomark: Biomark, away: Path) -> None:
    (away / "llm.toml").write_text('[prompt]\nshape = "json"\nparts = []\n', "utf-8")
    command = ("annotate", "--model", "openai:m", "--types", "disease", "--dry-run", "--settings", "llm.toml")
    assert '{"entities"' in biomark(*command, stdin=b"Asthma.").out
    assert "<span" in biomark(*command, "--shape", "span", stdin=b"Asthma.").out
