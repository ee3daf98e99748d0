"""Look-ups in applications' caches: summed exactly once, told by whatever they can be told apart by, and of one's own only."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from costspan.errors import InvalidQuestion
from costspan.event import CacheUse
from costspan.journal import Journal
from costspan.ledger import Drainer, Ledger, NoJournal
from costspan.settings import Settings
from integration.ledger.calls import NOON, batch, call, miss, use

HOUR = timedelta(hours=1)
#: Hits and misses until it is killed; after each of them it says how many there were.
LOOKING_UP = """
import sys
from itertools import count
from pathlib import Path
import costspan
from costspan.settings import Settings
costspan.instrument(Settings(journal_dir=Path(sys.argv[1]), drain="off"))
with costspan.attribute(tenant="acme", feature="search"):
    for number in count(1):
        costspan.cache_hit("embeddings", tokens=1000, model="text-embedding-3-large")
        print(number, flush=True)
"""


@pytest.fixture(scope="module")
def ledger_url(module_database_url: str) -> str:
    """One database for all tests of this module, which saves most of their time."""
    return module_database_url


@pytest.fixture(scope="module")
def of_all(ledger_url, tmp_path_factory) -> Iterator[Ledger]:
    """One ledger, likewise."""
    ledger = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path_factory.mktemp("caches")))
    yield ledger
    ledger.close()


@pytest.fixture
def ledger(of_all, rows) -> Ledger:
    """Without a look-up and without a call."""
    rows.connection.execute("truncate costspan.cache_usage, costspan.cache_kind, costspan.quarantine, costspan.call")
    return of_all


def write(ledger: Ledger, *uses: CacheUse) -> None:
    """Land these look-ups."""
    assert ledger.write(batch([], cache_uses=list(uses)), uuid4()).cache_uses == len(uses)


def of_noon(ledger: Ledger, *by: str, **named: object):
    """The rows of the hour from noon on: the keys in their order, hits, misses."""
    rows = ledger.cache_summary(NOON, NOON + HOUR, by=by, **named).rows
    return [(*(row.keys[name] for name in by), row.hits, row.misses) for row in rows]


def test_hits_and_misses_are_summed(ledger):
    """With the tokens and the exact dollars that they did not cost; unknown is not zero."""
    write(ledger, use(), use(tokens=7), use(tokens=5, avoided_pico=None, model=""), miss(), miss(model=""))

    summary = ledger.cache_summary(NOON, NOON + HOUR, by=["model"])

    unnamed, large = summary.rows
    assert (large.hits, large.misses, large.hits_unpriced, large.tokens_avoided) == (2, 1, 0, 1007)
    assert large.avoided == Decimal("0.00013091")
    assert (unnamed.hits, unnamed.misses, unnamed.hits_unpriced, unnamed.avoided) == (1, 1, 1, 0)
    assert (summary.total.requests, summary.total.hit_rate) == (5, Fraction(3, 5))
    assert summary.total.avoided == large.avoided


def test_nothing_has_no_hit_rate(ledger):
    """Of no look-ups there is no rate, which is not a rate of 0."""
    summary = ledger.cache_summary(NOON, NOON + HOUR)

    assert (summary.rows, summary.total.hit_rate, summary.total.avoided) == ((), None, 0)


def test_every_dimension(ledger):
    """By tenant, cache, model, feature and any part of time, together or one by one."""
    write(ledger, use(), use(tenant="globex", cache="answers", feature=""), miss(NOON + timedelta(minutes=50)))

    assert of_noon(ledger, "tenant", "cache") == [("acme", "embeddings", 1, 1), ("globex", "answers", 1, 0)]
    assert of_noon(ledger, "feature") == [("", 1, 0), ("search", 1, 1)]
    assert of_noon(ledger, "model") == [("text-embedding-3-large", 2, 1)]
    assert of_noon(ledger, "hour") == [(NOON, 2, 1)]
    assert of_noon(ledger, "day", "week", "month") == [
        (date(2026, 11, 21), date(2026, 11, 16), date(2026, 11, 1), 2, 1)
    ]


def test_days_of_any_zone_are_exact(ledger):
    """A day in Kathmandu begins at a quarter past six in the evening, and its look-ups with it."""
    zone = ZoneInfo("Asia/Kathmandu")
    midnight = datetime(2026, 11, 21, tzinfo=zone).astimezone(UTC)
    assert midnight.minute == 15
    write(ledger, use(midnight - timedelta(microseconds=1)), use(midnight), miss(midnight))

    rows = ledger.cache_summary(midnight - timedelta(days=1), midnight + timedelta(days=1), by=["day"], zone=zone).rows

    assert [(row.keys["day"], row.hits, row.misses) for row in rows] == [
        (date(2026, 11, 20), 1, 0),
        (date(2026, 11, 21), 1, 1),
    ]


def test_a_period_that_cuts_a_quarter_says_what_it_took(ledger):
    """The sums know no finer parts, so all of the quarter is told, and named."""
    write(
        ledger, use(NOON + timedelta(minutes=1)), use(NOON + timedelta(minutes=16)), use(NOON + timedelta(minutes=31))
    )

    summary = ledger.cache_summary(NOON + timedelta(minutes=7), NOON + timedelta(minutes=16))

    assert (summary.start, summary.end) == (NOON, NOON + timedelta(minutes=30))
    assert summary.total.hits == 2


@pytest.mark.parametrize(
    ("start", "end", "by", "named"),
    [
        (NOON, NOON - HOUR, (), "before it begins"),
        (NOON.replace(tzinfo=None), NOON, (), "start"),
        (NOON, NOON.replace(tzinfo=None), (), "end"),
        (NOON, NOON + HOUR, ("service",), "tenant, cache, model, feature"),
    ],
)
def test_what_makes_no_sense_is_refused(ledger, start, end, by, named):
    """And told what would."""
    with pytest.raises(InvalidQuestion, match=named):
        ledger.cache_summary(start, end, by=by)


def test_a_tenant_is_told_its_own(ledger):
    """As the database sees to: the other's look-ups are in no sum and no row."""
    write(ledger, use(), miss(), use(tenant="globex"), use(tenant="globex"))

    assert of_noon(ledger, "tenant", tenant="acme") == [("acme", 1, 1)]
    assert of_noon(ledger, tenant="nobody") == []


