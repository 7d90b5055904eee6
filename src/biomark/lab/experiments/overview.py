"""The overview page: a table of the papers' findings and of our verdicts at each scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from biomark.lab.experiments.outcome import Table
from biomark.lab.experiments.sheet import Sheet, page_facts
from biomark.lab.experiments.specs import Book, Claim, Experiment
from biomark.lab.experiments.verdicts import MARGIN, NOT_RUN, judge

NAME = "overview.md"
SIZES: Mapping[str, str] = {
    "small": "small scale: small models, part of the data",
    "medium": "medium scale: SmolLM2 135M",
}
"""The scales of the overview. The papers' own scale has not been run, since it needs their GPUs."""

_POINTS = f"{100 * MARGIN:.0f}"
_ABOUT = f"""\
# The papers' findings and ours

The table lists each finding of the papers that can be judged by a rule, the published figures, and the verdict that our
figures allow. `biomark reproduce --redraw docs/results` writes it from the JSON files beside the pages.

Our models are far smaller than the papers' models. A verdict is about our models: it neither confirms nor refutes what
the papers found with theirs. The verdicts mean:

- *Found here too*: the 95 % confidence interval of the difference excludes 0, and the difference has the same sign as
  in the paper.
- *The opposite was found here*: the interval excludes 0, and the difference has the opposite sign.
- *Not shown here*: the interval includes 0, or is too wide for the rules below. This is no evidence of equality.
- *In some comparisons*: the comparisons, which differ in their test set or in the share of the training data, do not
  all have the same verdict.
- *Not run*: there are no figures at this scale.

That two models match counts as found only if the interval excludes differences of more than {_POINTS} points; that
something does not help, only if it excludes gains of more than {_POINTS} points; and that less data costs as much as in
the paper, only if it lies within {_POINTS} points of the paper's range. Nothing has been run at the papers' own scale.
"""


def overview(folder: Path, book: Book) -> Path:
    """Write the page.

    Args:
        folder: the folder with the JSON files of pages.
        book: all experiments.

    Returns:
        The page.
    """
    rows = [row for experiment in book.experiments.values() for row in _rows(experiment, folder)]
    header = ("page", "finding of the paper", "published figures", *SIZES.values())
    table = Table("Findings", header, tuple(rows))
    path = folder / NAME
    path.write_text(f"{_ABOUT}\n{table.markdown()}\n", "utf-8")
    return path


def _rows(experiment: Experiment, folder: Path) -> list[tuple[str, ...]]:
    """Return a row for each finding, with its verdict at each scale."""
    sheets = {scale: _sheet(experiment, scale, folder) for scale in SIZES if scale in experiment.scales}
    rows = []
    for text in dict.fromkeys(claim.text for claim in experiment.claims):
        claims = [claim for claim in experiment.claims if claim.text == text]
        cells = [_cell(experiment, claims, scale, sheets.get(scale)) for scale in SIZES]
        published = next((claim.published for claim in claims if claim.published), "")
        rows.append((_links(experiment.name, sheets), text, published, *cells))
    return rows


def _sheet(experiment: Experiment, scale: str, folder: Path) -> Sheet | None:
    from biomark.lab.experiments import file_name

    path = folder / f"{file_name(experiment.name, scale)}.json"
    facts = page_facts(path) if path.is_file() else None
    return Sheet(experiment, facts) if facts else None


def _links(name: str, sheets: Mapping[str, Sheet | None]) -> str:
    from biomark.lab.experiments import file_name

    files = {scale: file_name(name, scale) for scale, sheet in sheets.items() if sheet}
    return ", ".join(f"[{file}]({file}.md)" for file in files.values()) or name


def _cell(experiment: Experiment, claims: Sequence[Claim], scale: str, sheet: Sheet | None) -> str:
    setting = experiment.scales.get(scale)
    about = [claim for claim in claims if setting and {*claim.models} <= {*setting.models}]
    if not about:
        return "no comparable models"
    if sheet is None:
        return NOT_RUN
    findings = [finding for claim in about if (finding := judge(claim, sheet))]
    return "<br>".join(f"**{one.verdict}**" + (f". {one.detail}" if one.detail else "") for one in findings)
