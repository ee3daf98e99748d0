"""Days that are too old lose their calls and names for good, and keep their sums for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from costspan.errors import InvalidQuestion
from costspan.ledger import Ledger, retention
from costspan.ledger.keeper import Retained
from costspan.settings import Settings
from integration.ledger.calls import NOON, Rows, call, lost, unpriced
from integration.ledger.cold import differences
from integration.ledger.race import Journals

TODAY = NOON.date()
OLD, NEW = NOON - timedelta(days=40), NOON - timedelta(days=3)
KEPT_SINCE = TODAY - timedelta(days=30)


@pytest.fixture
def journals(ledger: Ledger) -> Journals:
    """Writes to the test's ledger."""
    return Journals(ledger)


@pytest.fixture
def config(ledger_url: str, tmp_path: Path) -> Settings:
    """Thirty days are kept."""
    return Settings(database_url=ledger_url, state_dir=tmp_path, retention_days=30)


@pytest.fixture
def keeping(config: Settings) -> Iterator[Ledger]:
    """A ledger whose clock stands still, and that keeps thirty days."""
    ledger = Ledger.connect(config, now=lambda: NOON)
    yield ledger
    ledger.close()


def sums(rows: Rows) -> list[tuple[object, ...]]:
    """All that is known of every quarter of an hour, wherever it is kept."""
    return rows("""
        select tenant_key, kind_id, sum(calls), sum(tokens_in), sum(tokens_out), sum(cost_pico) from (
            select tenant_key, kind_id, calls, tokens_in, tokens_out, cost_pico from costspan.usage_day
            union all select tenant_key, kind_id, calls, tokens_in, tokens_out, cost_pico from costspan.usage_hour
        ) as sums group by 1, 2 order by 1, 2
    """)


def mentioned(rows: Rows, word: str) -> list[str]:
    """The tables of ours with a row in which ``word`` is."""
    tables = rows(
        "select relname from pg_class where relnamespace = 'costspan'::regnamespace and relkind in ('r', 'p')"
    )
    query = sql.SQL("select exists (select from costspan.{table} as one where one::text ilike %s)")
    return [
        table
        for (table,) in tables
        if rows.connection.execute(query.format(table=sql.Identifier(table)), (f"%{word}%",)).fetchall()[0][0]
    ]


def test_old_calls_go_and_their_sums_stay(rows, journals, keeping):
    """Calls, details, corrections and names of days before are nowhere any more; each sum is what it was."""
    journals.write(
        call(OLD, session="secret-1", user="secret-2", feature="secret-3", tags={"secret-4": "x"}),
        unpriced(OLD, session="secret-1", evidence='{"secret-5": 1}'),
        call(NEW, session="recent"),
        call(NOON, session="recent"),
    )
    keeping.compact(TODAY)
    rows.connection.execute("""
        with run as (
            insert into costspan.reprice (since, until, price_version, reason) values (now(), now(), 'x', 'test') returning reprice_id
        )
        insert into costspan.correction
        select (slice.calls[1]).id, 1, reprice_id, (slice.calls[1]).at, tenant_key, (slice.calls[1]).context_id, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1,
            null, case when day < '2026-10-22' then 'secret-6' end
        from costspan.call_slice as slice cross join run
    """)
    before, told = sums(rows), []

    done = keeping.retain(progress=lambda *so_far: told.append(so_far))

    assert done == Retained(KEPT_SINCE, calls=2, days=1, contexts=2)
    assert told == [(2, 2)]
    assert sums(rows) == before
    assert [mentioned(rows, f"secret-{n}") for n in range(1, 7)] == [[]] * 6
    assert mentioned(rows, "recent") == ["call_context"]
    assert rows("select kept_since, calls from costspan.retention") == [((OLD + timedelta(days=1)).date(), 2)]
    assert rows("select count(*) from costspan.correction") == [(1,)]
    assert differences(rows) == []
    assert keeping.daily_costs("acme", OLD.date()).total.calls == 2


