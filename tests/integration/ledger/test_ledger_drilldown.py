"""Drilling down finds what the view has, hot, cold and corrected, and nothing of another tenant."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from uuid import uuid4

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.errors import InvalidQuestion
from costspan.event import Line
from costspan.ledger import Call, CallLine, Ledger, Place, compaction
from integration.ledger.calls import NOON, batch, call, unpriced
from integration.ledger.corrected import correct

TOMORROW = date(2026, 11, 22)
START = datetime(2026, 11, 19, tzinfo=UTC)
VIEW = "select * from ai_usage_metrics where tenant_id = any(%s)"
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_examples = count()

#: When (minutes after the start), whose, which session, which trace, what it cost (None: nobody knows).
CALLS = st.lists(
    st.tuples(
        st.integers(0, 3 * 24 * 60 - 1),
        st.sampled_from(["acme", "acme", "acme", "rival"]),
        st.sampled_from(["", "s-1", "s-2"]),
        st.integers(0, 4),
        st.one_of(st.none(), st.integers(0, 9), st.integers(0, 10**15)),
    ),
    max_size=25,
)
#: Which call (by its place), what it costs instead.
CORRECTIONS = st.lists(st.tuples(st.integers(0, 49), st.one_of(st.none(), st.integers(0, 10**15))), max_size=8)


def trace_of(example: int, number: int) -> bytes:
    """A trace of an example; the last 16 bits, by which slices are told apart, are often the same as another's."""
    return b"" if not number else uuid.UUID(int=example << 64 | number << 32 | number % 2).bytes


def events_of(example: int, calls) -> list[object]:
    """Calls of an example's own tenants, as all examples share a database."""
    return [
        call(
            START + timedelta(minutes=minute),
            tenant=f"{tenant}-{example}",
            session=session,
            trace_id=trace_of(example, trace),
            status="unpriced" if pico is None else "priced",
            cost_pico=pico,
            lines=[],
        )
        for minute, tenant, session, trace, pico in calls
    ]


def calls_of(rows, *tenants: str) -> list[Call]:
    """Every call of these tenants as the view has it, the newest first."""
    found = [Call(*row) for row in rows(VIEW, list(tenants))]
    return sorted(found, key=lambda one: (one.timestamp, one.id), reverse=True)


def pages(ask, limit: int) -> list[Call]:
    """All pages of an answer."""
    found: list[Call] = []
    before = None
    while page := ask(limit=limit, before=before):
        found += page
        before = page[-1].place
    return found


