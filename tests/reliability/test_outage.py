"""Postgres away for the whole run, then back: everything lands, once."""

from __future__ import annotations

import logging
import os
import signal
import time

import openai
import psycopg
import pytest
from prometheus_client import CollectorRegistry

import costspan
from costspan.demo.providers import providers
from costspan.ledger import embedded
from costspan.settings import Settings
from integration.ledger.proxy import Proxy


class Server:
    """A real Postgres at an address that stays the same when it is stopped and started."""

    def __init__(self, folder):
        self._folder = folder
        self._proxy = Proxy(embedded.ensure(folder, grace_seconds=0.1).conninfo)
        self.url = self._proxy.url

    def stop(self):
        """Stop it, as a host that goes down does."""
        self._proxy.cut()
        os.kill(embedded.status(self._folder).pid, signal.SIGKILL)
        while embedded.status(self._folder).is_running:
            time.sleep(0.05)

    def start(self):
        """Start it again; it recovers."""
        self._proxy._host = psycopg.conninfo.conninfo_to_dict(
            embedded.ensure(self._folder, grace_seconds=0.1).conninfo
        )["host"]
        self._proxy.mend()

    def close(self):
        """Leave it for good."""
        self._proxy.__exit__(None, None, None)
        embedded.release(self._folder)


@pytest.fixture
def server(tmp_path):
    """A server of this test's own."""
    server = Server(tmp_path / "server")
    yield server
    server.close()


def test_a_database_that_was_away_for_the_whole_run_gets_everything_once(server, tmp_path, caplog):
    """Two hundred calls while Postgres is stopped: callers notice nothing, one warning, and after its start 200 rows."""
    server.stop()
    settings = Settings(database_url=server.url, state_dir=tmp_path)

    with providers(time.time_ns) as both, caplog.at_level(logging.WARNING, "costspan"):
        costspan.instrument(settings, registry=CollectorRegistry())
        client = openai.OpenAI(api_key="none", base_url=both.openai_url)
        for number in range(200):
            with costspan.attribute(tenant="acme", session=f"s-{number}"):
                client.embeddings.create(model="text-embedding-3-large", input="ten tokens", dimensions=8)
        client.close()
        has_landed_while_away = costspan.flush(1.0)
        warnings = [record for record in caplog.records if record.name == "costspan"]
        server.start()
        has_landed = costspan.flush(60)
        costspan.uninstrument()
        billed = both.bill.total_usd

    assert not has_landed_while_away
    assert has_landed
    assert len(warnings) == 1, [record.getMessage() for record in warnings]
    with psycopg.connect(server.url) as connection:
        found = connection.execute(
            "select count(*), count(distinct session_id), sum(cost_usd) from ai_usage_metrics"
        ).fetchone()
    assert found == (200, 200, billed)
