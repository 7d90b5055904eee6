"""The counts of SemEval-2013 task 9.1 (Segura-Bedmar et al. 2013), in agreement with nervaluate.

Mentions are aligned one to one, and each pair is classified under four schemas:

=========  =====================  ============================  ==================
schema     correct                incorrect                     partial
=========  =====================  ============================  ==================
strict     same spans and type    any other overlap
exact      same spans             overlap, other boundaries
partial    same spans                                           overlap
type       same type, overlap     overlap, other type
=========  =====================  ============================  ==================

Gold mentions without a partner are missing, predicted ones spurious.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.evaluation.mentions import Alignment, Mentions, align

SCHEMAS = ("strict", "exact", "partial", "type")


@dataclass(frozen=True, slots=True)
class SchemaCounts:
    """The five counts of one schema; `correct + incorrect + partial + missing` is the number of gold mentions."""

    correct: int = 0
    incorrect: int = 0
    partial: int = 0
    missing: int = 0
    spurious: int = 0

    def __add__(self, other: SchemaCounts) -> SchemaCounts:
        return SchemaCounts(
            self.correct + other.correct,
            self.incorrect + other.incorrect,
            self.partial + other.partial,
            self.missing + other.missing,
            self.spurious + other.spurious,
        )

    @property
    def precision(self) -> float:
        """Correct mentions plus half of the partial ones, divided by all predicted mentions; 0 if there are none."""
        return self._share(self.correct + self.incorrect + self.partial + self.spurious)

    @property
    def recall(self) -> float:
        """Correct mentions plus half of the partial ones, divided by all gold mentions; 0 if there are none."""
        return self._share(self.correct + self.incorrect + self.partial + self.missing)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 if both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    def _share(self, total: int) -> float:
        return (self.correct + self.partial / 2) / total if total else 0.0


def semeval(gold: Mentions, predicted: Mentions) -> dict[str, SchemaCounts]:
    """Return the counts of the mentions of one document, by schema."""
    by_place = align(gold, predicted, prefer_type=False)
    by_type = align(gold, predicted, prefer_type=True)
    same_spans = sum(g.spans == p.spans for g, p in by_place.pairs)
    return {
        "strict": _counts(by_place, correct=sum(g == p for g, p in by_place.pairs)),
        "exact": _counts(by_place, correct=same_spans),
        "partial": _counts(by_place, correct=same_spans, partial=len(by_place.pairs) - same_spans),
        "type": _counts(by_type, correct=sum(g.type == p.type for g, p in by_type.pairs)),
    }


def _counts(alignment: Alignment, *, correct: int, partial: int = 0) -> SchemaCounts:
    incorrect = len(alignment.pairs) - correct - partial
    return SchemaCounts(correct, incorrect, partial, len(alignment.missing), len(alignment.spurious))
