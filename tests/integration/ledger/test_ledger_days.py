"""The keeper takes emptied days away while writers still remember them: a call never pays for that."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from costspan.ledger import Ledger
from costspan.settings import Settings
from integration.ledger.calls import NOON, batch, call, unpriced

TABLES = ("call", "usage_hour", "call_detail")
DAYS = 3
BATCHES = 40


def calls(count, chance):
    """Calls of all days, one in ten with a detail."""
    instants = [NOON + timedelta(days=chance.randrange(DAYS)) for _ in range(count)]
    return [unpriced(at) if chance.random() < 0.1 else call(at) for at in instants]


def take_away(connection, table, day):
    """Drop a day's partition as the keeper does, under its table's lock; what it had is kept aside."""
    part = f"{table}_{(NOON + timedelta(days=day)):%Y%m%d}"
    with connection.transaction():
        connection.execute(f"lock table costspan.{table} in access exclusive mode")
        if connection.execute("select to_regclass(%s)", [f"costspan.{part}"]).fetchone()[0] is not None:
            connection.execute(f"insert into kept_{table} select * from costspan.{part}")
            connection.execute(f"drop table costspan.{part}")
            return True
    return False


@pytest.fixture
def keeper(ledger_url, rows):
    """A superuser's connection, and a place for what was in the days that it takes away."""
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(f"create table kept_{table} (like costspan.{table})")
        yield connection


@pytest.mark.parametrize("table", TABLES)
def test_a_day_that_was_taken_away_is_made_again(ledger, rows, keeper, table):
    """What a writer remembers of a table's days may be over; its next batch lands whole, and so does the one after it."""
    ledger.write(batch([call(), unpriced()]), uuid4())
    assert take_away(keeper, table, 0)

    written = [ledger.write(batch([call(), unpriced(), call(NOON + timedelta(days=1))]), uuid4()) for _ in range(2)]

    assert [(each.calls, each.quarantined) for each in written] == [(3, 0), (3, 0)]
    assert rows.calls + rows.one("select count(*) from kept_call") == 8


def test_a_poison_record_beside_a_day_that_was_taken_away(ledger, rows, keeper):
    """Only the record that no ledger can hold is quarantined, not those of the day that has no partition any more."""
    ledger.write(batch([call(), unpriced()]), uuid4())
    for table in TABLES:
        take_away(keeper, table, 0)

    written = ledger.write(batch([call(), call(cost_pico=-1), unpriced(), call(at_ns=-1), call()]), uuid4())

    assert (written.calls, written.quarantined, rows.calls) == (3, 2, 3)
    assert rows.rollup_differs == []


def test_days_are_taken_away_while_two_writers_write(ledger_url, rows, keeper, tmp_path):
    """Between and during batches, again and again: nothing is quarantined, lost or doubled."""
    written, taken = [], []
    is_over = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        ledger = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))
        written.extend(ledger.write(batch(calls(60, chance)), uuid4()) for _ in range(BATCHES))
        ledger.close()

    def take() -> None:
        chance = random.Random(3)
        while not is_over.wait(chance.random() * 0.01):
            if take_away(keeper, chance.choice(TABLES), chance.randrange(DAYS)):
                taken.append(1)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    taker = threading.Thread(target=take)
    for thread in (*writers, taker):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    taker.join()

    assert len(taken) > DAYS
    assert [each.quarantined for each in written] == [0] * 2 * BATCHES
    for table, count in (("call", "count(*)"), ("usage_hour", "sum(calls)")):
        found = f"select (select coalesce({count}, 0) from kept_{table}) + coalesce({count}, 0) from costspan.{table}"
        assert rows.one(found) == 2 * BATCHES * 60
    details = "select (select count(*) from kept_call_detail) + count(*) from costspan.call_detail"
    unpriced_calls = """
        select count(*) from (select kind_id from costspan.call union all select kind_id from kept_call) as calls
        join costspan.call_kind using (kind_id) where status = 'unpriced'
    """
    assert rows.one(details) == rows.one(unpriced_calls) > 0