@dataclass(frozen=True)
class Story:
    """What happened to a ledger."""

    early: list[object]
    late: list[object]
    compacted: list[int]
    """Before which of the days; twice: after the late calls too."""
    corrections: list[tuple[int, int | None]]

    def happen(self, ledger: Ledger, rows, example: int) -> None:
        """Tell it to the ledger."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compaction, "_SLICE", 4)  # several slices a day, and late ones that lie across them
            ledger.write(batch(events_of(example, self.early)), uuid4())
            for days in self.compacted:
                ledger.compact((START + timedelta(days=days)).date())
            ledger.write(batch(events_of(example, self.late)), uuid4())
            if len(self.compacted) == 2:
                ledger.compact((START + timedelta(days=self.compacted[-1])).date())
        written = calls_of(rows, f"acme-{example}", f"rival-{example}")
        for place, pico in self.corrections:
            if place < len(written):
                correct(rows, written[place].id, pico, status="unpriced" if pico is None else "priced")


STORIES = st.builds(
    Story, early=CALLS, late=CALLS, compacted=st.lists(st.integers(0, 3), max_size=2), corrections=CORRECTIONS
)


@FEW
@given(
    story=STORIES,
    limit=st.integers(1, 8),
    ends=st.tuples(st.integers(0, 3 * 24 * 60), st.integers(0, 3 * 24 * 60)),
)
def test_answers_are_those_of_the_view(ledger, rows, story, limit, ends):
    """Sessions, traces, pages of the newest and the dearest calls equal a plain search through everything."""
    example = next(_examples)
    story.happen(ledger, rows, example)
    tenant = f"acme-{example}"
    truth = calls_of(rows, tenant)
    start, end = (START + timedelta(minutes=minute) for minute in sorted(ends))
    inside = [one for one in truth if start <= one.timestamp < end]

    for session in ("s-1", "s-2"):
        mine = tuple(one for one in truth if one.session_id == session)
        assert ledger.session_calls(session, tenant=tenant) == mine
        assert ledger.session_calls(session, tenant=tenant, limit=limit) == mine[:limit]
    for number in range(1, 5):
        trace = trace_of(example, number).hex()
        assert ledger.trace_calls(trace, tenant=tenant) == tuple(one for one in truth if one.trace_id == trace)
    assert pages(lambda **page: ledger.newest_calls(tenant=tenant, **page), limit) == truth
    assert ledger.newest_calls(start, end, tenant=tenant, limit=limit) == tuple(inside[:limit])
    dearest = ledger.dearest_calls(start, end, tenant=tenant, limit=limit)
    assert [one.cost_usd for one in dearest] == sorted(
        (one.cost_usd for one in inside if one.cost_usd is not None), reverse=True
    )[:limit]
    assert set(dearest) <= set(inside)
    assert len(set(dearest)) == len(dearest)
    for one in truth:
        assert ledger.call(one.id, tenant=tenant) == one
        assert ledger.call(one.id, one.timestamp, tenant=tenant) == one


@pytest.fixture
def two(ledger: Ledger, rows) -> Ledger:
    """Two tenants, each with a hot and a cold call of the same names, one of which was corrected."""
    for name in ("acme", "rival"):
        trace = (b"\xab" if name == "acme" else b"\xcd") * 16
        events = [call(NOON - timedelta(days=day), tenant=name, session=f"{name}-s", trace_id=trace) for day in (0, 2)]
        shared = [call(NOON - timedelta(days=day), tenant=name, session="s", trace_id=b"\xee" * 16) for day in (0, 2)]
        ledger.write(batch(events + shared), uuid4())
    ledger.compact(date(2026, 11, 21))
    for one in calls_of(rows, "acme", "rival")[::2]:
        correct(rows, one.id, 42)
    return ledger


def test_a_tenant_drills_into_its_own_calls_only(two, rows):
    """Neither a guessed session, nor a trace, nor an id shows anything of another tenant."""
    mine, others = calls_of(rows, "acme"), calls_of(rows, "rival")

    assert two.session_calls("rival-s", tenant="acme") == ()
    assert two.trace_calls("cd" * 16, tenant="acme") == ()
    assert {one.tenant_id for one in two.session_calls("s", tenant="acme")} == {"acme"}
    assert {one.tenant_id for one in two.trace_calls("ee" * 16, tenant="acme")} == {"acme"}
    assert two.newest_calls(tenant="acme") == tuple(mine)
    assert set(two.dearest_calls(tenant="acme")) == set(mine)
    for other in others:
        assert two.call(other.id, tenant="acme") is None
        assert two.call(other.id, other.timestamp, tenant="acme") is None
        assert two.call_lines(other.id, tenant="acme") == ()
        assert two.call_lines(other.id, other.timestamp, tenant="acme") == ()
    assert two.newest_calls(tenant="") == two.newest_calls(tenant="nobody") == ()


def test_an_admin_drills_into_everybodys_calls(two, rows):
    """Without a tenant an answer has the calls of all, and a session or trace that two share is both."""
    every = calls_of(rows, "acme", "rival")

    assert two.newest_calls() == tuple(every)
    assert set(two.dearest_calls()) == set(every)
    assert {one.tenant_id for one in two.session_calls("s")} == {"acme", "rival"}
    assert {one.tenant_id for one in two.trace_calls("ee" * 16)} == {"acme", "rival"}
    assert [two.call(one.id) for one in every] == every


def test_a_call_has_the_columns_of_the_view(ledger, rows):
    """In their order, and of the types that are promised."""
    ledger.write(batch([call()]), uuid4())
    columns = rows("""
        select attname from pg_attribute where attrelid = 'public.ai_usage_metrics'::regclass and attnum > 0 order by attnum
    """)

    (one,) = ledger.newest_calls(tenant="acme")

    assert [(field.name,) for field in fields(Call)] == columns
    assert (one.timestamp, one.timestamp.tzinfo, one.created_at.tzinfo) == (NOON, UTC, UTC)
    assert (one.cost_usd, one.session_id, one.tenant_id) == (Decimal("0.00135"), "s-1", "acme")
    assert len(one.trace_id or "") == 32
    assert len(one.span_id or "") == 16


def test_a_trace_is_found_however_it_is_spelt(ledger):
    """Hexadecimal digits of either case, with or without the dashes of a uuid."""
    trace = uuid4()
    ledger.write(batch([call(trace_id=trace.bytes), call()]), uuid4())

    spelt = [trace.hex, trace.hex.upper(), str(trace)]

    assert [len(ledger.trace_calls(one)) for one in spelt] == [1, 1, 1]
    assert ledger.trace_calls(uuid4().hex) == ()


@pytest.mark.parametrize(
    "trace", ["", "garbage", "ab" * 15, "ab" * 17, "zz" * 16, "ab" * 16 + "\n", "'; drop table x; --"]
)
def test_what_is_no_trace_is_refused(ledger, trace):
    """A word that can be no trace is an error that says what can."""
    with pytest.raises(InvalidQuestion, match="32 hexadecimal digits"):
        ledger.trace_calls(trace)


def test_what_was_not_given_is_no_name(ledger):
    """Calls without session or trace belong to no session and no trace."""
    ledger.write(batch([call(session="", trace_id=b"")]), uuid4())

    assert ledger.session_calls("") == ()
    assert ledger.trace_calls("0" * 32) == ()


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, 2**70])
def test_a_limit_has_limits(ledger, limit):
    """From 1 to 10,000 calls."""
    for ask in (
        lambda: ledger.session_calls("s", limit=limit),
        lambda: ledger.trace_calls("ab" * 16, limit=limit),
        lambda: ledger.newest_calls(limit=limit),
        lambda: ledger.dearest_calls(limit=limit),
    ):
        with pytest.raises(InvalidQuestion, match=r"limit is .*: allowed are whole numbers from 1 to 10,000"):
            ask()


@pytest.mark.parametrize(
    "name", ["session_calls('s', {})", "newest_calls(null, null, {})", "dearest_calls(null, null, {})"]
)
@pytest.mark.parametrize("limit", ["0", "10001", "null"])
def test_sql_has_the_same_limits(rows, name, limit):
    """Who asks the functions directly is told the same."""
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="allowed are 1 to 10000"):
        rows(f"select * from costspan.{name.format(limit)}")


def test_ids_and_instants_are_checked(ledger):
    """An instant without a zone, an end before the start and an id that no call can have are refused."""
    naive = NOON.replace(tzinfo=None)
    for ask in (
        lambda: ledger.newest_calls(naive),
        lambda: ledger.newest_calls(NOON, NOON - timedelta(seconds=1)),
        lambda: ledger.dearest_calls(None, naive),
        lambda: ledger.newest_calls(before=Place(naive, 1)),
        lambda: ledger.newest_calls(datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))),
        lambda: ledger.session_calls("s", before=Place(NOON, -1)),
        lambda: ledger.call(2**63),
        lambda: ledger.call_lines(-1),
        lambda: ledger.call(1, naive),
    ):
        with pytest.raises(InvalidQuestion):
            ask()


def test_an_id_of_nobody_is_no_call(ledger):
    """Neither the smallest nor the greatest id, nor one beside another, finds anything."""
    ledger.write(batch([call()]), uuid4())
    (one,) = ledger.newest_calls()

    assert [ledger.call(number) for number in (0, one.id + 1, one.id - 1, 2**63 - 1)] == [None] * 4
    assert ledger.call(one.id, one.timestamp + timedelta(seconds=1)) is None
    assert ledger.call_lines(0) == ()


def test_a_late_call_is_found_by_its_id_alone(ledger):
    """An id tells when a call was written, which may be long after its day."""
    ledger.write(batch([call(NOON - timedelta(days=400))]), uuid4())
    (one,) = ledger.newest_calls()

    found = [ledger.call(one.id)]
    ledger.compact(TOMORROW)
    found.append(ledger.call(one.id))

    assert found == [one, one]


def test_pages_have_every_call_once_while_days_are_compacted(ledger, monkeypatch):
    """A compaction between two pages neither hides a call nor shows one twice; calls of one instant are told apart."""
    monkeypatch.setattr(compaction, "_SLICE", 7)
    moments = [NOON - timedelta(days=2) + timedelta(hours=hour // 3) for hour in range(150)]
    ledger.write(batch([call(at, session="long") for at in moments]), uuid4())
    every = ledger.newest_calls(limit=1000)
    days = iter([date(2026, 11, day) for day in (20, 21, 22)])

    def moving(ask):
        def page(**where):
            found = ask(**where)
            if (day := next(days, None)) is not None:
                ledger.compact(day)
                ledger.write(batch([call(NOON + timedelta(days=1), session="other")]), uuid4())
            return found

        return page

    newest = pages(moving(ledger.newest_calls), 40)
    session = pages(lambda **page: ledger.session_calls("long", tenant="acme", **page), 40)

    assert tuple(newest) == every
    assert tuple(session) == every


@pytest.mark.parametrize("contexts", [64, 65, 300])
def test_a_session_of_many_contexts_is_found(ledger, contexts):
    """Each call may have tags of its own, hot or cold."""
    events = [call(NOON - timedelta(hours=n % 48), session="tagged", tags={"request": str(n)}) for n in range(contexts)]
    ledger.write(batch([*events, *(call(NOON - timedelta(hours=n)) for n in range(48))]), uuid4())
    ledger.compact(date(2026, 11, 21))

    found = ledger.session_calls("tagged", tenant="acme")

    assert len({one.id for one in found}) == len(found) == contexts
    assert {one.session_id for one in found} == {"tagged"}


def test_unpriced_calls_that_were_repriced_are_among_the_dearest(ledger, rows):
    """A slice that had no cost at all, and one whose dearest call became cheap, say nothing of what they cost now."""
    old = NOON - timedelta(days=2)
    ledger.write(
        batch([unpriced(old), unpriced(old), call(old, cost_pico=10**15, lines=[]), call(old, cost_pico=7, lines=[])]),
        uuid4(),
    )
    ledger.write(batch([call(cost_pico=5, lines=[]), call(cost_pico=9, lines=[])]), uuid4())
    ledger.compact(date(2026, 11, 21))
    first, _, dear, _, _, hot = sorted(calls_of(rows, "acme"), key=lambda one: one.id)

    correct(rows, first.id, 8)
    correct(rows, dear.id, 6)
    correct(rows, hot.id, 1)

    cents = [[one.cost_usd.scaleb(12) for one in ledger.dearest_calls(limit=limit)] for limit in (1, 2, 3, 100)]
    assert cents == [[8], [8, 7], [8, 7, 6], [8, 7, 6, 5, 1]]


UNITS = [
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "output_tokens",
    "web_searches",
    "audio_milliseconds",
]
BILLS = st.lists(
    st.tuples(st.sampled_from(["m-1", "m-2"]), st.sampled_from(UNITS), st.integers(1, 10**6), st.integers(0, 10**13)),
    min_size=1,
    max_size=6,
)


def billed(bill, tenant: str):
    """A call with this bill: lines that may follow from rates and columns, or not (a second model, other units)."""
    lines = [
        Line(model, unit, quantity, rate, quantity * rate // 10**6, "list") for model, unit, quantity, rate in bill
    ]
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.unit] = quantities.get(line.unit, 0) + line.quantity
    read = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens")
    return call(
        tenant=tenant,
        model="m-1",
        lines=lines,
        quantities=quantities,
        tokens_in=sum(quantities.get(unit, 0) for unit in read),
        tokens_out=quantities.get("output_tokens", 0),
        cost_pico=sum(line.amount_pico or 0 for line in lines),
    )


@FEW
@given(bills=st.lists(BILLS, min_size=1, max_size=6), is_cold=st.booleans())
def test_the_lines_of_a_call_add_up_to_its_cost(ledger, rows, bills, is_cold):
    """To the pico-dollar, and they are the lines that the call was written with, derived or stored."""
    tenant = f"bill-{next(_examples)}"
    events = [billed(bill, tenant) for bill in bills]
    ledger.write(batch(events), uuid4())
    if is_cold:
        ledger.compact(TOMORROW)

    for event, one in zip(events, sorted(calls_of(rows, tenant), key=lambda one: one.id), strict=True):
        lines = ledger.call_lines(one.id, tenant=tenant)
        assert sum(line.amount_usd or 0 for line in lines) == one.cost_usd
        assert sorted(map(told, lines)) == sorted(
            (line.model, line.unit, line.quantity, line.rate_atto, line.amount_pico, line.layer) for line in event.lines
        )


def told(line: CallLine) -> tuple[object, ...]:
    """A line in the units of `costspan.event.Line`."""
    return (
        line.model,
        line.unit,
        line.quantity,
        None if line.rate_usd is None else int(line.rate_usd.scaleb(18)),
        None if line.amount_usd is None else int(line.amount_usd.scaleb(12)),
        line.layer,
    )


def test_lines_of_what_has_no_price_have_none(ledger):
    """Quantities are told all the same."""
    ledger.write(batch([unpriced()]), uuid4())
    (one,) = ledger.newest_calls()

    lines = ledger.call_lines(one.id)

    assert lines == (
        CallLine("llama-9", "input_tokens", 450, None, None, "none"),
        CallLine("llama-9", "output_tokens", 180, None, None, "none"),
    )


@pytest.mark.parametrize("is_cold", [False, True])
def test_lines_are_those_of_the_last_correction(ledger, rows, is_cold):
    """They follow from the rates of its kind, or were stored with it; what was billed before counts no more."""
    special = msgspec.structs.replace(billed([("m-2", "web_searches", 3, 10**16)], "acme"), model="m-2")
    ledger.write(batch([unpriced(), call(cached=50), special]), uuid4())
    if is_cold:
        ledger.compact(TOMORROW)
    learned, known, search = sorted(calls_of(rows, "acme"), key=lambda one: one.id)
    rates = {"input_tokens": 3 * 10**12, "output_tokens": 15 * 10**12, "cache_read_tokens": 10**11}
    stored = {
        "model": "x",
        "unit": "web_searches",
        "quantity": 3,
        "rate_atto": 5,
        "amount_pico": 11,
        "layer": "overlay",
    }

    correct(rows, learned.id, 1)
    correct(rows, learned.id, 450 * 3 * 10**6 + 180 * 15 * 10**6, rates=rates)
    correct(rows, known.id, 450 * 3 * 10**6 + 50 * 10**5 + 180 * 15 * 10**6, rates=rates)
    correct(rows, search.id, 11, lines=[stored])

    assert [(line.unit, line.quantity, line.amount_usd, line.layer) for line in ledger.call_lines(learned.id)] == [
        ("input_tokens", 450, Decimal("0.00135"), "contract"),
        ("output_tokens", 180, Decimal("0.0027"), "contract"),
    ]
    assert [line.unit for line in ledger.call_lines(known.id)] == ["input_tokens", "cache_read_tokens", "output_tokens"]
    assert ledger.call_lines(search.id) == (
        CallLine("x", "web_searches", 3, Decimal("0.000000000000000005"), Decimal("0.000000000011"), "overlay"),
    )
    for one in ledger.newest_calls():
        assert sum(line.amount_usd or 0 for line in ledger.call_lines(one.id, one.timestamp)) == one.cost_usd
