"""Choice of demonstrations for a prompt: annotated sentences that suit the sentence of the question.

The most similar one comes last, next to the question (KATE: Liu et al. 2022, arXiv 2101.06804). The sentence itself
and others of its document are never chosen. Ties are broken by document and text, so that a choice depends on the
content of the pool and not on its order, except for the chooser `first`.
"""

from __future__ import annotations

from biomark.prompted.retrieval.choosers import BY_COSINE, BY_EMBEDDING, CHOOSERS, MOST, Chooser, chooser
from biomark.prompted.retrieval.pool import Example, examples, of_types
from biomark.prompted.retrieval.similarity import MentionFinder

__all__ = [
    "BY_COSINE",
    "BY_EMBEDDING",
    "CHOOSERS",
    "MOST",
    "Chooser",
    "Example",
    "MentionFinder",
    "chooser",
    "examples",
    "of_types",
]
