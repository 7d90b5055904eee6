"""The figures of rows that a run leaves out (`--only`), kept from the pages that are in its folder already.

A cell on a page is kept if its key is the same, and so its recipe, data and seed (`biomark.lab.experiments.workspace`).
Its predictions may be lost. Differences between two kept cells are then those of the page. A difference between a kept
cell and a new one is computed from the two scores as if these were independent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from biomark.evaluation.counts import SCHEMES
from biomark.lab.experiments.facts import adjust_p_values, pairs_of
from biomark.lab.experiments.findings import Estimate
from biomark.lab.experiments.runner import ExperimentRun
from biomark.lab.experiments.sheet import UNPAIRED, Cell, page_facts

_TABLES = ("contrasts", "pairs", "curve", "sample")  # the lists of the JSON file whose rows name models and a test set


def with_kept(data: Mapping[str, Any], job: ExperimentRun, own: Path) -> dict[str, Any]:
    """Add the figures of the rows that a run leaves out.

    Args:
        data: what `biomark.lab.experiments.facts.gather` has made of the run.
        job: the run.
        own: the JSON file of the page, which need not exist yet; the other pages are in its folder.

    Returns:
        The data with the cells, the differences between them, and the pages that they are from (`kept`).

    Raises:
        UsageError: if a JSON file of the folder cannot be read.
    """
    paths = [own, *(path for path in sorted(own.parent.glob("*.json")) if path != own)]
    pages = {path.name: facts for path in paths if path.is_file() and (facts := page_facts(path))}
    order = job.keys()
    known = {
        cell["key"]: (name, cell)
        for name, facts in reversed(pages.items())  # the first page that has a cell counts
        for cell in facts["cells"]
        if "key" in cell
    }
    found = {key: known[key] for key in job.left_out() if key in known}
    cells = {cell["key"]: cell for cell in (*data["cells"], *(cell for _, cell in found.values()))}
    merged = {**data, "cells": [cells[key] for key in order if key in cells], "kept": _origins(found, pages)}
    merged["models"] = {name: {**facts, **_made(name, found, pages)} for name, facts in data["models"].items()}
    before = pages.get(own.name, {})
    same = {_place(cell) for name, cell in found.values() if name == own.name}
    for table in _TABLES:
        rows = [row for row in before.get(table, ()) if same.issuperset(_places(row))]
        if rows or table in data:
            merged[table] = [dict(row) for row in (*data.get(table, ()), *rows)]
    adjust_p_values(merged.get("pairs", ()))
    if "contrasts" in merged and "curve" not in merged:
        merged["contrasts"] += _unpaired(merged, pairs_of(job))
    return merged


def _origins(found: Mapping[str, tuple[str, Cell]], pages: Mapping[str, Mapping[str, Any]]) -> list[dict[str, object]]:
    """Return the runs that have computed the kept cells; a page may have kept them itself."""
    origins: dict[str, dict[str, Any]] = {}
    for name, model in dict.fromkeys((name, cell["model"]) for name, cell in found.values()):
        earlier = next((one for one in pages[name].get("kept", ()) if model in one["models"]), None)
        run = earlier or {**pages[name], "file": name}
        facts = {key: run[key] for key in ("file", "hardware", "versions")}
        origins.setdefault(json.dumps(facts), {**facts, "models": []})["models"].append(model)
    return list(origins.values())


def _made(
    model: str, found: Mapping[str, tuple[str, Cell]], pages: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, object]:
    """Return the time for making a model all of whose cells are kept; none of its cells has been run otherwise."""
    page = next((name for name, cell in found.values() if cell["model"] == model), None)
    facts = pages[page]["models"].get(model, {}) if page else {}
    return {name: facts[name] for name in ("trained", "minutes") if name in facts}


_Place = tuple[str, str, float]  # model, test set, fraction of the training data


def _place(cell: Cell) -> _Place:
    return cell["model"], cell["test"], cell["fraction"]


def _places(row: Mapping[str, Any]) -> set[_Place]:
    """Return the cells that a row of the JSON file is about."""
    test = row["test"]
    if "fractions" in row:
        return {(row["model"], test, float(fraction)) for fraction in row["fractions"]}
    if "model" in row:
        return {(row["model"], test, 1.0)}
    return {(row[side], test, row.get(f"{side}_fraction", 1.0)) for side in ("a", "b")}


def _unpaired(data: Mapping[str, Any], pairs: Iterable[tuple[str, str]]) -> list[dict[str, object]]:
    """Return the differences between models that have no row yet, because the predictions of one are not there."""
    cells: dict[_Place, Cell] = {_place(cell): cell for cell in reversed(data["cells"])}
    known = {(row["a"], row["b"], row["test"]) for row in data["contrasts"]}
    rows: list[dict[str, object]] = []
    for a, b in pairs:
        for test in data["tests"]:
            both: Sequence[Cell | None] = [cells.get((model, test, 1.0)) for model in (a, b)]
            if both[0] and both[1] and (a, b, test) not in known:
                figures: dict[str, object] = {
                    scheme: independent_difference(both[0][scheme], both[1][scheme]).as_json() for scheme in SCHEMES
                }
                rows.append({"a": a, "b": b, "test": test, **figures, "interval": UNPAIRED})
    return rows


def independent_difference(a: Mapping[str, float], b: Mapping[str, float]) -> Estimate:
    """Return the F1 of the second score minus that of the first one, with the interval of independent scores.

    The interval is computed from those of the two scores (Zou and Donner 2008, Statistics in Medicine 27:1693). It is
    usually wider than that of the paired difference.
    """
    value = b["f1"] - a["f1"]
    below = math.hypot(b["f1"] - b["low"], a["high"] - a["f1"])
    above = math.hypot(b["high"] - b["f1"], a["f1"] - a["low"])
    return Estimate(value, value - below, value + above)


__all__ = ["independent_difference", "with_kept"]
