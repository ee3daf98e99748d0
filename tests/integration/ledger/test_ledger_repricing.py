"""Past calls at today's prices: compared, corrected once, nothing overwritten; wherever a call lies."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Barrier, Thread
from uuid import uuid4

import msgspec
import psycopg
import pytest
from prometheus_client import CollectorRegistry

from costspan.attribution import attribute
from costspan.event import CallEvent
from costspan.journal import Journal
from costspan.ledger.database import Database
from costspan.ledger.difference import Scope
from costspan.ledger.queries import queries
from costspan.ledger.repricing import Repricer
from costspan.ledger.turn import span
from costspan.meter import Meter
from costspan.pricing import PriceBook, userfile
from costspan.sinks.prometheus import PrometheusSink
from costspan.usage import Completeness, Portion, Reading, Terms, Unit, Usage
from integration.ledger.calls import batch, nanoseconds

DAY = datetime(2026, 11, 3, tzinfo=UTC)
ALL = Scope(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 12, 1, tzinfo=UTC))
LIST = PriceBook.load()
LEARNT = """
[[price]]
model = "llama-9"
input = 2.00
output = 3.00
"""
DISCOUNT = """
[[discount]]
provider = "anthropic"
percent = 15
"""


def book(text: str) -> PriceBook:
    """Today's prices with a file on top."""
    return PriceBook(userfile.parse(text.encode(), "prices.toml"))


class Shop:
    """Calls as the meter settles them with a price book."""

    def __init__(self, folder, prices: PriceBook = LIST) -> None:
        self.journal = Journal(folder)
        self._meter = Meter(self.journal, prices, PrometheusSink(CollectorRegistry()))
        self._position = 0
        self.readings: list[tuple[Reading, int]] = []
        """And when each was."""

    def cost(self, prices: PriceBook) -> Decimal:
        """Dollars of all calls by another book."""
        quotes = [prices.quote(reading, at_ns) for reading, at_ns in self.readings]
        return Decimal(sum(quote.cost_pico or 0 for quote in quotes)).scaleb(-12)

    def call(self, at: datetime = DAY, **changes) -> CallEvent:
        """A settled call of 450 tokens in and 180 out."""
        tenant = changes.pop("tenant", "acme")
        reading = msgspec.structs.replace(reading_of("claude-3-5-haiku-latest"), **changes)
        with attribute(tenant=tenant, session="s-1"):
            attempt = self._meter.open(
                service=reading.service,
                provider=reading.provider,
                operation=reading.operation,
                model=reading.model,
                at_ns=nanoseconds(at),
            )
            self._meter.settle(attempt, reading)
        self.readings.append((reading, nanoseconds(at)))
        (segment,) = self.journal.segments()
        found = segment.read(self._position, 9)
        self._position = found.end
        return found.events[-1]


def reading_of(model: str, provider: str = "anthropic", **quantities: int) -> Reading:
    """A reading of one portion."""
    usage = Usage(
        {Unit[name.upper()]: number for name, number in (quantities or {"input": 450, "output": 180}).items()}
    )
    return Reading(
        provider,
        provider,
        "chat",
        model,
        (Portion(model, usage),),
        evidence={"input_tokens": 450, "output_tokens": 180},
    )


def of(model: str, provider: str = "anthropic", **quantities: int) -> dict[str, object]:
    """What differs from `Shop.call`'s own reading."""
    reading = reading_of(model, provider, **quantities)
    return {"service": provider, "provider": provider, "model": model, "portions": reading.portions}


@pytest.fixture
def shop(tmp_path):
    """Sells at list prices."""
    shop = Shop(tmp_path / "journal")
    yield shop
    shop.journal.shutdown()


@pytest.fixture
def write(ledger) -> Callable[..., None]:
    """Stores events as a drain does."""
    return lambda *events: ledger.write(batch(events), uuid4())