def test_who_names_no_tenant_has_one(ledger):
    """Like a call that names none."""
    write(ledger, use(tenant=""))

    assert of_noon(ledger, "tenant") == [("00000000-0000-0000-0000-000000000000", 1, 0)]


def test_a_batch_counts_once(ledger):
    """However often it is written: the position moves with the sums."""
    given, writer = batch([call()], cache_uses=[use(), miss()]), uuid4()

    first, again = ledger.write(given, writer), ledger.write(given, writer)

    assert (first.cache_uses, again.cache_uses) == (2, 0)
    assert of_noon(ledger) == [(1, 1)]


def test_a_batch_that_fails_counts_nothing(ledger, rows):
    """Sums and position are one transaction: where a call cannot be written, the hits of its batch are not there either."""
    rows.connection.execute("revoke insert on costspan.call from costspan_writer")
    writer = uuid4()

    with pytest.raises(Exception, match="permission denied"):
        ledger.write(batch([call()], cache_uses=[use()]), writer)

    rows.connection.execute("grant insert on costspan.call to costspan_writer")
    assert (of_noon(ledger), ledger.position(writer)) == ([], 0)


@pytest.mark.parametrize(
    "poison",
    [use(tokens=-1, avoided_pico=0), use(avoided_pico=-1), use(at=datetime(1999, 1, 1, tzinfo=UTC)), use(tokens=2**63)],
)
def test_one_bad_record_keeps_nothing_back(ledger, rows, poison):
    """It goes to quarantine, and all else of its batch lands; nothing of it is in any sum."""
    uses = [use() for _ in range(20)]
    written = ledger.write(batch([call()], cache_uses=[*uses[:7], poison, *uses[7:]]), uuid4())

    assert (written.calls, written.cache_uses, written.quarantined) == (1, 20, 1)
    assert of_noon(ledger) == [(20, 0)]
    assert rows.one("select count(*) from costspan.quarantine") == 1


