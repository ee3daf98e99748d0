"""Sessions that cost far more than the others: where to look first when a bill surprises."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from costspan.errors import InvalidQuestion
from costspan.ledger.asking import summing
from costspan.ledger.database import Database
from costspan.ledger.period import Period
from costspan.ledger.queries import queries
from costspan.ledger.summary import usd

__all__ = ["ENOUGH", "MAX_OUTLIERS", "Outlier", "Outliers", "UsualSession", "outliers"]

#: Sessions that a tenant must have for a median that says something.
ENOUGH = 5
MAX_OUTLIERS = 10_000
_MOST = 10**9


@dataclass(frozen=True, slots=True)
class UsualSession:
    """What the sessions of a tenant are like, as far as their cost is known."""

    tenant: str
    sessions: int
    cost: Decimal
    """Dollars of all of them, exact."""
    median: Decimal
    """Dollars: half of the sessions cost no more. Of an even number the lower one of the two in the middle."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A session that is far out."""

    tenant: str
    session: str
    calls: int
    cost: Decimal
    """Dollars of its calls in the period, exact."""
    unknown_calls: int
    """Calls whose cost is not known, or not all of it: if any, the truth is higher."""
    median: Decimal
    """Of its tenant's sessions."""

    @property
    def times(self) -> Fraction:
        """How many times the median it cost, exact."""
        return Fraction(self.cost) / Fraction(self.median)


@dataclass(frozen=True, slots=True)
class Outliers:
    """The sessions of a period that are far out, the dearest first."""

    period: Period
    factor: Decimal
    number: int
    """How many are far out; as many are in ``sessions`` as were asked for."""
    sessions: tuple[Outlier, ...]
    usual: tuple[UsualSession, ...]
    """Of each tenant that is seen and has sessions with a known cost."""


def outliers(
    database: Database, period: Period, *, factor: Decimal = Decimal(10), tenant: str | None = None, limit: int = 100
) -> Outliers:
    """Return the sessions that cost more than ``factor`` times the median session of their tenant, in ``period``.

    A tenant with fewer than `ENOUGH` sessions has none. ``tenant`` is whose; None is everybody's, as admin.

    Raises:
        InvalidQuestion: as `Reader.summary`; for a factor below 1, and a limit that is not from 1 to `MAX_OUTLIERS`.
        LedgerError: as `Database.transaction`.
    """
    if not (factor.is_finite() and 1 <= factor <= _MOST):
        raise InvalidQuestion(f"factor is {str(factor)[:40]}: allowed are numbers from 1 to {_MOST:,}")
    if type(limit) is not int or not 1 <= limit <= MAX_OUTLIERS:
        raise InvalidQuestion(f"limit is {str(limit)[:40]}: allowed are whole numbers from 1 to {MAX_OUTLIERS:,}")
    span = Period.between(period.start, period.end, period.zone)
    values = {"start": span.start, "end": span.end, "factor": factor, "enough": ENOUGH, "limit": limit}
    with summing(database, tenant) as cursor:
        rows = cursor.execute(queries("outliers")["sessions"], values).fetchall()
    usual = {row[0]: UsualSession(row[0], row[2], usd(row[3]), usd(row[5])) for row in rows if row[1] is None}
    dear = [row for row in rows if row[1] is not None]
    found = tuple(
        Outlier(name, session, calls, usd(cost), unknown, usual[name].median)
        for name, session, calls, cost, unknown, _ in dear
    )
    return Outliers(period, factor, int(dear[0][5]) if dear else 0, found, tuple(usual.values()))
