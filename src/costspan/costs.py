"""What the ledger knows, asked from Python: a day, a month, a service, a threshold."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from costspan.runtime import running

if TYPE_CHECKING:
    from costspan.ledger import Summary

__all__ = ["check_daily_threshold", "get_daily_costs", "get_monthly_costs", "get_service_breakdown"]


def get_daily_costs(tenant_id: object, date: date | None = None) -> Summary:
    """Return what ``tenant_id`` spent on ``date`` (today when not given), in the configured time zone's days."""
    with running().ledger() as ledger:
        return ledger.daily_costs(str(tenant_id), date)


def get_monthly_costs(tenant_id: object, year: int, month: int) -> Summary:
    """Return what ``tenant_id`` spent in a calendar month of the configured time zone."""
    with running().ledger() as ledger:
        return ledger.monthly_costs(str(tenant_id), year, month)


def get_service_breakdown(tenant_id: object, period: str = "month") -> Summary:
    """Return the current day, week or month of ``tenant_id`` by service."""
    with running().ledger() as ledger:
        return ledger.service_breakdown(str(tenant_id), period)


def check_daily_threshold(tenant_id: object, threshold: Decimal = Decimal(10)) -> bool:
    """Whether ``tenant_id`` has spent more than ``threshold`` dollars today.

    When it has, one warning an hour is logged for tenant and threshold, however many processes ask.
    """
    with running().ledger() as ledger:
        return ledger.check_daily_threshold(str(tenant_id), threshold)
