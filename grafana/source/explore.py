"""Explore: which sessions, users and calls are behind a sum."""

from __future__ import annotations

from typing import Any

from source.ask import ledger
from source.dashboard import dashboard, text
from source.panel import DOLLARS, bars, histogram, link, stat, table
from source.variables import SPEND

__all__ = ["explore"]

_TRACE = {"Trace": link("Open the trace", "${trace_url:raw}${__value.raw}", opens_tab=True)}
_SESSION = {
    "Session": link(
        "Show its calls",
        "/d/costspan-explore",
        session="${__value.raw:percentencode}",
        tenant="${__data.fields.Tenant:percentencode}",
    )
}


def explore() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "explore",
        "costspan: Explore",
        "Which sessions, users and calls are behind a sum, down to the trace of each.",
        variables=[
            *SPEND,
            text("session", "Session", "Whose calls are listed below. Empty: the newest ones of all.", ""),
            text(
                "trace_url",
                "Traces at",
                "Before a trace's id: where your traces are shown.",
                "http://localhost:16686/trace/",
            ),
        ],
        panels=[
            stat(
                "Sessions",
                "How many sessions were there, and what does a usual one cost, a dear one and the dearest?",
                [ledger("sessions_usual")],
                unit="short",
                width=24,
            ),
            bars(
                "Cost over time, by model",
                "When was it spent, and on which of the dearest models? By hours for up to three days, by days beyond.",
                [ledger("over_time_by_model")],
                unit=DOLLARS,
            ),
            histogram(
                "What sessions cost",
                "Are sessions alike, or do a few cost as much as all others? The dearest 5000.",
                [ledger("sessions_spread")],
                unit=DOLLARS,
            ),
            table(
                "Dearest sessions",
                "Which sessions cost most, and what are they? Click one for its calls.",
                [ledger("sessions")],
                links=_SESSION,
                bar="Cost",
            ),
            table("By user and operation", "Who spends most, on which operation?", [ledger("by_user")], bar="Cost"),
            table(
                "Dearest calls",
                "Which single calls cost most, of the 2000 dearest of the time chosen? Click a trace to see what happened.",
                [ledger("dearest_calls")],
                width=24,
                links={**_SESSION, **_TRACE},
                bar="Cost",
            ),
            table(
                "Calls",
                "Which calls does the session in `Session` have, of whatever day; or else, which are the newest of the time chosen?",
                [ledger("calls")],
                width=24,
                height=10,
                links={**_SESSION, **_TRACE},
            ),
        ],
        period="now-7d",
    )