def test_what_is_still_rows_is_summed_up_first(rows, journals, keeping):
    """A ledger that was never compacted loses no sum, and no empty partition is left."""
    journals.write(*(call(OLD + timedelta(hours=n)) for n in range(5)))
    before = sums(rows)

    done = keeping.retain()
    keeping.retain()

    assert (done.calls, done.days, done.is_complete) == (5, 1, True)
    assert sums(rows) == before
    assert rows.calls == 0
    assert rows("select relname from pg_class where relispartition and relkind = 'r'") == []


def test_what_would_be_dropped_is_told_before(rows, journals, keeping):
    """Rows and slices of the days before count, and nothing is changed."""
    journals.write(call(OLD - timedelta(days=1)), call(OLD), call(NEW))
    keeping.compact(OLD.date())

    found = keeping.keeper.droppable(KEPT_SINCE)

    assert found == Retained(KEPT_SINCE, calls=2, days=2)
    assert rows.calls + rows.one("select sum(size) from costspan.call_slice") == 3


def test_without_a_setting_everything_is_kept(rows, journals, ledger):
    """Nothing is ever dropped by somebody who said nothing about it."""
    journals.write(call(NOON - timedelta(days=3000)))

    assert ledger.retain() is None
    assert rows.calls == 1


def test_today_and_what_is_to_come_cannot_be_dropped(ledger):
    """Kept since tomorrow, or no day at all, makes no sense."""
    with pytest.raises(InvalidQuestion, match="after today"):
        ledger.retain(TODAY + timedelta(days=500))
    with pytest.raises(InvalidQuestion, match="0 days are to be kept: allowed are whole numbers above 0"):
        ledger.keeper.kept_since(0)


def test_longer_than_there_are_dates_keeps_everything(rows, journals, keeping):
    """A number of days without a date to it is as good as for ever."""
    journals.write(call(NOON - timedelta(days=3000)))

    done = keeping.retain(keeping.keeper.kept_since(10**9))

    assert (done.calls, rows.calls) == (0, 1)


def test_a_writer_that_remembers_a_context_writes_it_whole(rows, journals, keeping):
    """Its number is no more: the call gets a new one, with session, user, feature and tags as ever."""
    names = {"session": "weekly", "user": "u-7", "feature": "report", "tags": {"team": "red"}}
    journals.write(call(OLD, **names))
    keeping.retain()
    gone = rows.calls, rows.one("select count(*) from costspan.call_context")

    journals.write(call(NOON, **names), call(NOON, session="other"))

    assert gone == (0, 0)
    assert rows("""
        select context.session_id, user_id, feature, tags
        from costspan.call join costspan.call_context as context using (context_id) order by session_id
    """) == [("other", "u-1", "compression", None), ("weekly", "u-7", "report", {"team": "red"})]
    assert rows.one("select quarantined from costspan.writer") == 0
    assert differences(rows) == []


def test_a_context_that_any_call_has_stays(rows, journals, keeping):
    """Hot or cold, one call is enough; also when writers remember it."""
    journals.write(
        call(OLD, session="hot"), call(NOON, session="hot"), call(OLD, session="cold"), call(NEW, session="cold")
    )
    keeping.compact(TODAY)

    done = keeping.retain()

    assert (done.calls, done.contexts) == (2, 0)
    assert rows.one("select count(*) from costspan.call_context") == 2


def test_no_context_goes_while_a_batch_is_under_way(rows, journals, keeping, ledger_url):
    """A batch that has its rows but not its commit may have any context: none is dropped, this time."""
    journals.write(call(OLD, session="weekly"))

    with psycopg.connect(ledger_url) as writing:
        writing.execute("set local role costspan_writer")
        writing.execute("select costspan.ensure_day('call', %s), costspan.ensure_day('usage_hour', %s)", (TODAY, TODAY))
        context, tenant, kind = rows("select context_id, tenant_key, kind_id from costspan.call")[0]
        writing.execute(
            "insert into costspan.call (id, at, tenant_key, context_id, kind_id, tokens_in, tokens_out, duration_ms) "
            "values (1, %s, %s, %s, %s, 1, 1, 1)",
            (NOON, tenant, context, kind),
        )
        done = keeping.retain()
        writing.commit()
    again = keeping.retain()

    assert (done.calls, done.contexts, again.contexts) == (1, 0, 0)
    assert rows("select session_id from costspan.call join costspan.call_context using (context_id)") == [("weekly",)]


