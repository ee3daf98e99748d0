"""`costspan serve` as a process of its own, on a real Postgres."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from costspan.settings import Settings
from fix_postgres import new_database
from integration.exporter.api import Api, running
from integration.ledger.calls import NOON

_READY_S = 30


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    type: str
    text: str

    @property
    def json(self) -> object:
        """Its body, parsed."""
        return json.loads(self.text)


class Serving:
    """A running `costspan serve`."""

    def __init__(self, process: subprocess.Popen[str], url: str, token: str) -> None:
        self.process = process
        self.url = url
        self.token = token
        """An administrator's, as long as it runs."""

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for ``path``."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Answer(answer.status, answer.headers["content-type"], answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers["content-type"], error.read().decode())

    def end(self) -> int:
        """Ask it to stop, and return how it ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_READY_S)


@pytest.fixture
def environment(ledger_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings of a ledger and a journal folder of this test's own."""
    return {
        **os.environ,
        "COSTSPAN_DATABASE_URL": ledger_url,
        "COSTSPAN_STATE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


@pytest.fixture
def serve(environment: dict[str, str]) -> Iterator[Callable[..., Serving]]:
    """Starts the command on a free port, and ends it after the test."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str, **changed: str) -> Serving:
        command = [sys.executable, "-m", "costspan", "serve", "--port", "0", "--print-token", *options]
        process = subprocess.Popen(
            command, env={**environment, **changed}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        running.append(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address, said + process.stdout.read()
        link = process.stdout.readline().split()[-1]
        return Serving(process, address[0], link.removeprefix(f"{address[0]}/#token="))

    yield start
    for process in running:
        if process.poll() is None:
            process.terminate()
        process.wait(_READY_S)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def api(server_url: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The application, for the whole run; its tests have tenants and months of their own. It is noon of 21 November 2026."""
    with new_database(server_url, template=ledger_template) as url:
        folder = tmp_path_factory.mktemp("api")
        settings = Settings(database_url=url, state_dir=folder, requests_per_second=10_000)
        with running(settings, now=NOON) as api:
            yield api
