"""The drain: everything journalled lands, once, and nobody waits for it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from costspan.errors import LedgerUnavailable
from costspan.event import CallEvent, Ending, Intent
from costspan.journal import Journal
from costspan.ledger import Drainer, Ledger, embedded
from costspan.ledger.database import Database
from costspan.ledger.migration import migrate
from costspan.settings import Settings
from integration.ledger.calls import MemorySegment, call
from integration.ledger.proxy import Proxy

PATIENCE_S = 60.0
#: Python 3.12 warns of forks beside threads; that they are safe here is what is tested.
FORKS = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


@pytest.fixture
def config(ledger_url: str, tmp_path: Path) -> Settings:
    """A journal and a ledger of this test's own."""
    return Settings(database_url=ledger_url, state_dir=tmp_path)


@pytest.fixture
def journal(config: Settings) -> Iterator[Journal]:
    """The journal of this process."""
    journal = Journal(config.journal_path)
    yield journal
    journal.shutdown()


@pytest.fixture
def drain() -> Iterator[Callable[..., Drainer]]:
    """Starts drains; all have ended when the test has."""
    started: list[Drainer] = []

    def drain(*args: object, **options: object) -> Drainer:
        drainer = Drainer(*args, **options)
        drainer.start()
        started.append(drainer)
        return drainer

    yield drain
    for drainer in started:
        drainer.stop(PATIENCE_S)


class Segments:
    """A journal of segments in memory."""

    def __init__(self, *segments: MemorySegment) -> None:
        self.all = list(segments)

    def segments(self) -> list[MemorySegment]:
        """All of them."""
        return self.all


def meter(journal: Journal, count: int = 1, **changes: object) -> list[CallEvent]:
    """Journal so many calls, as the meter does."""
    events = []
    for _ in range(count):
        event = replace(call(**changes), attempt=os.urandom(16))
        journal.open(intent(event.attempt))
        journal.close_attempt(event)
        events.append(event)
    return events


def intent(attempt: bytes) -> Intent:
    """An attempt on its way."""
    return Intent(attempt, time.time_ns(), "anthropic", "anthropic", "chat", "m", "acme", "s-1", "u-1", "f")


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that must come; no test asserts how long it takes."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


def test_what_was_metered_before_a_flush_is_committed_after_it(journal, config, drain, rows):
    """Flush says so, and the ledger has it."""
    drainer = drain(journal, config)

    for number in range(1, 4):
        meter(journal, 100)
        assert drainer.flush(PATIENCE_S) is True
        assert rows.calls == number * 100

    assert rows.rollup_differs == []
    assert (drainer.stats.calls, drainer.stats.errors, drainer.stats.is_away) == (300, 0, False)
    assert drainer.stats.last_success > 0


def test_rows_come_without_anybody_asking(journal, config, drain, rows):
    """Within its interval the drain moves what there is."""
    drain(journal, config)

    meter(journal, 3)

    wait_until(lambda: rows.calls == 3)


def test_nothing_to_write_connects_to_nothing(tmp_path, drain):
    """An application that never calls a provider never opens a connection."""
    asked = []
    journal = Journal(tmp_path / "journal")

    drainer = drain(journal, Settings(state_dir=tmp_path), connect=asked.append)

    assert drainer.flush(PATIENCE_S) is True
    assert asked == []
    journal.shutdown()


def test_full_batches_are_followed_by_the_next(config, drain, rows):
    """More than a batch holds is moved in one go, and a finished segment is taken away."""
    segment = MemorySegment([call() for _ in range(5001)], is_finished=True)
    discarded = []
    segment.discard = lambda: discarded.append(segments.all.remove(segment))
    segments = Segments(segment)

    drainer = drain(segments, config)

    assert drainer.flush(PATIENCE_S) is True
    assert (rows.calls, drainer.stats.batches, len(discarded), segments.all) == (5001, 2, 1, [])


@FORKS
def test_the_journals_of_dead_processes_are_drained_too(config, drain, rows):
    """A child that ended by os._exit left calls and an open intent; both arrive, and its file is gone."""
    child = os.fork()
    if child == 0:
        dying = Journal(config.journal_path)
        meter(dying, 7)
        dying.open(intent(b"o" * 16))
        os._exit(0)
    os.waitpid(child, 0)
    journal = Journal(config.journal_path)

    drainer = drain(journal, config)

    assert drainer.flush(PATIENCE_S) is True
    assert rows.calls == 7
    assert rows("select outcome, encode(uuid_send(attempt), 'escape') from costspan.unsettled") == [("open", "o" * 16)]
    assert list(config.journal_path.glob("*.journal")) == []
    assert drainer.stats.unsettled == 1
    journal.shutdown()


