"""A sum is the same wherever its calls lie and whatever was corrected: rows, slices, both, late or repriced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.errors import InvalidQuestion
from costspan.event import CallEvent
from costspan.ledger import Dimension
from integration.ledger.calls import NOON, batch, call, unpriced
from integration.ledger.truth import instant_of, said, told, within

UTC_ZONE = ZoneInfo("UTC")
KOLKATA = ZoneInfo("Asia/Kolkata")
#: Clocks change around each: by an hour, by half of one, at midnight, over midnight, for good.
WINDOWS = [
    (datetime(2026, 3, 8, tzinfo=UTC), ("America/New_York", "America/Havana", "Asia/Kolkata")),
    (datetime(2026, 3, 29, tzinfo=UTC), ("Europe/Berlin", "Asia/Beirut", "Asia/Kathmandu")),
    (datetime(2026, 4, 5, tzinfo=UTC), ("Australia/Lord_Howe", "Pacific/Chatham", "America/Santiago")),
    (datetime(2026, 10, 4, tzinfo=UTC), ("Australia/Lord_Howe", "Pacific/Kiritimati", "UTC")),
    (datetime(2026, 11, 1, tzinfo=UTC), ("America/New_York", "America/Havana", "America/St_Johns")),
    (datetime(2018, 5, 4, tzinfo=UTC), ("Asia/Pyongyang", "Asia/Kolkata", "UTC")),
]
STATUSES = ["priced", "estimated", "partial", "unpriced", "invalid"]
UNKNOWN = ("unpriced", "invalid")
CACHE_WRITES = [f"cache_write_{age}_tokens" for age in ("5m", "30m", "1h", "12h")]
_examples = count()


@dataclass(frozen=True)
class Story:
    """Calls, some of which come late; when days were compacted; what was corrected; and what is asked."""

    early: Sequence[CallEvent]
    late: Sequence[CallEvent]
    compacted: tuple[date | None, date | None]
    corrected: Sequence[tuple[int, str, int]]
    """Which call, its new status, its new cost."""
    is_corrected_last: bool
    start: datetime
    end: datetime
    zone: ZoneInfo
    by: frozenset[Dimension]


def instants(middle: datetime, spots: Sequence[int]) -> st.SearchStrategy[datetime]:
    """Around ``middle``: any, and more often those that meet: at and beside a few quarters of an hour."""
    at_a_spot = st.builds(
        lambda quarters, beside: middle + timedelta(minutes=15 * quarters) + beside,
        st.sampled_from(spots),
        st.sampled_from([timedelta(microseconds=shift) for shift in (-1, 0, 0, 1)] + [timedelta(minutes=7)]),
    )
    naive = middle.replace(tzinfo=None)
    anywhere = st.datetimes(naive - timedelta(days=2), naive + timedelta(days=2), timezones=st.just(UTC))
    return at_a_spot | at_a_spot | anywhere


def calls(moments: st.SearchStrategy[datetime]) -> st.SearchStrategy[list[CallEvent]]:
    """Of two tenants, with everything that sums tell apart."""
    texts = {
        "provider": ["openai", "azure.ai.openai"],
        "operation": ["chat", "embeddings"],
        "model": ["gpt-4o-mini", "gpt-9"],
        "feature": ["", "search"],
        "session": ["", "s-1", "s-2"],
        "user": ["", "u-1"],
    }

    def made(*, status, pico, written, **others):
        event = call(status=status, cost_pico=None if status in UNKNOWN else pico, **others)
        return msgspec.structs.replace(event, quantities={**event.quantities, **written})

    calls_made = st.builds(
        made,
        at=moments,
        status=st.sampled_from(STATUSES),
        pico=st.integers(0, 10**15),
        tokens=st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
        cached=st.integers(0, 10**5),
        written=st.dictionaries(st.sampled_from(CACHE_WRITES), st.integers(1, 10**5)),
        reasoning=st.integers(0, 1),
        tenant=st.sampled_from(["acme", "rival"]),
        **{name: st.sampled_from(values) for name, values in texts.items()},
    )
    return st.lists(calls_made, max_size=12)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """One of each kind."""
    middle, zones = draw(st.sampled_from(WINDOWS))
    moments = instants(middle, draw(st.lists(st.integers(-150, 150), min_size=1, max_size=3)))
    days = st.none() | st.integers(-2, 3).map(lambda day: (middle + timedelta(days=day)).date())
    early, late = draw(calls(moments)), draw(calls(moments))
    start, end = sorted((draw(moments), draw(moments)))
    correction = st.tuples(st.integers(0, max(0, len(early) - 1)), st.sampled_from(STATUSES), st.integers(0, 10**15))
    return Story(
        early=early,
        late=late,
        compacted=(draw(days), draw(days)),
        corrected=draw(st.lists(correction, max_size=4)) if early else [],
        is_corrected_last=draw(st.booleans()),
        start=start,
        end=end,
        zone=ZoneInfo(draw(st.sampled_from(zones))),
        by=draw(st.frozensets(st.sampled_from(list(Dimension)), max_size=4)),
    )


def correct(rows, event: CallEvent, status: str, pico: int) -> CallEvent:
    """Append a correction as repricing does, for a call that is a row; return the call as it is then."""
    corrected = msgspec.structs.replace(event, status=status, cost_pico=None if status in UNKNOWN else pico)
    rows.connection.execute(
        """
        with known as (
            select call.*, coalesce(last.kind_after, call.kind_id) as kind_now, coalesce(last.revision, 0) as revision,
                case when last.revision is null then call.cost_pico else last.cost_after end as cost_now
            from (
                select id, at, tenant_key, cost_pico, span_id, context_id, kind_id, tokens_in, tokens_out, duration_ms,
                    cache_read, cache_write_5m, cache_write_30m, cache_write_1h, cache_write_12h, reasoning
                from costspan.call
                union all
                select id, at, tenant_key, cost_pico, span_id, context_id, kind_id, tokens_in, tokens_out, duration_ms,
                    cache_read, cache_write_5m, cache_write_30m, cache_write_1h, cache_write_12h, reasoning
                from costspan.call_slice cross join unnest(calls)
            ) as call
            left join lateral (
                select * from costspan.correction where call_id = call.id order by revision desc limit 1
            ) as last on true
            where call.span_id = %(span)s
        ), run as (
            insert into costspan.reprice (since, until, price_version, reason)
            values (now(), now(), 'today', 'a test') returning reprice_id
        ), kind as (
            insert into costspan.call_kind (
                tenant_key, key, service, provider, operation, model, request_model, terms, price_version, dimensions, status
            )
            select kind.tenant_key, gen_random_uuid(), service, provider, operation, model, request_model, terms, 'today',
                dimensions, %(status)s
            from costspan.call_kind as kind join known on known.kind_id = kind.kind_id
            returning kind_id
        )
        insert into costspan.correction (
            call_id, revision, reprice_id, at, tenant_key, context_id, kind_before, kind_after, cost_before, cost_after,
            tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms
        )
        select id, revision + 1, reprice_id, at, tenant_key, context_id, kind_now, kind.kind_id, cost_now, %(cost)s, tokens_in,
            tokens_out, coalesce(cache_read, 0),
            coalesce(cache_write_5m, 0) + coalesce(cache_write_30m, 0) + coalesce(cache_write_1h, 0) + coalesce(cache_write_12h, 0),
            coalesce(reasoning, 0), duration_ms
        from known, run, kind
        """,
        {"span": int.from_bytes(event.span_id, "big"), "status": status, "cost": corrected.cost_pico},
    )
    return corrected


def live_through(story: Story, ledger, rows) -> tuple[str, list[CallEvent]]:
    """Let it all happen; return the service that only this example has, and its calls as they are now."""
    example = f"-{next(_examples)}"

    def own(events: Sequence[CallEvent]) -> list[CallEvent]:
        replace = msgspec.structs.replace
        return [replace(event, tenant=event.tenant + example, service=f"llm{example}") for event in events]

    early, late = own(story.early), own(story.late)

    def correct_all() -> None:
        for index, status, pico in story.corrected:
            early[index] = correct(rows, early[index], status, pico)

    for before, events in zip(story.compacted, (early, late), strict=True):
        ledger.write(batch(events), uuid4())
        if events is early and not story.is_corrected_last:
            correct_all()
        if before is not None:
            ledger.compact(before)
    if story.is_corrected_last:
        correct_all()
    return example, [*early, *late]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=stories())
def test_any_sum_equals_what_the_calls_say(ledger, rows, story):
    """As each tenant and as admin, by whatever and in any zone, the difference is 0."""
    example, events = live_through(story, ledger, rows)

    for tenant in (f"acme{example}", f"rival{example}", None):
        summary = ledger.summary(
            story.start, story.end, by=story.by, tenant=tenant, zone=story.zone, services=[f"llm{example}"]
        )

        mine = within([event for event in events if tenant in (None, event.tenant)], story.start, story.end)
        assert said(summary) == told(mine, story.by, story.zone, story.start)
        if tenant is not None:
            sessions = {event.session for event in mine if event.session}
            assert ledger.sessions(story.start, story.end, tenant=tenant) == len(sessions)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=stories())
def test_what_sql_can_ask_equals_what_the_calls_say(ledger, rows, story):
    """get_cost_summary over any range, and the views of days and hours over all of it."""
    example, events = live_through(story, ledger, rows)
    tenant = f"acme{example}"
    mine = [event for event in events if event.tenant == tenant]

    summed = rows(
        "select service, cost_usd, calls, calls_not_priced from get_cost_summary(%s, %s, %s)",
        tenant,
        story.start,
        story.end,
    )

    here = within(mine, story.start, story.end)
    cost = sum((Decimal(event.cost_pico or 0).scaleb(-12) for event in here), Decimal(0))
    sums = (cost, len(here), sum(event.status != "priced" for event in here))
    assert summed == ([(f"llm{example}", *sums)] if here else []) + [("total", *sums)]
    for view, unit in (("ai_usage_daily", "day"), ("ai_usage_hourly", "hour")):
        by = (unit, "service", "provider", "model", "operation", "status")
        viewed = rows(
            f"select {unit}, service, provider, model, operation, status, calls, tokens_in, tokens_out, cache_read_tokens, "
            f"cache_write_tokens, reasoning_tokens, cost_usd from {view} where tenant_id = %s",
            tenant,
        )
        assert _as_told(by, viewed) == told(mine, by, UTC_ZONE, datetime(2015, 1, 1, tzinfo=UTC))


def _as_told(by, viewed):
    names = ("calls", "tokens_in", "tokens_out", "cache_read", "cache_write", "reasoning", "cost")
    found = {}
    for row in viewed:
        key, status, sums = row[: len(by)], row[len(by) - 1], dict(zip(names, row[len(by) :], strict=True))
        assert (sums["cost"] is None) == (status in UNKNOWN)
        sums[status] = sums["calls"]
        sums["cost_not_priced"] = sums["cost"] if status != "priced" else 0
        sums["cost_estimated"] = sums["cost"] if status == "estimated" else 0
        begin = [value.astimezone(UTC_ZONE) if isinstance(value, datetime) else value for value in key[:1]]
        texts = (value if isinstance(value, str) else value.isoformat() for value in (*begin, *key[1:]))
        found[frozenset(zip(by, texts, strict=True))] = {name: value for name, value in sums.items() if value}
    return found


def plan_of(ledger_url: str, tenant: str, start: str, end: str) -> list[dict]:
    """Every node of the plan of a month's summary as it was run, as that tenant."""
    with psycopg.connect(ledger_url) as connection:
        connection.execute("set local role costspan_tenant")
        connection.execute("select set_config('app.current_tenant', %s, true)", [tenant])
        asked = "explain (analyze, format json) select * from get_cost_summary(%s, %s::timestamptz, %s::timestamptz)"
        ((found,),) = connection.execute(
            psycopg.ClientCursor(connection).mogrify(asked, [tenant, start, end])
        ).fetchall()
    todo, nodes = [(found if isinstance(found, list) else json.loads(found))[0]["Plan"]], []
    while todo:
        node = todo.pop()
        nodes.append(node)
        todo += node.get("Plans", [])
    return nodes


