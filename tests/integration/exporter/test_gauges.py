"""The gauges of the ledger: what is asked and how often, and that no question hides another one's answer."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from costspan.errors import LedgerError
from costspan.exporter.exposition import Gauge, exposition
from costspan.exporter.gauges import LedgerGauges
from costspan.exporter.pipeline import HostPipeline
from costspan.exporter.pool import Pool
from costspan.exporter.sums import Sums
from costspan.journal import Journal
from costspan.ledger import Drainer, Ledger, NoJournal
from costspan.ledger.summary import Summary
from costspan.settings import Settings
from integration.ledger.calls import batch, call, unpriced
from unit.journal.records import call as journalled

#: A Saturday, six minutes into a quarter of an hour and two seconds into a round.
NOW = datetime(2026, 11, 21, 12, 6, 2, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Asked(Ledger):
    """A ledger that notes which sums it is asked for, and refuses those that it is told to."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.periods: list[tuple[datetime, datetime]] = []
        self.refuses: Callable[[datetime], bool] = lambda _: False

    def summary(self, start, end, **others) -> Summary:
        """Note it and answer, or refuse."""
        self.periods.append((start, end))
        if self.refuses(start):
            raise LedgerError("told to refuse")
        return super().summary(start, end, **others)


@pytest.fixture
def asked(ledger_url, tmp_path) -> Iterator[Asked]:
    """A ledger of this test's own."""
    ledger = Asked.connect(Settings(database_url=ledger_url, state_dir=tmp_path))
    assert isinstance(ledger, Asked)
    yield ledger
    ledger.close()


def gauges(ledger: Ledger, now: datetime = NOW, zone: ZoneInfo = UTC_ZONE) -> LedgerGauges:
    """Gauges that ask ``ledger``, at ``now``."""
    return LedgerGauges(Pool(lambda: ledger, size=1), zone, Decimal(10), lambda: now)


