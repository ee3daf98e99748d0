"""What is written is what was metered, and nothing of it twice."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from costspan.attribution import NO_TENANT
from costspan.event import CallEvent, Line, decode
from costspan.journal import Unsettled
from costspan.ledger import Ledger
from costspan.ledger.writer import MAX_BATCH
from costspan.settings import Settings
from integration.ledger.calls import NOON, batch, call, lost, unpriced

ONE_SET_OF_ROWS = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_call_is_read_back_as_it_was_metered(ledger, rows):
    """Every column of the view has what the event had."""
    event = call(cached=1000, retry=1, reasoning=30, tags={"team": "red"})

    written = ledger.write(batch([event]), uuid4())

    assert (written.position, written.calls, written.tenants) == (1, 1, {"acme"})
    cursor = rows.connection.execute("select * from ai_usage_metrics")
    seen = dict(zip([column.name for column in cursor.description], cursor.fetchone(), strict=True))
    assert isinstance(seen.pop("id"), int)
    assert abs(seen.pop("created_at") - datetime.now(UTC)) < timedelta(minutes=5)
    assert seen == {
        "timestamp": NOON,
        "service": "anthropic",
        "provider": "anthropic",
        "model": "claude-3-5-haiku-latest",
        "operation": "chat",
        "tokens_in": 1450,
        "tokens_out": 180,
        "cache_read_tokens": 1000,
        "cache_write_tokens": 0,
        "reasoning_tokens": 30,
        "cost_usd": Decimal("0.00145"),
        "status": "priced",
        "session_id": "s-1",
        "tenant_id": "acme",
        "user_id": "u-1",
        "feature": "compression",
        "trace_id": event.trace_id.hex(),
        "span_id": event.span_id.hex(),
        "duration_ms": 700,
        "price_version": "genai-prices 0.2.3",
    }
    assert rows("select tags, retry from costspan.call_context, costspan.call") == [({"team": "red"}, 1)]


@pytest.mark.parametrize(
    ("pico", "text"),
    [(1_350_000_000, "0.00135"), (130_000_000, "0.00013"), (1_300_000, "0.0000013"), (1, "0.000000000001"), (0, "0"),
     (9 * 10**18, "9000000")],
)  # fmt: skip
def test_costs_are_exact_and_without_trailing_zeros(ledger, rows, pico, text):
    """The view shows the very decimal that was priced."""
    ledger.write(batch([call(cost_pico=pico)]), uuid4())

    assert rows.one("select cost_usd::text from ai_usage_metrics") == text


def test_what_is_not_known_is_null_and_not_zero(ledger, rows):
    """An unpriced call has no cost, and says what was consumed and why it has none."""
    ledger.write(batch([unpriced(session="", user="", feature="", trace_id=b"", span_id=b"")]), uuid4())

    assert rows(
        "select cost_usd, status, session_id, user_id, feature, trace_id, span_id, tokens_in from ai_usage_metrics"
    ) == [(None, "unpriced", None, None, None, None, None, 450)]
    assert rows("select problem, evidence::json ->> 'prompt_tokens' from costspan.call_detail") == [
        ("no price is known for llama-9", "450")
    ]


def test_a_call_without_a_tenant_belongs_to_the_zero_tenant(ledger, rows):
    """No tenant is a tenant, and the same one whether it is named or not."""
    ledger.write(batch([call(tenant=""), call(tenant=NO_TENANT)]), uuid4())

    assert rows("select tenant_id, count(*) from ai_usage_metrics group by 1") == [(NO_TENANT, 2)]


def test_span_ids_with_the_highest_bit_survive(ledger, rows):
    """An id is 8 bytes; that Postgres keeps it as a signed number does not show."""
    ledger.write(
        batch([call(span_id=b"\xff" * 8), call(span_id=b"\0" * 7 + b"\1"), call(span_id=b"\x80" + b"\0" * 7)]), uuid4()
    )

    assert {span for (span,) in rows("select span_id from ai_usage_metrics")} == {
        "f" * 16, "0" * 15 + "1", "8" + "0" * 15
    }  # fmt: skip


def test_a_plain_call_costs_a_row_and_nothing_more(ledger, rows):
    """Line items that follow from the columns and the kind's rates are not stored."""
    ledger.write(batch([call(cached=cached) for cached in (0, 10, 20)]), uuid4())

    assert rows.one("select count(*) from costspan.call_detail") == 0
    assert rows("select unit, rate_atto::bigint from costspan.kind_rate order by 1") == [
        ("cache_read_tokens", 10**11), ("input_tokens", 10**12), ("output_tokens", 5 * 10**12)
    ]  # fmt: skip


