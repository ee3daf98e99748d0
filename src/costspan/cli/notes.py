"""The sentences below a table: what the total does not know, what to do about an empty one, how a target was met."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

from costspan.cli.amount import approximate, change, dollars, share
from costspan.cli.focus import Charges
from costspan.cli.question import RANGE, Question
from costspan.cli.statement import Statement, known_cost
from costspan.cli.target import Comparison, Projection
from costspan.event import Outcome
from costspan.ledger import Dimension
from costspan.usage import Status

__all__ = ["BEHIND", "below", "beside_focus", "empty", "instead", "on_target"]

_DAY_S = 86_400
BEHIND = "Some calls are journalled and not in the ledger yet: ask again in a moment."
_OF_CALLS = (Dimension.FEATURE, Dimension.SESSION, Dimension.USER)


def below(statement: Statement) -> Iterator[str]:
    """Say how much of the total is priced and what is not, what was never settled, and what is not in yet."""
    if statement.total.calls:
        yield _standing(statement)
    if statement.unsettled:
        yield _unsettled(statement)
    if statement.is_behind:
        yield BEHIND


def empty(question: Question) -> Iterator[str]:
    """Say that there was no call, and what to do."""
    yield "No calls in this period."
    narrowed = [name for name, value in (("--tenant", question.tenant), ("--service", question.service)) if value]
    other = f"leave out {' and '.join(narrowed)}, or " if narrowed else ""
    yield (
        f"To see some: {other}ask for another period (--period, --date), meter an application (costspan.instrument()), "
        "or try `costspan demo`."
    )


def beside_focus(charges: Charges, *, is_behind: bool) -> Iterator[str]:
    """Say what a bill for FinOps tools does not have: there is no way to say so in it."""
    if charges.without_cost:
        models = ", ".join(charges.models)
        verb = "is" if charges.without_cost == 1 else "are"
        yield f"{_count(charges.without_cost, 'call')} without a known cost {verb} in no row: {models}."
    if is_behind:
        yield BEHIND


def instead(question: Question, since: date) -> str:
    """Say what can be asked where calls before ``since`` (UTC) were dropped."""
    start = datetime(since.year, since.month, since.day, tzinfo=UTC)
    local = start.astimezone(question.zone)
    at = since.isoformat() if local.date() == since and not (local.hour or local.minute) else start.isoformat()
    from_then = f"--from {at}" if start < question.period.end else ""
    by_calls = ", ".join(name for name in question.by if name in _OF_CALLS)
    others = f"leave {by_calls} out of --by: all days are kept by the rest" if by_calls else ""
    return f"Ask instead: {', or '.join(filter(None, (from_then, others)))}" if from_then or others else ""


def _standing(statement: Statement) -> str:
    calls = statement.total.calls
    if not statement.total.not_priced:
        return "The one call is priced." if calls == 1 else f"All {calls:,} calls are priced."
    priced = statement.standings.get(Status.PRICED)
    known = f"{share(priced.calls if priced else 0, calls)} of {_count(calls, 'call')} {_are(calls)} priced"
    parts = (
        f"{standing.calls:,} {status} ({_meaning(statement, status, known_cost(standing))})"
        for status, standing in statement.standings.items()
        if status != Status.PRICED
    )
    return f"{known}; {', '.join(parts)}."


def _meaning(statement: Statement, status: str, cost: Decimal | None) -> str:
    if status == Status.INVALID:
        return "kept aside, never summed"
    if cost is None:
        models = ", ".join(statement.unpriced_models)
        return f"no cost known: {models}" if models else "no cost known"
    return f"at least {dollars(cost)}" if status == Status.PARTIAL else dollars(cost)


def _unsettled(statement: Statement) -> str:
    unanswered = statement.unsettled.get(Outcome.UNANSWERED, 0)
    left_open = statement.unsettled.get(Outcome.OPEN, 0)
    parts = []
    if unanswered:
        parts.append(f"{_count(unanswered, 'attempt')} {_were(unanswered)} never answered")
    if left_open:
        subject = f"{left_open:,}" if unanswered else _count(left_open, "attempt")
        parts.append(f"{subject} {_were(left_open)} open when {'its' if left_open == 1 else 'their'} process ended")
    return f"{', '.join(parts)}: {'its' if unanswered + left_open == 1 else 'their'} cost is unknown."


def on_target(
    question: Question, comparison: Comparison, projection: Projection | None, now: datetime
) -> Iterator[str]:
    """Say what a session costs, whether that is within the target, and where the month is going."""
    target = comparison.target
    allowed = f"{dollars(target.usd)} for {_count(target.sessions, 'session')}"
    allowed += f" a {target.period}" if target.period else ""
    if comparison.per_session is None or comparison.difference is None:
        yield f"Target: {allowed}. No session in this period: nothing to compare."
    else:
        yield f"Target: {allowed}, which is {approximate(target.per_session)} a session."
        yield (
            f"{_count(comparison.sessions, 'session')} cost {dollars(comparison.cost)}: {approximate(comparison.per_session)} "
            f"a session, {approximate(comparison.per_session * 100)} for 100."
        )
        yield _verdict(comparison)
        if comparison.unknown:
            yield (
                f"Of {_count(comparison.unknown, 'call')} of these sessions not all of the cost is known: "
                "the true figures are higher."
            )
        if question.name != RANGE:  # a part of a month says less of it than that
            yield _projection(question, projection, now)
    if comparison.other_calls:
        yield (
            f"{_count(comparison.other_calls, 'call')} ({dollars(comparison.other_cost)}) "
            f"{'names' if comparison.other_calls == 1 else 'name'} no session and {_are(comparison.other_calls)} "
            "in none of these figures."
        )


def _verdict(comparison: Comparison) -> str:
    target, difference = comparison.target, comparison.difference or Fraction()
    scaled = approximate(abs(difference) * target.sessions)
    per = "a session" if target.sessions == 1 else f"for {target.sessions:,} sessions"
    relative = change(difference / target.per_session)
    if comparison.is_over:
        return f"Verdict: over target by {scaled} {per} ({relative})."
    room = f" by {scaled} {per} ({relative})" if difference else ", exactly"
    limit = ", as far as the cost is known" if comparison.unknown else ""
    return f"Verdict: within target{room}{limit}."


def _projection(question: Question, projection: Projection | None, now: datetime) -> str:
    name = f"{question.month.start.astimezone(question.zone):%B %Y}"
    if projection is None:
        return (
            f"No projection: {name} is over." if now >= question.month.end else "No projection: nothing has begun yet."
        )
    basis, month = (round(span.total_seconds() / _DAY_S, 2) for span in (projection.basis, projection.month))
    sessions = round(projection.sessions)
    return (
        f"Projection for {name}: {approximate(projection.cost)} for about "
        f"{_count(sessions, 'session')}, if its {month:g} days go on like the {basis:g} looked at (a straight line)."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
