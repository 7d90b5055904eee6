"""Settings of language models and servers: from a TOML file (`--settings`), from `--set`, from options."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from biomark.annotation.settings import RunOptions
from biomark.cli.common import echo
from biomark.errors import UsageError
from biomark.generative.settings import Asking
from biomark.prompted.settings import InventionOptions, PromptOptions, ServerOptions
from biomark.runtime.options import meanings
from biomark.runtime.toml import changed, converted, read_toml, unknown_key

LLM = "Language models (openai:NAME, hf:NAME, nano, a folder of your own)"
_WIDTH = 110  # characters of a line of comment


@dataclass(frozen=True, slots=True)
class Settings:
    """The tables of a file of settings; `biomark settings` lists their keys."""

    prompt: PromptOptions = field(default_factory=PromptOptions)
    server: ServerOptions = field(default_factory=ServerOptions)
    generative: Asking = field(default_factory=Asking)
    invention: InventionOptions = field(default_factory=InventionOptions)
    run: RunOptions = field(default_factory=RunOptions)


_TABLES: Mapping[str, type] = get_type_hints(Settings)
_ABOUT = {
    "prompt": "How a language model is prompted",
    "server": "How a server is asked (openai:NAME)",
    "generative": "How a tuned generative model is asked (nano, a folder of your own), and hf:NAME",
    "invention": "How `biomark invent` asks for new sentences",
    "run": "How `biomark annotate --run FOLDER` is cut and watched",
}


def option_of(settings: type, key: str, *, panel: str = LLM, **facts: Any) -> Any:
    """An option of the command line for one key of a table: its name, meaning and default are those of the key."""
    default = next(f.default for f in fields(settings) if f.name == key)
    name = "--" + key.replace("_", "-")
    shown = f" Default: {default}." if default not in ("", (), None) else ""
    return typer.Option(name, help=meanings(settings)[key] + shown, rich_help_panel=panel, **facts)


SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", metavar="FILE.toml", help="Settings of language models and servers.", rich_help_panel=LLM
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One of these settings; repeatable. `biomark settings` lists all keys.",
        rich_help_panel=LLM,
    ),
]
BaseUrl = Annotated[str | None, option_of(ServerOptions, "base_url", metavar="URL")]
Shape = Annotated[str | None, option_of(PromptOptions, "shape")]
Demonstrations = Annotated[str | None, option_of(PromptOptions, "demonstrations", metavar="A,B")]
Count = Annotated[int | None, option_of(InventionOptions, "count")]


def keys_of(tables: Iterable[str]) -> dict[str, str]:
    """The table of each key of some tables; of two tables with one key, the first has it."""
    found: dict[str, str] = {}
    for table in tables:
        for f in fields(_TABLES[table]):
            found.setdefault(f.name, table)
    return found


def load_settings(
    file: Path | None, changes: Sequence[str], tables: Sequence[str], options: Mapping[str, object]
) -> Settings:
    """The settings of a command: options win over `--set`, which wins over the file.

    Args:
        file: of `--settings`.
        changes: of `--set`.
        tables: that the command uses; the file may have others, for other commands.
        options: values of options of the command's own, by key; None: the user named none.

    Raises:
        UsageError: if a key is unknown, or a value has the wrong type.
    """
    values = read_toml(file) if file is not None else {}
    if file is not None:
        converted(values, Settings, str(file))
    keys = keys_of(tables)
    for change in [*changes, *(f"{key}={value}" for key, value in options.items() if value is not None)]:
        name, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE, not {change!r:.80}")
        table, _, key = name.strip().replace("-", "_").rpartition(".")
        if key not in keys or table not in ("", keys[key]):
            raise UsageError(f"--set: {unknown_key(name.strip(), list(keys))} (`biomark settings` lists all)")
        hints = get_type_hints(_TABLES[keys[key]])
        values = {**values, keys[key]: changed(values.get(keys[key], {}), [f"{key}={value}"], hints)}
    return converted(values, Settings, "--set")


def template() -> str:
    """A file of settings with all keys, their meanings and defaults."""
    lines = ["# Settings of language models and servers, for --settings FILE. All keys have their defaults here."]
    for table, about in _ABOUT.items():
        lines += ["", f"# {about}", f"[{table}]"]
        defaults = _TABLES[table]()
        for key, meaning in meanings(_TABLES[table]).items():
            lines += [f"# {line}" for line in textwrap.wrap(meaning, _WIDTH)]
            value = getattr(defaults, key)
            lines.append(f"# {key} =" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines)


def settings() -> None:
    """Show all settings of language models and servers, with meanings and defaults, as a TOML file for --settings."""
    echo(template())
