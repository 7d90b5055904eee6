"""One name, one thing: no two classes or type aliases of the package share a name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import biomark

ALIAS = re.compile(r"_?[A-Z](?=\w*[a-z])[A-Za-z0-9]*")
"""What a type alias is called, in contrast to constants (`LONG_NAME`) and type variables (`T`)."""


def type_names(module: str) -> Iterator[str]:
    """The classes and type aliases that a module defines, private ones as well."""
    for node in ast.parse(module).body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if ALIAS.fullmatch(name):
                    yield name
            case _ if type(node).__name__ == "TypeAlias":  # `type Name = …`, which Python 3.11 cannot read
                yield node.name.id  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("class One: pass", ["One"]),
        ("Answer = Callable[[str], str]", ["Answer"]),
        ("_Row: TypeAlias = tuple[str, ...]", ["_Row"]),
        ("Json = dict[str, object]; T = TypeVar('T'); MOST = 3; _WORD = re.compile('x')", ["Json"]),
        ("named = 3\na, Bc = 1, 2\nobject.Attribute = 3", []),
    ],
)
def test_classes_and_aliases_are_told_from_constants(line: str, names: list[str]) -> None:
    assert list(type_names(line)) == names


def test_no_two_modules_have_a_class_or_type_alias_of_the_same_name() -> None:
    root = Path(biomark.__file__).parent
    modules = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for name in type_names(path.read_text("utf-8")):
            modules[name].append(str(path.relative_to(root)))
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}
