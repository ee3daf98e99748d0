"""What the ledger answers: sums, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Context, Decimal
from enum import StrEnum
from fractions import Fraction

from costspan.usage import Status

__all__ = ["Audit", "Dimension", "Summary", "SummaryRow", "usd"]

#: Wide enough that no sum of pico-dollars is ever rounded.
_EXACT = Context(prec=60)


class Dimension(StrEnum):
    """What a summary can be broken down by."""

    DAY = "day"
    """Of the summary's time zone; a `datetime.date`."""
    HOUR = "hour"
    """Of the summary's time zone; an aware `datetime.datetime`."""
    SERVICE = "service"
    PROVIDER = "provider"
    MODEL = "model"
    OPERATION = "operation"
    STATUS = "status"
    TENANT = "tenant"
    FEATURE = "feature"
    SESSION = "session"
    USER = "user"
    WEEK = "week"
    """Of the summary's time zone; the `datetime.date` of its Monday, also where the period begins later."""
    MONTH = "month"
    """Of the summary's time zone; the `datetime.date` of its first day, also where the period begins later."""


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """Sums of some calls. Invalid calls are counted and nothing of them is summed."""

    keys: Mapping[Dimension, str | date | datetime] = field(default_factory=dict)
    """The value of each dimension that was asked for. '' is a call that names no feature, session or user."""
    calls: int = 0
    priced: int = 0
    estimated: int = 0
    partial: int = 0
    unpriced: int = 0
    invalid: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cost: Decimal = Decimal(0)
    """Dollars, exact: what is priced, estimated and known of the partial calls."""
    cost_not_priced: Decimal = Decimal(0)
    """The part of ``cost`` that comes from estimated and partial calls."""
    cost_estimated: Decimal = Decimal(0)
    """The part of ``cost`` that comes from estimated calls."""

    @property
    def not_priced(self) -> int:
        """Calls whose cost is not certain, or not known at all."""
        return self.calls - self.priced

    @property
    def calls_by_status(self) -> Mapping[Status, int]:
        """How many calls have each status; together all of them."""
        return {status: getattr(self, status.value) for status in Status}

    @property
    def cost_by_status(self) -> Mapping[Status, Decimal]:
        """Dollars of each status whose calls have a cost, exact; together all of ``cost``."""
        return {
            Status.PRICED: _EXACT.subtract(self.cost, self.cost_not_priced),
            Status.ESTIMATED: self.cost_estimated,
            Status.PARTIAL: _EXACT.subtract(self.cost_not_priced, self.cost_estimated),
        }

    @property
    def call_shares(self) -> Mapping[Status, Fraction]:
        """Which part of the calls has each status, exact; together 1. Empty where there is no call."""
        return {status: Fraction(number, self.calls) for status, number in self.calls_by_status.items() if self.calls}

    @property
    def cost_shares(self) -> Mapping[Status, Fraction]:
        """Which part of the known cost has each status that can have one, exact; together 1. Empty where it is 0."""
        return {
            status: Fraction(amount) / Fraction(self.cost)
            for status, amount in self.cost_by_status.items()
            if self.cost
        }

    @property
    def tokens_by_class(self) -> Mapping[str, int]:
        """Tokens in classes that do not overlap; together all that was read and written.

        ``input`` is what no cache was involved in, ``output`` what was written besides reasoning.
        """
        return {
            "input": self.tokens_in - self.cache_read - self.cache_write,
            "cache_read": self.cache_read,
            "cache_write": self.cache_write,
            "output": self.tokens_out - self.reasoning,
            "reasoning": self.reasoning,
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums of all calls between two instants."""

    start: datetime
    end: datetime
    rows: tuple[SummaryRow, ...]
    total: SummaryRow
    unsettled: Mapping[str, int]
    """Attempts that may have been billed without anybody knowing, per outcome (``open``, ``unanswered``); in no sum."""

    @property
    def total_cost(self) -> Decimal:
        """Dollars of all rows, exact."""
        return self.total.cost


@dataclass(frozen=True, slots=True)
class Audit:
    """What became of every intent that any journal announced."""

    intents: int
    calls: int
    duplicates: int
    failed: int
    unsettled: int
    quarantined: int
    torn_bytes: int


def usd(pico: int | Decimal) -> Decimal:
    """Dollars of so many pico-dollars, exact and without trailing zeros: 0.00135 and not 1.350E-3."""
    value = _EXACT.scaleb(Decimal(pico), -12)
    return _EXACT.quantize(value, Decimal(1)) if value == value.to_integral_value() else value.normalize(_EXACT)


def total(rows: Iterable[SummaryRow]) -> SummaryRow:
    """The sum of ``rows``."""
    rows = tuple(rows)
    return SummaryRow(
        calls=sum(row.calls for row in rows),
        priced=sum(row.priced for row in rows),
        estimated=sum(row.estimated for row in rows),
        partial=sum(row.partial for row in rows),
        unpriced=sum(row.unpriced for row in rows),
        invalid=sum(row.invalid for row in rows),
        tokens_in=sum(row.tokens_in for row in rows),
        tokens_out=sum(row.tokens_out for row in rows),
        cache_read=sum(row.cache_read for row in rows),
        cache_write=sum(row.cache_write for row in rows),
        reasoning=sum(row.reasoning for row in rows),
        cost=_sum(row.cost for row in rows),
        cost_not_priced=_sum(row.cost_not_priced for row in rows),
        cost_estimated=_sum(row.cost_estimated for row in rows),
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    whole = Decimal(0)
    for amount in amounts:
        whole = _EXACT.add(whole, amount)
    return _EXACT.quantize(whole, Decimal(1)) if whole == whole.to_integral_value() else whole.normalize(_EXACT)
