"""What Prometheus is told of the ledger: spend, budgets and calls without a price, per tenant.

Asked every few seconds and not at the scrape, so that a scrape takes as long with a slow database as with a fast one.
Each question has a thread of its own: one that is slow or fails takes only its own gauges away, and says so in a gauge.

The rounds begin at the same instants everywhere, and a round's windows end with it: two exporters over one ledger say the
same to the last digit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from zoneinfo import ZoneInfo

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from costspan.errors import LedgerError
from costspan.exporter import models
from costspan.exporter.exposition import Gauge
from costspan.exporter.pool import Pool
from costspan.exporter.sums import Spend, Sums
from costspan.ledger.forecast import project_day
from costspan.ledger.period import Period, day_start, named_period
from costspan.sinks import names

__all__ = ["LedgerGauges"]

logger = logging.getLogger("costspan")
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_QUARTER = timedelta(minutes=15)
_WEEKS = 4
#: Half a scrape interval: with 15 s of scrape and evaluation each, a budget that is passed is told within a minute.
_EVERY = timedelta(seconds=7.5)
#: A thread that wakes too early would begin the same round again, and be busy when the next one begins.
_LATE_S = 0.01
#: Answers older than this are not shown: after midnight, yesterday's spend would be today's alarm.
_STALE_S = 60.0
#: Tenants that have gauges of their own; the smaller ones beyond are summed as `overflow`.
_MAX_TENANTS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Round:
    """What is asked for at one instant."""

    number: int
    begin: datetime
    """Of this round, everywhere."""
    end: datetime
    """When the next one begins: nothing of what is there now is after it."""
    day: Period
    month: Period

    @property
    def quarter(self) -> datetime:
        """The quarter of an hour that it is in."""
        return self.begin - (self.begin - _EPOCH) % _QUARTER


@dataclass(frozen=True, slots=True)
class _Answer:
    """The last time a question was asked."""

    metrics: tuple[Metric, ...] = ()
    is_failed: bool = False
    seconds: float = 0.0
    at: float = 0.0
    """Seconds of the monotonic clock."""
    succeeded_at: float = 0.0
    """Seconds since the epoch when it was last answered; 0 where it never was."""


Ask = Callable[[_Round], list[Metric]]


class LedgerGauges(Collector):
    """Gauges read from the ledger.

    Args:
        pool: where ledgers are lent.
        zone: where a day and a month begin.
        daily_budget: dollars a day of a tenant that has no budget of its own.
        now: the present instant.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        pool: Pool,
        zone: ZoneInfo,
        daily_budget: Decimal,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._zone = zone
        self._daily_budget = daily_budget
        self._now = now
        self._clock = clock
        self._questions: Mapping[str, Ask] = {
            "spend_month": self._spend_month,
            "spend_today": self._spend_today,
            "spend_trailing_hour": self._spend_trailing_hour,
            "projection": self._projection,
            "budgets": self._budgets,
            "models": self._models,
        }
        self._sums = Sums(pool)
        self._numbers = count()
        self._answers: dict[str, _Answer] = {}
        self._under_way: dict[str, float] = {}
        """Since when, in seconds of the monotonic clock."""
        self._known: Spend | None = None
        self._stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}

    def start(self) -> None:
        """Ask from now on, on threads."""
        self._begin("gauges", self._run)

    def stop(self, timeout: float) -> None:
        """Ask no more; wait ``timeout`` seconds for the questions that are under way."""
        self._stopping.set()
        until = time.monotonic() + timeout
        for thread in list(self._threads.values()):
            thread.join(max(0.0, until - time.monotonic()))

    def refresh(self) -> None:
        """Ask every question once, one after the other. Raises nothing."""
        turn = self._round()
        for name in self._questions:
            self._answer(name, turn)

    def collect(self) -> Iterator[Metric]:
        """Yield what was answered last, and how the questions went."""
        failed = Gauge(
            names.LEDGER_QUERY_FAILED, "1 where the last try of a question failed, or takes too long.", labels=["query"]
        )
        took = Gauge(names.LEDGER_QUERY_DURATION, "Seconds that the last try took, or takes so far.", labels=["query"])
        now = self._clock()
        answers, under_way = dict(self._answers), dict(self._under_way)
        for name in sorted(self._questions):
            answer = answers.get(name, _Answer(at=under_way.get(name, now)))
            is_stale = answer.at < now - _STALE_S
            if name in answers or is_stale:
                failed.add_metric([name], float(answer.is_failed or is_stale))
            took.add_metric([name], max(answer.seconds, now - under_way.get(name, now)))
            if not is_stale:
                yield from answer.metrics
        yield failed
        yield took
        last = min(answers[name].succeeded_at if name in answers else 0.0 for name in self._questions)
        if last:
            yield GaugeMetricFamily(names.LEDGER_LAST_SUCCESS, "When every question was last answered.", value=last)

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is depends on the ledger."""
        return iter(())

    def _run(self) -> None:
        while not self._stopping.is_set():
            turn = self._round()
            for name in self._questions:
                if name not in self._under_way:  # else it takes longer than a round, and is not asked twice at once
                    self._begin(name, self._answer, name, turn)
            until_next = (turn.end - self._now()).total_seconds() % _EVERY.total_seconds()
            self._stopping.wait(until_next + _LATE_S)

    def _begin(self, name: str, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given, name=f"costspan-{name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads, or the interpreter is leaving
            logger.warning("costspan: %s is not asked for /metrics: %s", name, error)
        else:
            self._threads[name] = thread

    def _round(self) -> _Round:
        now = self._now()
        begin = now - (now - _EPOCH) % _EVERY
        today = begin.astimezone(self._zone).date()
        day, month = (named_period(word, today, self._zone) for word in ("day", "month"))
        turn = _Round(next(self._numbers), begin, begin + _EVERY, day, month)
        self._sums.keep((turn.number, turn.quarter))
        return turn

    def _answer(self, name: str, turn: _Round) -> None:
        begun = self._under_way[name] = self._clock()
        before = self._answers.get(name, _Answer())
        metrics: tuple[Metric, ...] = ()
        is_failed = False
        try:
            metrics = tuple(self._questions[name](turn))
        except Exception as error:
            is_failed = True
            level = logging.DEBUG if before.is_failed else logging.WARNING
            logger.log(
                level, "costspan: the ledger gave no %s for /metrics (%s: %s)", name, type(error).__name__, error
            )
        ended = self._clock()
        succeeded_at = before.succeeded_at if is_failed else time.time()
        self._answers[name] = _Answer(metrics, is_failed, ended - begun, ended, succeeded_at)
        self._under_way.pop(name, None)

    def _spend_month(self, turn: _Round) -> list[Metric]:
        self._known = self._of_month(turn)
        spend = self._sums.by_tenant(turn.month.start, turn.month.end, turn.number)
        return [_per_tenant(names.SPEND_MONTH, "Dollars since the month began.", self._known, spend)]

    def _spend_today(self, turn: _Round) -> list[Metric]:
        spend = self._sums.by_tenant(turn.day.start, turn.day.end, turn.number)
        return [_per_tenant(names.SPEND_TODAY, "Dollars since the day began.", self._tenants(turn), spend)]

    def _spend_trailing_hour(self, turn: _Round) -> list[Metric]:
        spend = self._sums.by_tenant(turn.end - _HOUR, turn.end, turn.number)
        return [_per_tenant(names.SPEND_TRAILING_HOUR, "Dollars of the last hour.", self._tenants(turn), spend)]

    def _of_month(self, turn: _Round) -> Spend:
        """Who spent yesterday or this month has a gauge today, also at 0.

        One that vanished at midnight would be remembered at yesterday's value.
        """
        return self._sums.by_tenant(min(turn.month.start, turn.day.start - _DAY), turn.month.end, turn.number)

    def _tenants(self, turn: _Round) -> Spend:
        """Who has gauges: as the month's question last found them, so that nobody waits for it but at the beginning."""
        if self._known is None:
            try:
                self._known = self._of_month(turn)
            except LedgerError:
                return {}  # which the month's own gauge tells
        return self._known

    def _projection(self, turn: _Round) -> list[Metric]:
        spent = self._sums.by_tenant(turn.day.start, turn.day.end, turn.number)
        trailing = self._sums.by_tenant(turn.end - _HOUR, turn.end, turn.number)
        weeks = [self._same_weekday(turn, number) for number in range(1, _WEEKS + 1)]
        left = int((turn.day.end - turn.begin).total_seconds())
        projected = {
            tenant: project_day(
                amount,
                trailing.get(tenant, _NOTHING),
                left,
                [(until.get(tenant, _NOTHING), whole.get(tenant, _NOTHING)) for until, whole in weeks],
            )
            for tenant, amount in spent.items()
        }
        text = "Dollars that the day will have cost at its end."
        return [_per_tenant(names.SPEND_PROJECTED_TODAY, text, projected, projected)]

    def _same_weekday(self, turn: _Round, weeks: int) -> tuple[Spend, Spend]:
        """What the same weekday cost so many weeks ago: up to this time of the day, and in all."""
        date = turn.day.start.astimezone(self._zone).date() - weeks * _WEEK
        start, end = day_start(date, self._zone), day_start(date + _DAY, self._zone)
        # To the quarter of an hour: finer sums of past days would be read call by call.
        passed = (turn.begin - turn.day.start) // _QUARTER * _QUARTER
        until = self._sums.by_tenant(start, min(start + passed, end), turn.quarter)
        return until, self._sums.by_tenant(start, end, turn.quarter)

    def _budgets(self, turn: _Round) -> list[Metric]:
        metric = Gauge(names.BUDGET, "Dollars that may be spent in a window.", labels=["tenant", "window"])
        spenders = self._sums.by_tenant(turn.month.start, turn.month.end, turn.number)
        with self._pool.ledger() as ledger:
            budgets = ledger.effective_budgets(sorted(spenders), self._daily_budget)
        for tenant, window, amount in budgets:
            metric.add_metric([tenant, window], float(amount))
        return [metric]

    def _models(self, turn: _Round) -> list[Metric]:
        with self._pool.ledger() as ledger:
            rows = ledger.summary(turn.day.start, turn.day.end, by=models.BY).rows
        told = (models.unpriced_calls, models.calls_by_status, models.dearest_models)
        return [tell(rows, _MAX_TENANTS) for tell in told]


def _per_tenant(name: str, text: str, known: Spend, spend: Spend) -> Metric:
    """A gauge for each who is ``known``, 0 for who has no ``spend``."""
    metric = Gauge(name, text, labels=["tenant"])
    dearest = sorted({**spend, **known}.items(), key=lambda item: -item[1])
    for tenant, _ in dearest[:_MAX_TENANTS]:
        metric.add_metric([tenant], float(spend.get(tenant, 0)))
    if rest := dearest[_MAX_TENANTS:]:
        metric.add_metric([names.OVERFLOW], float(sum((spend.get(tenant, _NOTHING) for tenant, _ in rest), _NOTHING)))
    return metric
