"""A document and its annotations, which tests of commands share."""

from __future__ import annotations

from collections.abc import Callable

from conftest import Outcome

Biomark = Callable[..., Outcome]

ABSTRACT = "7|t|Asthma and aspirin\n7|a|TNF-α in asthma.\n\n"
ANNOTATED = ABSTRACT.removesuffix("\n") + (
    "7\t0\t6\tAsthma\tdisease\n7\t11\t18\taspirin\tchemical\n7\t19\t24\tTNF-α\tgene\n7\t28\t34\tasthma\tdisease\n\n"
)