def told(gauges: LedgerGauges, *but: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample by metric and label values, of all metrics but those."""
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in gauges.collect()
        if family.name not in but
    }


_OF_TIME = ("costspan_ledger_query_duration_seconds", "costspan_ledger_last_success_timestamp_seconds")


def test_each_sum_is_asked_for_once(asked):
    """A round asks for no period twice; the next one asks anew only for what may have changed since."""
    asked.write(batch([call(NOW)]), uuid4())
    here = gauges(asked)

    here.refresh()
    first, asked.periods = asked.periods, []
    here.refresh()

    of_models = 1  # the day once more, by model
    assert len(first) == len(set(first)) + of_models == 3 + 4 * 2 + of_models
    day, month = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    assert {start for start, _ in asked.periods} == {day, month, NOW - timedelta(seconds=3599.5) + timedelta(seconds=5)}
    assert len(asked.periods) == 3 + of_models


def test_past_weekdays_are_asked_for_again_each_quarter(asked):
    """They may have been priced again, or calls have come late."""
    clock = [NOW]
    here = LedgerGauges(Pool(lambda: asked, size=1), UTC_ZONE, Decimal(10), lambda: clock[0])
    here.refresh()
    asked.periods.clear()

    clock[0] = NOW + timedelta(minutes=9)
    here.refresh()

    past = [(start, end) for start, end in asked.periods if end < NOW - timedelta(days=1)]
    assert len(past) == len(set(past)) == 8
    assert (datetime(2026, 11, 14, tzinfo=UTC), datetime(2026, 11, 14, 12, 15, tzinfo=UTC)) in past


def test_two_exporters_over_one_ledger_agree(ledger):
    """Whenever in a round each of them asks, every sample is the same: also the last hour's, and where the day is heading."""
    week = [call(NOW - timedelta(days=7 * number, minutes=7)) for number in range(3)]
    edge = [call(NOW - timedelta(hours=1, seconds=second)) for second in range(-8, 8)]
    ledger.write(batch([*week, *edge, unpriced(NOW, tenant="globex"), call(NOW, tenant="globex")]), uuid4())
    here, there = gauges(ledger, NOW), gauges(ledger, NOW + timedelta(seconds=5.4))

    here.refresh()
    there.refresh()

    assert told(here, *_OF_TIME) == told(there, *_OF_TIME)
    assert told(here)["costspan_spend_trailing_hour_usd"][("acme",)] > 0


def test_the_last_hour_ends_with_the_round(ledger):
    """It is an hour wide and has what was called a moment ago."""
    end = datetime(2026, 11, 21, 12, 6, 7, 500_000, tzinfo=UTC)
    inside = [call(end - timedelta(hours=1)), call(NOW), call(end - timedelta(microseconds=1))]
    ledger.write(batch([*inside, call(end - timedelta(hours=1, microseconds=1)), call(end)]), uuid4())
    here = gauges(ledger)

    here.refresh()

    assert told(here)["costspan_spend_trailing_hour_usd"] == {("acme",): 3 * 0.00135}


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_a_day_is_the_zones(ledger, zone):
    """Today's spend begins with the zone's midnight, to the microsecond."""
    midnight = datetime(2026, 11, 21, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    ledger.write(batch([call(midnight - timedelta(microseconds=1)), call(midnight)]), uuid4())
    here = gauges(ledger, NOW, ZoneInfo(zone))

    here.refresh()

    assert told(here)["costspan_spend_today_usd"] == {("acme",): 0.00135}
    assert told(here)["costspan_spend_month_usd"] == {("acme",): 0.0027}


def test_a_failed_month_hides_no_day(asked):
    """Who cannot sum the month tells what today and the last hour cost all the same, and says what failed."""
    asked.write(batch([call(NOW)]), uuid4())
    asked.refuses = lambda start: start.day == 1
    here = gauges(asked)

    here.refresh()

    after = told(here)
    assert after["costspan_ledger_query_failed"] == {
        ("budgets",): 1,
        ("models",): 0,
        ("projection",): 0,
        ("spend_month",): 1,
        ("spend_today",): 0,
        ("spend_trailing_hour",): 0,
    }
    assert after["costspan_spend_today_usd"] == after["costspan_spend_trailing_hour_usd"] == {("acme",): 0.00135}
    assert "costspan_spend_month_usd" not in after
    assert "costspan_ledger_last_success_timestamp_seconds" not in after


def test_what_failed_is_asked_again(asked):
    """A failure is not remembered, of a sum that several gauges need neither."""
    asked.write(batch([call(NOW)]), uuid4())
    asked.refuses = lambda start: True
    here = gauges(asked)
    here.refresh()

    asked.refuses = lambda start: False
    here.refresh()

    assert set(told(here)["costspan_ledger_query_failed"].values()) == {0}
    assert told(here)["costspan_spend_projected_today_usd"][("acme",)] >= 0.00135


def test_a_slow_question_hides_no_other(ledger_url, tmp_path):
    """While one waits for a lock the others are asked on; how long it has been waiting is told."""
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    pool = Pool(lambda: Ledger.connect(settings), size=4)
    now = datetime.now(UTC)
    with pool.ledger() as ledger:
        ledger.write(batch([call(now)]), uuid4())
    here = LedgerGauges(pool, UTC_ZONE, Decimal(10))
    with psycopg.connect(ledger_url) as holding:
        holding.execute("lock table costspan.budget_change in access exclusive mode")

        here.start()

        until = time.monotonic() + 30
        while "costspan_unpriced_calls_today" not in told(here) or "costspan_spend_projected_today_usd" not in told(
            here
        ):
            assert time.monotonic() < until
            time.sleep(0.02)
        asked = told(here)
        assert ("budgets",) not in asked["costspan_ledger_query_failed"]
        assert asked["costspan_ledger_query_duration_seconds"][("budgets",)] > 0
        assert asked["costspan_spend_today_usd"].keys() == {("acme",)}
    here.stop(10)
    assert told(here)["costspan_budget_usd"] == {("acme", "day"): 10}
    pool.close()


def test_who_hangs_has_failed(ledger_url, tmp_path):
    """A question without an answer for a minute has failed, whether or not it ever had one; nothing else has."""
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    pool = Pool(lambda: Ledger.connect(settings), size=4)
    clock = [0.0]
    here, new = (LedgerGauges(pool, UTC_ZONE, Decimal(10), clock=lambda: clock[0]) for _ in range(2))
    here.refresh()
    with psycopg.connect(ledger_url) as holding:
        holding.execute("lock table costspan.budget_change in access exclusive mode")
        for gauges in (here, new):
            gauges.start()
        others = {"models", "projection", "spend_month", "spend_today", "spend_trailing_hour"}
        until = time.monotonic() + 30
        while {name for (name,) in told(new)["costspan_ledger_query_failed"]} != others:
            assert time.monotonic() < until
            time.sleep(0.02)
        before = told(here)

        clock[0] = 61.0

        after, never = told(here), told(new)["costspan_ledger_query_failed"]
    assert before["costspan_ledger_query_failed"][("budgets",)] == 0
    assert "costspan_budget_usd" in before
    assert after["costspan_ledger_query_failed"][("budgets",)] == never[("budgets",)] == 1
    assert "costspan_budget_usd" not in after
    for gauges in (here, new):
        gauges.stop(10)
    assert told(here)["costspan_ledger_query_failed"][("budgets",)] == 0
    pool.close()


def test_what_waits_on_the_host_is_told(tmp_path):
    """Without a ledger the journals that others gave up are bytes, an age, and tries that failed."""
    settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing", state_dir=tmp_path)
    journal = Journal(settings.journal_path)
    journalled(journal, 1)
    journal.shutdown()
    drainer = Drainer(NoJournal(), settings, adopts_every=0.01, keeps=False)
    registry = CollectorRegistry()
    registry.register(HostPipeline(drainer, settings.journal_path))

    drainer.start()

    until = time.monotonic() + 30
    while not drainer.stats.errors:
        assert time.monotonic() < until
        time.sleep(0.02)
    value = registry.get_sample_value
    assert value("costspan_journal_bytes") == sum(file.stat().st_size for file in settings.journal_path.iterdir()) > 0
    assert value("costspan_journal_oldest_age_seconds") > 0
    assert value("costspan_internal_errors_total", {"where": "drain"}) >= 1
    assert value("costspan_events_total", {"state": "landed"}) == 0
    drainer.stop(10)


def test_what_was_moved_is_told(ledger_url, tmp_path):
    """With a ledger the same journal is calls that landed, and nothing waits."""
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    journal = Journal(settings.journal_path)
    journalled(journal, 1)
    journal.shutdown()
    drainer = Drainer(NoJournal(), settings, keeps=False)
    registry = CollectorRegistry()
    registry.register(HostPipeline(drainer, settings.journal_path))

    assert drainer.flush(30)

    value = registry.get_sample_value
    assert value("costspan_events_total", {"state": "landed"}) == 1
    assert value("costspan_journal_bytes") == value("costspan_journal_oldest_age_seconds") == 0
    drainer.stop(10)


def test_who_asks_meanwhile_waits_for_the_same_answer(asked):
    """Two threads that need one sum at the same moment ask the ledger once."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly(_: datetime) -> bool:
        begun.set()
        assert go_on.wait(30)
        return False

    asked.write(batch([call(NOW)]), uuid4())
    asked.refuses = slowly
    sums = Sums(Pool(lambda: asked, size=2))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(sums.by_tenant, NOW, NOW + timedelta(hours=1), 1)
        assert begun.wait(30)
        second = threads.submit(sums.by_tenant, NOW, NOW + timedelta(hours=1), 1)
        go_on.set()

        told = [first.result(30), second.result(30)]

    assert told == [{"acme": Decimal("0.00135")}] * 2
    assert len(asked.periods) == 1


def test_both_formats_can_be_read(ledger, tmp_path):
    """OpenMetrics ends as it must and names its counters _total; promtool has nothing to say about the other."""
    ledger.write(batch([call(NOW), unpriced(NOW), call(NOW, tenant='o"dd\\\nna\u00efve')]), uuid4())
    here = gauges(ledger)
    here.refresh()
    registry = CollectorRegistry()
    registry.register(here)
    registry.register(HostPipeline(Drainer(NoJournal(), Settings(state_dir=tmp_path)), tmp_path))

    body, content_type = exposition(registry, OPENMETRICS)
    text = body.decode()

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("\n# EOF\n")
    families = {family.name: family for family in parse_openmetrics(text)}
    counters = [family for family in families.values() if family.type == "counter"]
    assert counters
    assert all(sample.name == f"{family.name}_total" for family in counters for sample in family.samples)
    if promtool := shutil.which("promtool"):
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input=exposition(registry, "")[0],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


class Told:
    """A registry of what it is given."""

    def __init__(self, *metrics: Metric) -> None:
        self.metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        return iter(self.metrics)


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.sampled_from('\\"n\n')), st.floats()),
        max_size=4,
    )
)
def test_the_quick_text_is_the_librarys(accept, samples):
    """Byte for byte, whatever the labels and numbers are."""
    quick = Gauge("quick_usd", "Dollars so far.", labels=["tenant", "model"])
    counted = CounterMetricFamily("counted", "Calls.", value=7)
    for tenant, model, value in samples:
        quick.add_metric([tenant, model], value)

    body, content_type = exposition(Told(quick, counted), accept)

    encode, wanted = choose_encoder(accept)
    assert (body, content_type) == (encode(Told(quick, counted)), wanted)
