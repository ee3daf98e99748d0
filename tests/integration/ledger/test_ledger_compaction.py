"""Days that are over move into slices: every call stays as it was, and so does every sum, at every moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.errors import LedgerError
from costspan.ledger import Ledger, compaction
from costspan.ledger.database import Database
from costspan.ledger.keeper import Keeper
from costspan.settings import Settings
from integration.ledger.calls import NOON, Rows, call, unpriced
from integration.ledger.cold import COLUMNS, ID, differences, stored
from integration.ledger.race import Journals, Race

DAY = NOON.date()
AFTER = DAY + timedelta(days=1)
MIDNIGHT = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
SOON_S = 20.0


@pytest.fixture
def journals(ledger: Ledger) -> Journals:
    """Writes to the test's ledger."""
    return Journals(ledger)


@pytest.fixture
def connect(ledger_url: str, tmp_path: Path) -> Iterator[object]:
    """Makes further ledgers on the same database; all are closed at the end."""
    opened = []

    def connect() -> Ledger:
        opened.append(Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path)))
        return opened[-1]

    yield connect
    for ledger in opened:
        ledger.close()


@contextmanager
def superuser(url: str) -> Iterator[psycopg.Connection]:
    """A transaction that lasts until it is ended."""
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


def wait_until(is_so) -> None:
    """Wait for what another thread or session does."""
    until = time.monotonic() + SOON_S
    while not is_so():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def waits_for_a_lock(rows: Rows) -> bool:
    """Whether any session of the test's database does."""
    return bool(rows("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))


def partitions(rows: Rows) -> set[str]:
    """The partitions there are."""
    return {name for (name,) in rows("select relname from pg_class where relispartition and relkind = 'r'")}


def test_every_column_of_every_call_survives(rows, ledger, journals):
    """The extremes of each type and every NULL come back as they went, to the bit."""
    journals.write(call(tenant="acme"), unpriced(tenant="globex"))
    int4, int8 = 2**31 - 1, 2**63 - 1
    rows.connection.execute(
        f"""
        insert into costspan.call (tenant_key, {COLUMNS})
        select tenant_key, at, cost_pico, span_id, id, trace_id, context_id, kind_id, %(int4)s, 0, %(int4)s, cache, cache, null, cache,
            null, cache, retry
        from costspan.tenant cross join (values
            (-%(int8)s - 1, '2026-11-21 00:00:00+00'::timestamptz, null::bigint, null::bigint, null::uuid, 0, 1, null::int, null::smallint),
            (%(int8)s - 1, '2026-11-21 23:59:59.999999+00', %(int8)s, -%(int8)s - 1, 'ffffffff-ffff-ffff-ffff-ffffffffffff', %(int4)s, 2, %(int4)s, 32767),
            (0, '2026-11-21 00:14:59.999999+00', 0, %(int8)s, '00000000-0000-0000-0000-000000000000', -%(int4)s - 1, 1, 0, 0)
        ) as extreme (id, at, cost_pico, span_id, trace_id, context_id, kind_id, cache, retry)
        """,
        {"int4": int4, "int8": int8},
    )
    before = stored(rows)

    done = ledger.compact(AFTER)

    assert (done.calls, done.days, done.is_complete) == (len(before), 1, True)
    assert rows.calls == 0
    assert stored(rows) == before
    assert differences(rows) == []
    assert rows.one("select sum(cost_pico) from costspan.usage_day") == 2 * int8 + 1_350_000_000


def test_ten_thousand_random_calls_survive(rows, ledger, journals):
    """A hash over all columns is the same before and after, whatever the slices were cut into."""
    journals.write(call())
    rows.connection.execute(
        f"""
        insert into costspan.call (tenant_key, {COLUMNS})
        select 1 + n %% 3, '2026-11-21 00:00+00'::timestamptz + random() * interval '1 day', nullif((random() * 1e9)::bigint, n),
            case when n %% 7 > 0 then n * 7919 end, n, case when n %% 5 > 0 then md5((n / 4)::text)::uuid end, n %% 40, n %% 5,
            (random() * 9000)::int, (random() * 900)::int, (random() * 30000)::int, case when n %% 3 = 0 then (random() * 1e5)::int end,
            case when n %% 11 = 0 then n end, case when n %% 12 = 0 then n end, case when n %% 13 = 0 then n end,
            case when n %% 14 = 0 then n end, case when n %% 4 = 0 then n end, case when n %% 99 = 0 then 1 end
        from generate_series(1, 27000) as n
    """.replace("%%", "%")
    )
    whole = f"select md5(string_agg(one::text, '|' order by one.id)) from (select tenant_key, {COLUMNS} from %s) as one"
    before = rows.one(whole % "costspan.call")

    ledger.compact(AFTER)

    cold = (
        "(select slice.tenant_key, call.* from costspan.call_slice as slice cross join unnest(calls) as call) as cold"
    )
    assert rows.one(whole % cold) == before
    assert differences(rows) == []
    assert [size for (size,) in rows("select size from costspan.call_slice where tenant_key = 2 order by part")] == [
        8192,
        808,
    ]


def test_late_calls_land_and_are_taken_in(rows, ledger, journals):
    """A compacted day gets calls: they are rows first, then they join the small slice that was there."""
    journals.write(*(call(MIDNIGHT + timedelta(minutes=n), session=f"s-{n % 3}") for n in range(50)))
    ledger.compact(AFTER)

    journals.write(*(call(MIDNIGHT + timedelta(minutes=n), session="late") for n in range(7)))
    between = (rows.calls, rows.one("select sum(size) from costspan.call_slice"), differences(rows))
    done = ledger.compact(AFTER)

    assert between == (7, 50, [])
    assert (done.calls, done.slices) == (7, 1)
    assert rows("select part, size from costspan.call_slice") == [(1, 57)]
    assert rows.one("select count(*) from costspan.usage_day_detail") == 1
    assert differences(rows) == []
    assert ledger.compact(AFTER).calls == 0


def test_only_days_that_are_over_are_due(ledger_url, journals):
    """A day is due an hour after as many days as are set; today never is."""

    def due(now: datetime, after_days: int) -> date:
        return Keeper(Database(lambda: ledger_url), lambda: now, after_days=after_days).due_before(after_days)

    assert due(MIDNIGHT + timedelta(days=2, minutes=59), 1) == DAY
    assert due(MIDNIGHT + timedelta(days=2, minutes=60), 1) == AFTER
    assert due(MIDNIGHT + timedelta(days=1, minutes=60), 0) == AFTER
    assert due(MIDNIGHT + timedelta(days=1, minutes=59), 0) == DAY
    assert due(MIDNIGHT, 10**10) == date.min


def test_the_settings_decide_what_is_due(ledger_url, rows, tmp_path):
    """Without a date, the clock and COSTSPAN_COMPACT_AFTER_DAYS do; the hot days stay as they are."""
    config = Settings(database_url=ledger_url, state_dir=tmp_path, compact_after_days=3)
    ledger = Ledger.connect(config, now=lambda: NOON)
    Journals(ledger).write(*(call(NOON - timedelta(days=days)) for days in range(8)))

    done = ledger.compact()
    ledger.close()

    assert (done.calls, done.days) == (4, 4)
    assert rows("select min(at)::date, count(*) from costspan.call") == [(DAY - timedelta(days=3), 4)]


def test_units_are_groups_of_tenants_and_hours_of_a_large_one(monkeypatch, rows, ledger, journals):
    """Many small tenants are one transaction, a large one is several; the result is the same."""
    monkeypatch.setattr(compaction, "UNIT", 20)
    monkeypatch.setattr(compaction, "_SLICE", 16)
    small = [call(MIDNIGHT + timedelta(hours=n), tenant=f"t-{n}", session=f"s-{n}") for n in range(12)]
    large = [call(MIDNIGHT + timedelta(minutes=15 * n), tenant="large", session=f"s-{n % 4}") for n in range(96)]
    journals.write(*small, *large)
    before, told = stored(rows), []

    done = ledger.compact(AFTER, progress=lambda *so_far: told.append(so_far))

    assert stored(rows) == before
    assert differences(rows) == []
    assert done.calls == 108
    assert told[-1] == (108, 108)
    assert 5 <= len(told) <= 8
    sizes = [
        size
        for (size,) in rows(
            "select size from costspan.call_slice join costspan.tenant using (tenant_key) where tenant_id = 'large'"
        )
    ]
    assert max(sizes) <= 16
    assert sum(size < 8 for size in sizes) <= 1


def test_a_little_at_a_time(ledger, journals, rows):
    """With a limit it stops when so many calls are moved, and says whether there is more."""
    journals.write(*(call(NOON - timedelta(days=n)) for n in range(5)))

    found = [ledger.compact(AFTER, limit=2) for _ in range(4)]

    assert [one.calls for one in found] == [2, 2, 1, 0]
    assert [one.is_complete for one in found] == [False, False, True, True]
    assert differences(rows) == []


_calls = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex", "initech"]),
        st.integers(0, 2),  # days before
        st.integers(0, 86_399_999_999),  # microseconds of it
        st.sampled_from(["s-1", "s-2", "s-3"]),
        st.integers(0, 2**31 - 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)
_steps = st.lists(st.one_of(_calls, st.integers(-1, 2), st.just("some")), min_size=1, max_size=8)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=_steps)
def test_after_any_sequence_every_sum_is_that_of_its_calls(monkeypatch, rows, ledger, steps):
    """Writes, late writes and compactions in any order: hot, cold and together, no sum is ever off by one."""
    monkeypatch.setattr(compaction, "UNIT", 8)
    monkeypatch.setattr(compaction, "_SLICE", 6)
    rows.connection.execute(
        "truncate costspan.call, costspan.usage_hour, costspan.call_slice, costspan.usage_day, costspan.usage_day_detail"
    )
    journals, written, cost = Journals(ledger), 0, 0

    for step in steps:
        if isinstance(step, list):
            events = [
                call(
                    MIDNIGHT - timedelta(days=days) + timedelta(microseconds=us),
                    tenant=tenant,
                    session=session,
                    tokens=(tokens, 7),
                    trace_id=session.encode().rjust(16, b"\0") if is_traced else b"",
                )
                for tenant, days, us, session, tokens, is_traced in step
            ]
            journals.write(*events)
            written, cost = written + len(events), cost + sum(event.cost_pico for event in events)
        elif step == "some":
            ledger.compact(AFTER, limit=5)
        else:
            ledger.compact(AFTER - timedelta(days=step))

        assert differences(rows) == []
        totals = "select coalesce(sum(calls), 0), coalesce(sum(cost_pico), 0) from (select calls, cost_pico from costspan.usage_day union all select calls, cost_pico from costspan.usage_hour) as sums"
        assert rows(totals) == [(written, cost)]
        assert len({row[ID] for row in stored(rows)}) == written


def test_a_wrong_sum_is_told_and_nothing_is_moved(rows, ledger, journals):
    """A ledger that somebody tampered with is left as it is, to be looked into."""
    journals.write(call())
    rows.connection.execute("update costspan.usage_hour set tokens_out = tokens_out + 1")

    with pytest.raises(LedgerError, match="sums of 2026-11-21 are not those of its calls"):
        ledger.compact(AFTER)

    assert rows.calls == 1
    assert rows("select count(*) from costspan.call_slice") == [(0,)]


def test_a_compactor_that_is_killed_leaves_nothing_half(rows, ledger, journals, ledger_url):
    """Its session ends after it has deleted the calls and before it has written the sums: all is as it was."""
    journals.write(*(call(MIDNIGHT + timedelta(minutes=n)) for n in range(20)))
    before = stored(rows)
    raised = []

    def compact() -> None:
        try:
            ledger.compact(AFTER)
        except LedgerError as error:
            raised.append(error)

    with superuser(ledger_url) as other:
        other.execute(
            "insert into costspan.usage_day select tenant_key, %s, kind_id, 1, 1, 1, 1, 1, 1, 1, 1 from costspan.usage_hour",
            (DAY,),
        )
        thread = threading.Thread(target=compact)
        thread.start()
        wait_until(lambda: waits_for_a_lock(rows))
        rows(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        thread.join()

    assert len(raised) == 1
    assert rows("select count(*) from costspan.call_slice") == [(0,)]
    assert stored(rows) == before
    assert differences(rows) == []
    assert ledger.compact(AFTER).calls == 20


def test_a_late_call_waits_for_the_unit_and_then_lands(rows, journals, connect, ledger_url):
    """While an hour is being moved its late calls wait; they are never in a sum that is deleted."""
    journals.write(call())
    other = connect()

    with superuser(ledger_url) as blocking:
        blocking.execute(
            "insert into costspan.usage_day select tenant_key, %s, kind_id, 1, 1, 1, 1, 1, 1, 1, 1 from costspan.usage_hour",
            (DAY,),
        )
        compacting = threading.Thread(target=lambda: other.compact(AFTER))
        compacting.start()
        wait_until(lambda: waits_for_a_lock(rows))
        writing = threading.Thread(target=lambda: journals.write(call()))
        writing.start()
        wait_until(
            lambda: (
                rows.one(
                    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
                )
                == 2
            )
        )
        blocking.rollback()
        compacting.join()
        writing.join()

    assert (rows.calls, rows.one("select sum(size) from costspan.call_slice")) == (1, 1)
    assert differences(rows) == []


def test_a_late_call_that_was_there_first_makes_the_compactor_begin_anew(rows, ledger, journals, ledger_url):
    """It waits for the writer of the same hour, and then sees its call too."""
    journals.write(call())

    with superuser(ledger_url) as writing:
        writing.execute(
            "insert into costspan.call select 1, at + interval '1 second', cost_pico, span_id, trace_id, tenant_key, context_id, kind_id, tokens_in, tokens_out, duration_ms from costspan.call"
        )
        compacting = threading.Thread(target=lambda: ledger.compact(AFTER))
        compacting.start()
        wait_until(lambda: waits_for_a_lock(rows))
        writing.commit()
        compacting.join()

    assert (rows.calls, rows.one("select sum(size) from costspan.call_slice")) == (0, 2)
    assert differences(rows) == []


def test_of_two_compactors_one_leaves(rows, journals, connect, ledger, ledger_url):
    """Whoever finds another one at it is told so, and has changed nothing."""
    journals.write(call())
    other = connect()

    with superuser(ledger_url) as blocking:
        blocking.execute(
            "insert into costspan.usage_day select tenant_key, %s, kind_id, 1, 1, 1, 1, 1, 1, 1, 1 from costspan.usage_hour",
            (DAY,),
        )
        first = threading.Thread(target=lambda: ledger.compact(AFTER))
        first.start()
        wait_until(lambda: waits_for_a_lock(rows))
        found = other.compact(AFTER)
        blocking.rollback()
        first.join()

    assert (found.calls, found.is_busy, found.is_complete) == (0, True, False)
    assert (rows.calls, rows.one("select sum(size) from costspan.call_slice")) == (0, 1)


def test_compactors_that_take_turns_move_each_call_once(monkeypatch, rows, journals, connect):
    """Four at once, in small units: nothing is lost, nothing is there twice."""
    monkeypatch.setattr(compaction, "UNIT", 10)
    journals.write(*(call(MIDNIGHT + timedelta(minutes=n), tenant=f"t-{n % 9}") for n in range(400)))
    before = stored(rows)

    def compact(ledger: Ledger) -> None:
        until = time.monotonic() + SOON_S
        while not ledger.compact(AFTER).is_complete:
            assert time.monotonic() < until

    threads = [threading.Thread(target=compact, args=(connect(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert stored(rows) == before
    assert rows.calls == 0
    assert differences(rows) == []


def test_emptied_partitions_go_and_come_back(rows, ledger, journals):
    """A day's partitions are dropped when nothing is in them; a writer that remembers the day makes them anew."""
    journals.write(call(), call(NOON - timedelta(days=400)), unpriced(NOON - timedelta(days=400)))
    made = partitions(rows)

    done = ledger.compact(AFTER - timedelta(days=1))
    left = partitions(rows)
    journals.write(call(NOON - timedelta(days=400)))

    assert done.dropped == 2
    assert made - left == {"call_20251017", "usage_hour_20251017"}
    assert "call_detail_20251017" in left
    assert partitions(rows) == made
    assert rows.calls == 2
    assert differences(rows) == []


def test_a_partition_stays_while_an_older_snapshot_may_need_it(monkeypatch, rows, ledger, journals, ledger_url):
    """Who began before the day was emptied finds every call where it was; only then is the partition dropped."""
    monkeypatch.setattr(compaction, "_PATIENCE_S", 0.2)
    past = NOON - timedelta(days=400)
    journals.write(call(past))

    with superuser(ledger_url) as reader:
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select 1")  # has its snapshot, and no lock on any table
        first = ledger.compact(past.date() + timedelta(days=1))
        seen = reader.execute(
            "select (select count(*) from costspan.call), (select count(*) from costspan.call_slice)"
        ).fetchall()
    second = ledger.compact(past.date() + timedelta(days=1))

    assert (first.calls, first.dropped) == (1, 0)
    assert seen == [(1, 0)]
    assert second.dropped > 0
    assert not partitions(rows) & {"call_20251017", "usage_hour_20251017"}


def test_a_partition_is_dropped_by_nobody_who_should_not(rows, ledger_url, journals):
    """Not while it has a row, not today's, not under an old snapshot, no other table, by no other role."""
    past = NOON - timedelta(days=400)
    journals.write(call(past))

    def ask(role: str, query: str, level: str = "read committed") -> object:
        with superuser(ledger_url) as connection:
            connection.execute(f"set transaction isolation level {level}")
            connection.execute(f"set local role {role}")
            return connection.execute(query).fetchall()

    assert ask("costspan_keeper", f"select costspan.drop_day('call', '{past.date()}')") == [(False,)]
    assert ask("costspan_keeper", "select costspan.drop_day('call', '2016-01-01')") == [(False,)]
    with pytest.raises(psycopg.DataError, match="not over yet"):
        ask("costspan_keeper", "select costspan.drop_day('call', (now() at time zone 'UTC')::date)")
    with pytest.raises(psycopg.DataError, match="not over yet"):
        ask("costspan_keeper", "select costspan.drop_day('call', null)")
    with pytest.raises(psycopg.DataError, match="no table of days: writer"):
        ask("costspan_keeper", f"select costspan.drop_day('writer', '{past.date()}')")
    with pytest.raises(psycopg.InternalError, match="read committed"):
        ask("costspan_keeper", f"select costspan.drop_day('call', '{past.date()}')", "repeatable read")
    for role in ("costspan_writer", "costspan_tenant", "costspan_admin"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(role, f"select costspan.drop_day('call', '{past.date()}')")
    assert rows.calls == 1
    assert rows("select relforcerowsecurity from pg_class where relname = 'call_20251017'") == [(True,)]


def test_a_batch_that_asked_for_its_day_keeps_it(rows, ledger_url, journals, ledger):
    """What ensure_day() found is held until the transaction ends: no keeper can take it away under a batch."""
    past = NOON - timedelta(days=400)
    journals.write(call(past))
    ledger.compact(past.date())  # nothing yet: the day itself is not before

    with superuser(ledger_url) as writing:
        writing.execute("set local role costspan_writer")
        writing.execute(
            "select costspan.ensure_day('call', %s), costspan.ensure_day('usage_hour', %s)", (past.date(), past.date())
        )
        kept = ledger.compact(past.date() + timedelta(days=1))
        held = partitions(rows)
    dropped = ledger.compact(past.date() + timedelta(days=1))

    assert (kept.calls, kept.dropped) == (1, 0)
    assert {"call_20251017", "usage_hour_20251017"} <= held
    assert dropped.dropped > 0
    assert not partitions(rows) & {"call_20251017", "usage_hour_20251017"}


def test_no_reader_ever_sees_a_wrong_total(rows, connect):
    """Summaries while late calls land and are moved, and their partitions come and go: each is what was committed."""
    race = Race(connect(), connect(), connect())

    race.run(reads=150)

    assert race.wrong == []
    assert race.reads == 150
    assert race.landed > 0
    assert rows.one("select count(*) from costspan.call_slice") > 0
    assert differences(rows) == []
    assert rows.calls + rows.one("select sum(size) from costspan.call_slice") == race.landed