@FORKS
def test_a_forked_child_drains_its_own_and_nothing_of_its_parents(journal, config, drain, rows):
    """Each process has its own thread, journal and connection; no call is lost or doubled."""
    drainer = drain(journal, config)
    meter(journal, 5)
    assert drainer.flush(PATIENCE_S)

    child = os.fork()
    if child == 0:
        meter(journal, 3)
        drainer.wake()
        os._exit(0 if drainer.flush(PATIENCE_S) else 1)
    meter(journal, 2)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert drainer.flush(PATIENCE_S)
    assert rows.calls == 10
    assert rows.rollup_differs == []


def test_an_outage_is_told_once_and_everything_lands_after_it(journal, config, drain, rows, caplog):
    """One warning when Postgres goes, one line when it is back, and each call once."""
    with Proxy(config.database_url) as proxy:
        settings = Settings(database_url=proxy.url, state_dir=config.state_dir)
        drainer = drain(journal, settings)
        meter(journal, 10)
        assert drainer.flush(PATIENCE_S)
        with caplog.at_level(logging.INFO, "costspan"):
            proxy.cut()
            meter(journal, 10)
            wait_until(lambda: drainer.stats.is_away)
            meter(journal, 10)
            assert [drainer.flush(0.05) for _ in range(5)] == [False] * 5
            proxy.mend()
            assert drainer.flush(PATIENCE_S)
        drainer.stop(PATIENCE_S)

    said = [(record.levelname, record.getMessage()) for record in caplog.records if "ledger" in record.getMessage()]
    assert [level for level, _ in said] == ["WARNING", "INFO"]
    assert "Calls stay in the journal" in said[0][1]
    assert rows.calls == 30
    assert rows.rollup_differs == []
    assert drainer.stats.errors >= 5


def test_a_commit_whose_answer_is_lost_is_not_repeated(journal, config, drain, rows):
    """The drain reads from the ledger how far it came, and goes on there."""
    with Proxy(config.database_url) as proxy:
        drainer = drain(journal, Settings(database_url=proxy.url, state_dir=config.state_dir))
        for number in range(1, 6):
            proxy.loses_next_commit = True
            meter(journal, 20)
            assert drainer.flush(PATIENCE_S)
            assert rows.calls == number * 20
        drainer.stop(PATIENCE_S)

    assert rows.rollup_differs == []


def test_a_server_that_is_stopped_and_started_again_gets_everything(tmp_path, drain):
    """A real stop and a real start, with calls before, meanwhile and after."""
    home = tmp_path / "server"
    server = [embedded.ensure(home, grace_seconds=0.1)]
    database = Database(lambda: server[0].conninfo)  # a server that starts anew has another socket
    migrate(database)
    config = Settings(state_dir=tmp_path)
    journal = Journal(config.journal_path)
    drainer = drain(journal, config, connect=lambda settings: Ledger(database, settings.timezone))
    meter(journal, 5)
    assert drainer.flush(PATIENCE_S)

    embedded.release(home)
    wait_until(lambda: not embedded.status(home).is_running)
    meter(journal, 5)
    assert drainer.flush(0.2) is False
    server[0] = embedded.ensure(home, grace_seconds=0.1)
    meter(journal, 5)

    wait_until(lambda: drainer.flush(1.0))
    assert everything(server[0].conninfo) == [(15, Decimal("0.02025"))]
    drainer.stop(PATIENCE_S)
    embedded.release(home)
    journal.shutdown()


def test_the_embedded_server_is_started_again_by_who_needs_it(tmp_path, drain):
    """Without a database URL the drain starts the server, and when it is gone starts it once more."""
    config = Settings(state_dir=tmp_path)
    journal = Journal(config.journal_path)
    drainer = drain(journal, config)
    meter(journal, 5)
    assert drainer.flush(PATIENCE_S)

    os.kill(embedded.status(tmp_path).pid, signal.SIGKILL)
    wait_until(lambda: not embedded.status(tmp_path).is_running)
    meter(journal, 5)

    wait_until(lambda: drainer.flush(1.0))
    assert everything(embedded.ensure(tmp_path).conninfo) == [(10, Decimal("0.0135"))]
    drainer.stop(PATIENCE_S)
    embedded.release(tmp_path)
    journal.shutdown()


