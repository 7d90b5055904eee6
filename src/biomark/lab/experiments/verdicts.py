"""Verdicts on whether our figures confirm the papers' findings, by rules that claim no more than the figures show.

A difference is shown if its 95 % confidence interval excludes 0. A wide interval around 0 does not show that there is
no difference: that two models match, or that something does not help, is shown only if the interval excludes
differences of more than `MARGIN`. The same margin applies to the claim that less data costs as much as in the paper.
Test sets of a few documents are not judged.
A finding that is neither shown nor contradicted is "not shown".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from biomark.lab.experiments.findings import Estimate
from biomark.lab.experiments.sheet import Sheet, short
from biomark.lab.experiments.specs import Claim

MARGIN = 0.02  # the greatest difference in F1 of two models that match
_FEWEST = 6  # no permutation of fewer documents has a two-sided p-value below 0.05 (2 of 2^n orders)
_LEAST = 0.1  # two models are compared only if the strict F1 of the better one is at least this
_NORMAL = 1.96  # half the width of a 95 % interval, in standard deviations

FOUND, CONTRARY, OPEN = "found here too", "the opposite was found here", "not shown here"
_PARTLY = "found here in some comparisons, not shown in the others"
_PARTLY_CONTRARY = "the opposite was found here in some comparisons, the others show neither"
_BOTH = "found here in some comparisons, the opposite in others"
_WEAK, NOT_RUN = "cannot be judged here", "not run"

Answer = bool | None
"""True if a figure confirms the finding, False if it contradicts it, None if it does neither."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on a finding of a paper.

    Attributes:
        claim: the paper's finding.
        verdict: the verdict in words.
        detail: one or more sentences with the figures.
        answers: whether each figure confirms or contradicts the finding.
    """

    claim: Claim
    verdict: str
    detail: str
    answers: tuple[Answer, ...] = ()

    def sentence(self) -> str:
        """Return the finding and its verdict as sentences for a page."""
        published = f" Published: {self.claim.published}." if self.claim.published else ""
        detail = f" {self.detail}" if self.detail else ""
        return f"**{self.claim.text}: {self.verdict}.**{published}{detail}"

    def as_json(self) -> dict[str, str]:
        """Return the finding and its verdict for the JSON file."""
        return {
            "claim": self.claim.text,
            "published": self.claim.published,
            "verdict": self.verdict,
            "detail": self.detail,
        }


def judge(claim: Claim, sheet: Sheet) -> Finding | None:
    """Judge a finding by the figures; None if it is about models that the experiment does not have at this scale."""
    if absent := [model for model in claim.models if model not in sheet.models]:
        if set(claim.models) <= {*sheet.setting.models}:
            more = "Rows of prompted models need `--model openai:NAME` or `--model hf:NAME`."
            return Finding(claim, NOT_RUN, f"These rows have no figures yet: {', '.join(absent)}. {more}")
        return None
    tests = [test for test in sheet.tests if _is_about(claim, test, sheet)]
    ran = [test for test in tests if all(_has_cells(sheet, model, test) for model in claim.models)]
    if not ran:
        missing = [model for model in claim.models if not any(_has_cells(sheet, model, test) for test in sheet.tests)]
        names = ", ".join(f"*{sheet.title(model)}*" for model in missing or claim.models)
        return Finding(claim, NOT_RUN, f"These models have no figures yet: {names}.")
    compares = claim.kind in _COMPARISONS
    few = [test for test in ran if compares and sheet.documents(test) < _FEWEST]
    finding = _JUDGES[claim.kind](claim, sheet, [test for test in ran if test not in few])
    if not few:
        return finding
    names = ", ".join(f"{short(test)} ({sheet.documents(test)})" for test in few)
    reason = f"Not judged, because fewer than {_FEWEST} documents cannot show a difference: {names}."
    return replace(finding, detail=f"{finding.detail} {reason}".strip())


def verdict_of(answers: Sequence[Answer]) -> str:
    """Return one verdict for several answers."""
    yes, no = (sum(answer is one for answer in answers) for one in (True, False))
    if not answers:
        return _WEAK
    if yes and no:
        return _BOTH
    if yes:
        return FOUND if yes == len(answers) else _PARTLY
    if no:
        return CONTRARY if no == len(answers) else _PARTLY_CONTRARY
    return OPEN


def _is_about(claim: Claim, test: str, sheet: Sheet) -> bool:
    return (not claim.tests or test in claim.tests) and (not claim.types or sheet.type_of(test) in claim.types)


def _has_cells(sheet: Sheet, model: str, test: str) -> bool:
    return any(sheet.cells(model, test, fraction) for fraction in sheet.fractions)


# Two models


def _compared(claim: Claim, sheet: Sheet, tests: Sequence[str]) -> Finding:
    better, than = claim.models
    answers: list[Answer] = []
    comparisons, weak = [], []
    for test in tests:
        for fraction in claim.fractions:
            name = f"{short(test)}{'' if fraction == 1 else f', {fraction:.0%} of the data'}"
            both = [sheet.f1(model, test, fraction) for model in (better, than)]
            estimate = sheet.difference(than, better, test, (fraction, fraction))
            if None in both or estimate is None:
                continue
            if max(one for one in both if one is not None) < _LEAST:
                weak.append(name)
                continue
            answer, word = _WORDS[claim.kind](estimate)
            answers.append(answer)
            comparisons.append(f"{name} {estimate.points(sheet.documents(test))}, {word}")
    head = f"Strict F1 of *{sheet.title(better)}* minus that of *{sheet.title(than)}*: "
    detail = head + "; ".join(comparisons) + "." if comparisons else ""
    if weak:
        reason = f"Not judged, because both models have a strict F1 below {_LEAST}: {', '.join(weak)}."
        detail = f"{detail} {reason}".strip()
    return Finding(claim, verdict_of(answers), detail, tuple(answers))


def _helps(estimate: Estimate) -> tuple[Answer, str]:
    return {1: (True, "higher"), -1: (False, "lower"), 0: (None, "a difference is not shown")}[estimate.sign]


def _does_not_help(estimate: Estimate) -> tuple[Answer, str]:
    if estimate.sign > 0:
        return False, "higher"
    if estimate.high <= MARGIN:
        return True, f"no gain of more than {100 * MARGIN:.0f} points"
    return None, f"not shown: a gain of more than {100 * MARGIN:.0f} points is possible"


def _matches(estimate: Estimate) -> tuple[Answer, str]:
    if estimate.low >= -MARGIN and estimate.high <= MARGIN:
        return True, f"within {100 * MARGIN:.0f} points"
    if estimate.sign:
        return False, "higher" if estimate.sign > 0 else "lower"
    return None, f"not shown: a difference of more than {100 * MARGIN:.0f} points is possible"


_WORDS: Mapping[str, Callable[[Estimate], tuple[Answer, str]]] = {
    "helps": _helps,
    "does not help": _does_not_help,
    "matches": _matches,
}


# Less data


def _costs(claim: Claim, sheet: Sheet, tests: Sequence[str]) -> Finding:
    (model,), (least, most) = claim.models, claim.range
    answers: list[Answer] = []
    losses = []
    for test in tests:
        for fraction in claim.fractions:
            estimate = sheet.difference(model, model, test, (fraction, 1.0))
            if estimate is None:
                continue
            answer, word = _lost(estimate, least, most)
            answers.append(answer)
            points = estimate.points(sheet.documents(test)).removeprefix("+")
            losses.append(f"{short(test)} {points}, {word}")
    shares = " or ".join(f"{fraction:.0%}" for fraction in claim.fractions)
    head = f"Loss of strict F1 of *{sheet.title(model)}* with {shares} of the data instead of all: "
    detail = f"{head}{'; '.join(losses)}." if losses else ""
    return Finding(claim, verdict_of(answers), detail, tuple(answers))


def _lost(estimate: Estimate, least: float, most: float) -> tuple[Answer, str]:
    low, high, room = 100 * estimate.low, 100 * estimate.high, 100 * MARGIN
    if high < least or low > most:
        return False, "less than in the paper" if high < least else "more than in the paper"
    if least - room <= low and high <= most + room:
        return True, f"within {room:.0f} points of the paper's range"
    return None, f"not shown: the interval reaches more than {room:.0f} points beyond the paper's range"


# Classes of errors


def _most_frequent(claim: Claim, sheet: Sheet, tests: Sequence[str]) -> Finding:
    (model,) = claim.models
    counted = {test: errors for test in tests if sum((errors := _errors(sheet, model, test)).values())}
    if not counted:
        return Finding(claim, _WEAK, "The model made no errors on these test sets.")
    kinds = dict.fromkeys(kind for errors in counted.values() for kind in (claim.errors, *errors))
    shares = {kind: sum(_share(errors, kind) for errors in counted.values()) / len(counted) for kind in kinds}
    rival = max((kind for kind in shares if kind != claim.errors), key=lambda kind: shares[kind])
    lead = shares[claim.errors] - shares[rival]
    room = _NORMAL * sum(_variance(errors, claim.errors, rival) for errors in counted.values()) ** 0.5 / len(counted)
    answer: Answer = True if lead > room else False if lead < -room else None
    each = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items() if share)
    names = ", ".join(short(test) for test in counted)
    mean = ", mean of the test sets" if len(counted) > 1 else ""
    close = "" if answer is not None else f"; a difference between {claim.errors} and {rival} is not shown"
    detail = f"Shares of the errors of *{sheet.title(model)}* ({names}{mean}): {each}{close}."
    return Finding(claim, verdict_of([answer]), detail, (answer,))


def _errors(sheet: Sheet, model: str, test: str) -> Mapping[str, int]:
    cells = sheet.cells(model, test)
    errors: Mapping[str, int] = cells[0]["errors"] if cells else {}
    return errors


def _share(errors: Mapping[str, int], kind: str) -> float:
    return errors.get(kind, 0) / sum(errors.values())


def _variance(errors: Mapping[str, int], one: str, other: str) -> float:
    """Return the variance of the difference between the shares of two kinds among the same errors."""
    a, b = _share(errors, one), _share(errors, other)
    return (a + b - (a - b) ** 2) / sum(errors.values())


_COMPARISONS: Mapping[str, Callable[[Claim, Sheet, Sequence[str]], Finding]] = {
    "helps": _compared,
    "does not help": _compared,
    "matches": _compared,
    "costs": _costs,
}
_JUDGES = {**_COMPARISONS, "most frequent": _most_frequent}