def read(nodes: list[dict], relation: str) -> float:
    """How many rows of a table were read."""
    return sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes if node.get("Relation Name") == relation)


@pytest.mark.parametrize(
    ("start", "end", "rows_read"),
    [
        ("2026-11-01 00:00+00", "2026-12-01 00:00+00", {"usage_day": 30, "usage_day_detail": 0, "call_slice": 0}),
        ("2026-11-01 00:00+05:30", "2026-12-01 00:00+05:30", {"usage_day": 29, "usage_day_detail": 1, "call_slice": 0}),
        ("2026-11-01 00:07+00", "2026-12-01 00:00+00", {"usage_day": 29, "usage_day_detail": 1, "call_slice": 1}),
    ],
    ids=["days of UTC", "days of Kolkata", "inside of a quarter"],
)
def test_a_months_sum_opens_no_slice_that_it_does_not_need(ledger, ledger_url, start, end, rows_read):
    """Whole days are read from their sums, cut days from those of their quarters, and only a cut quarter from slices."""
    hours = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(30 * 24)]
    ledger.write(batch([call(hour + timedelta(minutes=6)) for hour in hours]), uuid4())
    ledger.compact(date(2026, 12, 1))

    nodes = plan_of(ledger_url, "acme", start, end)

    assert {name: read(nodes, name) for name in ("usage_day", "usage_day_detail", "call_slice")} == rows_read


