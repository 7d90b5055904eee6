"""One name, one thing: no two classes of the package share a name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import biomark


def test_no_two_modules_have_a_class_of_the_same_name() -> None:
    root = Path(biomark.__file__).parent
    modules = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                modules[node.name].append(str(path.relative_to(root)))
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}