def everything(url: str) -> list[tuple[object, ...]]:
    """How many calls there are, and what they cost."""
    with psycopg.connect(url) as connection:
        return connection.execute("select count(*), sum(cost_usd) from ai_usage_metrics").fetchall()


def test_a_server_that_never_was_keeps_nobody_from_leaving(journal, tmp_path, drain):
    """Flush and stop return in their time, and the journal keeps the calls."""
    drainer = drain(journal, Settings(database_url="host=127.0.0.1 port=1", state_dir=tmp_path))
    meter(journal, 3)

    assert drainer.flush(0.3) is False
    drainer.stop(PATIENCE_S)

    assert [len(segment.read(0, 10).events) for segment in journal.segments()] == [3]
    assert not [thread for thread in threading.enumerate() if thread.name == "costspan-drain"]


def test_after_stop_a_flush_returns_at_once(journal, config, drain):
    """Nobody is left who could do it."""
    drainer = drain(journal, config)
    drainer.stop(PATIENCE_S)

    assert drainer.flush(PATIENCE_S) is False


def test_the_hook_after_a_commit_is_told_who_spent(journal, config, drain):
    """It runs on the drain's thread, and its failure harms nobody."""
    told = []

    def hook(tenants: set[str]) -> None:
        told.append((tenants, threading.current_thread().name))
        if len(told) == 1:
            raise RuntimeError("a hook's own problem")

    os.environ.pop("COSTSPAN_RAISE", None)
    drainer = drain(journal, config, after_commit=hook)
    for tenant in ("acme", "rival"):
        meter(journal, 2, tenant=tenant)
        assert drainer.flush(PATIENCE_S)

    assert told == [({"acme"}, "costspan-drain"), ({"rival"}, "costspan-drain")]
    assert drainer.stats.errors == 0


def test_a_tenants_day_is_compared_after_it_spent(journal, ledger_url, tmp_path, drain, caplog):
    """Passing the daily budget is logged by the drain, once."""
    config = Settings(database_url=ledger_url, state_dir=tmp_path)
    drainer = drain(journal, config)

    with caplog.at_level(logging.WARNING, "costspan"):
        for _ in range(3):
            meter(journal, 1, cost_pico=62 * 10**11, at_ns=time.time_ns())
            assert drainer.flush(PATIENCE_S)

    alerts = [record.getMessage() for record in caplog.records if "threshold" in record.getMessage()]
    assert alerts == ["Daily cost threshold exceeded: $12.40 > $10.00"]


def test_refused_records_are_told(config, drain, rows, caplog):
    """What went to quarantine is a warning, and all else is there."""
    drainer = drain(Segments(MemorySegment([call(), call(cost_pico=-1), call()])), config)

    with caplog.at_level(logging.WARNING, "costspan"):
        assert drainer.flush(PATIENCE_S)

    assert (rows.calls, drainer.stats.quarantined) == (2, 1)
    assert "1 records could not be stored" in caplog.text


def test_endings_arrive(journal, config, drain, ledger):
    """Attempts that may have been billed are shown; failed ones are counted."""
    drainer = drain(journal, config)
    for outcome in ("failed", "unanswered"):
        attempt = os.urandom(16)
        journal.open(intent(attempt))
        journal.close_attempt(Ending(attempt, outcome, "read timed out"))

    assert drainer.flush(PATIENCE_S)

    audit = ledger.audit()
    assert (audit.intents, audit.calls, audit.failed, audit.unsettled) == (2, 0, 1, 1)


def test_who_cannot_connect_is_asked_again(config, drain, rows):
    """A ledger that refuses twice is used the third time."""
    attempts = []

    def connect(settings: Settings) -> Ledger:
        attempts.append(settings)
        if len(attempts) < 3:
            raise LedgerUnavailable("starting up")
        return Ledger.connect(settings)

    drainer = drain(Segments(MemorySegment([call()])), config, connect=connect)

    wait_until(lambda: drainer.flush(0.1))
    assert rows.calls == 1
