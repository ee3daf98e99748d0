"""What Prometheus is told of the ledger: spend, budgets and calls without a price, per tenant.

Asked every few seconds on a thread of its own and not at the scrape, so that a scrape takes as long with a slow database
as with a fast one. A question that fails takes only its own gauges away, and says so in a gauge of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from costspan.exporter.pool import Pool
from costspan.ledger import Dimension, Ledger
from costspan.ledger.forecast import project_day
from costspan.ledger.period import Period, day_start, named_period
from costspan.sinks import names

__all__ = ["LedgerGauges"]

logger = logging.getLogger("costspan")
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_WEEKS = 4
#: Half a scrape interval: with 15 s of scrape and evaluation each, a budget that is passed is told within a minute.
_EVERY_S = 7.5
#: Answers older than this are not shown: after midnight, yesterday's spend would be today's alarm.
_STALE_S = 60.0
#: Tenants that have gauges of their own; the smaller ones beyond are summed as `overflow`.
_MAX_TENANTS = 10_000

Spend = Mapping[str, Decimal]
Ask = Callable[[Ledger, datetime], list[Metric]]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The last time a question was asked."""

    metrics: tuple[Metric, ...]
    is_failed: bool
    seconds: float
    at: float
    """Seconds of the monotonic clock."""


class LedgerGauges(Collector):
    """Gauges read from the ledger.

    Args:
        pool: where ledgers are lent.
        zone: where a day and a month begin.
        daily_budget: dollars a day of a tenant that has no budget of its own.
        now: the present instant.
    """

    def __init__(
        self, pool: Pool, zone: ZoneInfo, daily_budget: Decimal, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._pool = pool
        self._zone = zone
        self._daily_budget = daily_budget
        self._now = now
        self._questions: Mapping[str, Ask] = {
            "spend": self._spend,
            "projection": self._projection,
            "budgets": self._budgets,
            "unpriced": self._unpriced,
        }
        self._answers: dict[str, _Answer] = {}
        self._last_success = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Ask from now on, on a thread."""
        self._thread = threading.Thread(target=self._run, name="costspan-gauges", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Ask no more; wait ``timeout`` seconds for the question that is under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def refresh(self) -> None:
        """Ask every question once. Raises nothing."""
        for name, ask in self._questions.items():
            self._answers[name] = self._answer(name, ask)
        if not any(answer.is_failed for answer in self._answers.values()):
            self._last_success = time.time()

    def collect(self) -> Iterator[Metric]:
        """Yield what was answered last, and how the questions went."""
        failed = GaugeMetricFamily(
            names.LEDGER_QUERY_FAILED, "1 where the last try of a question failed.", labels=["query"]
        )
        took = GaugeMetricFamily(names.LEDGER_QUERY_DURATION, "Seconds that the last try took.", labels=["query"])
        oldest = time.monotonic() - _STALE_S
        for name, answer in sorted(self._answers.items()):
            failed.add_metric([name], float(answer.is_failed))
            took.add_metric([name], answer.seconds)
            if answer.at >= oldest:
                yield from answer.metrics
        yield failed
        yield took
        if self._last_success:
            yield GaugeMetricFamily(
                names.LEDGER_LAST_SUCCESS, "When every question was last answered.", value=self._last_success
            )

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is depends on the ledger."""
        return iter(())

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.refresh()
            self._stopping.wait(_EVERY_S)

    def _answer(self, name: str, ask: Ask) -> _Answer:
        begun = time.monotonic()
        metrics: tuple[Metric, ...] = ()
        is_failed = False
        try:
            with self._pool.ledger() as ledger:
                metrics = tuple(ask(ledger, self._now()))
        except Exception as error:
            is_failed = True
            was_failed = (before := self._answers.get(name)) is not None and before.is_failed
            level = logging.DEBUG if was_failed else logging.WARNING
            logger.log(
                level, "costspan: the ledger gave no %s for /metrics (%s: %s)", name, type(error).__name__, error
            )
        ended = time.monotonic()
        return _Answer(metrics, is_failed, ended - begun, ended)

    def _spend(self, ledger: Ledger, now: datetime) -> list[Metric]:
        day = named_period("day", now.astimezone(self._zone).date(), self._zone)
        month = named_period("month", now.astimezone(self._zone).date(), self._zone)
        # Who spent yesterday or this month has a gauge today, also at 0: one that vanished at midnight would be
        # remembered at yesterday's value.
        known = _by_tenant(ledger, min(month.start, day.start - _DAY), day.end)
        return [
            _per_tenant(
                names.SPEND_TODAY, "Dollars since the day began.", known, _by_tenant(ledger, day.start, day.end)
            ),
            _per_tenant(
                names.SPEND_MONTH, "Dollars since the month began.", known, _by_tenant(ledger, month.start, month.end)
            ),
            _per_tenant(
                names.SPEND_TRAILING_HOUR, "Dollars of the last hour.", known, _by_tenant(ledger, now - _HOUR, now)
            ),
        ]

    def _projection(self, ledger: Ledger, now: datetime) -> list[Metric]:
        today = now.astimezone(self._zone).date()
        day = named_period("day", today, self._zone)
        spent, trailing = _by_tenant(ledger, day.start, day.end), _by_tenant(ledger, now - _HOUR, now)
        weeks = [self._same_weekday(ledger, day, now, number) for number in range(1, _WEEKS + 1)]
        left = int((day.end - now).total_seconds())
        projected = {
            tenant: project_day(
                amount,
                trailing.get(tenant, Decimal(0)),
                left,
                [(until.get(tenant, Decimal(0)), whole.get(tenant, Decimal(0))) for until, whole in weeks],
            )
            for tenant, amount in spent.items()
        }
        text = "Dollars that the day will have cost at its end."
        return [_per_tenant(names.SPEND_PROJECTED_TODAY, text, projected, projected)]

    def _same_weekday(self, ledger: Ledger, day: Period, now: datetime, weeks: int) -> tuple[Spend, Spend]:
        """What the same weekday cost so many weeks ago: up to this time of the day, and in all."""
        date = day.start.astimezone(self._zone).date() - weeks * _WEEK
        start, end = day_start(date, self._zone), day_start(date + timedelta(days=1), self._zone)
        # To the quarter of an hour: finer sums of past days would be read call by call.
        passed = (now - day.start) // timedelta(minutes=15) * timedelta(minutes=15)
        return _by_tenant(ledger, start, min(start + passed, end)), _by_tenant(ledger, start, end)

    def _budgets(self, ledger: Ledger, now: datetime) -> list[Metric]:
        month = named_period("month", now.astimezone(self._zone).date(), self._zone)
        metric = GaugeMetricFamily(names.BUDGET, "Dollars that may be spent in a window.", labels=["tenant", "window"])
        spenders = _by_tenant(ledger, month.start, month.end)
        for tenant, window, amount in ledger.effective_budgets(sorted(spenders), self._daily_budget):
            metric.add_metric([tenant, window], float(amount))
        return [metric]

    def _unpriced(self, ledger: Ledger, now: datetime) -> list[Metric]:
        day = named_period("day", now.astimezone(self._zone).date(), self._zone)
        labels = ("tenant", "service", "model")
        rows = ledger.summary(day.start, day.end, by=labels).rows
        metric = GaugeMetricFamily(names.UNPRICED_TODAY, "Calls of the day whose price nobody knows.", labels=labels)
        dearest = sorted((row for row in rows if row.unpriced), key=lambda row: -row.unpriced)[:_MAX_TENANTS]
        for row in dearest:
            metric.add_metric([str(row.keys[Dimension(label)]) for label in labels], row.unpriced)
        return [metric]


def _by_tenant(ledger: Ledger, start: datetime, end: datetime) -> Spend:
    rows = ledger.summary(start, end, by=(Dimension.TENANT,)).rows
    return {str(row.keys[Dimension.TENANT]): row.cost for row in rows}


def _per_tenant(name: str, text: str, known: Spend, spend: Spend) -> Metric:
    """A gauge for each of the ``known``, 0 for who has no ``spend``."""
    metric = GaugeMetricFamily(name, text, labels=["tenant"])
    dearest = sorted(known, key=lambda tenant: -known[tenant])
    for tenant in dearest[:_MAX_TENANTS]:
        metric.add_metric([tenant], float(spend.get(tenant, 0)))
    if rest := dearest[_MAX_TENANTS:]:
        metric.add_metric([names.OVERFLOW], float(sum((spend.get(tenant, Decimal(0)) for tenant in rest), Decimal(0))))
    return metric
