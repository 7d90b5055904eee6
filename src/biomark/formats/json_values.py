"""What readers of JSON share: values, and their parts in the form that a reader needs, or an error that names them."""

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
    """A value for a message, cut short in length and depth."""
    return _SHOWN.repr(value)[:200]


class Repeated(list[object]):
    """The values of a key that an object has more than once, which Python would drop but for the last."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    listed: dict[str, Repeated] = {}
    for key, value in pairs:
        listed.setdefault(key, Repeated()).append(value)
    return {key: several[0] if len(several) == 1 else several for key, several in listed.items()}


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def parsed(text: str) -> object:
    """The value that a text holds; a key that an object has more than once has all its values (`Repeated`).

    Raises:
        FormatError: if it is no JSON, is nested too deeply, or has a number of thousands of digits.
    """
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is not JSON: {error}") from error


def no_surrogates(values: object) -> None:
    """Refuse halves of UTF-16 pairs: from escapes, or from bytes that are not UTF-8.

    Raises:
        FormatError: if there is one, or if the value is nested too deeply.
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
    """A text as it is, any other value as JSON; repeated values are joined by bars.

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
    """The number under `key`, if there is one.

    Raises:
        FormatError: if it is something else.
    """
    score = values.get(key)
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        raise FormatError(f'"{key}" must be a number, not {shown(score)}')
    return score


def infons_of(values: Json) -> Infons:
    """The texts under `infons`.

    Raises:
        FormatError: if it is no object of texts.
    """
    infons = values.get("infons", {})
    if not isinstance(infons, dict) or not all(isinstance(value, str) for value in infons.values()):
        raise FormatError('"infons" must be an object whose values are texts')
    return Infons(infons)


def text_of(values: Json, key: str, *, default: str | None = None) -> str:
    """The text under `key`; a whole number is taken as one.

    Raises:
        FormatError: if it is something else, or not there without a default.
    """
    value = values.get(key, default)
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise FormatError(f'"{key}" must be a text, not {shown(value)}' if key in values else f'"{key}" is not there')
    return value


def texts_of(values: Json, key: str) -> Sequence[str]:
    """The list of texts under `key`; empty if it is not there.

    Raises:
        FormatError: if it is something else.
    """
    value = values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FormatError(f'"{key}" must be a list of texts, not {shown(value)}')
    return value


def whole_of(values: Json, key: str) -> int:
    """The whole number under `key`.

    Raises:
        FormatError: if it is something else, or not there.
    """
    number = values.get(key)
    if type(number) is not int:
        raise FormatError(f'"{key}" must be a whole number, not {shown(number)}')
    return number


def list_of(values: Json, key: str) -> Sequence[object]:
    """The list under `key`; empty if it is not there or null.

    Raises:
        FormatError: if it is something else.
    """
    value = values.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FormatError(f'"{key}" must be a list, not {shown(value)}')
    return value


def objects_of(values: Json, key: str) -> Sequence[Json]:
    """The list of objects under `key`; empty if it is not there or null.

    Raises:
        FormatError: if it is something else.
    """
    value = values.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise FormatError(f'"{key}" must be a list of objects, not {shown(value)}')
    return value
