"""`GET /api/forecast`: where the month will end, how sure that is, and on which day its budget would be passed."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query

from costspan.exporter.api.parameters import Chosen, Ledgers, Now, Whose, Zone
from costspan.exporter.exact import Exact, Number, Usd, answers
from costspan.ledger.budget import Window
from costspan.ledger.forecast import MonthForecast
from costspan.ledger.season import COVERAGE
from costspan.pricing.money import json_number

__all__ = ["router"]

router = APIRouter(tags=["insight"])
#: What each way of forecasting is, for who reads the answer.
_METHODS = {
    "seasonal": "each day by its weekday's usual share of a week, the level of the last weeks, and growth where it is no chance",
    "straight line": "every day as the days since the first call: there is not even a week to tell weekdays apart by",
    "nothing to come": "nothing was spent in the last three weeks",
}
_BASES = {
    "backtest": "how wrong the same forecast would have been in the last weeks, and no narrower than by the spread of the days",
    "spread": "how much days differ from the same weekday a week before, and a drift that so short a history cannot rule out",
}


class ForecastDay(msgspec.Struct, kw_only=True, frozen=True):
    """A day of the month."""

    date: Annotated[str, msgspec.Meta(description="YYYY-MM-DD, of the asked time zone.")]
    cost: Annotated[Usd, msgspec.Meta(description="Dollars: what it cost, or what it is expected to.")]
    is_expected: Annotated[bool, msgspec.Meta(description="Whether it is not over yet: of today the rest is expected.")]


class Forecast(msgspec.Struct, kw_only=True, frozen=True):
    """Where the current month will end. Only what is spent is exact."""

    start: Annotated[str, msgspec.Meta(description="When the month begins, in the asked time zone.")]
    end: Annotated[str, msgspec.Meta(description="When it ends; this instant is not a part of it.")]
    at: Annotated[str, msgspec.Meta(description="Calls up to this instant are known.")]
    timezone: str
    service: Literal["all", "anthropic", "openai"]
    tenant: Annotated[str | None, msgspec.Meta(description="Null: everybody.")]
    spent: Annotated[Usd, msgspec.Meta(description="Dollars so far, exact, as far as known.")]
    expected: Annotated[Usd, msgspec.Meta(description="Dollars of the whole month.")]
    low: Annotated[
        Usd | None,
        msgspec.Meta(description="Between `low` and `high` the month should end; null: nothing tells how far."),
    ]
    high: Usd | None
    coverage: Annotated[Number, msgspec.Meta(description="How many of such months should end in between: 0.8 is 80 %.")]
    method: Literal["seasonal", "straight line", "nothing to come"]
    method_is: Annotated[str, msgspec.Meta(description="The same in a sentence.")]
    interval: Annotated[
        Literal["backtest", "spread"] | None, msgspec.Meta(description="How `low` and `high` were got.")
    ]
    interval_is: Annotated[str | None, msgspec.Meta(description="The same in a sentence.")]
    known_days: Annotated[
        int,
        msgspec.Meta(
            description="Whole days since the first call, of the last thirteen weeks: the history it is from."
        ),
    ]
    backtests: Annotated[int, msgspec.Meta(description="Forecasts of the past that the interval was measured by.")]
    weekly_growth: Annotated[
        Number, msgspec.Meta(description="How much more a week costs than the one before; 0 where that may be chance.")
    ]
    unknown_calls: Annotated[
        int,
        msgspec.Meta(description="Calls of the month whose cost is not known, or not all of it; the truth is higher."),
    ]
    days: Annotated[list[ForecastDay], msgspec.Meta(description="Every day of the month.")]
    budget: Annotated[
        Usd | None,
        msgspec.Meta(description="Dollars that the tenant may spend in a month; null: no such budget is set."),
    ]
    exhausted_on: Annotated[
        str | None, msgspec.Meta(description="The day on which more is spent than that; null: that is not expected.")
    ]


_EXAMPLE = {
    "start": "2026-11-01T00:00:00+00:00",
    "end": "2026-12-01T00:00:00+00:00",
    "at": "2026-11-28T12:00:00+00:00",
    "timezone": "UTC",
    "service": "all",
    "tenant": "acme",
    "spent": 63.936,
    "expected": 69.1,
    "low": 68.2,
    "high": 70.3,
    "coverage": 0.8,
    "method": "seasonal",
    "method_is": _METHODS["seasonal"],
    "interval": "backtest",
    "interval_is": _BASES["backtest"],
    "known_days": 91,
    "backtests": 61,
    "weekly_growth": 0,
    "unknown_calls": 0,
    "days": [
        {"date": "2026-11-27", "cost": 2.6, "is_expected": False},
        {"date": "2026-11-28", "cost": 2.4, "is_expected": True},
    ],
    "budget": 68,
    "exhausted_on": "2026-11-30",
}


@router.get(
    "/api/forecast",
    summary="Where the month will end",
    response_model=None,
    responses=answers(Forecast, _EXAMPLE),
)
def forecast(
    *,
    ledgers: Ledgers,
    tenant: Whose,
    zone: Zone,
    settings: Chosen,
    now: Now,
    service: Annotated[
        Literal["all", "anthropic", "openai"], Query(description="The family of the API that was called.")
    ] = "all",
) -> Exact:
    """From what the month cost so far, how the rest of such a day goes, and how the days of the last weeks went.

    A budget is told of one tenant and of all services together, as that is what it is set for.
    """
    budget: Decimal | None = None
    with ledgers.ledger() as ledger:
        found = ledger.forecast(tenant, now, zone=zone, services=None if service == "all" else (service,))
        if tenant is not None and service == "all":
            budgets = ledger.tenant_budgets(tenant, settings.daily_budget_usd)
            budget = next((item.amount for item in budgets if item.window is Window.MONTH), None)
    projection = found.projection
    exhausted = None if budget is None else found.exhausted_on(budget)
    return Exact(
        Forecast(
            start=found.month.start.astimezone(zone).isoformat(),
            end=found.month.end.astimezone(zone).isoformat(),
            at=found.at.astimezone(zone).isoformat(),
            timezone=zone.key,
            service=service,
            tenant=tenant,
            spent=json_number(projection.spent),
            expected=json_number(projection.expected),
            low=json_number(projection.low),
            high=json_number(projection.high),
            coverage=json_number(COVERAGE),
            method=projection.method.value,
            method_is=_METHODS[projection.method],
            interval=None if projection.basis is None else projection.basis.value,
            interval_is=None if projection.basis is None else _BASES[projection.basis],
            known_days=projection.known_days,
            backtests=projection.backtests,
            weekly_growth=json_number(round(projection.weekly_growth, 6)),
            unknown_calls=found.unknown_calls,
            days=_days(found),
            budget=json_number(budget),
            exhausted_on=None if exhausted is None else exhausted.isoformat(),
        )
    )


def _days(found: MonthForecast) -> list[ForecastDay]:
    today = found.at.astimezone(found.month.zone).date()
    return [
        ForecastDay(date=day.isoformat(), cost=json_number(cost), is_expected=day >= today) for day, cost in found.days
    ]