def test_a_bill_that_the_columns_do_not_tell_keeps_its_lines(ledger, rows):
    """A tool fee, a long-context rate and a second model are stored line by line."""
    plain = call()
    searched = replace(
        plain,
        quantities={**plain.quantities, "web_searches": 2},
        lines=[*plain.lines, Line(plain.model, "web_searches", 2, 10**16, 2 * 10**10, "overlay")],
        cost_pico=plain.cost_pico + 2 * 10**10,
    )
    dearer = replace(plain, lines=[replace(line, rate_atto=line.rate_atto * 2, amount_pico=line.amount_pico * 2) for line in plain.lines],
                     cost_pico=plain.cost_pico * 2)  # fmt: skip
    advised = replace(plain, lines=[plain.lines[0], replace(plain.lines[1], model="claude-opus-4-1")])

    ledger.write(batch([plain, searched, dearer, advised]), uuid4())

    stored = rows("""
        select costspan.usd(cost_pico)::text, quantities -> 'web_searches', jsonb_array_length(lines), lines -> 1 ->> 'model'
        from costspan.call left join costspan.call_detail on call_id = id order by id
    """)
    assert stored == [
        ("0.00135", None, None, None),
        ("0.02135", 2, 3, "claude-3-5-haiku-latest"),
        ("0.0027", None, 2, "claude-3-5-haiku-latest"),
        ("0.00135", None, 2, "claude-opus-4-1"),
    ]


COUNTS = st.integers(0, 10**9)
DERIVED = """
    with cost as (
        select call.id,
            (call.tokens_in - coalesce(cache_read, 0)) * max(rate_atto) filter (where unit = 'input_tokens') as fresh,
            call.tokens_out * max(rate_atto) filter (where unit = 'output_tokens') as out,
            call.cache_read * max(rate_atto) filter (where unit = 'cache_read_tokens') as cached
        from costspan.call left join costspan.kind_rate using (kind_id)
        group by 1, call.tokens_in, call.tokens_out, call.cache_read
    )
    select call.cost_pico, coalesce(
        (select sum((line ->> 'amount_pico')::numeric) from jsonb_array_elements(detail.lines) as line),
        (coalesce(fresh, 0) + coalesce(out, 0) + coalesce(cached, 0)) / 1000000
    )
    from costspan.call join cost using (id) left join costspan.call_detail as detail on detail.call_id = call.id
"""