@pytest.fixture
def repricer(ledger_url) -> Callable[[PriceBook], Repricer]:
    """Reprices with a book."""
    connections = []

    def make(prices: PriceBook) -> Repricer:
        pair = Database(lambda: ledger_url), Database(lambda: ledger_url)
        connections.extend(pair)
        return Repricer(*pair, prices)

    yield make
    for connection in connections:
        connection.close()


@pytest.fixture(params=["hot", "cold", "mixed"])
def store(request, ledger, write) -> Callable[..., None]:
    """Stores events and lets their days be over, or not, or lets half of them come late."""

    def keep(*events: CallEvent) -> None:
        late = {"hot": events, "cold": (), "mixed": events[1::2]}[request.param]
        early = [event for event in events if event not in late]
        write(*early)
        if early:
            assert ledger.compact(before=date(2026, 12, 1)).calls == len(early)
        write(*late)

    return keep


def metrics(rows) -> list[tuple[object, ...]]:
    """Model, status, cost and price version of every call, as users see them."""
    return rows("select model, status, cost_usd, price_version from ai_usage_metrics order by model desc, id")


def sums(rows) -> list[tuple[object, ...]]:
    """What every sum that there is adds up to, per kind's model and status."""
    return rows("""
        select kind.model, kind.status, sum(calls)::int, sum(tokens_in)::int, costspan.usd(sum(cost_pico))
        from (
            select kind_id, calls, tokens_in, cost_pico from costspan.usage_hour
            union all select kind_id, calls, tokens_in, cost_pico from costspan.usage_day
            union all select kind_id, calls, tokens_in, cost_pico from costspan.usage_correction
        ) as used join costspan.call_kind as kind using (kind_id)
        group by 1, 2 having sum(calls) <> 0 or sum(cost_pico) <> 0 order by 1, 2
    """)


def uncorrected(rows) -> list[tuple[object, ...]]:
    """Where usage_correction is not the sum of the corrections; empty unless something is wrong."""
    return rows("""
        with truth as (
            select tenant_key, date_bin('15 minutes', at, '2000-01-01 00:00+00') as quarter, kind_id, sum(sign) as calls,
                sum(sign * tokens_in) as tokens_in, sum(sign * duration_ms) as duration_ms, sum(sign * cost) as cost_pico
            from costspan.correction, lateral (
                values (-1, kind_before, coalesce(cost_before, 0)), (1, kind_after, coalesce(cost_after, 0))
            ) as side (sign, kind_id, cost)
            group by 1, 2, 3
        ), kept as (
            select tenant_key, quarter, kind_id, calls, tokens_in, duration_ms, cost_pico from costspan.usage_correction
        )
        (select * from truth except select * from kept) union all (select * from kept except select * from truth)
    """)


def test_a_model_that_the_book_learns_gets_its_price(store, shop, repricer, rows):
    """An unpriced call costs what a price file says of its model, in rows and in every sum; the call itself stays."""
    store(shop.call(**of("llama-9")), shop.call())
    before = rows("select * from costspan.stored_calls('2026-11-03') order by id")
    prices = book(LEARNT)

    found = repricer(prices).reprice(ALL, reason="llama-9 has a price now")

    assert (found.corrections, found.newly_priced, found.newly_priced_cost) == (1, 1, Decimal("0.00144"))
    assert [row[1:3] for row in metrics(rows)] == [("priced", Decimal("0.00144")), ("priced", Decimal("0.00135"))]
    assert metrics(rows)[0][3] == prices.price_version
    assert sums(rows) == [
        ("claude-3-5-haiku-latest", "priced", 1, 450, Decimal("0.00135")),
        ("llama-9", "priced", 1, 450, Decimal("0.00144")),
    ]
    assert uncorrected(rows) == []
    after = rows("select * from costspan.stored_calls('2026-11-03') order by id")
    assert [row[:18] for row in after] == [row[:18] for row in before]
    ((*_, reason, login),) = rows("select since, until, price_version, reason, login from costspan.reprice")
    assert (reason, login) == ("llama-9 has a price now", rows.one("select session_user"))


