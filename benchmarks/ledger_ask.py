"""How long questions take: a month's sums and the calls behind them, for the largest tenant and a small one.

Asked as the product asks, through its own methods, as the tenant and under row level security, answers made into objects.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ledger_calls import Month
from ledger_naive import Naive

from costspan.event import CallEvent
from costspan.ledger import Ledger
from costspan.ledger.drilldown import Drilldown

__all__ = ["QUESTIONS", "Answered", "ask"]

_UTC, _KOLKATA = ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")
_SMALL = 30
"""The rank of the small tenant."""
_EACH_DRILL = 20
QUESTIONS = 17
#: The naive table takes up to seconds an answer.
_NAIVE_TIMES = 5


@dataclass(frozen=True, slots=True)
class Answered:
    """Milliseconds of one question."""

    question: str
    median: float
    p95: float
    naive: float | None
    """The naive table's median; None where it cannot answer."""


def ask(month: Month, ledger: Ledger, drilldown: Drilldown, naive: Naive, times: int) -> Iterator[Answered]:
    """Ask everything, each question ``times`` times."""
    ranked = month.ranked()
    for name, tenant in (("largest", ranked[0]), ("small", ranked[_SMALL])):
        yield from _sums(month, ledger, naive, (name, month.tenants[tenant]), times)
    yield from _drills(month, drilldown, naive, ranked[0], times)


def _sums(month: Month, ledger: Ledger, naive: Naive, named: tuple[str, str], times: int) -> Iterator[Answered]:
    name, who = named
    utc, kolkata = (month.bounds(zone) for zone in (_UTC, _KOLKATA))

    def summary(bounds: tuple[datetime, datetime], zone: ZoneInfo, *by: str) -> Callable[[], object]:
        return lambda: ledger.summary(*bounds, by=by, tenant=who, zone=zone)

    plain = (who, *utc)
    shifted = (who, *kolkata)
    yield _answered(f"month by service, {name}", summary(utc, _UTC, "service"), lambda: naive.by_service(plain), times)
    yield _answered(
        f"the same in Asia/Kolkata, {name}",
        summary(kolkata, _KOLKATA, "service"),
        lambda: naive.by_service(shifted),
        times,
    )
    yield _answered(f"month by day, {name}", summary(utc, _UTC, "day"), lambda: naive.by_day(plain, "UTC"), times)
    yield _answered(
        f"the same in Asia/Kolkata, {name}",
        summary(kolkata, _KOLKATA, "day"),
        lambda: naive.by_day(shifted, "Asia/Kolkata"),
        times,
    )
    yield _answered(f"month by feature, {name}", summary(utc, _UTC, "feature"), None, times)
    yield _answered(f"month by user, {name}", summary(utc, _UTC, "user"), None, times)


def _drills(month: Month, drilldown: Drilldown, naive: Naive, tenant: int, times: int) -> Iterator[Answered]:
    who = month.tenants[tenant]
    chance = random.Random(5)  # noqa: S311  # the same questions in every run
    own = [event for event in month.samples if event.tenant == who]
    calls = [chance.choice(own) for _ in range(_EACH_DRILL)]
    days = [month.instant(chance.randrange(month.days)) for _ in range(_EACH_DRILL)]
    times = max(1, times // _EACH_DRILL)

    def each(question: Callable[[CallEvent, datetime], object]) -> list[Callable[[], object]]:
        return [
            lambda call=call, day=day: question(call, day)  # type: ignore[misc]
            for call, day in zip(calls, days, strict=True)
        ]

    day = timedelta(days=1)
    whole = (who, *month.bounds(_UTC))
    yield _answered_of_many(
        "a session's calls",
        each(lambda call, _: drilldown.session(call.session, tenant=who)),
        each(lambda call, _: naive.session(who, call.session)),
        times,
    )
    yield _answered_of_many(
        "a trace's calls", each(lambda call, _: drilldown.trace(call.trace_id.hex(), tenant=who)), None, times
    )
    yield _answered_of_many(
        "100 newest of a day",
        each(lambda _, at: drilldown.newest(at, at + day, tenant=who)),
        each(lambda _, at: naive.newest((who, at, at + day))),
        times,
    )
    yield _answered_of_many(
        "100 dearest of a day",
        each(lambda _, at: drilldown.dearest(at, at + day, tenant=who)),
        each(lambda _, at: naive.dearest((who, at, at + day))),
        times,
    )
    yield _answered(
        "100 dearest of the month",
        lambda: drilldown.dearest(*month.bounds(_UTC), tenant=who),
        lambda: naive.dearest(whole),
        max(5, times),
    )


def _answered(question: str, ours: Callable[[], object], naive: Callable[[], object] | None, times: int) -> Answered:
    return _answered_of_many(question, [ours], [naive] if naive else None, times)


def _answered_of_many(
    question: str, ours: list[Callable[[], object]], naive: list[Callable[[], object]] | None, times: int
) -> Answered:
    took = sorted(_milliseconds(one) for _ in range(times) for one in ours)
    naively = None
    if naive is not None:
        naively = statistics.median(_milliseconds(one) for _ in range(_NAIVE_TIMES // len(naive) + 1) for one in naive)
    return Answered(question, statistics.median(took), took[int(len(took) * 0.95)], naively)


def _milliseconds(question: Callable[[], object]) -> float:
    begin = time.perf_counter()
    question()
    return (time.perf_counter() - begin) * 1000
