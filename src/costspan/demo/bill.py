"""What the demo's providers billed: their own price list and their own book, independent of costspan's.

It is the truth that the ledger is compared with, so nothing here imports costspan's prices or its idea of usage.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

__all__ = ["TARIFF", "Bill", "Charge"]

#: Dollars for a million tokens of each kind. The first is the project's contract price; caches cost what they cost
#: with every Claude model: 1.25 times the input price to write for five minutes, twice for an hour, a tenth to read.
TARIFF: Mapping[str, Mapping[str, Decimal]] = {
    "claude-3-5-haiku-latest": {
        "input": Decimal(1),
        "output": Decimal(5),
        "cache_write_5m": Decimal("1.25"),
        "cache_write_1h": Decimal(2),
        "cache_read": Decimal("0.1"),
    },
    "claude-haiku-4-5": {
        "input": Decimal(1),
        "output": Decimal(5),
        "cache_write_5m": Decimal("1.25"),
        "cache_write_1h": Decimal(2),
        "cache_read": Decimal("0.1"),
    },
    "gpt-4.1-nano": {"input": Decimal("0.1"), "output": Decimal("0.4")},
    "gpt-5-mini": {"input": Decimal("0.25"), "output": Decimal(2)},
    "text-embedding-3-large": {"input": Decimal("0.13")},
    "text-embedding-3-small": {"input": Decimal("0.02")},
}
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Charge:
    """One answered request, as the provider billed it."""

    at_ns: int
    service: str
    operation: str
    model: str
    request_id: str
    tokens: Mapping[str, int]
    """Per kind of the tariff, disjoint."""

    @property
    def usd(self) -> Decimal:
        """Exact: a million divides every product without a remainder that Decimal would round."""
        rates = TARIFF[self.model]
        return sum((rates[kind] * quantity for kind, quantity in self.tokens.items()), Decimal()) / _MILLION

    @property
    def tokens_in(self) -> int:
        """Every token read, caches included."""
        return sum(quantity for kind, quantity in self.tokens.items() if kind != "output")

    @property
    def tokens_out(self) -> int:
        """Every token written."""
        return self.tokens.get("output", 0)


class Bill:
    """The charges of both providers, and the requests they refused. Servers write to it from many threads."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._charges: list[Charge] = []
        self._refused: dict[int, int] = {}

    def now_s(self) -> int:
        """The simulation's moment in seconds since the epoch, as answers state when they were made."""
        return self._clock() // 1_000_000_000

    def charge(self, *, service: str, operation: str, model: str, request_id: str, tokens: Mapping[str, int]) -> None:
        """Bill ``tokens`` at this moment of the simulation."""
        charge = Charge(self._clock(), service, operation, model, request_id, tokens)
        with self._lock:
            self._charges.append(charge)

    def refuse(self, status: int) -> None:
        """Count a request that was answered with an error: it costs nothing."""
        with self._lock:
            self._refused[status] = self._refused.get(status, 0) + 1

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every charge so far, in the order they were made."""
        with self._lock:
            return tuple(self._charges)

    @property
    def refused(self) -> dict[int, int]:
        """How many requests were refused, by HTTP status."""
        with self._lock:
            return dict(sorted(self._refused.items()))

    @property
    def total_usd(self) -> Decimal:
        """What all charges come to."""
        return sum((charge.usd for charge in self.charges), Decimal())