def test_a_second_run_changes_nothing_more(store, shop, repricer, rows):
    """What was corrected is right by the same book: no correction, and no run in the audit trail."""
    store(*[shop.call(DAY + timedelta(minutes=number), **of("llama-9")) for number in range(5)])
    repricer(book(LEARNT)).reprice(ALL)

    found = repricer(book(LEARNT)).reprice(ALL)

    assert (found.corrections, found.reprice_id, found.total.changed) == (0, None, 0)
    assert rows.one("select count(*) from costspan.correction") == 5
    assert rows.one("select count(*) from costspan.reprice") == 1


def test_a_discount_is_exact(store, shop, repricer, rows):
    """Fifteen per cent off is the sum over the calls of the discounted bill, to the pico-dollar, and before it is done."""
    events = [
        shop.call(
            DAY + timedelta(hours=number),
            **of("claude-sonnet-5", input=1001 * number + 1, cache_read=7 * number + 3, output=13 + number),
            terms=Terms(batch=bool(number % 2)),
        )
        for number in range(30)
    ]
    store(*events)
    prices = book(DISCOUNT)

    compared = repricer(prices).compare(ALL)
    done = repricer(prices).reprice(ALL)

    now, then = shop.cost(LIST), shop.cost(prices)
    assert Decimal(0) < then < now
    for found in (compared, done):
        assert (found.total.calls, found.total.changed) == (30, 30)
        assert (found.total.cost_now, found.total.cost_then) == (now, then)
        assert found.total.difference == then - now
    assert compared.corrections == 0
    assert sum(row[4] for row in sums(rows)) == then
    assert rows.cost == then
    assert uncorrected(rows) == []


def test_what_prices_cannot_mend_stays_as_it_is(store, shop, repricer, rows):
    """A call that was cut or has a field that nobody knows gets its price and stays a lower bound; an impossible one nothing."""
    store(
        shop.call(**of("llama-9"), completeness=Completeness.CUT),
        shop.call(DAY + timedelta(minutes=1), **of("llama-9"), unknown=("usage.gems",)),
        shop.call(DAY + timedelta(minutes=2), **of("llama-9"), completeness=Completeness.ESTIMATED),
        shop.call(DAY + timedelta(minutes=3), **of("llama-9") | {"portions": ()}, problem="prompt_tokens is -5"),
        shop.call(
            DAY + timedelta(minutes=4), portions=(*of("llama-9")["portions"], *of("claude-sonnet-5")["portions"])
        ),
    )

    found = repricer(book(LEARNT)).reprice(ALL)

    statuses = rows("select status, cost_usd from ai_usage_metrics order by timestamp")
    price = Decimal("0.00144")
    assert statuses[:4] == [("partial", price), ("partial", price), ("estimated", price), ("invalid", None)]
    assert statuses[4][0] == "priced"  # all it lacked was one price
    assert (found.total.calls, found.corrections) == (4, 4)
    assert repricer(book(LEARNT)).reprice(ALL).corrections == 0


def test_only_what_is_asked_for_is_corrected(store, shop, repricer, rows):
    """Dates, tenant, model and --only narrow it; the rest keeps its cost."""
    store(
        *[
            shop.call(DAY + timedelta(days=day), tenant=tenant, **of(model))
            for day in (0, 1, 2)
            for tenant in ("acme", "rival")
            for model in ("llama-9", "claude-sonnet-5")
        ]
    )
    prices = book(LEARNT + DISCOUNT)
    narrow = Scope(since=DAY + timedelta(days=1), until=DAY + timedelta(days=2), tenant="acme", model="llama-9")

    first = repricer(prices).reprice(narrow)
    cheap = repricer(prices).reprice(Scope(since=ALL.since, until=ALL.until, tenant="acme", only_unpriced=True))
    dear = repricer(prices).reprice(Scope(since=ALL.since, until=ALL.until, model="claude-sonnet-5"))
    last = repricer(prices).reprice(ALL)

    assert [found.corrections for found in (first, cheap, dear, last)] == [1, 2, 6, 3]
    assert (first.total.calls, cheap.total.calls, dear.total.calls, last.total.calls) == (1, 2, 6, 12)
    assert rows("select reason from costspan.reprice order by reprice_id") == [
        ("(tenant acme, model llama-9)",),
        ("(tenant acme, only unpriced)",),
        ("(model claude-sonnet-5)",),
        ("",),
    ]
    assert rows.cost == shop.cost(prices)


