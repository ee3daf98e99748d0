"""The readable face says the same of a call wherever it lies, and what repricing said of it last."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from costspan.ledger import Ledger, compaction
from integration.ledger.calls import NOON, Rows, batch, call, unpriced
from integration.ledger.cold import stored
from integration.ledger.corrected import correct

TOMORROW = date(2026, 11, 22)
VIEW = "select * from ai_usage_metrics order by id, tenant_id"
COLUMNS = (
    "id timestamp service provider model operation tokens_in tokens_out cache_read_tokens cache_write_tokens reasoning_tokens "
    "cost_usd status session_id tenant_id user_id feature trace_id span_id duration_ms price_version created_at"
)


def variety() -> list[object]:
    """A call for everything that a column can be."""
    writes = {
        "input_tokens": 1,
        "cache_write_5m_tokens": 2,
        "cache_write_1h_tokens": 3,
        "cache_write_30m_tokens": 4,
        "cache_write_12h_tokens": 2**31 - 100,
    }
    return [
        call(),
        call(cached=7, reasoning=3, retry=2),
        call(quantities=writes, tokens_in=2**31 - 1, tokens_out=0),
        call(trace_id=b"", span_id=b""),
        call(trace_id=b"\xff" * 16, span_id=b"\xff" * 8),
        call(trace_id=bytes(15) + b"\x01", span_id=bytes(7) + b"\x01"),
        call(session="", user="", feature=""),
        call(session="s'\"\\%", user="ü", feature="{}", tags={"team": "a"}),
        call(cost_pico=0, tokens=(0, 0), lines=[], quantities={}, duration_ms=0),
        call(cost_pico=2**63 - 1, lines=[]),
        unpriced(),
        call(status="invalid", cost_pico=None, tokens=(0, 0), lines=[], quantities={}, problem="impossible"),
        call(tenant="rival", session="s-1"),
        call(NOON.replace(hour=0)),
        call(datetime(2026, 11, 21, 23, 59, 59, 999999, tzinfo=UTC)),
        call(NOON - timedelta(days=3)),
    ]


def test_a_call_reads_the_same_before_and_after_compaction(ledger: Ledger, rows: Rows):
    """Every column of every call, stored and shown, is the same as a row and in a slice."""
    ledger.write(batch(variety()), uuid4())
    shown, kept = rows(VIEW), stored(rows)

    ledger.compact(TOMORROW)

    assert rows.calls == 0
    assert len(shown) == len(variety())
    assert (rows(VIEW), stored(rows)) == (shown, kept)


def test_slices_open_to_the_rows_they_were_made_of(ledger, rows):
    """``sliced_calls`` has the columns of ``call``, in its order."""
    ledger.write(batch(variety()), uuid4())
    before = rows("select * from costspan.call order by id")

    ledger.compact(TOMORROW)

    assert rows("select * from costspan.sliced_calls() order by id") == before


def test_late_calls_are_shown_beside_those_in_slices(ledger, rows):
    """A day may have rows and slices: the view has all of them, once."""
    first, late = [call() for _ in range(5)], [call(NOON + timedelta(hours=1)) for _ in range(3)]
    ledger.write(batch(first), uuid4())
    ledger.compact(TOMORROW)
    ledger.write(batch(late), uuid4())

    between = rows(VIEW)
    ledger.compact(TOMORROW)

    assert len(between) == 8
    assert rows(VIEW) == between
    assert rows.one("select sum(cost_usd) from ai_usage_metrics") == Decimal("0.0108")


@pytest.mark.parametrize("is_cold", [False, True])
def test_the_last_correction_counts(ledger, rows, is_cold):
    """Cost, status and price version are those of a call's last correction, and all else is the call's."""
    ledger.write(batch([unpriced(), call(), call()]), uuid4())
    if is_cold:
        ledger.compact(TOMORROW)
    learned, lost, untouched = rows("select id, * from ai_usage_metrics order by id")

    correct(rows, learned[0], 5, status="partial")
    correct(rows, learned[0], 1_350_000_000, status="priced")
    correct(rows, lost[0], None, status="unpriced")

    cost, status, version = (COLUMNS.split().index(name) for name in ("cost_usd", "status", "price_version"))
    shown = rows(VIEW)
    assert [(row[cost], row[status], row[version]) for row in shown] == [
        (Decimal("0.00135"), "priced", "v2"),
        (None, "unpriced", "v2"),
        (untouched[1 + cost], "priced", "genai-prices 0.2.3"),
    ]
    changing = {cost, status, version}
    for before, after in zip((learned, lost, untouched), shown, strict=True):
        assert [value for place, value in enumerate(before[1:]) if place not in changing] == [
            value for place, value in enumerate(after) if place not in changing
        ]


def test_the_view_keeps_its_columns_and_its_comment(ledger, rows):
    """What users rely on is as it was before there were slices."""
    columns = rows("""
        select string_agg(attname, ' ' order by attnum) from pg_attribute
        where attrelid = 'public.ai_usage_metrics'::regclass and attnum > 0
    """)

    assert columns == [(COLUMNS,)]
    assert "lower bound" in rows.one("select obj_description('public.ai_usage_metrics'::regclass)")


def test_what_functions_return_is_what_the_view_says(ledger, rows):
    """Both are made of one text; they agree on rows, slices and corrections."""
    ledger.write(batch(variety()), uuid4())
    ledger.compact(date(2026, 11, 20))
    for (number,) in rows("select id from ai_usage_metrics order by id limit 3"):
        correct(rows, number, 77)
        correct(rows, number, 78)

    told = rows("""
        select * from costspan.readable(array(
            select call from costspan.call union all select call from costspan.sliced_calls() as call
        )) order by id, tenant_id
    """)

    assert told == rows(VIEW)
    assert len(told) == len(variety())


def test_many_corrections_are_joined_and_not_looked_up(ledger, rows, monkeypatch):
    """A sum over the view reads what it joins once, whether the planner has seen the tables grow or not."""
    monkeypatch.setattr(compaction, "_SLICE", 500)
    ledger.write(batch([call(NOON + timedelta(seconds=n), session=f"s-{n % 50}") for n in range(4000)]), uuid4())
    rows.connection.execute("analyze")
    ledger.compact(TOMORROW)

    rows.connection.execute("""
        with run as (
            insert into costspan.reprice (since, until, price_version, reason) values (now(), now(), 'v2', 'a test')
            returning reprice_id
        )
        insert into costspan.correction (
            call_id, revision, reprice_id, at, tenant_key, context_id, kind_before, kind_after, cost_before, cost_after,
            tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms
        )
        select id, revision, reprice_id, at, tenant_key, context_id, kind_id, kind_id, cost_pico, 1, 1, 1, 0, 0, 0, 1
        from costspan.sliced_calls() cross join run cross join generate_series(1, 3) as revision
    """)
    question = "explain select sum(cost_usd) from ai_usage_metrics where feature = 'compression'"
    grown = rows(question)
    rows.connection.execute("analyze")
    known = rows(question)

    for plan in (grown, known):
        text = "\n".join(line for (line,) in plan)
        assert "Nested Loop Left Join" not in text
        assert re.search(r"(Hash|Merge) (Left|Right) Join", text)
    assert rows("select sum(cost_usd), count(*) from ai_usage_metrics") == [(Decimal("0.000000004"), 4000)]


def test_a_slice_says_which_ids_it_may_have(ledger, rows):
    """Late calls have ids from long after their day."""
    ledger.write(batch([call(), call()]), uuid4())
    ledger.write(batch([call(NOON - timedelta(days=1))]), uuid4())

    ledger.compact(TOMORROW)

    assert rows("""
        select bool_and(ids = (select int8range(min(id), max(id), '[]') from unnest(calls))), count(*) from costspan.call_slice
    """) == [(True, 2)]
