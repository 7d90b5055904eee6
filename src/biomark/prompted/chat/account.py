"""Accounting of tokens and money, and budgets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from biomark.errors import UsageError

_BUDGET = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>tokens?)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a million tokens that the model reads or writes, in any currency."""

    read: float = 0.0
    written: float = 0.0

    def cost(self, read: int, written: int) -> float:
        """Return the price of tokens in the currency of the prices."""
        return (read * self.read + written * self.written) / 1e6


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit of the cost.

    Attributes:
        amount: an amount of money, or a number of tokens (read and written together).
        tokens: whether the amount is in tokens.
    """

    amount: float
    tokens: bool


def parse_budget(text: str, prices: Prices) -> Budget:
    """Parse a budget: `2.50` (money), or `200000 tokens`.

    Raises:
        UsageError: if it is neither, or money although there are no prices.
    """
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise UsageError(f"`budget` must be money or tokens, such as 2.50 or '200000 tokens', got {text!r}")
    tokens = match["unit"] is not None
    if not tokens and prices == Prices():
        raise UsageError(
            f"a `budget` of {text} needs the prices of a million tokens, `price_in` and `price_out`; "
            f"or give it in tokens: `budget={match['number']} tokens`"
        )
    return Budget(float(match["number"]), tokens)


class Account:
    """The tokens spent so far, and those reserved for pending requests.

    Args:
        prices: the prices of tokens; None: free.
        budget: the limit of the cost; None: no limit.

    Attributes:
        counts: answered `requests`; `cached` answers, which cost nothing; `retries`; tokens `read` and `written`;
            tokens that cached answers saved (`saved_read`, `saved_written`); `estimated`: answers whose tokens the
            server did not report; `failed` attempts that the server may still bill, and the most tokens that they can
            cost (`failed_read`, `failed_written`).
    """

    def __init__(self, prices: Prices | None = None, budget: Budget | None = None) -> None:
        self.prices = prices or Prices()
        self.budget = budget
        self.counts: Counter[str] = Counter()
        self._reserved = 0.0  # in the budget's unit

    def fits(self, read: int, written: int) -> bool:
        """Return whether the budget allows more tokens, in addition to those reserved."""
        if self.budget is None:
            return True
        counts = self.counts
        spent = self._of(counts["read"] + counts["failed_read"], counts["written"] + counts["failed_written"])
        return spent + self._reserved + self._of(read, written) <= self.budget.amount

    @property
    def has_reserved(self) -> bool:
        """Return whether a part of the budget is reserved for pending requests."""
        return self._reserved > 1e-9

    def reserve(self, read: int, written: int) -> None:
        """Reserve a part of the budget for a pending request."""
        self._reserved += self._of(read, written)

    def release(self, read: int, written: int) -> None:
        """Undo `reserve`."""
        self._reserved -= self._of(read, written)

    def pay(self, read: int, written: int, *, estimated: bool) -> None:
        """Count an answer of a model."""
        self.counts += Counter(requests=1, read=read, written=written, estimated=int(estimated))

    def lose(self, read: int, written: int) -> None:
        """Count a failed attempt that the server may bill; it counts against the budget like an answer."""
        self.counts += Counter(failed=1, failed_read=read, failed_written=written)

    def save(self, read: int, written: int) -> None:
        """Count an answer from the cache."""
        self.counts += Counter(cached=1, saved_read=read, saved_written=written)

    def cost(self) -> float:
        """Return the money spent, in the currency of the prices."""
        return self.prices.cost(self.counts["read"], self.counts["written"])

    def facts(self) -> Mapping[str, float]:
        """Return all counts, and the cost if there are prices, for a record of a run."""
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
        """Return the cost of tokens in the budget's unit."""
        if self.budget is not None and self.budget.tokens:
            return read + written
        return self.prices.cost(read, written)
