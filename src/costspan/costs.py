"""What the ledger knows, asked from Python: a day, a month, a service, a threshold.

Each of these asks Postgres, so each waits for it (for what this process has just metered, five seconds at the most) and
raises `costspan.errors.LedgerUnavailable` when it cannot be reached. Ask them where a report is made, not in a request.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from costspan.attribution import NO_TENANT
from costspan.runtime import running
from costspan.text import clean

if TYPE_CHECKING:
    from costspan.ledger import Summary

__all__ = ["check_daily_threshold", "get_daily_costs", "get_monthly_costs", "get_service_breakdown"]


def get_daily_costs(tenant_id: object, date: date | None = None) -> Summary:
    """Return what ``tenant_id`` spent on ``date`` (today when not given), in the configured time zone's days.

    Raises:
        LedgerUnavailable: when Postgres cannot be reached.
    """
    with running().ledger() as ledger:
        return ledger.daily_costs(_tenant(tenant_id), date)


def get_monthly_costs(tenant_id: object, year: int, month: int) -> Summary:
    """Return what ``tenant_id`` spent in a calendar month of the configured time zone.

    Raises:
        InvalidQuestion: for a month that is none.
        LedgerUnavailable: when Postgres cannot be reached.
    """
    with running().ledger() as ledger:
        return ledger.monthly_costs(_tenant(tenant_id), year, month)


def get_service_breakdown(tenant_id: object, period: str = "month") -> Summary:
    """Return the current day, week or month of ``tenant_id`` by service.

    Raises:
        InvalidQuestion: for another period.
        LedgerUnavailable: when Postgres cannot be reached.
    """
    with running().ledger() as ledger:
        return ledger.service_breakdown(_tenant(tenant_id), period)


def check_daily_threshold(tenant_id: object, threshold: Decimal | int = Decimal(10)) -> bool:
    """Whether ``tenant_id`` has spent more than ``threshold`` dollars today.

    When it has, one warning an hour is logged for tenant and threshold, however many processes ask.

    Raises:
        InvalidQuestion: for a threshold that is no amount; a float is none, as it is not exact.
        LedgerUnavailable: when Postgres cannot be reached.
    """
    exact = Decimal(threshold) if type(threshold) is int else threshold
    with running().ledger() as ledger:
        return ledger.check_daily_threshold(_tenant(tenant_id), exact)  # type: ignore[arg-type]  # it checks


def _tenant(tenant_id: object) -> str:
    """The tenant as its calls were booked: cleaned, and none is the one of calls that name none."""
    return (clean(tenant_id) if tenant_id is not None else "") or NO_TENANT
