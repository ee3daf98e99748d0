"""What today's prices make of calls that were priced before: by model and status, to the pico-dollar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from costspan.ledger.derivation import StoredKind
from costspan.ledger.summary import usd

__all__ = ["Difference", "DifferenceRow", "Remark", "Scope", "Tally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The calls in [since, until) that are looked at."""

    since: datetime
    until: datetime
    tenant: str | None = None
    """None: every tenant."""
    model: str | None = None
    """That served the call; None: every model."""
    only_unpriced: bool = False

    def __str__(self) -> str:
        """What narrows it besides the dates, for the audit trail; empty where nothing does."""
        named = (("tenant", self.tenant), ("model", self.model))
        words = [f"{name} {value}" for name, value in named if value is not None]
        return ", ".join([*words, "only unpriced"] if self.only_unpriced else words)


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """Calls of one model that have one status now."""

    provider: str
    model: str
    status: str
    calls: int
    changed: int
    """Calls that would have another cost or status."""
    cost_now: Decimal
    """Dollars in the ledger, exact."""
    cost_then: Decimal
    """Dollars at today's prices, exact."""

    @property
    def difference(self) -> Decimal:
        """What would be added."""
        return self.cost_then - self.cost_now


@dataclass(frozen=True, slots=True)
class Remark:
    """Why calls of a model stay as they are."""

    provider: str
    model: str
    reason: str
    calls: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What today's prices change, and what was done about it."""

    scope: Scope
    price_version: str
    kept_since: date | None
    """Calls before it were dropped, and their sums stay as they are; None where all are kept."""
    rows: tuple[DifferenceRow, ...]
    total: DifferenceRow
    newly_priced: int
    """Calls without a cost that would get one; they are among ``changed``."""
    newly_priced_cost: Decimal
    unpriced: tuple[Remark, ...]
    """Calls without a cost that get none, and why."""
    kept: tuple[Remark, ...]
    """Calls that would lose a price; they keep it, and are not among ``changed``."""
    corrections: int = 0
    """Appended; 0 when only comparing."""
    overtaken: int = 0
    """Calls that somebody else corrected meanwhile."""
    reprice_id: int | None = None
    """Of the run in the audit trail; None where nothing was appended."""


@dataclass(slots=True)
class _Sums:
    calls: int = 0
    changed: int = 0
    now: int = 0
    then: int = 0


@dataclass(slots=True)
class Tally:
    """Adds up what was found."""

    rows: dict[tuple[str, str, str], _Sums] = field(default_factory=dict)
    newly_priced: _Sums = field(default_factory=_Sums)
    unpriced: dict[tuple[str, str, str], int] = field(default_factory=dict)
    kept: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def same(self, kind: StoredKind, calls: int, cost_pico: int) -> None:
        """Note calls that stay as they are."""
        sums = self._of(kind)
        sums.calls += calls
        sums.now += cost_pico
        sums.then += cost_pico

    def changed(self, kind: StoredKind, now: int | None, then: int | None) -> None:
        """Note a call with another cost or status."""
        is_news = now is None and then is not None
        for sums in (self._of(kind), self.newly_priced) if is_news else (self._of(kind),):
            sums.calls += 1
            sums.changed += 1
            sums.now += now or 0
            sums.then += then or 0

    def stays_unpriced(self, kind: StoredKind, reason: str, calls: int = 1) -> None:
        """Note why calls have no cost."""
        _count(self.unpriced, (kind.provider, kind.model, reason), calls)

    def keeps(self, kind: StoredKind, reason: str) -> None:
        """Note a call that would lose its price."""
        _count(self.kept, (kind.provider, kind.model, reason), 1)

    def difference(self, scope: Scope, price_version: str, kept_since: date | None) -> Difference:
        """Return what was noted."""
        rows = tuple(_row(key, sums) for key, sums in sorted(self.rows.items()))
        return Difference(
            scope=scope,
            price_version=price_version,
            kept_since=kept_since,
            rows=rows,
            total=_row(("", "total", ""), _added(self.rows.values())),
            newly_priced=self.newly_priced.calls,
            newly_priced_cost=usd(self.newly_priced.then),
            unpriced=_remarks(self.unpriced),
            kept=_remarks(self.kept),
        )

    def _of(self, kind: StoredKind) -> _Sums:
        key = (kind.provider, kind.model, kind.status)
        sums = self.rows.get(key)
        if sums is None:
            sums = self.rows[key] = _Sums()
        return sums


def _count(counts: dict[tuple[str, str, str], int], key: tuple[str, str, str], calls: int) -> None:
    counts[key] = counts.get(key, 0) + calls


def _row(key: tuple[str, str, str], sums: _Sums) -> DifferenceRow:
    return DifferenceRow(*key, sums.calls, sums.changed, usd(sums.now), usd(sums.then))


def _added(sums: Iterable[_Sums]) -> _Sums:
    whole = _Sums()
    for one in sums:
        whole.calls += one.calls
        whole.changed += one.changed
        whole.now += one.now
        whole.then += one.then
    return whole


def _remarks(counts: dict[tuple[str, str, str], int]) -> tuple[Remark, ...]:
    return tuple(Remark(*key, calls) for key, calls in sorted(counts.items()))
