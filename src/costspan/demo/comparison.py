"""What the providers billed against what the ledger says: by day, service and model, tokens and dollars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from costspan.demo.bill import Bill, Charge
from costspan.errors import ConfigurationError
from costspan.ledger import Dimension, Ledger, SummaryRow
from costspan.settings import Settings

__all__ = ["Comparison", "Key", "Tally", "compare", "require_empty"]

Key = tuple[str, ...]
"""Day (UTC), service and model."""
_BY = (Dimension.DAY, Dimension.SERVICE, Dimension.MODEL)


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums of some calls."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: Decimal = Decimal()

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.usd + other.usd,
        )

    def __str__(self) -> str:
        return f"{self.calls:,} calls, {self.tokens_in:,} tokens in, {self.tokens_out:,} tokens out, ${self.usd}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two independent accounts of the same calls."""

    bill: Mapping[Key, Tally]
    ledger: Mapping[Key, Tally]
    rows: int
    """Calls in the ledger, whenever they were made."""
    refused: int
    """Requests that the providers answered with an error."""
    failed: int
    """Attempts that the ledger knows to have failed."""
    unsettled: int
    """Attempts of which the ledger does not know how they ended."""

    @property
    def billed(self) -> Tally:
        """The whole bill."""
        return sum(self.bill.values(), Tally())

    @property
    def booked(self) -> Tally:
        """The whole ledger."""
        return sum(self.ledger.values(), Tally())

    @property
    def difference_usd(self) -> Decimal:
        """Dollars booked more than billed."""
        return self.booked.usd - self.billed.usd

    @property
    def differences(self) -> list[tuple[Key, Tally, Tally]]:
        """Where the two differ in anything: what was billed, and what was booked."""
        keys = sorted(self.bill.keys() | self.ledger.keys())
        pairs = ((key, self.bill.get(key, Tally()), self.ledger.get(key, Tally())) for key in keys)
        return [(key, billed, booked) for key, billed, booked in pairs if billed != booked]

    @property
    def is_exact(self) -> bool:
        """Whether every figure of both accounts is the same, refusals included."""
        is_all = self.rows == self.booked.calls == self.billed.calls
        return is_all and not self.differences and self.refused == self.failed and not self.unsettled


def compare(bill: Bill, settings: Settings) -> Comparison:
    """Hold the ledger of ``settings`` against ``bill``, as far as both reach.

    Raises:
        LedgerError: when the ledger cannot be read.
    """
    charges = bill.charges
    first, last = (edge(charge.at_ns for charge in charges) for edge in (min, max))
    ledger = Ledger.connect(settings)
    try:
        found = ledger.summary(_moment(first), _moment(last + 1000), by=_BY, zone=ZoneInfo("UTC"))
        audit = ledger.audit()
    finally:
        ledger.close()
    booked = {_key(row): Tally(row.calls, row.tokens_in, row.tokens_out, row.cost) for row in found.rows}
    return Comparison(
        bill=_tallies(charges),
        ledger=booked,
        rows=audit.calls,
        refused=sum(bill.refused.values()),
        failed=audit.failed,
        unsettled=audit.unsettled,
    )


def require_empty(settings: Settings) -> None:
    """Make sure that the demo's calls get a ledger of their own.

    Raises:
        ConfigurationError: when there are calls in it already.
        LedgerError: when it cannot be read.
    """
    ledger = Ledger.connect(settings)
    try:
        intents = ledger.audit().intents
    finally:
        ledger.close()
    if intents:
        raise ConfigurationError(
            f"the ledger has {intents:,} calls in it: the demo fills an empty one only, so that none of yours mixes with its."
        )


def _tallies(charges: Iterable[Charge]) -> dict[Key, Tally]:
    tallies: dict[Key, Tally] = {}
    for charge in charges:
        key = (str(_moment(charge.at_ns).date()), charge.service, charge.model)
        tallies[key] = tallies.get(key, Tally()) + Tally(1, charge.tokens_in, charge.tokens_out, charge.usd)
    return tallies


def _key(row: SummaryRow) -> Key:
    return tuple(str(row.keys[dimension]) for dimension in _BY)


def _moment(at_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000)
