"""What is said below the table."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from costspan.cli.notes import below, empty, on_target
from costspan.cli.question import ask
from costspan.cli.target import SessionCost, Target, compare, project

FIRST = {"day": date(2026, 11, 1), "service": "openai"}


def test_it_says_what_part_is_not_priced(november, row, stated):
    """Each status with its calls, and with what is known of its cost."""
    rows = (
        row(calls=589, cost="0.33", **FIRST),
        row("estimated", calls=3, cost="0.0004", **FIRST),
        row("partial", calls=2, cost="0.002", **FIRST),
        row("unpriced", calls=5, **FIRST),
        row("invalid", calls=1, **FIRST),
    )

    found = list(below(stated(november, *rows, unpriced_models={"gpt-99-nova"})))

    assert " ".join(found) == (
        "98.2 % of 600 calls are priced; 3 estimated ($0.0004), 2 partial (at least $0.002), "
        "5 unpriced (no cost known: gpt-99-nova), 1 invalid (kept aside, never summed)."
    )


@pytest.mark.parametrize(("calls", "text"), [(1, "The one call is priced."), (1600, "All 1,600 calls are priced.")])
def test_it_says_so_when_everything_is_priced(november, row, stated, calls, text):
    """Nothing to doubt is worth a sentence too."""
    found = list(below(stated(november, row(calls=calls, **FIRST))))

    assert found == [text]


@pytest.mark.parametrize(
    ("unsettled", "text"),
    [
        (
            {"unanswered": 2, "open": 1},
            "2 attempts were never answered, 1 was open when its process ended: their cost is unknown.",
        ),
        ({"unanswered": 1}, "1 attempt was never answered: its cost is unknown."),
        ({"open": 3}, "3 attempts were open when their process ended: their cost is unknown."),
    ],
)
def test_it_says_what_was_never_settled(november, stated, unsettled, text):
    """Also where there is no call besides."""
    found = list(below(stated(november, unsettled=unsettled)))

    assert found == [text]


def test_it_says_when_calls_are_on_their_way(november, row, stated):
    """A total that will grow by itself is announced as one."""
    found = list(below(stated(november, row(**FIRST), is_behind=True)))

    assert found[-1] == "Some calls are journalled and not in the ledger yet: ask again in a moment."


def test_an_empty_period_says_what_to_do():
    """And which options narrowed it."""
    question = ask("day", date(2026, 11, 1), ZoneInfo("UTC"), by=("day",), tenant="acme", service="openai")

    found = " ".join(empty(question))

    assert "No calls in this period." in found
    assert "leave out --tenant and --service" in found
    assert "costspan.instrument()" in found
    assert "costspan demo" in found


def test_over_target_says_by_how_much(november):
    """Per session, per hundred, the difference, the month, and what was left out."""
    sessions = [SessionCost(f"s{n}", 3, 0, Decimal("0.00331874")) for n in range(50)]
    comparison = compare([*sessions, SessionCost("", 12, 0, Decimal("0.0004"))], Target(Decimal("0.33"), 100, "month"))
    now = november.period.start + timedelta(days=15)
    projection = project(comparison, november.period, november.month, now)

    found = list(on_target(november, comparison, projection, now))

    assert "\n".join(found) == (
        "Target: $0.33 for 100 sessions a month, which is $0.0033 a session.\n"
        "50 sessions cost $0.165937: $0.00331874 a session, $0.331874 for 100.\n"
        "Verdict: over target by $0.001874 for 100 sessions (+0.6 %).\n"
        "Projection for November 2026: $0.331874 for about 100 sessions, if its 30 days go on like the 15 looked at "
        "(a straight line).\n"
        "12 calls ($0.0004) name no session and are in none of these figures."
    )


def test_within_target_is_only_as_far_as_known(november):
    """A session with an unpriced call may cost more than was found."""
    comparison = compare([SessionCost("s", 3, 1, Decimal("0.001"))], Target(Decimal("0.0033"), 1))

    found = list(on_target(november, comparison, None, november.period.end))

    assert "Verdict: within target by $0.0023 a session (-69.7 %), as far as the cost is known." in found
    assert "Of 1 call of these sessions not all of the cost is known: the true figures are higher." in found


def test_without_sessions_nothing_is_compared(november):
    """No verdict is made up."""
    comparison = compare([SessionCost("", 1, 0, Decimal(1))], Target(Decimal("0.33"), 100))

    found = list(on_target(november, comparison, None, november.period.end))

    assert found == [
        "Target: $0.33 for 100 sessions. No session in this period: nothing to compare.",
        "1 call ($1.00) names no session and is in none of these figures.",
    ]


@pytest.mark.parametrize(
    ("days", "text"), [(-1, "No projection: nothing has begun yet."), (30, "No projection: November 2026 is over.")]
)
def test_it_says_why_nothing_is_projected(november, days, text):
    """A month that is over needs no projection, and one that has not begun allows none."""
    now = november.period.start + timedelta(days=days)
    comparison = compare([SessionCost("s", 1, 0, Decimal("0.001"))], Target(Decimal("0.0033"), 1))

    found = list(on_target(november, comparison, project(comparison, november.period, november.month, now), now))

    assert found[-1] == text