@pytest.mark.parametrize("is_cold", [True, False])
@pytest.mark.parametrize("by", [[], ["session"]])
def test_a_period_has_its_first_instant_and_not_its_last(ledger, is_cold, by):
    """To the microsecond, also where a slice has this one call; its sessions likewise."""
    moment, least = NOON + timedelta(minutes=7), timedelta(microseconds=1)
    ledger.write(batch([call(moment)]), uuid4())
    if is_cold:
        ledger.compact(NOON.date() + timedelta(days=1))

    periods = [(moment, moment + least), (moment - least, moment), (moment + least, moment + 2 * least)]

    assert [ledger.summary(*period, by=by).total.calls for period in periods] == [1, 0, 0]
    assert [ledger.sessions(*period) for period in periods] == [1, 0, 0]


def test_a_session_is_counted_where_it_had_a_call(ledger):
    """Sessions of one slice that a period has, begins behind and ends before."""
    sessions = {timedelta(hours=hour): f"s-{hour}" for hour in range(6)}
    ledger.write(batch([call(NOON + after, session=name) for after, name in sessions.items()]), uuid4())
    ledger.compact(NOON.date() + timedelta(days=1))

    def counted(first: int, last: int) -> int:
        return ledger.sessions(NOON + timedelta(hours=first), NOON + timedelta(hours=last))

    assert [counted(0, 6), counted(2, 6), counted(0, 2), counted(2, 4), counted(-24, 1), counted(5, 36)] == [
        6,
        4,
        2,
        2,
        1,
        1,
    ]


