"""The ledger says itself whether it holds together, and what in it does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread
from uuid import uuid4

import pytest

from costspan.ledger import Ledger
from costspan.ledger.database import Database
from costspan.ledger.difference import Scope
from costspan.ledger.repricing import Repricer
from costspan.ledger.verification import Verifier
from costspan.pricing import PriceBook, userfile
from costspan.settings import Settings
from integration.ledger.calls import NOON, batch, call, lost, unpriced

COLD = NOON - timedelta(days=20)
BOOK = PriceBook(
    userfile.parse(
        b'[[price]]\nmodel = "llama-9"\ninput = 2\n\n[[discount]]\nprovider = "anthropic"\npercent = 10', "p.toml"
    )
)
#: The check that finds it, a word of what it says, and the statements that corrupt.
CORRUPTIONS = {
    "an hour's sum": (
        "hours",
        "kept",
        "update costspan.usage_hour set tokens_in = tokens_in + 1",
    ),
    "a call that no sum knows": (
        "hours",
        "calls",
        "alter table costspan.call disable trigger user",
        "insert into costspan.call select (jsonb_populate_record(call, '{\"id\": 77}')).* from costspan.call limit 1",
    ),
    "a row that is gone": (
        "hours",
        "calls",
        "delete from costspan.call where id = (select min(id) from costspan.call)",
    ),
    "a quarter's sum": (
        "fine_sums",
        "quarter",
        "update costspan.usage_day_detail set quarters[1].cost_pico = quarters[1].cost_pico + 1",
    ),
    "a context's sum": (
        "fine_sums",
        "context",
        "update costspan.usage_day_detail set contexts[1].calls = 99",
    ),
    "contexts that are gone": (
        "fine_sums",
        "context",
        "update costspan.usage_day_detail set contexts = null",
    ),
    "a day's sum": (
        "days_sums",
        "quarters",
        "update costspan.usage_day set duration_ms = duration_ms - 1",
    ),
    "a day without quarters": (
        "days_sums",
        "quarters",
        "delete from costspan.usage_day_detail",
    ),
    "a slice that is gone": (
        "fine_sums",
        "calls none",
        "delete from costspan.call_slice",
    ),
    "a correction's sum": (
        "corrected_sums",
        "corrections",
        "update costspan.usage_correction set cost_pico = cost_pico + 1 where calls > 0",
    ),
    "a correction that is gone": (
        "corrected_sums",
        "kept",
        "delete from costspan.correction where call_id = (select min(call_id) from costspan.correction)",
    ),
    "a correction of no call": (
        "chains",
        "no such call",
        "update costspan.correction set call_id = 5 where call_id = (select min(call_id) from costspan.correction)",
    ),
    "a correction that begins elsewhere": (
        "chains",
        "begins with",
        "update costspan.correction set cost_before = 7",
    ),
    "a revision that is missing": (
        "chains",
        "follows revision 0",
        "update costspan.correction set revision = 3",
    ),
    "a correction of other numbers": (
        "chains",
        "other numbers",
        "update costspan.correction set tokens_in = 7",
    ),
    "a slice's first moment": (
        "slices",
        "at_min",
        "update costspan.call_slice set at_min = at_min - interval '1 s'",
    ),
    "a slice's last moment": (
        "slices",
        "at_max",
        "update costspan.call_slice set at_max = at_max + interval '1 s'",
    ),
    "a slice's dearest call": (
        "slices",
        "cost_max",
        "update costspan.call_slice set cost_max = 1",
    ),
    "a slice's contexts": (
        "slices",
        "contexts",
        "update costspan.call_slice set contexts = contexts || 999",
    ),
    "a slice's traces": (
        "slices",
        "traces",
        "update costspan.call_slice set traces = traces[2:]",
    ),
    "a slice's size": (
        "slices",
        "size is 99",
        "alter table costspan.call_slice drop constraint call_slice_check",
        "update costspan.call_slice set size = 99",
    ),
    "a slice of another day": (
        "slices",
        "another day",
        "update costspan.call_slice set day = day + 1",
    ),
    "a call that is stored twice": (
        "places",
        "stored 2 times",
        "alter table costspan.call disable trigger user",
        "insert into costspan.call select * from costspan.call order by id limit 1",
    ),
    "a row that is in a slice too": (
        "places",
        "stored",
        "alter table costspan.call disable trigger user",
        "insert into costspan.call (id, at, tenant_key, context_id, kind_id, tokens_in, tokens_out, duration_ms) select calls[1].id, (select min(at) from costspan.call), 1, 1, 1, 0, 0, 0 from costspan.call_slice limit 1",
        "update costspan.call set id = (select min(calls[1].id) from costspan.call_slice)",
    ),
    "a detail of no call": (
        "places",
        "its detail is stored",
        "update costspan.call_detail set call_id = 5",
    ),
    "a detail twice": (
        "places",
        "2 details",
        "insert into costspan.call_detail select * from costspan.call_detail order by call_id limit 1",
    ),
    "a cost in a row": (
        "bills",
        "pico-dollars",
        "update costspan.call set cost_pico = cost_pico + 1",
    ),
    "a cost in a slice": (
        "bills",
        "stored are 5",
        "update costspan.call_slice set calls[1].cost_pico = 5",
    ),
    "a rate": (
        "bills",
        "pico-dollars",
        "update costspan.kind_rate set rate_atto = rate_atto * 2",
    ),
    "a rate that is gone": (
        "bills",
        "pico-dollars",
        "delete from costspan.kind_rate",
    ),
    "more cached than read": (
        "bills",
        "tokens in",
        "update costspan.call set cache_read = tokens_in + 1 where cost_pico is null",
    ),
    "a corrected cost": (
        "bills",
        "stored are 3",
        "update costspan.correction set cost_after = 3",
    ),
    "a status": (
        "bills",
        "stored are None",
        "update costspan.call_kind set status = 'priced' where status = 'unpriced'",
    ),
    "a kind that is gone": (
        "references",
        "no such kind",
        "alter table costspan.kind_rate drop constraint kind_rate_kind_id_fkey",
        "delete from costspan.call_kind",
    ),
    "a kind of another tenant": (
        "references",
        "kind is of another tenant",
        "insert into costspan.tenant (tenant_id) values ('x')",
        "update costspan.call_kind set tenant_key = (select max(tenant_key) from costspan.tenant)",
    ),
    "a context that is gone": (
        "references",
        "no such context",
        "delete from costspan.call_context",
    ),
    "a tenant that is gone": (
        "references",
        "no such tenant",
        "alter table costspan.call_kind drop constraint call_kind_tenant_key_fkey",
        "alter table costspan.kind_rate drop constraint kind_rate_tenant_key_fkey",
        "alter table costspan.call_context drop constraint call_context_tenant_key_fkey",
        "alter table costspan.unsettled drop constraint unsettled_tenant_key_fkey",
        "delete from costspan.tenant",
    ),
    "a call that no writer counted": (
        "writers",
        "calls: writers counted",
        "update costspan.writer set calls = calls - 1",
    ),
    "an attempt that is gone": (
        "writers",
        "unsettled attempts",
        "delete from costspan.unsettled",
    ),
    "a quarantined record that is gone": (
        "writers",
        "quarantined records",
        "delete from costspan.quarantine",
    ),
}


@pytest.fixture
def verifier(ledger_url):
    """Checks this test's ledger."""
    database = Database(lambda: ledger_url)
    yield Verifier(database)
    database.close()


