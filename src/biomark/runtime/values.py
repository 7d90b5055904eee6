"""Conversion of users' values to the Python types of the fields of biomark's dataclasses, with clear errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import index
from typing import TypeVar, cast

from biomark.errors import SpanError

T = TypeVar("T")


def whole(value: object) -> int:
    """Return an offset as an `int`; whole numbers of other types, such as numpy's, are accepted.

    Raises:
        SpanError: if it is not a whole number.
    """
    if not isinstance(value, bool):
        try:
            return int(index(value))  # type: ignore[arg-type]
        except TypeError:
            pass
    raise SpanError(f"an offset must be a whole number, got {value!r:.80} ({type(value).__name__})")


def text_of(value: object, what: str) -> str:
    """Return a text as a `str`; a whole number, such as the number of a PubMed article, is converted.

    Args:
        value: the value.
        what: the name of the value in the error message.

    Raises:
        SpanError: if it is neither a text nor a whole number.
    """
    if isinstance(value, str):
        return str(value)
    try:
        return str(whole(value))
    except SpanError:
        raise SpanError(f"{what} must be a string, got {value!r:.80} ({type(value).__name__})") from None


def tuple_of(values: object, kind: type[T], what: str) -> tuple[T, ...]:
    """Return the members of a list as a tuple.

    Args:
        values: the list, or any other iterable but a string or a mapping.
        kind: the type of all members; `object` permits any.
        what: the name of the list in the error message.

    Raises:
        SpanError: if it is not a list, or a member is of another type.
    """
    several = isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping))
    members = tuple(cast(Iterable[object], values)) if several else (values,)
    if odd := [member for member in members if not several or not isinstance(member, kind)]:
        names = "strings" if kind is object else f"{kind.__name__} objects"
        raise SpanError(f"{what} must be a list of {names}, got {odd[0]!r:.80} ({type(odd[0]).__name__})")
    return cast(tuple[T, ...], members)


def put(frozen: object, **values: object) -> None:
    """Set attributes of a frozen object; only for use in its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


@contextmanager
def of_form(what: str, rule: str = "its keys and values are those that to_dict makes") -> Iterator[None]:
    """Turn errors in reading a value's structure into a `SpanError` that names the value and the expected form."""
    try:
        yield
    except SpanError:
        raise
    except KeyError as error:
        raise SpanError(f"{what} lacks the key {error}: {rule}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise SpanError(f"{what} has an invalid form ({error}): {rule}") from error


class Infons(Mapping[str, str]):
    """An immutable, ordered, hashable mapping with the additional information that a file has for an object.

    Raises:
        SpanError: if a key or a value is not a string.
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        try:
            self._pairs: dict[str, str] = dict(pairs)
        except (TypeError, ValueError) as error:
            raise SpanError(f"infons must be a mapping of strings, got {pairs!r:.80}") from error
        if self._pairs and not all(isinstance(text, str) for pair in self._pairs.items() for text in pair):
            raise SpanError(f"keys and values of infons must be strings, got {self._pairs!r:.200}")

    def __getitem__(self, key: str) -> str:
        return self._pairs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return hash(frozenset(self._pairs.items()))

    def __repr__(self) -> str:
        return f"Infons({self._pairs!r})"

    def with_(self, **more: str) -> Infons:
        """Return a copy with some values added or replaced."""
        return Infons({**self._pairs, **more})

    def without(self, *keys: str) -> Infons:
        """Return a copy without some keys."""
        return Infons({key: value for key, value in self._pairs.items() if key not in keys})


NO_INFONS = Infons()


def infons_of(values: Infons | Mapping[str, str]) -> Infons:
    """Return a mapping as `Infons`."""
    return values if type(values) is Infons else Infons(values)


def filled(**fields: object) -> dict[str, object]:
    """Return the fields whose values are not empty."""
    return {key: value for key, value in fields.items() if value}