@ONE_SET_OF_ROWS
@given(
    bills=st.lists(
        st.tuples(COUNTS, COUNTS, st.one_of(st.just(0), COUNTS), st.integers(0, 10**13), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_any_rows_cost_can_be_derived_again(ledger, rows, bills):
    """Columns and rates, or the stored lines: one of them always gives the cost, to the pico-dollar."""
    events = []
    for tokens_in, tokens_out, cached, fee, is_dear in bills:
        event = call(tokens=(tokens_in, tokens_out), cached=cached)
        lines = list(event.lines)
        if is_dear:
            lines = [replace(line, rate_atto=line.rate_atto + 1, amount_pico=line.amount_pico + 7) for line in lines]
        if fee % 3 == 0:
            lines.append(Line(event.model, "web_searches", 1, fee * 10**6, fee, "list"))
        units = {line.unit: line.quantity for line in lines}
        events.append(replace(event, lines=lines, quantities=units, cost_pico=sum(line.amount_pico for line in lines)))
    events = [event for event in events if event.tokens_in < 2**31]

    ledger.write(batch(events), uuid4())

    for stored, derived in rows(DERIVED):
        assert stored == derived


def test_a_batch_that_is_there_already_writes_nothing(ledger, rows):
    """A replay is told where the ledger is."""
    writer, events = uuid4(), [call() for _ in range(3)]
    ledger.write(batch(events), writer)

    again = ledger.write(batch(events), writer)

    assert (again.position, again.calls) == (3, 0)
    assert ledger.position(writer) == 3
    assert rows.calls == 3
    assert rows.rollup_differs == []


def test_a_batch_that_leaves_a_gap_writes_nothing(ledger, rows):
    """Who is ahead of the ledger is told so, and loses nothing."""
    ahead = ledger.write(batch([call()], start=7), uuid4())

    assert (ahead.position, rows.calls) == (0, 0)


def test_each_journal_has_its_own_position(ledger, rows):
    """Two writers do not know of each other."""
    for writer in (uuid4(), uuid4()):
        ledger.write(batch([call()]), writer)

    assert rows.calls == 2


def test_every_call_has_its_own_id(ledger, rows):
    """Also within one millisecond, and ids grow with the time of writing."""
    for _ in range(20):
        ledger.write(batch([call() for _ in range(7)]), uuid4())

    assert rows("select count(distinct id), count(*), min(id) > 0 from costspan.call") == [(140, 140, True)]


def test_a_batch_that_is_too_large_is_refused(ledger):
    """An id has no room for more."""
    with pytest.raises(ValueError, match="8192"):
        ledger.write(batch([call()] * (MAX_BATCH + 1)), uuid4())


def test_intents_alone_move_the_position(ledger, rows):
    """A batch may have nothing to store."""
    writer = uuid4()

    written = ledger.write(batch([], intents=4, torn=12), writer)

    assert (written.calls, ledger.position(writer)) == (0, 1)
    assert (ledger.audit().intents, ledger.audit().torn_bytes) == (4, 12)


def test_the_first_call_of_a_natural_key_counts(ledger, rows):
    """A batch's result may be read twenty times, in one batch or in many; each tenant has its own keys."""
    events = [call(natural_key="b-1:c-1"), call(natural_key="b-1:c-1"), call(natural_key="b-1:c-2"), call()]

    first = ledger.write(batch(events), uuid4())
    second = ledger.write(batch([call(natural_key="b-1:c-2"), call(natural_key="b-1:c-3")]), uuid4())
    other = ledger.write(batch([call(natural_key="b-1:c-1", tenant="rival")]), uuid4())

    assert (first.calls, first.duplicates) == (3, 1)
    assert (second.calls, second.duplicates) == (1, 1)
    assert (other.calls, other.duplicates) == (1, 0)
    assert rows.calls == 5
    assert rows.rollup_differs == []


def test_processes_that_read_one_result_at_once_count_it_once(ledger_url, rows, tmp_path):
    """Four writers with the same hundred natural keys land a hundred calls."""

    def read_all() -> None:
        ledger = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))
        for number in range(0, 100, 10):
            events = [call(natural_key=f"b:{key}") for key in range(number, number + 10)]
            ledger.write(batch(events), uuid4())
        ledger.close()

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert rows.calls == 100
    assert rows.rollup_differs == []


def test_what_nobody_can_know_is_kept_apart(ledger, rows):
    """Open and unanswered attempts are shown and never summed; failed ones are only counted."""
    endings = [lost("open"), lost("unanswered"), lost("failed")]
    unannounced = Unsettled(uuid4().bytes, None, "unanswered", "connection reset")

    written = ledger.write(batch([call()], endings=[*endings, unannounced]), uuid4())

    assert (written.unsettled, written.failed) == (3, 1)
    assert rows("select outcome, model, tenant_id from costspan.unsettled join costspan.tenant using (tenant_key) order by 1, 2") == [
        ("open", "gpt-4o-mini", "acme"), ("unanswered", "", NO_TENANT), ("unanswered", "gpt-4o-mini", "acme")
    ]  # fmt: skip
    assert ledger.summary(NOON, NOON + timedelta(hours=1)).unsettled == {"open": 1, "unanswered": 1}
    audit = ledger.audit()
    assert (audit.calls, audit.unsettled, audit.failed) == (1, 3, 1)


def test_damaged_records_go_to_quarantine_as_they_came(ledger, rows):
    """Bytes that the journal could not read are kept, and counted."""
    written = ledger.write(batch([call()], quarantined=[b"\x00\xff", b"zz"]), uuid4())

    assert (written.calls, written.quarantined) == (1, 2)
    assert rows("select record from costspan.quarantine order by id") == [(b"\x00\xff",), (b"zz",)]
    assert ledger.audit().quarantined == 2


POISON = {
    "more tokens than a column holds": {"tokens_in": 2**40},
    "more than a word of money": {"cost_pico": 2**63},
    "negative money": {"cost_pico": -1},
    "negative tokens": {"tokens_out": -5},
    "a NUL in a name": {"session": "a\0b"},
    "half a character": {"user": "\ud800"},
    "a year that nobody metered": {"at_ns": 2**63 - 1},
    "a time before the epoch": {"at_ns": -1},
    "an unknown status": {"status": "guessed"},
    "a trace id of seven bytes": {"trace_id": b"1234567"},
    "a negative retry": {"retry": -1},
    "more cached tokens than a column holds": {"quantities": {"cache_read_tokens": 2**31}},
    "a rate below zero": {"quantities": {"files": 1}, "lines": [Line("m", "files", 1, -1, 1, "list")]},
    "an index's limit": {"natural_key": "k", "dimensions": 2**31},
}


@pytest.mark.parametrize("what", POISON)
def test_a_poison_record_is_quarantined_and_all_else_lands(ledger, rows, what):
    """One record that no ledger can hold never stops or changes the others."""
    events = [call(tenant=f"t{number % 3}") for number in range(20)]
    events[13] = replace(events[13], **POISON[what])

    written = ledger.write(batch(events), uuid4())

    assert (written.calls, written.quarantined) == (19, 1)
    assert rows.calls == 19
    assert rows.cost == Decimal("0.00135") * 19
    assert rows.rollup_differs == []
    assert ledger.write(batch([call()]), uuid4()).calls == 1


def test_a_quarantined_call_can_be_read_again(ledger, rows):
    """Quarantine holds the record itself and the reason, without a value of it."""
    event = call(tokens_in=2**40)

    ledger.write(batch([event]), uuid4())

    reason, record = rows("select reason, record from costspan.quarantine")[0]
    assert decode(record) == event
    assert isinstance(decode(record), CallEvent)
    assert str(2**40) not in reason


@ONE_SET_OF_ROWS
@given(poisoned=st.sets(st.integers(0, 63)))
def test_any_number_of_poison_records_is_isolated(ledger, rows, poisoned):
    """Wherever they are and however many: exactly they are quarantined."""
    before = rows.calls
    events = [call(cost_pico=-1) if number in poisoned else call() for number in range(64)]

    written = ledger.write(batch(events), uuid4())

    assert (written.calls, written.quarantined) == (64 - len(poisoned), len(poisoned))
    assert rows.calls - before == written.calls
    assert rows.rollup_differs == []


def test_a_poison_ending_is_quarantined_too(ledger, rows):
    """Endings are isolated as calls are."""
    written = ledger.write(
        batch([call()], endings=[lost("open"), lost("open", model="a\0b"), lost("unanswered")]), uuid4()
    )

    assert (written.calls, written.unsettled, written.quarantined) == (1, 2, 1)


def test_what_the_client_remembers_may_vanish(ledger, rows):
    """A day's partition or a dictionary's row that was dropped behind the writer's back is made again."""
    ledger.write(batch([call()]), uuid4())
    rows.connection.execute("drop table costspan.call_20261121")
    rows.connection.execute("drop table costspan.usage_hour_20261121")

    written = ledger.write(batch([call()]), uuid4())

    assert (written.calls, written.quarantined) == (1, 0)


def test_calls_of_many_days_land_in_one_batch(ledger, rows):
    """Each day (UTC) has its partition, whichever order they come in."""
    instants = [NOON + timedelta(days=days, hours=hours) for days in (3, -400, 0) for hours in (0, 11, 12)]

    ledger.write(batch([call(at) for at in instants]), uuid4())

    assert [at for (at,) in rows("select at from costspan.call order by at")] == sorted(instants)
    assert rows.rollup_differs == []
    assert rows.one("select count(*) from pg_inherits where inhparent = 'costspan.call'::regclass") == 6


def test_without_the_right_to_copy_rows_land_all_the_same(ledger, rows):
    """Where the writer is subject to row level security, as on managed servers, rows go through a temporary table."""
    rows.connection.execute("alter role costspan_writer nobypassrls")
    try:
        writer, events = uuid4(), [call() for _ in range(5)]
        events[2] = call(cost_pico=-1)

        written = ledger.write(batch(events), writer)
        ledger.write(batch([call()], start=5), writer)
    finally:
        rows.connection.execute("alter role costspan_writer bypassrls")

    assert (written.calls, written.quarantined, rows.calls) == (4, 1, 5)
    assert rows.rollup_differs == []
