"""Settings of language models, servers and runs from a TOML file (`--settings`), from `--set` and from options."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from biomark.annotation.settings import NormalizationOptions, RayOptions, RunOptions
from biomark.cli.common import echo
from biomark.errors import UsageError
from biomark.generative.settings import Asking
from biomark.prompted.settings import InventionOptions, PromptOptions, ServerOptions
from biomark.runtime.options import meanings
from biomark.runtime.toml import changed, converted, read_toml, unknown_key

LLM = "Language models (openai:NAME, hf:NAME, nano, smol, a folder of your own)"
_WIDTH = 110  # characters, the longest comment line


@dataclass(frozen=True, slots=True)
class Settings:
    """The tables of a settings file; `biomark settings` lists their keys."""

    prompt: PromptOptions = field(default_factory=PromptOptions)
    server: ServerOptions = field(default_factory=ServerOptions)
    generative: Asking = field(default_factory=Asking)
    invention: InventionOptions = field(default_factory=InventionOptions)
    normalization: NormalizationOptions = field(default_factory=NormalizationOptions)
    run: RunOptions = field(default_factory=RunOptions)
    ray: RayOptions = field(default_factory=RayOptions)


_TABLES: Mapping[str, type] = get_type_hints(Settings)
_ABOUT = {
    "prompt": "Prompts of language models",
    "server": "Servers of language models (openai:NAME)",
    "generative": "Decoding of tuned generative models (nano, smol, a folder of your own) and of hf:NAME",
    "invention": "New sentences (`biomark invent`)",
    "normalization": "Identifiers of `biomark annotate --normalize STORE`",
    "run": "Progress of `biomark annotate`, and shards of `--run FOLDER`",
    "ray": "Workers of `biomark annotate --engine ray`",
}


def option_of(settings: type, key: str, *, panel: str = LLM, **facts: Any) -> Any:
    """Return the command line's option for a key of a table, with the key's name, meaning and default.

    Args:
        settings: the dataclass of the table.
        key: the name of the field.
        panel: the heading under which the help lists the option.
        facts: further arguments of `typer.Option`.
    """
    default = next(f.default for f in fields(settings) if f.name == key)
    name = "--" + key.replace("_", "-")
    suffix = f" Default: {default}." if default not in ("", (), None) else ""
    return typer.Option(name, help=meanings(settings)[key] + suffix, rich_help_panel=panel, **facts)


SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE.toml",
        help="A file with settings of language models, servers and runs.",
        rich_help_panel=LLM,
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one of these settings; repeatable. `biomark settings` lists all keys.",
        rich_help_panel=LLM,
    ),
]
BaseUrl = Annotated[str | None, option_of(ServerOptions, "base_url", metavar="URL")]
ShapeOption = Annotated[str | None, option_of(PromptOptions, "shape")]
Demonstrations = Annotated[str | None, option_of(PromptOptions, "demonstrations", metavar="A,B")]
Count = Annotated[int | None, option_of(InventionOptions, "count")]


def keys_of(tables: Iterable[str]) -> dict[str, str]:
    """Return the table of each key; where two tables have the same key, the first one."""
    table_of: dict[str, str] = {}
    for table in tables:
        for f in fields(_TABLES[table]):
            table_of.setdefault(f.name, table)
    return table_of


def load_settings(
    file: Path | None, changes: Sequence[str], tables: Sequence[str], options: Mapping[str, object]
) -> Settings:
    """Return the settings of a command: options override `--set`, which overrides the file.

    Args:
        file: the file of `--settings`; None if there is none.
        changes: the values of `--set`, each `KEY=VALUE`.
        tables: the tables that the command uses; the file may have others, for other commands.
        options: values of the command's own options, by key; None where the user did not set the option.

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
            raise UsageError(f"--set must have the form KEY=VALUE, got {change!r:.80}")
        table, _, key = name.strip().replace("-", "_").rpartition(".")
        if key not in keys or table not in ("", keys[key]):
            raise UsageError(f"--set: {unknown_key(name.strip(), list(keys))} (`biomark settings` lists all)")
        hints = get_type_hints(_TABLES[keys[key]])
        values = {**values, keys[key]: changed(values.get(keys[key], {}), [f"{key}={value}"], hints)}
    return converted(values, Settings, "--set")


def template() -> str:
    """Return a settings file in TOML with all keys, their meanings and defaults."""
    lines = ["# Settings of language models, servers and runs, for --settings FILE. The values are the defaults."]
    for table, about in _ABOUT.items():
        lines += ["", f"# {about}", f"[{table}]"]
        defaults = _TABLES[table]()
        for key, meaning in meanings(_TABLES[table]).items():
            lines += [f"# {line}" for line in textwrap.wrap(meaning, _WIDTH)]
            value = getattr(defaults, key)
            lines.append(f"# {key} =" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines)


def settings() -> None:
    """Show all settings of models, servers and runs, with meanings and defaults, as a TOML file for --settings."""
    echo(template())