def test_corrections_go_on_from_the_last_one(store, shop, repricer, rows):
    """A second price list corrects what the first one said, and a third takes both back; sums follow each time."""
    events = [shop.call(DAY + timedelta(minutes=20 * number)) for number in range(6)]
    store(*events)
    half, tenth = (book(f'[[discount]]\nprovider = "anthropic"\npercent = {percent}') for percent in (50, 10))

    for prices in (half, tenth, LIST):
        repricer(prices).reprice(ALL)

        assert rows.cost == shop.cost(prices)
        assert sum(row[4] for row in sums(rows)) == shop.cost(prices)
        assert uncorrected(rows) == []
    revisions = rows(
        "select revision, count(*)::int, sum(cost_before)::bigint, sum(cost_after)::bigint from costspan.correction group by 1 order by 1"
    )
    whole = sum(event.cost_pico for event in events)
    assert [row[:2] for row in revisions] == [(1, 6), (2, 6), (3, 6)]
    assert [row[2:] for row in revisions] == [
        (whole, whole // 2),
        (whole // 2, whole * 9 // 10),
        (whole * 9 // 10, whole),
    ]


def test_a_price_that_the_book_no_longer_has_is_kept(store, tmp_path, repricer, rows):
    """Who forgets the price file takes no cost away; it is said how many calls that is about."""
    shop = Shop(tmp_path / "contract", book(LEARNT))
    store(
        shop.call(**of("llama-9")),
        shop.call(),
        shop.call(portions=(*of("llama-9")["portions"], *of("gpt-99")["portions"])),
    )
    before = metrics(rows)

    found = repricer(LIST).reprice(ALL)

    assert metrics(rows) == before
    assert (found.corrections, found.total.changed) == (0, 0)
    assert [(remark.model, remark.calls) for remark in found.kept] == [("claude-3-5-haiku-latest", 1), ("llama-9", 1)]
    assert all("llama-9" in remark.reason for remark in found.kept)
    shop.journal.shutdown()


def test_what_stays_unpriced_is_told_with_its_reason(store, shop, repricer):
    """Models that today's book does not know either, by name, number and reason."""
    store(shop.call(**of("llama-9")), shop.call(**of("llama-9")), shop.call(**of("gpt-99", "openai")))

    found = repricer(LIST).compare(ALL)

    assert [(remark.provider, remark.model, remark.calls) for remark in found.unpriced] == [
        ("anthropic", "llama-9", 2),
        ("openai", "gpt-99", 1),
    ]
    assert all("no price is known" in remark.reason for remark in found.unpriced)
    assert (found.total.calls, found.total.changed, found.newly_priced) == (3, 0, 0)


def test_a_price_that_makes_a_call_impossible_is_none(store, shop, repricer, rows):
    """An unpriced call that would cost millions stays unpriced, with that reason: it never had a price to lose."""
    store(shop.call(**of("llama-9", input=10**9)))
    dear = LEARNT.replace("input = 2.00", "input = 999999")
    assert dear != LEARNT

    found = repricer(book(dear)).reprice(ALL)

    assert (found.corrections, found.kept) == (0, ())
    assert ["impossible" in remark.reason for remark in found.unpriced] == [True]
    assert rows.one("select count(*) from costspan.correction") == 0


def test_calls_that_were_dropped_are_left_alone(store, shop, repricer, rows):
    """Before the day since which calls are kept nothing is corrected, also not the calls that came too late to be dropped."""
    store(shop.call(**of("llama-9")), shop.call(DAY + timedelta(days=2), **of("llama-9")))
    rows.connection.execute("insert into costspan.retention (kept_since, calls) values (date '2026-11-04', 9)")

    found = repricer(book(LEARNT)).reprice(ALL)

    assert (found.corrections, found.kept_since) == (1, date(2026, 11, 4))
    assert rows("select at from costspan.correction") == [(DAY + timedelta(days=2),)]


def test_calls_that_are_being_dropped_are_not_corrected(ledger, ledger_url, shop, repricer, rows):
    """Who drops a day is waited for, and of what was looked at before and is gone by then nothing is corrected."""
    ledger.write(batch([shop.call(**of("llama-9"))]), uuid4())
    ledger.compact(DAY.date() + timedelta(days=1))
    found = []
    repricing = Thread(target=lambda: found.append(repricer(book(LEARNT)).reprice(ALL)))
    with psycopg.connect(ledger_url) as dropping:
        dropping.execute(queries("keep")["note_retention"], span(DAY.date()))
        repricing.start()
        while not rows("select from pg_locks where locktype = 'advisory' and not granted"):
            repricing.join(0.01)
            assert repricing.is_alive()
        dropping.execute(queries("keep")["drop_calls"], span(DAY.date()))

    repricing.join()

    assert [(done.corrections, done.overtaken) for done in found] == [(0, 1)]
    assert rows.one("select count(*) from costspan.correction") == 0


def test_lines_are_stored_only_where_they_do_not_follow(store, shop, repricer, rows):
    """A plain bill is its kind's rates; a long prompt's, a tool's and a second model's lines are kept, and tell the cost."""
    store(
        shop.call(**of("claude-sonnet-5")),
        shop.call(**of("claude-haiku-5-5", input=90_000, output=10)),
        shop.call(**of("claude-haiku-5-5", input=110_000, output=10)),
        shop.call(**of("claude-sonnet-5", input=10, output=5, web_search=3)),
        shop.call(portions=(*of("claude-sonnet-5")["portions"], *of("claude-opus-5-5")["portions"])),
    )
    prices = book(DISCOUNT)

    repricer(prices).reprice(ALL)

    corrected = rows(
        "select kind.model, lines is not null, cost_after from costspan.correction join costspan.call_kind as kind on kind_id = kind_after order by 1, 3"
    )
    assert [row[:2] for row in corrected] == [
        ("claude-3-5-haiku-latest", True),
        ("claude-haiku-5-5", False),
        ("claude-haiku-5-5", True),
        ("claude-sonnet-5", False),
        ("claude-sonnet-5", True),
    ]
    assert rows.cost == shop.cost(prices)
    for model, _, cost in rows("select 1, lines, cost_after from costspan.correction where lines is not null"):
        assert sum(line["amount_pico"] for line in _) == cost, model


def test_two_at_once_correct_each_call_once(write, shop, ledger_url, rows):
    """Whoever comes second with a call adds nothing, and the sums are those of one correction each."""
    write(*[shop.call(DAY + timedelta(seconds=number), **of("llama-9")) for number in range(600)])
    prices, gate, found = book(LEARNT), Barrier(4), []

    def run() -> None:
        pair = Database(lambda: ledger_url), Database(lambda: ledger_url)
        gate.wait()
        found.append(Repricer(*pair, prices).reprice(ALL))
        for one in pair:
            one.close()

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(one.corrections for one in found) == 600
    assert len(found) == 4
    assert rows("select max(revision), count(*)::int from costspan.correction") == [(1, 600)]
    assert uncorrected(rows) == []
    assert rows.cost == shop.cost(prices)


def test_a_killed_run_is_gone_on_with(write, shop, repricer, rows, ledger_url):
    """What was committed before a kill stays, nothing of the batch in flight does, and the next run does the rest."""
    write(*[shop.call(DAY + timedelta(seconds=number), **of("llama-9")) for number in range(95)])
    script = _KILLED.format(url=ledger_url, learnt=LEARNT)

    killed = subprocess.run([sys.executable, "-c", script], check=False)

    assert killed.returncode == -signal.SIGKILL
    assert rows.one("select count(*) from costspan.correction") == 40
    assert uncorrected(rows) == []
    found = repricer(book(LEARNT)).reprice(ALL)
    assert (found.corrections, found.total.changed) == (55, 55)
    assert rows.one("select count(*) from costspan.reprice") == 2
    assert uncorrected(rows) == []
    assert rows.cost == shop.cost(book(LEARNT))


_KILLED = """
import os, signal
from datetime import UTC, datetime
from costspan.ledger import correction, repricing
from costspan.ledger.database import Database
from costspan.ledger.difference import Scope
from costspan.pricing import PriceBook, userfile

repricing._BATCH = 10
row, made = correction._row, []

def counted(*given):
    made.append(given)
    if len(made) == 47:  # in the middle of the fifth batch
        os.kill(os.getpid(), signal.SIGKILL)
    return row(*given)

correction._row = counted
book = PriceBook(userfile.parse({learnt!r}.encode(), "prices.toml"))
pair = Database(lambda: {url!r}), Database(lambda: {url!r})
span = Scope(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 12, 1, tzinfo=UTC))
repricing.Repricer(*pair, book).reprice(span)
"""


def test_a_call_that_moves_meanwhile_is_corrected_once(write, shop, ledger, repricer, rows):
    """Compaction in the middle of a run neither hides a call nor shows it twice."""
    write(*[shop.call(DAY + timedelta(days=number % 3, seconds=number), **of("llama-9")) for number in range(90)])
    prices = book(LEARNT)
    moved = []
    once = repricer(prices)

    def quote(reading, at_ns):
        if not moved:  # while the first day is read
            moved.append(ledger.compact(before=(DAY + timedelta(days=2)).date()).calls)
        return prices.quote(reading, at_ns)

    once._book = Moving(prices, quote)
    found = once.reprice(ALL, progress=lambda *_: moved.append(ledger.compact(before=date(2026, 12, 1)).calls))

    assert moved == [60, 30, 0, 0]
    assert found.corrections == 90
    assert rows("select max(revision), count(*)::int from costspan.correction") == [(1, 90)]
    assert rows.cost == shop.cost(prices)
    assert uncorrected(rows) == []


class Moving:
    """A price book that does something else besides, when it is asked for a quote."""

    def __init__(self, prices: PriceBook, quote: Callable[..., object]) -> None:
        self._prices, self.quote = prices, quote

    def __getattr__(self, name: str) -> object:
        return getattr(self._prices, name)


def test_calls_that_surely_stay_need_not_be_looked_at(store, shop, repricer, monkeypatch):
    """What is found without pricing each call is what is found by pricing each."""
    models = ["claude-sonnet-5", "claude-haiku-5-5", "llama-9", "claude-3-5-haiku-latest", "gpt-99"]
    store(
        *[
            shop.call(
                DAY + timedelta(hours=number),
                **of(models[number % 5], input=number * 5000 + 1, output=7),
                terms=Terms(batch=number % 3 == 0),
                completeness=list(Completeness)[number % 7 % 3],
            )
            for number in range(40)
        ]
    )
    prices = book(LEARNT + '[[discount]]\nmodel = "claude-3-5-haiku-latest"\npercent = 5')
    quotes = []
    one = repricer(prices)
    one._book = Moving(prices, lambda *given: quotes.append(given) or prices.quote(*given))

    short = one.compare(ALL)
    asked = len(quotes)
    monkeypatch.setattr(Repricer, "_steady", lambda *_: {})
    long = one.compare(ALL)

    assert 0 < asked < len(quotes) - asked == 40
    assert (short.rows, short.total, short.newly_priced, short.kept) == (
        long.rows,
        long.total,
        long.newly_priced,
        long.kept,
    )
    assert {(remark.model, remark.calls) for remark in short.unpriced} >= {("gpt-99", 8)}
