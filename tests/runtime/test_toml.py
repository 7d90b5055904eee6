"""TOML → dataclasses: every error names the file, the field and the value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from biomark.errors import UsageError
from biomark.runtime.toml import changed, converted, read_toml


@dataclass(frozen=True, slots=True)
class Garden:
    rows: int = 1
    size: float = 1.0
    plan: Path | None = None
    plants: tuple[str, ...] = ()
    prices: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    open: bool = False


@dataclass(frozen=True, slots=True)
class Town:
    name: str
    gardens: Mapping[str, Garden] = field(default_factory=dict)
    main: Garden = field(default_factory=Garden)
    others: tuple[Garden, ...] = ()


def test_lists_become_tuples_and_whole_numbers_floats() -> None:
    values = {"size": 3, "plan": "a/b", "plants": ["lily", "İris"], "prices": {"lily": 2}}
    assert converted(values, Garden, "x") == Garden(1, 3.0, Path("a/b"), ("lily", "İris"), {"lily": 2.0})
    assert isinstance(converted(values, Garden, "x").size, float)
    assert converted({"name": "Ulm", "others": [{"rows": 2}]}, Town, "x").others == (Garden(2),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": 3.5}, "t.toml: rows must be a whole number, got 3.5"),
        ({"rows": True}, "t.toml: rows must be a whole number, got True"),
        ({"size": "wide"}, "t.toml: size must be a number, got 'wide'"),
        ({"plan": 3}, "t.toml: plan must be a text in quotes, got 3"),
        ({"plants": "lily"}, "t.toml: plants must be a list, got 'lily'"),
        ({"plants": ["lily", 2]}, "t.toml: plants[1] must be a text in quotes, got 2"),
        ({"prices": {"lily": "dear"}}, "t.toml: prices.* must be a number, got a text in quotes"),
        ({"open": 1}, "t.toml: open must be true or false, got 1"),
        ({"row": 1}, "t.toml: unknown setting 'row'; did you mean 'rows'?"),
        ({"zzz": 1}, "t.toml: unknown setting 'zzz'; choose from rows, size, plan, plants, prices, note, open"),
        ([], "t.toml: the content must be a table, got []"),
    ],
)
def test_wrong_values_are_named(values: object, message: str) -> None:
    with pytest.raises(UsageError) as error:
        converted(values, Garden, "t.toml")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "t.toml: lacks name"),
        ({"name": "Ulm", "main": {"rows": "x"}}, "t.toml: main.rows must be a whole number, got 'x'"),
        ({"name": "Ulm", "main": {"sise": 1}}, "t.toml: in [main]: unknown setting 'sise'; did you mean 'size'?"),
        ({"name": "Ulm", "gardens": {"a": {"sise": 1}}}, "t.toml: in [gardens.a]: unknown setting 'sise'"),
        ({"name": "Ulm", "others": [{"sise": 1}]}, "t.toml: in [others]: unknown setting 'sise'"),
        ({"name": "Ulm", "main": 3}, "t.toml: main must be a table, got 3"),
        ({"name": "Ulm", "gardens": {"a": {"rows": "x"}}}, "t.toml: gardens.*.rows must be a whole number, got a text"),
    ],
)
def test_wrong_values_of_tables_in_tables_are_named(values: object, message: str) -> None:
    with pytest.raises(UsageError) as error:
        converted(values, Town, "t.toml")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": {"rows": 1}, "İ": {"rows": "x"}}, "t.toml: İ.rows must be a whole number, got 'x'"),
        ({"a": 3}, "t.toml: a must be a table, got 3"),
        (3, "t.toml: the content must be a table, got 3"),
    ],
)
def test_wrong_values_of_named_tables_are_named(values: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        converted(values, dict[str, Garden], "t.toml")
    assert str(error.value) == message
    assert converted({"a": {"rows": 2}}, dict[str, Garden], "t.toml") == {"a": Garden(2)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("rows=3", {"rows": 3}),
        ("size=1e-4", {"size": 1e-4}),
        ("plan=2026", {"plan": "2026"}),
        ("plants=lily,İris", {"plants": ["lily", "İris"]}),
        ("plants=['a,b']", {"plants": ["a,b"]}),
        ("plants=", {"plants": []}),
        ("note=5", {"note": "5"}),
        ("note='5'", {"note": "5"}),
        ("note={\"top_k\": 20}", {"note": '{"top_k": 20}'}),
        ("note=a=b", {"note": "a=b"}),
        ("open=true", {"open": True}),
        ("other=x", {"other": "x"}),
    ],
)  # fmt: skip
def test_changes_are_read_as_their_fields_need_them(change: str, expected: dict[str, Any]) -> None:
    assert changed({}, [change], get_type_hints(Garden)) == expected


@pytest.mark.parametrize("change", ["", "rows", "=3", " = 3"])
def test_a_change_has_a_key_and_a_value(change: str) -> None:
    with pytest.raises(UsageError, match="is written KEY=VALUE, not"):
        changed({}, [change], {})


def test_files_that_are_no_toml_are_named(tmp_path: Path) -> None:
    path = tmp_path / "llm.toml"
    with pytest.raises(UsageError, match=r"llm\.toml: cannot be read: No such file"):
        read_toml(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"llm\.toml: is not TOML: .*utf-8"):
        read_toml(path)
    path.write_text("a = ")
    with pytest.raises(UsageError, match=r"llm\.toml: is not TOML: Invalid value"):
        read_toml(path)
