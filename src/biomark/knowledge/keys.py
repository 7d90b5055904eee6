"""The keys of a text's words, with which similar names are looked up in a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from biomark.knowledge import fuzzy
from biomark.knowledge.store import Store

_RARE = 20  # the number of names with a key; for rarer keys, other spellings are tried
_SPELLINGS = 4
_CACHED = 1 << 14


class Keys:
    """Keys of texts with weights by their rarity in a store; the last 16,384 keys are cached.

    Args:
        store: an open store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.holders: Callable[[str], int] = lru_cache(_CACHED)(store.holders)
        self.weight: Callable[[str], float] = lru_cache(_CACHED)(self._find_weight)
        self._like = lru_cache(_CACHED)(self._find_like)

    def of(self, form: str, most: int) -> Mapping[str, float]:
        """Return the keys of a form and similar keys, with their weights.

        Args:
            form: a normalised form, see `biomark.knowledge.forms`.
            most: the largest number of names to read; rare keys take precedence over common ones.
        """
        weights = {key: self.weight(key) for key in fuzzy.keys(form)}
        for key in tuple(weights):
            for other in self._like(key):
                weight = fuzzy.likeness(key, other) * min(self.weight(other), self.weight(key))
                weights[other] = max(weights.get(other, 0.0), weight)
        chosen: dict[str, float] = {}
        read = 0
        for key in sorted(weights, key=self.holders):
            read += self.holders(key)
            if chosen and read > most:
                break
            if self.holders(key) and weights[key]:
                chosen[key] = weights[key]
        return chosen

    def _find_like(self, key: str) -> tuple[str, ...]:
        """Return the equivalents of a key, and for a rare key also the keys with a similar spelling."""
        near = sorted(fuzzy.equivalents().near.get(key, ()))
        if len(key) > 4 and not key.isdigit() and self.holders(key) < _RARE:
            alike = self._store.spelled_like(key)
            near += sorted(alike, key=lambda other: (-fuzzy.likeness(key, other), other))[:_SPELLINGS]
        return tuple(near)

    def _find_weight(self, key: str) -> float:
        return fuzzy.weight_of(key, math.log((self._store.names + 1) / (self.holders(key) + 0.5)))
