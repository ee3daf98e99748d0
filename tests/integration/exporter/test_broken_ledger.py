"""A ledger that is started anew or hangs: who asks over HTTP is told, and waits neither for ever nor for what is gone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from costspan.errors import LedgerUnavailable
from costspan.exporter.health import Readiness
from costspan.exporter.pool import Pool
from costspan.ledger import Ledger
from costspan.settings import Settings
from integration.exporter.test_serve import soon
from integration.ledger.proxy import Proxy

_SIZE = 3
_WAITING = """
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and application_name = 'costspan'
"""


@pytest.fixture
def proxy(ledger_url: str) -> Iterator[Proxy]:
    """A way to the ledger that breaks."""
    with Proxy(ledger_url) as proxy:
        yield proxy


@pytest.fixture
def pool(proxy: Proxy, tmp_path) -> Iterator[Pool]:
    """Ledgers behind the proxy, all of them connected."""
    settings = Settings(database_url=proxy.url, state_dir=tmp_path)
    pool = Pool(lambda: Ledger.connect(settings), size=_SIZE)
    with ExitStack() as lent:
        for _ in range(_SIZE):
            lent.enter_context(pool.ledger()).ping()
    yield pool
    pool.close()


def test_a_server_that_was_started_anew_refuses_nobody(pool, ledger_url):
    """After every connection was ended by the server, each ledger that is lent answers its first question."""
    with psycopg.connect(ledger_url, autocommit=True) as superuser:
        ended = superuser.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where datname = current_database() and application_name = 'costspan'"
        ).fetchall()

    with ExitStack() as lent:
        ledgers = [lent.enter_context(pool.ledger()) for _ in range(_SIZE)]
        for ledger in ledgers:
            ledger.ping()

    assert ended == [(True,)] * _SIZE


async def test_ready_on_a_connection_that_was_cut(pool, proxy):
    """Not ready while nothing gets through, and ready as soon as something does."""
    readiness = Readiness(pool)
    proxy.cut()
    away = [await readiness.refusal() for _ in range(_SIZE)]

    proxy.mend()

    assert {type(error) for error in away} == {LedgerUnavailable}
    assert await readiness.refusal() is None


async def test_a_server_that_hangs_is_not_ready(pool, proxy):
    """Who asks is told after one's patience; however often, a single connection waits; and it is over when the server goes on."""
    readiness = Readiness(pool, patience=0.3)
    proxy.hang()

    away = [await readiness.refusal() for _ in range(3 * _SIZE)]

    assert {str(error) for error in away} == {"Postgres did not answer within 0.3 s"}
    with ExitStack() as lent:
        for _ in range(_SIZE - 1):
            lent.enter_context(pool.ledger())
    proxy.go_on()
    assert await Readiness(pool).refusal() is None


def test_who_is_hung_up_is_told(pool, proxy):
    """A question that hangs ends, and nobody is lent a ledger any more."""
    proxy.hang()
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(_ping, pool)
        soon(lambda: pool._lent)

        while not asking.done():  # it may have been about to ask
            pool.hang_up()

        with pytest.raises(LedgerUnavailable, match=r"^the server is stopping$"):
            asking.result()
    with pytest.raises(LedgerUnavailable, match=r"^the server is stopping$"):
        _ping(pool)


def test_readyz_while_the_server_hangs(serve, proxy):
    """503 and why, and ready again afterwards."""
    serving = serve(COSTSPAN_DATABASE_URL=proxy.url)
    assert serving.get("/readyz").status == 200
    proxy.hang()

    refused = serving.get("/readyz")

    proxy.go_on()
    assert (refused.status, refused.json) == (
        503,
        {"status": "unavailable", "problem": "Postgres did not answer within 3 s"},
    )
    soon(lambda: serving.get("/readyz").status == 200)


def test_a_signal_while_a_question_hangs(serve, ledger_url):
    """Who asked gets a problem document, the process ends in time, and nothing is printed but what is so."""
    serving = serve()
    authorization = f"Bearer {serving.token}"
    assert serving.get("/api/budgets", Authorization=authorization).status == 200
    with (
        psycopg.connect(ledger_url) as holding,
        psycopg.connect(ledger_url, autocommit=True) as watching,
        ThreadPoolExecutor(1) as thread,
    ):
        holding.execute("lock table costspan.budget_change in access exclusive mode")
        asking = thread.submit(serving.get, "/api/budgets", Authorization=authorization)
        soon(lambda: watching.execute(_WAITING).fetchone() >= (2,))  # that of the gauges, too

        assert serving.end() == 0

        answer = asking.result()
    assert (answer.status, answer.type) == (503, "application/problem+json")
    assert answer.json["detail"] == "the ledger does not answer: the server is stopping"
    assert "Traceback" not in serving.process.stdout.read()


def _ping(pool: Pool) -> None:
    with pool.ledger() as ledger:
        ledger.ping()


def test_a_signal_while_the_server_hangs(serve, proxy):
    """Also who waits for a turn, or for a connection that is being made, gets a problem document."""
    serving = serve(COSTSPAN_DATABASE_URL=proxy.url)
    authorization = f"Bearer {serving.token}"
    assert serving.get("/api/budgets", Authorization=authorization).status == 200
    proxy.hang()
    with ThreadPoolExecutor(6) as threads:
        asking = [threads.submit(serving.get, "/api/budgets", Authorization=authorization) for _ in range(6)]
        soon(lambda: serving.get("/readyz").status == 503)

        assert serving.end() == 0

        answers = [asked.result() for asked in asking]
    assert {(answer.status, answer.type) for answer in answers} == {(503, "application/problem+json")}
    assert "Traceback" not in serving.process.stdout.read()