def test_long_and_odd_names_land(ledger):
    """Three names that are together too long for an index, and none runs into the next."""
    long = "\U0001f40d" * 256
    write(
        ledger,
        use(cache=long, model=long, feature=long),
        use(cache="a", model="b"),
        use(cache="a\u00e9", model="\u0301b"),
    )

    assert len(of_noon(ledger, "cache", "model", "feature")) == 3
    assert (long, long, long, 1, 0) in of_noon(ledger, "cache", "model", "feature")


def test_many_writers_add_up(ledger, ledger_url, tmp_path):
    """Of the same new kinds at the same moment, in any order, without waiting for each other in a circle."""
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    kinds = [use(cache=f"cache-{number}", tenant=f"tenant-{number % 3}") for number in range(12)]

    def add(number: int) -> None:
        own = Ledger.connect(settings)
        for _ in range(5):
            write(own, *(kinds if number % 2 else kinds[::-1]))
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))

    assert {row.hits for row in ledger.cache_summary(NOON, NOON + HOUR, by=["cache", "tenant"]).rows} == {20}


def test_every_look_up_of_a_killed_process_is_summed(ledger, ledger_url, tmp_path):
    """After kill -9 each hit that was told is in the ledger, once: at the most one more, which was under way."""
    command = [sys.executable, "-c", LOOKING_UP, str(tmp_path / "journal")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 300:
                process.send_signal(signal.SIGKILL)
                break
        told = 300 + len(process.stdout.readlines())
    drainer = Drainer(
        NoJournal(),
        Settings(database_url=ledger_url, state_dir=tmp_path, journal_dir=tmp_path / "journal"),
        keeps=False,
    )

    assert drainer.flush(30)
    drainer.stop(10)

    now = datetime.now(UTC)
    (row,) = ledger.cache_summary(now - HOUR, now + HOUR, by=["tenant", "cache", "model", "feature"]).rows
    assert row.keys == {"tenant": "acme", "cache": "embeddings", "model": "text-embedding-3-large", "feature": "search"}
    assert told <= row.hits == drainer.stats.cache_uses <= told + 1
    assert row.avoided == row.hits * Decimal("0.00013")
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_flood_is_drained_to_its_end(ledger, ledger_url, tmp_path):
    """More look-ups than a batch takes are all there when flush says so."""
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    journal = Journal(settings.journal_path)
    for _ in range(12_000):
        journal.note(use())
    drainer = Drainer(journal, settings, keeps=False)

    assert drainer.flush(60)

    assert of_noon(ledger) == [(12_000, 0)]
    assert drainer.stats.batches == 3
    drainer.stop(10)
    journal.shutdown()


def test_retention_takes_the_features(ledger, rows):
    """Of days that are too old the sums stay to the last digit, without what they were for; younger ones keep all."""
    old = NOON - timedelta(days=30)
    write(ledger, use(old), use(old, feature="chat"), miss(old, feature="chat"), use(old, feature=""), use())
    ledger.write(batch([call(old)]), uuid4())
    before = ledger.cache_summary(old, NOON + HOUR, by=["day", "cache", "model", "tenant"])

    ledger.retain(date(2026, 11, 1))

    assert ledger.cache_summary(old, NOON + HOUR, by=["day", "cache", "model", "tenant"]) == before
    features = ledger.cache_summary(old, NOON + HOUR, by=["day", "feature"]).rows
    assert [(row.keys["day"].day, row.keys["feature"], row.hits, row.misses) for row in features] == [
        (22, "", 3, 1),
        (21, "search", 1, 0),
    ]
    assert rows("select feature from costspan.cache_kind order by 1") == [("",), ("search",)]
    write(ledger, use(old, feature="chat"))  # a writer that comes late finds its kind gone, and adds it anew
    assert ledger.cache_summary(old, old + HOUR).total.hits == 4


def test_the_view_shows_the_same(ledger, rows):
    """For dashboards: a row a quarter, tenant, cache, model and feature."""
    write(ledger, use(), use(), miss(), use(avoided_pico=None))

    assert rows("select * from ai_cache_usage") == [
        (NOON, "acme", "embeddings", "text-embedding-3-large", "search", 3, 1, 1, 3000, Decimal("0.00026"))
    ]
