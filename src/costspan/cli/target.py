"""What a session costs, against what it may cost; and where the month is going at this pace."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from costspan.errors import InvalidQuestion
from costspan.ledger.period import Period

__all__ = ["Comparison", "Projection", "SessionCost", "Target", "compare", "project"]

_WRITTEN = re.compile(
    r"\$?\s*(?P<usd>\d{1,9}(?:\.\d{1,12})?)\s*/\s*(?P<sessions>\d{1,9})?\s*sessions?(?:\s*/\s*(?P<period>day|week|month))?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Target:
    """At most so many dollars for so many sessions."""

    usd: Decimal
    sessions: int
    period: str = ""
    """The period it is meant for: day, week or month; empty where it holds for any."""

    @classmethod
    def parse(cls, text: str, asked_period: str) -> Target:
        """Read ``0.33/100sessions``, ``$0.33/100 sessions/month`` or ``0.0033/session``.

        Raises:
            InvalidQuestion: for anything else, for an amount or a number of sessions that is 0, and for a target of
                another period than the asked one: a session may go on for longer than a day.
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None or not Decimal(found["usd"]) or not int(found["sessions"] or 1):
            raise InvalidQuestion(
                f"--target is {text[:80]!r}: allowed are dollars for a number of sessions, both above 0, "
                "such as 0.33/100sessions, '$0.33/100 sessions/month' or 0.0033/session"
            )
        period = (found["period"] or "").lower()
        if period not in ("", asked_period):
            raise InvalidQuestion(
                f"--target is {text!r}, for a {period}, and --period is {asked_period}: allowed is the same"
            )
        return cls(Decimal(found["usd"]), int(found["sessions"] or 1), period)

    @property
    def per_session(self) -> Fraction:
        """Dollars for one session, exact."""
        return Fraction(self.usd) / self.sessions


@dataclass(frozen=True, slots=True)
class SessionCost:
    """The calls of one session of one tenant in a period."""

    session: str
    """Empty for the calls that name none."""
    calls: int
    unknown: int
    """Calls whose cost is not known, or not all of it."""
    cost: Decimal
    """Dollars, as far as known."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The sessions of a period against a target."""

    target: Target
    sessions: int
    cost: Decimal
    """Dollars of the calls that name a session, as far as known."""
    unknown: int
    """Calls of sessions whose cost is not known, or not all of it: if any, the truth is higher than ``cost``."""
    other_calls: int
    """Calls that name no session; they are in no figure of sessions."""
    other_cost: Decimal

    @property
    def per_session(self) -> Fraction | None:
        """Dollars a session, exact; None where there was none."""
        return Fraction(self.cost) / self.sessions if self.sessions else None

    @property
    def difference(self) -> Fraction | None:
        """Dollars a session above the target (below it: negative)."""
        return None if self.per_session is None else self.per_session - self.target.per_session

    @property
    def is_over(self) -> bool:
        """Whether the sessions cost more than they may. Exactly the target is within it."""
        return self.difference is not None and self.difference > 0


def compare(rows: Iterable[SessionCost], target: Target) -> Comparison:
    """Compare ``rows``, one for each session of each tenant, with ``target``."""
    rows = list(rows)
    named = [row for row in rows if row.session]
    others = [row for row in rows if not row.session]
    return Comparison(
        target,
        len(named),
        sum((row.cost for row in named), Decimal()),
        sum(row.unknown for row in named),
        sum(row.calls for row in others),
        sum((row.cost for row in others), Decimal()),
    )


@dataclass(frozen=True, slots=True)
class Projection:
    """A month, if all of it were like the part that was looked at: a straight line, and no more than that."""

    sessions: Fraction
    cost: Fraction
    basis: timedelta
    """How long the looked-at period had been running."""
    month: timedelta


def project(comparison: Comparison, period: Period, month: Period, now: datetime) -> Projection | None:
    """Draw a straight line through what ``period`` had brought by ``now``, as long as ``month``.

    None where there is nothing to project: the month is over, or the period has not begun.
    """
    basis = min(period.end, now) - period.start
    if basis <= timedelta() or now >= month.end:
        return None
    length = month.end - month.start
    factor = Fraction(length // timedelta(microseconds=1), basis // timedelta(microseconds=1))
    return Projection(comparison.sessions * factor, Fraction(comparison.cost) * factor, basis, length)
