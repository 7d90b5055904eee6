"""The keys of a text's words by which names like it are looked for in a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from biomark.knowledge import fuzzy
from biomark.knowledge.store import Store

_RARE = 20  # names that have a key; of rarer ones, other spellings are tried
_SPELLINGS = 4
_CACHED = 1 << 14


class Keys:
    """Weighs the keys of texts by how rare they are in a store; remembers the last 16,384 keys.

    Args:
        store: open.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.holders: Callable[[str], int] = lru_cache(_CACHED)(store.holders)
        self.weight: Callable[[str], float] = lru_cache(_CACHED)(self._find_weight)
        self._like = lru_cache(_CACHED)(self._find_like)

    def of(self, form: str, most: int) -> Mapping[str, float]:
        """The keys of a form and keys like its own, with their weights.

        Args:
            form: see `biomark.knowledge.forms`.
            most: names that are looked at for it; rare keys come first, so that common ones are not read in vain.
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
        """The keys near a key, and for a rare one those that are spelled like it."""
        near = sorted(fuzzy.equivalents().near.get(key, ()))
        if len(key) > 4 and not key.isdigit() and self.holders(key) < _RARE:
            alike = self._store.spelled_like(key)
            near += sorted(alike, key=lambda other: (-fuzzy.likeness(key, other), other))[:_SPELLINGS]
        return tuple(near)

    def _find_weight(self, key: str) -> float:
        return fuzzy.weight_of(key, math.log((self._store.names + 1) / (self.holders(key) + 0.5)))
