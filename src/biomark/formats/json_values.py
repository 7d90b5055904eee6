"""Typed access to JSON values for the readers of JSON formats, with errors that name the field."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence

from biomark.errors import FormatError
from biomark.spans import Infons

Json = Mapping[str, object]


_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 80


def shown(value: object) -> str:
    """Return a value for a message, cut off in length and depth."""
    return _SHOWN.repr(value)[:200]


class Repeated(list[object]):
    """All values of a key that occurs several times in an object; Python would keep only the last one."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    grouped: dict[str, Repeated] = {}
    for key, value in pairs:
        grouped.setdefault(key, Repeated()).append(value)
    return {key: group[0] if len(group) == 1 else group for key, group in grouped.items()}


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def parsed(text: str) -> object:
    """Parse a JSON text; a key that occurs several times in an object gets all its values (`Repeated`).

    Raises:
        FormatError: if the text is not JSON, is nested too deeply, or has a number of thousands of digits.
    """
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is not JSON: {error}") from error


def no_surrogates(values: object) -> None:
    """Refuse lone surrogates, which come from escapes or from bytes that are not UTF-8.

    Raises:
        FormatError: if the value contains one, or is nested too deeply.
    """
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise FormatError(
            "holds bytes that are not UTF-8, or escapes for half a character (\\ud800 to \\udfff)"
        ) from error
    except RecursionError as error:
        raise FormatError("is nested too deeply") from error


def as_text(value: object) -> str:
    """Return a text unchanged and any other value as JSON; repeated values are joined with bars.

    Raises:
        FormatError: if the value is nested too deeply.
    """
    if isinstance(value, Repeated):
        return "|".join(map(as_text, value))
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise FormatError("is nested too deeply") from error


def score_of(values: Json, key: str = "score") -> float | None:
    """Return the number under `key`, or None if there is none.

    Raises:
        FormatError: if the value is not a number.
    """
    score = values.get(key)
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        raise FormatError(f'"{key}" must be a number, got {shown(score)}')
    return score


def infons_of(values: Json) -> Infons:
    """Return the infons of an object.

    Raises:
        FormatError: if `infons` is not an object whose values are texts.
    """
    infons = values.get("infons", {})
    if not isinstance(infons, dict) or not all(isinstance(value, str) for value in infons.values()):
        raise FormatError('"infons" must be an object whose values are texts')
    return Infons(infons)


def text_of(values: Json, key: str, *, default: str | None = None) -> str:
    """Return the text under `key`; a whole number is converted to text.

    Raises:
        FormatError: if the value is of another type, or missing and there is no default.
    """
    value = values.get(key, default)
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise FormatError(f'"{key}" must be a text, got {shown(value)}' if key in values else f'"{key}" is missing')
    return value


def texts_of(values: Json, key: str) -> Sequence[str]:
    """Return the list of texts under `key`; empty if the key is missing.

    Raises:
        FormatError: if the value is not a list of texts.
    """
    value = values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FormatError(f'"{key}" must be a list of texts, got {shown(value)}')
    return value


def whole_of(values: Json, key: str) -> int:
    """Return the whole number under `key`.

    Raises:
        FormatError: if the value is not a whole number, or missing.
    """
    number = values.get(key)
    if type(number) is not int:
        raise FormatError(f'"{key}" must be a whole number, got {shown(number)}')
    return number


def list_of(values: Json, key: str) -> Sequence[object]:
    """Return the list under `key`; empty if the key is missing or null.

    Raises:
        FormatError: if the value is not a list.
    """
    value = values.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FormatError(f'"{key}" must be a list, got {shown(value)}')
    return value


def objects_of(values: Json, key: str) -> Sequence[Json]:
    """Return the list of objects under `key`; empty if the key is missing or null.

    Raises:
        FormatError: if the value is not a list of objects.
    """
    value = values.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise FormatError(f'"{key}" must be a list of objects, got {shown(value)}')
    return value
