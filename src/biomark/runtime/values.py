"""Values that a user gives, as the types of Python that biomark's own types are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import index
from typing import TypeVar, cast

from biomark.errors import SpanError

T = TypeVar("T")


def whole(value: object) -> int:
    """An offset as an `int`: whole numbers of other types, such as numpy's, are taken as well."""
    if not isinstance(value, bool):
        try:
            return int(index(value))  # type: ignore[arg-type]
        except TypeError:
            pass
    raise SpanError(f"an offset is a whole number, not {value!r:.80} ({type(value).__name__})")


def text_of(value: object, what: str) -> str:
    """A text as a `str`; a whole number is written out, as the number of a PubMed article often is one."""
    if isinstance(value, str):
        return str(value)
    try:
        return str(whole(value))
    except SpanError:
        raise SpanError(f"{what} must be a text, not {value!r:.80} ({type(value).__name__})") from None


def tuple_of(values: object, kind: type[T], what: str) -> tuple[T, ...]:
    """The members of a list, all of one type (`object`: of any), as a tuple."""
    several = isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping))
    members = tuple(cast(Iterable[object], values)) if several else (values,)
    if odd := [member for member in members if not several or not isinstance(member, kind)]:
        names = "texts" if kind is object else f"{kind.__name__} objects"
        raise SpanError(f"{what} must be a list of {names}, not {odd[0]!r:.80} ({type(odd[0]).__name__})")
    return cast(tuple[T, ...], members)


def put(frozen: object, **values: object) -> None:
    """Set attributes while a frozen object is made."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


@contextmanager
def of_form(what: str, rule: str = "its keys and values are those that to_dict makes") -> Iterator[None]:
    """Tell of values that do not have the form of `what`."""
    try:
        yield
    except SpanError:
        raise
    except KeyError as error:
        raise SpanError(f"{what} lacks the key {error}: {rule}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise SpanError(f"{what} has another form than it should ({error}): {rule}") from error


class Infons(Mapping[str, str]):
    """An immutable, ordered, hashable mapping of what a file says beside text and mentions.

    Raises:
        SpanError: if a key or a value is no text.
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        try:
            self._pairs: dict[str, str] = dict(pairs)
        except (TypeError, ValueError) as error:
            raise SpanError(f"infons must be a mapping of texts, not {pairs!r:.80}") from error
        if self._pairs and not all(isinstance(text, str) for pair in self._pairs.items() for text in pair):
            raise SpanError(f"keys and values of infons must be texts, unlike those of {self._pairs!r:.200}")

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
        """A copy with `more` added or replaced."""
        return Infons({**self._pairs, **more})

    def without(self, *keys: str) -> Infons:
        """A copy without `keys`."""
        return Infons({key: value for key, value in self._pairs.items() if key not in keys})


NO_INFONS = Infons()


def infons_of(values: Infons | Mapping[str, str]) -> Infons:
    """Infons, of whatever mapping they are given as."""
    return values if type(values) is Infons else Infons(values)


def filled(**fields: object) -> dict[str, object]:
    """Those fields that are not empty."""
    return {key: value for key, value in fields.items() if value}
