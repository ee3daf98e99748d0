"""What a ledger must be after a kill: a prefix of each journal, and sums that are those of its rows."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import psycopg

from costspan.event import CallEvent
from costspan.journal import Journal
from integration.ledger.calls import NOON, call, unpriced

#: In one snapshot: what of the ledger contradicts itself. No row unless something is wrong.
WRONG = """
    with calls as (
        select count(*) as stored, count(distinct span_id) as different from costspan.call
    ),
    told as (
        select coalesce(sum(calls), 0) as calls, coalesce(sum(quarantined), 0) as quarantined from costspan.writer
    ),
    truth as (
        select tenant_key, date_bin('1 hour', at, '2000-01-01 00:00+00') as hour, kind_id, count(*) as calls,
            sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out, coalesce(sum(cache_read), 0) as cache_read,
            sum(duration_ms) as duration_ms, coalesce(sum(cost_pico), 0) as cost_pico
        from costspan.call
        group by 1, 2, 3
    ),
    kept as (
        select tenant_key, hour, kind_id, calls, tokens_in, tokens_out, cache_read, duration_ms, cost_pico
        from costspan.usage_hour
    )
    select 'the rows are not those that were committed', stored::numeric, calls from calls, told where stored <> calls
    union all select 'a call is there twice', stored, different from calls where stored <> different
    union all select 'a call was quarantined', quarantined, 0 from told where quarantined <> 0
    union all select 'an hour has sums of no call', calls, cost_pico from (select * from kept except select * from truth) as more
    union all select 'an hour has not its sums', calls, cost_pico from (select * from truth except select * from kept) as less
    union all
    select 'a detail is lost or doubled', count(*), (
        select count(*) from costspan.call join costspan.call_kind using (kind_id) where status = 'unpriced'
    )
    from costspan.call_detail
    having count(*) <> (
        select count(*) from costspan.call join costspan.call_kind using (kind_id) where status = 'unpriced'
    )
"""


def journalled(folder: Path, count: int) -> list[CallEvent]:
    """Write ``count`` calls into a journal of ``folder`` and leave it to be adopted; return them."""
    chance = random.Random(count)
    journal = Journal(folder, segment_bytes=1 << 20)
    events = []
    for number in range(count):
        make = unpriced if chance.random() < 0.05 else call
        event = make(
            NOON + timedelta(minutes=chance.randrange(4000)),
            attempt=number.to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            duration_ms=chance.randrange(5000),
            tenant=f"t{chance.randrange(5)}",
            session=f"s{chance.randrange(200)}",
        )
        journal.close_attempt(event)
        events.append(event)
    journal.shutdown()
    return events


def missing_and_more(url: str, events: list[CallEvent]) -> tuple[Counter, Counter]:
    """What the ledger has not of the journal's calls, and what it has besides them."""
    with psycopg.connect(url) as connection:
        stored = connection.execute("""
            select span_id, tokens_in, tokens_out, cost_pico, duration_ms, session_id, tenant_id, at
            from costspan.call
            join costspan.call_context using (tenant_key, context_id)
            join costspan.tenant using (tenant_key)
        """).fetchall()
    wanted = Counter(
        (
            int.from_bytes(event.span_id, "big"),
            event.tokens_in,
            event.tokens_out,
            event.cost_pico,
            event.duration_ms,
            event.session,
            event.tenant,
            NOON + timedelta(microseconds=event.at_ns // 1000) - timedelta(seconds=NOON.timestamp()),
        )
        for event in events
    )
    found = Counter(stored)
    return wanted - found, found - wanted
