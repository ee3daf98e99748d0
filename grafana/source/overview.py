"""Overview: what is spent today and this month, against which budget, and on what."""

from __future__ import annotations

from typing import Any

from costspan.sinks import names
from source.ask import NOW, TODAY, ledger, metric, since
from source.dashboard import dashboard
from source.panel import DOLLARS, bars, lines, link, stat, table
from source.variables import SPEND

__all__ = ["overview"]

_TENANT = 'tenant=~"${tenant:regex}"'
#: `max`, as several exporters over one ledger say the same.
_SPENT = f"max by (tenant) ({names.SPEND_TODAY}{{{_TENANT}}})"
_HEADING = f"max by (tenant) ({names.SPEND_PROJECTED_TODAY}{{{_TENANT}}})"
_BUDGET = f'max by (tenant) ({names.BUDGET}{{window="day",{_TENANT}}})'
_EXPLORE = "/d/costspan-explore"


def overview() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "overview",
        "costspan: Overview",
        "What is spent today and this month, against which budget, and on what.",
        variables=SPEND,
        panels=[
            stat(
                "Spent today",
                "What has today cost so far, since midnight in the zone of `Days of`? From the ledger.",
                [ledger("spent_alone", begin=TODAY, end=NOW)],
                unit=DOLLARS,
            ),
            stat(
                "Spent this month",
                "What has this month cost so far? From the ledger.",
                [ledger("spent_alone", begin=since("month"), end=NOW)],
                unit=DOLLARS,
            ),
            stat(
                "In the time chosen",
                "What did the chosen time cost, how many calls was that, and of how many of them is the price known exactly?",
                [ledger("spent")],
                unit="short",
                width=12,
            ),
            table(
                "Today against the budget",
                "Who has spent how much of today's budget, and what will the day have cost? These are the ledger's gauges that "
                "alerts compare, whose day begins in COSTSPAN_TIMEZONE; service, model and feature do not change them.",
                [
                    metric(_SPENT, is_table=True),
                    metric(_BUDGET, is_table=True),
                    metric(f"{_SPENT} / on (tenant) ({_BUDGET} > 0)", is_table=True),
                    metric(_HEADING, is_table=True),
                ],
                transformations=[
                    {"id": "merge", "options": {}},
                    {
                        "id": "organize",
                        "options": {
                            "excludeByName": {"Time": True},
                            "indexByName": {"tenant": 0, "Value #A": 1, "Value #B": 2, "Value #C": 3, "Value #D": 4},
                            "renameByName": {
                                "tenant": "Tenant",
                                "Value #A": "Spent",
                                "Value #B": "Budget",
                                "Value #C": "Of the budget",
                                "Value #D": "Heading for",
                            },
                        },
                    },
                    {"id": "sortBy", "options": {"sort": [{"field": "Of the budget", "desc": True}]}},
                ],
                bar="Of the budget",
            ),
            {
                **lines(
                    "How the day runs",
                    "Is the chosen tenants' day on its way over their budgets, taken together? After midnight it begins anew.",
                    [
                        metric(f"sum({_SPENT})", "spent"),
                        metric(f"sum({_HEADING})", "heading for"),
                        metric(f"sum({_BUDGET})", "budget"),
                    ],
                    unit=DOLLARS,
                ),
                "timeFrom": "24h",
            },
            bars(
                "Cost over time, by service",
                "When was it spent, and at whom? By hours for up to three days, by days beyond.",
                [ledger("over_time_by_service")],
                unit=DOLLARS,
                width=24,
            ),
            table(
                "By model",
                "Which models cost most, and what does a call of each cost?",
                [ledger("by_model")],
                bar="Cost",
                width=14,
            ),
            table(
                "By tenant",
                "Who spends most?",
                [ledger("by_tenant")],
                width=10,
                links={"Tenant": link("Explore this tenant", _EXPLORE, tenant="${__value.raw:percentencode}")},
                bar="Cost",
            ),
            table(
                "By feature",
                "Which part of the application spends most? `not said` are calls without a feature.",
                [ledger("by_feature")],
                links={"Feature": link("Explore this feature", _EXPLORE, feature="${__value.raw:percentencode}")},
                bar="Cost",
            ),
            table(
                "How far it can be believed",
                "Which models have calls whose cost is estimated, partial or unknown? These come first; where there are "
                "none, all calls are priced.",
                [ledger("by_certainty")],
            ),
        ],
        period="now/M",
    )