@pytest.fixture
def reprice(ledger_url):
    """Corrects everything by a book with another price for each call."""

    def run(prices: PriceBook = BOOK):
        pair = Database(lambda: ledger_url), Database(lambda: ledger_url)
        try:
            return Repricer(*pair, prices).reprice(
                Scope(since=NOON - timedelta(days=40), until=NOON + timedelta(days=1))
            )
        finally:
            for one in pair:
                one.close()

    return run


@pytest.fixture
def filled(ledger, reprice) -> Ledger:
    """A ledger with everything in it: rows, slices, details, corrections, what was lost and what nobody could read."""
    events = [
        call(COLD + timedelta(minutes=9 * number), cached=number % 3 * 10, session=f"s-{number % 4}")
        for number in range(20)
    ]
    ledger.write(batch([*events, unpriced(COLD)], endings=[lost("unanswered")], quarantined=[b"what is this"]), uuid4())
    ledger.compact(before=(NOON - timedelta(days=10)).date())
    ledger.write(batch([call(), call(tenant="rival"), unpriced(), call(COLD + timedelta(hours=1))]), uuid4())
    assert reprice().corrections == 25
    return ledger


def found(verification) -> dict[str, tuple[str, ...]]:
    """What is wrong, by check."""
    return {check.name: check.offenders for check in verification.checks if check.wrong}


