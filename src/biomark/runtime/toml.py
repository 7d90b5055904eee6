"""TOML → frozen dataclasses, with errors that name the file, the field and the value.

`msgspec` converts values and checks their types. It ignores keys that a dataclass does not have, and names fields in a
notation of its own, so this module looks for unknown and missing keys, and puts msgspec's errors into words.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec

from biomark.errors import UsageError

T = TypeVar("T")
_MOST_LISTED = 12  # keys in a message; of more the nearest one alone is named
_WRONG = re.compile(r"Expected `(?P<kind>[^`]+)`(?P<length> of length \d+)?, got (?:`(?P<got>\w+)`|\d+)")
_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse a TOML text into its tables.

    Args:
        text: the text.
        where: the name of the file, for messages.

    Raises:
        UsageError: if the text is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: is not TOML: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file.

    Raises:
        UsageError: if the file cannot be read, or is not TOML.
    """
    try:
        return parse_toml(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not TOML: {error}") from error


def packaged(package: str, name: str, kind: type[T], *, named: bool = False) -> T:
    """Read a TOML file of the package, converted to a type.

    Args:
        package: the module that holds the file.
        name: the name of the file.
        kind: the class that its content is converted to.
        named: the dataclass of each table has a field `name`, which is the table's key.
    """
    rows = parse_toml(files(package).joinpath(name).read_text("utf-8"), name)
    return converted(with_names(rows) if named else rows, kind, name)


def with_names(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the tables, each with its own key as `name`."""
    return {name: {"name": name, **table} for name, table in tables.items()}


def converted(values: object, kind: type[T], where: str) -> T:
    """Values as TOML has them → a dataclass, or a dict of dataclasses; types are checked, lists become tuples.

    Args:
        values: tables, lists, texts, numbers.
        kind: the type wanted.
        where: the file or table that has the values, for messages.

    Raises:
        UsageError: if a key is unknown (the message names the nearest one) or missing, or a value has the wrong type.
    """
    for problem in _wrong_keys(values, kind):
        raise UsageError(f"{where}: {problem}")
    if get_origin(kind) is dict and isinstance(values, dict):  # one by one, since msgspec does not name the key
        inner = get_args(kind)[1]
        return cast("T", {key: _convert(value, inner, where, key) for key, value in values.items()})
    return _convert(values, kind, where, "")


def changed(values: Mapping[str, Any], changes: Sequence[str], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with `key=value` changes applied, as users type them.

    A value is read as TOML; a text needs no quotes, and a list of texts may be written with commas alone.

    Args:
        values: the values before.
        changes: the changes in this form; later ones take precedence.
        hints: the type of each key; a key without one is set as well, for `converted` to judge.

    Raises:
        UsageError: if a change has another form.
    """
    settings = dict(values)
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"a change of a setting is written KEY=VALUE, not {change!r:.80}")
        settings[key.strip()] = _typed(text.strip(), hints.get(key.strip(), Any))
    return settings


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Return a message about an unknown key, with the most similar key or with all keys."""
    nearest = get_close_matches(key.replace("-", "_"), known, 1)
    if nearest:
        return f"unknown setting {key!r}; did you mean {nearest[0]!r}?"
    return f"unknown setting {key!r}" + (f"; choose from {', '.join(known)}" if len(known) <= _MOST_LISTED else "")


def _typed(text: str, hint: Any) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if get_origin(hint) is tuple:
        return value if isinstance(value, list) else [part.strip() for part in text.split(",") if part.strip()]
    texts = {str, Path} & {hint, *get_args(hint)}
    return text if texts and not isinstance(value, (str, dict)) else value


def _wrong_keys(values: object, kind: Any, place: str = "") -> Iterator[str]:
    """Yield messages about wrong and missing keys of tables, at any depth."""
    arguments = get_args(kind)
    if is_dataclass(kind) and isinstance(values, Mapping):
        known = {f.name: f for f in cast("Sequence[Field[Any]]", fields(kind))}
        at = f"in [{place}]: " if place else ""
        for key in values:
            if key not in known:
                yield at + unknown_key(str(key), list(known))
        needed = [f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING]
        if missing := [name for name in needed if name not in values]:
            yield f"{at}lacks {', '.join(missing)}"
        hints = get_type_hints(kind)
        for key, value in values.items():
            yield from _wrong_keys(value, hints[key], f"{place}.{key}" if place else key)
    elif isinstance(values, Mapping) and len(arguments) == 2 and get_origin(kind) in (dict, Mapping):
        for key, value in values.items():
            yield from _wrong_keys(value, arguments[1], f"{place}.{key}" if place else str(key))
    elif isinstance(values, list) and get_origin(kind) is tuple and arguments[1:] == (...,):
        for value in values:
            yield from _wrong_keys(value, arguments[0], place)


def _convert(values: object, kind: type[T], where: str, place: str) -> T:
    try:
        return msgspec.convert(values, kind, dec_hook=_hook)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {_in_words(str(error), values, place)}") from error


def _hook(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def _in_words(message: str, values: object, table: str) -> str:
    """Reword a message of msgspec about the values of a table.

    "Expected `int`, got `str` - at `$.epochs`" becomes "epochs must be a whole number, got 'two'".
    """
    place = _PLACE.search(message)
    path = place["path"] if place else ""
    shown = ".".join(part for part in (table, path.replace("[...]", ".*").removeprefix(".")) if part)
    wrong = _WRONG.match(message)
    if not wrong:
        return f"{shown}: {message[: place.start()] if place else message}".removeprefix(": ")
    kinds = [_KINDS.get(kind, kind) for kind in wrong["kind"].split(" | ") if kind != "null"]
    if "[...]" in path:  # of a key that the message does not name
        got = _KINDS.get(wrong["got"] or "array", str(wrong["got"]))
    else:
        got = f"{_value_at(path, values)!r:.80}"
    return f"{shown or 'the content'} must be {' or '.join(kinds)}{wrong['length'] or ''}, got {got}"


def _value_at(path: str, values: Any) -> object:
    for step in re.findall(r"[^.\[\]]+", path):
        values = values[int(step)] if isinstance(values, list) else values[step]
    return values