def test_a_week_and_a_month_are_those_of_the_zone(ledger):
    """Sunday evening in UTC is Monday in Kolkata, and the last evening of a month the first of the next."""
    sunday, month_end = datetime(2026, 11, 1, 20, tzinfo=UTC), datetime(2026, 10, 31, 20, tzinfo=UTC)
    ledger.write(batch([call(sunday), call(month_end)]), uuid4())
    ledger.compact(date(2026, 11, 2))
    days = (datetime(2026, 10, 28, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC))

    def keys(by, zone):
        return sorted(value for row in ledger.summary(*days, by=[by], zone=zone).rows for value in row.keys.values())

    assert keys("week", UTC_ZONE) == [date(2026, 10, 26)]
    assert keys("week", KOLKATA) == [date(2026, 10, 26), date(2026, 11, 2)]
    assert keys("month", UTC_ZONE) == [date(2026, 10, 1), date(2026, 11, 1)]
    assert keys("month", KOLKATA) == [date(2026, 11, 1)]


def test_shares_tell_how_far_a_sum_can_be_trusted(ledger):
    """Calls and known dollars of each status; together all of them."""
    events = [
        call(cost_pico=6 * 10**12),
        call(status="estimated", cost_pico=10**12),
        call(status="partial", cost_pico=10**12),
    ]
    ledger.write(batch([*events, unpriced()]), uuid4())

    total = ledger.summary(NOON, NOON + timedelta(hours=1)).total

    assert total.call_shares == {
        "priced": Fraction(1, 4), "estimated": Fraction(1, 4), "partial": Fraction(1, 4), "unpriced": Fraction(1, 4),
        "invalid": 0,
    }  # fmt: skip
    assert total.cost_by_status == {"priced": 6, "estimated": 1, "partial": 1}
    assert total.cost_shares == {"priced": Fraction(3, 4), "estimated": Fraction(1, 8), "partial": Fraction(1, 8)}


def test_what_corrections_left_nothing_of_is_not_told(ledger, rows):
    """A call that got its price is no longer an unpriced one: not in a summary, not in a view."""
    event = unpriced()
    ledger.write(batch([event]), uuid4())
    correct(rows, event, "priced", 5 * 10**9)

    summary = ledger.summary(NOON, NOON + timedelta(hours=1), by=["status"])

    assert [(row.keys["status"], row.calls, row.cost) for row in summary.rows] == [("priced", 1, Decimal("0.005"))]
    assert (summary.total.unpriced, summary.total.priced) == (0, 1)
    assert rows("select status, calls, cost_usd from ai_usage_daily") == [("priced", 1, Decimal("0.005"))]
    assert rows("select status, calls, cost_usd from ai_usage_hourly") == [("priced", 1, Decimal("0.005"))]


