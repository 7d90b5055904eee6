"""Tokens and money: what was spent, what may be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from biomark.errors import UsageError

_BUDGET = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>tokens?)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prices:
    """Money for a million tokens, in whatever currency."""

    read: float = 0.0
    written: float = 0.0

    def cost(self, read: int, written: int) -> float:
        """The price of so many tokens, in the currency of the prices."""
        return (read * self.read + written * self.written) / 1e6


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent.

    Attributes:
        amount: of money, or of tokens (read and written together).
        tokens: which of the two.
    """

    amount: float
    tokens: bool


def parse_budget(text: str, prices: Prices) -> Budget:
    """A budget as a user writes it: `2.50` of money, or `200000 tokens`.

    Raises:
        UsageError: if it is neither, or money without prices.
    """
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise UsageError(f"a budget is money or tokens, such as 2.50 or '200000 tokens', not {text!r}")
    tokens = match["unit"] is not None
    if not tokens and prices == Prices():
        raise UsageError(
            f"a budget of {text} needs the prices of a million tokens, `price_in` and `price_out`; "
            f"or write it in tokens: `budget={match['number']} tokens`"
        )
    return Budget(float(match["number"]), tokens)


class Account:
    """What was spent so far, and what is under way.

    Args:
        prices: of tokens.
        budget: None: without end.

    Attributes:
        counts: `requests` that a model answered, `cached` answers that cost nothing, `retries`, tokens `read` and
            `written`, those that the `cached` answers did not cost again (`saved_read`, `saved_written`), and
            `estimated`: answers of which the server did not tell the tokens; `failed` attempts that the server may bill
            all the same, with the most tokens that they can cost (`failed_read`, `failed_written`).
    """

    def __init__(self, prices: Prices | None = None, budget: Budget | None = None) -> None:
        self.prices = prices or Prices()
        self.budget = budget
        self.counts: Counter[str] = Counter()
        self._under_way = 0.0

    def fits(self, read: int, written: int) -> bool:
        """Whether tokens could be paid for, with all that is under way."""
        if self.budget is None:
            return True
        counts = self.counts
        spent = self._of(counts["read"] + counts["failed_read"], counts["written"] + counts["failed_written"])
        return spent + self._under_way + self._of(read, written) <= self.budget.amount

    @property
    def under_way(self) -> bool:
        """Whether some of the budget is set aside for answers that are awaited."""
        return self._under_way > 1e-9

    def set_aside(self, read: int, written: int) -> None:
        """Keep a part of the budget for an answer that is awaited."""
        self._under_way += self._of(read, written)

    def release(self, read: int, written: int) -> None:
        """Undo `set_aside`."""
        self._under_way -= self._of(read, written)

    def pay(self, read: int, written: int, *, estimated: bool) -> None:
        """Count an answer that a model gave."""
        self.counts += Counter(requests=1, read=read, written=written, estimated=int(estimated))

    def lose(self, read: int, written: int) -> None:
        """Count an attempt that failed when the model may have answered; against the budget it counts as an answer."""
        self.counts += Counter(failed=1, failed_read=read, failed_written=written)

    def save(self, read: int, written: int) -> None:
        """Count an answer that was there already."""
        self.counts += Counter(cached=1, saved_read=read, saved_written=written)

    def cost(self) -> float:
        """The money spent."""
        return self.prices.cost(self.counts["read"], self.counts["written"])

    def facts(self) -> Mapping[str, float]:
        """All of it, for a record."""
        facts: dict[str, float] = dict(self.counts)
        return {**facts, "cost": self.cost()} if self.prices != Prices() else facts

    def __str__(self) -> str:
        counts = self.counts
        parts = [f"{counts['requests']:,} answers", f"{counts['read']:,} tokens read, {counts['written']:,} written"]
        if self.prices != Prices():
            parts.append(f"cost {self.cost():.4f}")
        if counts["cached"]:
            parts.append(f"{counts['cached']:,} more answers from the cache")
        if counts["retries"]:
            parts.append(f"{counts['retries']:,} retries")
        if counts["failed"]:
            tokens = counts["failed_read"] + counts["failed_written"]
            parts.append(f"{counts['failed']:,} failed attempts may be billed, up to {tokens:,} tokens")
        if counts["estimated"]:
            parts.append(f"the tokens of {counts['estimated']:,} answers are estimates")
        return "; ".join(parts)

    def _of(self, read: int, written: int) -> float:
        """In the budget's unit."""
        if self.budget is not None and self.budget.tokens:
            return read + written
        return self.prices.cost(read, written)
