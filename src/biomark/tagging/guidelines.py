"""Annotation guidelines: how a network that has learnt several of them decides which one a text follows.

Corpora disagree on what a mention of a type is. A network with guidelines predicts the tags under the guideline of each
corpus, and its gate predicts from each window alone which guideline the text follows. A window is short, and one in a
long article can look like another corpus; the other windows of the document are evidence, too. So the gate of a window
is multiplied by the geometric mean of the others': together they count as much as the window itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from biomark.errors import UsageError
from biomark.tagging.text import Floats, log_softmax

_PREFERRED = 1e4  # large enough that no other guideline counts where the preferred one covers the type


@dataclass(frozen=True, slots=True)
class Guidelines:
    """The guidelines of a network.

    Attributes:
        annotated: (C, N) float32, 0 where the corpus of a guideline annotates a type and minus infinity elsewhere.
        preferred: the index of the guideline to follow for the types that its corpus annotates; None: the gate decides.
    """

    annotated: Floats
    preferred: int | None = None

    @classmethod
    def of(cls, annotated: Mapping[str, Collection[str]], types: Sequence[str], preferred: str = "") -> Guidelines:
        """Return the guidelines of a network.

        Args:
            annotated: the types that each corpus annotates, in the order of the network's guidelines.
            types: the N types of the network.
            preferred: one of the corpora, whose guideline is to be followed; empty: the gate decides.
        """
        table = [[0.0 if entity_type in own else -np.inf for entity_type in types] for own in annotated.values()]
        index = list(annotated).index(preferred) if preferred else None
        return cls(np.array(table, dtype=np.float32), index)

    def gates(self, gates: npt.ArrayLike) -> Floats:
        """Return the logarithms of the probabilities of the guidelines in each window of a document, (B, C).

        Args:
            gates: (B, C) the logits that the network's gate computed for the B windows, each from the window alone.
        """
        own = log_softmax(np.asarray(gates, dtype=np.float32))
        if len(own) > 1:
            own = log_softmax(own + (own.sum(axis=0) - own) / (len(own) - 1))
        if self.preferred is not None:
            own[:, self.preferred] += _PREFERRED
        return own

    def mixed(self, by_guideline: Floats, gate: Floats) -> Floats:
        """Return the logarithms of the probabilities of the tags in a window, (W, N, 3): a mixture over the guidelines.

        A type's tags are weighed under the guidelines of the corpora that annotate it alone.

        Args:
            by_guideline: (W, C, N, 3) logarithms of the probabilities of the tags under each guideline.
            gate: (C,) one row of what `gates` returns.
        """
        trust = log_softmax((gate[:, None] + self.annotated).T).T  # (C, N)
        weighed = by_guideline + trust[..., None]
        highest = weighed.max(axis=1)
        result: Floats = highest + np.log(np.exp(weighed - highest[:, None]).sum(axis=1))
        return result


def check_guideline(folder: Path, name: str, known: Collection[str]) -> None:
    """Refuse the name of a corpus whose guideline a model has not learnt.

    Args:
        folder: the folder of the model.
        name: the name of the corpus; empty: the user named none.
        known: the corpora whose guidelines the model has learnt.

    Raises:
        UsageError: if the name is not among the known ones, which the message lists.
    """
    if name and name not in known:
        choice = f"choose from {', '.join(known)}" if known else "this model follows no guideline by name"
        raise UsageError(f"{folder}: unknown guideline {name!r}; {choice}")