def test_a_sound_ledger_has_nothing_wrong(filled, verifier):
    """Every check compares something and finds nothing, whether bills are sampled or all derived."""
    verification = verifier.verify(is_whole=True)

    assert found(verification) == {}
    assert verification.wrong == 0
    assert verification.calls == 25
    assert all(check.compared for check in verification.checks)
    assert next(check.compared for check in verification.checks if check.name == "bills") == 25
    assert found(verifier.verify()) == {}


def test_an_empty_ledger_is_sound(ledger, verifier):
    """Nothing is stored, and nothing is wrong with it."""
    verification = verifier.verify()

    assert (verification.wrong, verification.calls) == (0, 0)


@pytest.mark.parametrize("what", CORRUPTIONS)
def test_what_is_wrong_is_found(filled, verifier, rows, what):
    """Each way to be wrong is found by the check for it, with an example."""
    check, word, *statements = CORRUPTIONS[what]
    for statement in statements:
        rows.connection.execute(statement)

    verification = verifier.verify(is_whole=True)

    assert verification.wrong
    assert any(word in offender for offender in found(verification)[check]), found(verification)
    assert all(len(check.offenders) <= min(5, check.wrong) for check in verification.checks)


def test_days_whose_calls_were_dropped_are_only_their_sums(filled, verifier, rows):
    """Sums are kept when calls are not: they are compared with each other, and no call is missed."""
    for statement in (
        "delete from costspan.call_slice",
        "delete from costspan.call where at < '2026-11-15'",
        "delete from costspan.usage_hour where hour < '2026-11-15'",
        "delete from costspan.call_detail where at < '2026-11-15'",
        "delete from costspan.correction where at < '2026-11-15'",
        "update costspan.usage_day_detail set contexts = null",
        "insert into costspan.retention (kept_since, calls) values ('2026-11-15', 21)",
        "update costspan.writer set calls = calls - 1 where calls = 4",  # the late row, dropped here and in no sum
    ):
        rows.connection.execute(statement)

    verification = verifier.verify(is_whole=True)

    assert found(verification) == {}
    assert verification.kept_since == date(2026, 11, 15)
    rows.connection.execute("update costspan.usage_day set calls = calls + 1")
    assert "days_sums" in found(verifier.verify())


def test_writers_and_compaction_meanwhile_are_no_error(ledger_url, ledger, verifier, tmp_path):
    """Whatever lands or moves while it looks, it sees one state, and that is sound."""
    done = Event()
    landed: list[int] = []
    failures: list[BaseException] = []

    def work() -> None:
        other = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))
        try:
            while not done.is_set():
                day = COLD + timedelta(days=len(landed) % 3, minutes=len(landed) % 600)
                landed.append(other.write(batch([call(day), call(day, cached=3), unpriced(day)]), uuid4()).calls)
                if len(landed) % 4 == 0:
                    other.compact(before=NOON.date())
        except BaseException as error:
            failures.append(error)
        finally:
            other.close()

    worker = Thread(target=work)
    worker.start()
    seen = []
    try:
        while not failures and (len(seen) < 8 or len(landed) < 40):
            seen.append(verifier.verify(is_whole=True))
    finally:
        done.set()
        worker.join()

    assert failures == []
    assert [found(verification) for verification in seen] == [{}] * len(seen)
    assert verifier.verify().calls == sum(landed)


def test_a_sample_is_of_rows_and_slices(ledger, verifier, monkeypatch):
    """About as many bills as asked for are derived again, wherever the calls lie."""
    monkeypatch.setattr("costspan.ledger.verification.SAMPLE", 50)
    days = [datetime(2026, 11, day, tzinfo=UTC) for day in (2, 18)]
    for day in days:
        ledger.write(batch([call(day + timedelta(seconds=number)) for number in range(500)]), uuid4())
    ledger.compact(before=date(2026, 11, 10))

    bills = next(check for check in verifier.verify().checks if check.name == "bills")

    assert 10 <= bills.compared <= 150