@pytest.fixture
def dropped(ledger):
    """A ledger whose calls before 2026-11-03 were dropped, and when its calls were."""
    moments = [datetime(2026, 11, day, 12, 7, tzinfo=UTC) for day in range(1, 6)]
    ledger.write(batch([call(moment) for moment in moments]), uuid4())
    ledger.retain(date(2026, 11, 3))
    return moments


def test_what_sums_still_tell_of_dropped_calls_is_answered(ledger, dropped):
    """By model, by any zone's hour, day and week, over a whole month and from any quarter of an hour."""
    month = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    events = [call(moment) for moment in dropped]

    for zone in (UTC_ZONE, KOLKATA, ZoneInfo("Asia/Kathmandu")):
        for by in (["model"], ["hour"], ["day", "status"], ["week"], ["month"]):
            assert said(ledger.summary(*month, by=by, tenant="acme", zone=zone)) == told(events, by, zone, month[0])
    assert ledger.summary(dropped[0] + timedelta(minutes=8), month[1], tenant="acme").total.calls == 4


@pytest.mark.parametrize("tenant", ["acme", None])
@pytest.mark.parametrize("by", ["session", "user", "feature"])
def test_whose_calls_were_dropped_is_refused_and_never_half_told(ledger, dropped, tenant, by):
    """The error says from which day on it can be asked, and from then on it can."""
    end = datetime(2026, 12, 1, tzinfo=UTC)

    with pytest.raises(InvalidQuestion, match=r"dropped.* from 2026-11-03 on"):
        ledger.summary(datetime(2026, 11, 2, 23, 59, tzinfo=UTC), end, by=[by], tenant=tenant)
    with pytest.raises(InvalidQuestion, match=r"dropped.* from 2026-11-03 on"):
        ledger.sessions(datetime(2026, 11, 1, tzinfo=UTC), end, tenant=tenant)

    (row,) = ledger.summary(datetime(2026, 11, 3, tzinfo=UTC), end, by=[by], tenant=tenant).rows
    assert row.calls == 3
    assert ledger.sessions(datetime(2026, 11, 3, tzinfo=UTC), end, tenant=tenant) == 1


def test_a_quarter_of_an_hour_whose_calls_were_dropped_cannot_be_cut(ledger, dropped, rows):
    """Not by Python, not by SQL; the error says where, and from when on it can be."""
    inside, end = dropped[1], datetime(2026, 12, 1, tzinfo=UTC)

    with pytest.raises(InvalidQuestion, match=r"2026-11-02 12:00 cuts.* from 2026-11-03 on"):
        ledger.summary(inside, end, tenant="acme")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="2026-11-02 12:00 cuts"):
        rows("select * from get_cost_summary('acme', %s, %s)", inside, end)

    assert ledger.summary(dropped[2], end, tenant="acme").total.calls == 3


def test_views_and_functions_show_a_tenant_its_own_alone(ledger, ledger_url):
    """Cold or hot; nothing without a tenant."""
    yesterday = NOON - timedelta(days=1)
    ledger.write(batch([call(yesterday), call(), call(yesterday, tenant="rival"), call(tenant="rival")]), uuid4())
    ledger.compact(NOON.date())
    asked = {
        "ai_usage_daily": "select sum(calls) from ai_usage_daily",
        "ai_usage_hourly": "select sum(calls) from ai_usage_hourly",
        "usage": "select sum(calls) from costspan.usage('2026-11-20 12:00+00', '2026-12-01', '{2026-11-20 12:00+00}')",
        "contexts": "select sum(calls) from costspan.usage_of_contexts('2026-11-20 12:00+00', '2026-12-01', "
        "'{2026-11-20 12:00+00}')",
    }

    seen = {}
    with psycopg.connect(ledger_url) as connection:
        connection.execute("set local role costspan_tenant")
        for tenant in ("acme", "", "nobody"):
            connection.execute("select set_config('app.current_tenant', %s, true)", [tenant])
            seen[tenant] = {name: connection.execute(query).fetchone() for name, query in asked.items()}

    assert seen["acme"] == dict.fromkeys(asked, (2,))
    assert seen[""] == seen["nobody"] == dict.fromkeys(asked, (None,))


def test_instants_of_the_tests_are_those_of_the_calls():
    """What the truth is reckoned from is not shifted by the way a call carries its time."""
    moment = datetime(2026, 3, 8, 6, 59, 59, 999_999, tzinfo=UTC)

    assert instant_of(call(moment)) == moment
