"""What a tenant may spend in a day or a month: set, taken away, looked up. Every change stays on record.

A tenant's own budget counts before everybody's, and everybody's before the daily one of the settings. Nothing is stopped
when a budget is passed: it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from costspan.errors import InvalidQuestion
from costspan.ledger.database import Cursor, Database
from costspan.ledger.queries import queries
from costspan.ledger.tenant import find_key, key_of, tenant_named

__all__ = ["Budget", "BudgetChange", "Budgets", "Window", "amount_of"]

#: Beyond it a budget is a slip of the finger.
_MOST = Decimal(10**12)
#: Decimals of a pico-dollar, the ledger's own unit.
_PLACES = 12


class Window(StrEnum):
    """How long a budget lasts; its day and month are those of the configured time zone."""

    DAY = "day"
    MONTH = "month"


class Budget(NamedTuple):
    """What a tenant may spend in a window, whether it was set for that tenant or for everybody."""

    tenant: str
    window: Window
    amount: Decimal
    """Dollars."""


@dataclass(frozen=True, slots=True)
class BudgetChange:
    """That a budget was set or taken away."""

    tenant: str | None
    """None: everybody who has no budget of their own."""
    window: Window
    amount: Decimal | None
    """Dollars; None where it was taken away."""
    changed_at: datetime
    login: str
    """Who was connected to Postgres."""


class Budgets:
    """Sets as the keeper, looks up as who may see no more than the answer.

    Every method raises `LedgerError` as `Database.transaction` does.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("budget")

    def set(self, tenant: str | None, window: str, amount: Decimal) -> bool:
        """Let ``tenant`` (None: everybody who has no budget of their own) spend ``amount`` dollars in each ``window``.

        Returns:
            Whether that was a change.

        Raises:
            InvalidQuestion: for a window or an amount that cannot be.
        """
        span, exact = _window(window), amount_of(amount)
        with self._as("keeper") as cursor:
            return self._change(cursor, None if tenant is None else key_of(cursor, tenant_named(tenant)), span, exact)

    def unset(self, tenant: str | None, window: str) -> bool:
        """Take the budget of ``tenant`` (None: everybody's) away: what is next counts. Returns whether there was one.

        Raises:
            InvalidQuestion: for a window that cannot be.
        """
        span = _window(window)
        with self._as("keeper") as cursor:
            key = None
            if tenant is not None:
                key = find_key(cursor, tenant_named(tenant))
                if key is None:
                    return False
            return self._change(cursor, key, span, None)

    def all(self, tenant: str | None = None) -> tuple[BudgetChange, ...]:
        """Every budget that is set, as its last change says; first those of everybody. Asked as ``tenant``, what it may see."""
        with self._seeing(tenant) as cursor:
            return _changes(cursor.execute(self._sql["current"]).fetchall())

    def history(self, tenant: str | None = None) -> tuple[BudgetChange, ...]:
        """What was changed for ``tenant`` (None: for anybody), the newest first."""
        with self._seeing(tenant) as cursor:
            values = {"tenant": None if tenant is None else tenant_named(tenant)}
            return _changes(cursor.execute(self._sql["history"], values).fetchall())

    def current(self, tenant: str, daily: Decimal) -> tuple[Budget, ...]:
        """What counts for ``tenant``, asked as that tenant: one for each window that has any.

        Args:
            tenant: whose.
            daily: dollars a day where nothing is set.
        """
        with self._seeing(tenant) as cursor:
            return self._effective(cursor, [tenant_named(tenant)], daily)

    def effective(self, tenants: Sequence[str], daily: Decimal) -> tuple[Budget, ...]:
        """What counts for each of ``tenants``, as `current`; asked as admin, at once."""
        with self._as("admin") as cursor:
            return self._effective(cursor, [tenant_named(tenant) for tenant in tenants], daily)

    def _effective(self, cursor: Cursor, tenants: list[str], daily: Decimal) -> tuple[Budget, ...]:
        rows = cursor.execute(self._sql["effective"], {"tenants": tenants, "daily": daily}).fetchall()
        return tuple(Budget(tenant, Window(window), amount) for tenant, window, amount in rows)

    def _change(self, cursor: Cursor, key: int | None, window: Window, amount: Decimal | None) -> bool:
        values = {"key": key, "window": window.value, "amount": amount}
        return cursor.execute(self._sql["change"], values).fetchone() is not None

    @contextmanager
    def _seeing(self, tenant: str | None) -> Iterator[Cursor]:
        """As ``tenant``, to whom the database shows its own and everybody's; as admin for None."""
        with self._as("admin" if tenant is None else "tenant") as cursor:
            if tenant is not None:
                cursor.execute(self._sql["set_tenant"], {"tenant": tenant_named(tenant)})
            yield cursor

    @contextmanager
    def _as(self, role: str) -> Iterator[Cursor]:
        with self._database.transaction() as cursor:
            cursor.execute(self._sql[f"become_{role}"])
            yield cursor


def amount_of(amount: object) -> Decimal:
    """Return ``amount`` as dollars that a budget can be.

    Raises:
        InvalidQuestion: for anything but a Decimal from 0 to a million million, with 12 decimals at the most.
    """
    if isinstance(amount, Decimal) and amount.is_finite() and 0 <= amount <= _MOST:
        exponent = amount.normalize().as_tuple().exponent
        if isinstance(exponent, int) and exponent >= -_PLACES:
            return amount
    raise InvalidQuestion(
        f"budget is {str(amount)[:40]!r}: allowed is a Decimal of dollars from 0 to {_MOST:,}, with {_PLACES} decimals at most"
    )


def _changes(rows: Iterable[Sequence[Any]]) -> tuple[BudgetChange, ...]:
    return tuple(BudgetChange(tenant, Window(window), *rest) for tenant, window, *rest in rows)


def _window(window: str) -> Window:
    try:
        return Window(window)
    except ValueError as error:
        raise InvalidQuestion(f"window is {str(window)[:40]!r}: allowed are {', '.join(Window)}") from error
