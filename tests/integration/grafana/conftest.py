"""A ledger with some weeks of calls, a `costspan serve` over it, and a Prometheus that scrapes it and an application."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry, start_http_server
from psycopg import sql
from psycopg.conninfo import make_conninfo

from costspan.journal import Journal
from costspan.ledger import Ledger
from costspan.ledger.embedded_binaries import installed
from costspan.settings import Settings
from costspan.sinks import names
from fix_postgres import new_database
from integration.alerting.processes import PROMETHEUS, fast, free_port, running, tool, until
from integration.grafana.boards import GRAFANA
from integration.grafana.load import fill, metered

#: As the documentation says.
REMOVE = "drop policy if exists {0} on costspan.tenant; drop owned by {0}; drop role {0}"
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def filled(server_url: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a ledger with the calls of `load`."""
    with new_database(server_url, template=ledger_template) as url:
        ledger = Ledger.connect(Settings(database_url=url, state_dir=tmp_path_factory.mktemp("filling")))
        fill(ledger)
        ledger.close()
        yield url


@contextmanager
def login(url: str, script: str, **variables: str) -> Iterator[str]:
    """Run a script of `grafana/postgres` with psql; the connection string of the login that it makes, for the block."""
    password = "for Grafana's eyes"
    command = [installed() / "psql", "-X", "-q", url, "-f", GRAFANA / "postgres" / script]
    command += [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
    environment = {"PATH": os.environ["PATH"], "COSTSPAN_GRAFANA_DATABASE_PASSWORD": password}
    subprocess.run(command, env=environment, check=True, timeout=60)
    role = sql.Identifier(variables["login"])
    try:
        yield make_conninfo(url, user=variables["login"], password=password)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL(REMOVE).format(role))


@pytest.fixture(scope="module")
def ask_ledger(filled: str) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Asks the ledger with the operators' login: each row by the names of its columns."""
    with (
        login(filled, "operator.sql", login="grafana_of_operators") as url,
        psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection,
    ):
        yield lambda query: connection.execute(query.encode()).fetchall()


@pytest.fixture(scope="module")
def ask_prometheus(filled: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks a Prometheus that has seen a server and an application three times each: the series that it answers."""
    program = tool("prometheus")
    folder = tmp_path_factory.mktemp("metrics")
    registry = CollectorRegistry()
    metered(registry, Journal(folder / "application"))
    application, thread = start_http_server(0, "127.0.0.1", registry)
    with _serving(filled, folder) as server:
        shutil.copytree(PROMETHEUS, folder / "prometheus")
        fast(folder / "prometheus" / "prometheus.yml", _15s="1s", _10s="1s")
        targets = {"costspan": [server], "applications": [f"127.0.0.1:{application.server_port}"], "alertmanager": []}
        for name, found in targets.items():
            (folder / "prometheus" / "targets" / f"{name}.yml").write_text(json.dumps([{"targets": found}]))
        address = f"127.0.0.1:{free_port()}"
        command = [
            program,
            f"--config.file={folder / 'prometheus' / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ]
        with running(command, f"http://{address}/-/ready", folder / "prometheus.log"):

            def ask(expression: str, *, is_range: bool = False) -> list[dict[str, Any]]:
                now = time.time()
                period = {"start": now - 60, "end": now, "step": 5} if is_range else {"time": now}
                query = urllib.parse.urlencode({"query": expression, **period}).encode()
                path = "query_range" if is_range else "query"
                with urllib.request.urlopen(f"http://{address}/api/v1/{path}", query, timeout=10) as answer:
                    return json.load(answer)["data"]["result"]

            seen = (names.SPEND_PROJECTED_TODAY, names.BUDGET, names.LEDGER_LAST_SUCCESS, names.ATTEMPTS_OPEN)
            until(lambda: all(ask(f"count_over_time({name}[1m]) >= 3") for name in seen))
            yield ask
    application.shutdown()
    application.server_close()
    thread.join()


@contextmanager
def _serving(url: str, folder: Path) -> Iterator[str]:
    """`costspan serve`, to which somebody sent a span; its host and port."""
    environment = {
        **os.environ,
        "COSTSPAN_DATABASE_URL": url,
        "COSTSPAN_STATE_DIR": str(folder / "state"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", "costspan", "serve", "--port", "0", "--open-on-loopback"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        address = re.search(r"http://(\S+:\d+)", process.stdout.readline())
        assert address
        span = {
            "traceId": "1" * 32,
            "spanId": "2" * 16,
            "name": "GET",
            "startTimeUnixNano": "1",
            "endTimeUnixNano": "2",
        }
        spans = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{address[1]}/v1/traces", spans, headers), timeout=20
        ) as answer:
            assert answer.status == 200
        yield address[1]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