def test_contexts_go_in_lots(monkeypatch, rows, journals, keeping):
    """However many there are, writers wait for few at a time."""
    monkeypatch.setattr(retention, "_CONTEXTS", 4)
    journals.write(*(call(OLD, session=f"s-{n}") for n in range(11)), call(NOON, session="s-0"))

    done = keeping.retain()

    assert done.contexts == 10
    assert rows("select session_id from costspan.call_context") == [("s-0",)]


def test_lost_attempts_stay_counted_without_names(rows, ledger, keeping):
    """What may have been billed on an old day is still told; whose it was is not. What was unreadable goes."""
    journals = Journals(ledger)
    old = lost("open", OLD, session="secret", user="secret", feature="secret")
    new = lost("open", NEW, session="kept")
    journals.write_batch(endings=[old, new], quarantined=[b"secret bytes"])
    rows.connection.execute("update costspan.quarantine set created_at = %s", (OLD,))

    keeping.retain()

    assert rows("select session_id, user_id, feature from costspan.unsettled order by at") == [
        ("", "", ""),
        ("kept", "u-1", "compression"),
    ]
    assert rows("select count(*) from costspan.quarantine") == [(0,)]
    assert rows("select unsettled, quarantined from costspan.writer") == [(2, 1)]


def test_what_a_provider_still_keeps_is_not_counted_again(rows, journals, keeping):
    """Natural keys outlive their calls for sixty days, as results can be read for thirty."""
    journals.write(call(OLD, natural_key="batch-1"), call(OLD - timedelta(days=60), natural_key="batch-2"))
    keeping.retain()

    journals.write(call(NOON, natural_key="batch-1"), call(NOON, natural_key="batch-2"))

    assert rows.calls == 1
    assert rows.one("select duplicates from costspan.writer") == 1


def test_a_late_call_of_a_dropped_day_is_in_its_sums(rows, journals, keeping):
    """It lands, is compacted, joins the sums, and is dropped by the next; sums by session stay away for good."""
    journals.write(call(OLD))
    keeping.retain()

    journals.write(call(OLD, session="late"))
    keeping.compact(TODAY)
    between = rows("select contexts, cardinality(quarters) from costspan.usage_day_detail")
    done = keeping.retain()

    assert between == [(None, 1)]
    assert (done.calls, done.contexts) == (1, 1)
    assert rows("select calls from costspan.usage_day") == [(2,)]
    assert rows("select max(kept_since), sum(calls) from costspan.retention") == [((OLD + timedelta(days=1)).date(), 2)]
    assert differences(rows) == []


def test_a_little_at_a_time(rows, journals, keeping):
    """With a limit it compacts and drops day by day, and says whether there is more."""
    journals.write(*(call(OLD - timedelta(days=n)) for n in range(3)))

    found = []
    while not found or not found[-1].is_complete:
        found.append(keeping.retain(limit=1))

    assert sum(one.calls for one in found) == 3
    assert len(found) > 3
    assert rows.one("select sum(calls) from costspan.usage_day") == 3
    assert rows("select count(*) from costspan.call_slice") == [(0,)]


def test_while_another_keeper_is_at_it_nothing_is_dropped(rows, journals, keeping, ledger_url):
    """Whoever finds the turn taken says so and leaves."""
    journals.write(call(OLD))

    with psycopg.connect(ledger_url) as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('costspan.keeper', 0))")
        found = keeping.retain()

    assert (found.calls, found.is_busy, found.is_complete) == (0, True, False)
    assert rows.calls == 1
