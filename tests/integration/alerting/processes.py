"""Prometheus and Alertmanager as processes on loopback, with the files of `prometheus/`; and whoever they tell."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

__all__ = [
    "PROMETHEUS",
    "Alertmanager",
    "People",
    "configure",
    "fast",
    "free_port",
    "people",
    "running",
    "tool",
    "until",
]

PROMETHEUS = Path(__file__).resolve().parents[3] / "prometheus"
_READY_S = 30.0


def tool(*names: str) -> str:
    """The path of the first of these programs that is installed; the test is skipped, or fails where all must be there."""
    for name in names:
        if path := shutil.which(name):
            return path
    missing = f"needs {names[0]}: apt-get install prometheus prometheus-alertmanager"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def until(is_so: Callable[[], object], seconds: float = _READY_S) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@dataclass
class People:
    """Who is told, by webhook (also Slack's) and by e-mail."""

    url: str
    mail: str
    """Host and port."""
    posts: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    """When (of the monotonic clock), to which path, and what."""
    mails: list[EmailMessage] = field(default_factory=list)

    def told(self, path: str = "/alerts") -> list[tuple[str, str]]:
        """Alert and tenant of each message so far to ``path``."""
        return [
            (posted["commonLabels"]["alertname"], posted["commonLabels"].get("tenant", ""))
            for _, where, posted in list(self.posts)
            if where == path
        ]

    def moments(self, tenant: str) -> list[float]:
        """When each message about ``tenant`` came."""
        return [at for at, _, posted in list(self.posts) if posted["commonLabels"].get("tenant") == tenant]


@contextmanager
def people() -> Iterator[People]:
    """Somebody who listens until the end of the block."""

    class Posts(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            listening.posts.append((time.monotonic(), self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class Mails(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 loopback\r\n")
            for line in self.rfile:
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    # A dot that begins a line is sent twice.
                    text = b"".join(line.removeprefix(b".") for line in iter(self.rfile.readline, b".\r\n"))
                    listening.mails.append(message_from_bytes(text, policy=policy.default))
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 loopback\r\n")
                if word == b"QUIT":
                    return

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Posts) as posts,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mails) as mails,
    ):
        listening = People(f"http://127.0.0.1:{posts.server_address[1]}", f"127.0.0.1:{mails.server_address[1]}")
        for server in (posts, mails):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield listening
        posts.shutdown()
        mails.shutdown()


def configure(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `configure-alertmanager.sh`, with nothing in its environment but this."""
    command = ["sh", str(PROMETHEUS / "configure-alertmanager.sh"), str(folder)]
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, env={**path, **environment}, capture_output=True, text=True, check=False, timeout=30)


def fast(file: Path, **intervals: str) -> None:
    """Replace durations in a configuration: ``_15s="1s"``."""
    text = file.read_text()
    for old, new in intervals.items():
        text, number = re.subn(rf"(?<=: ){old.removeprefix('_')}\b", new, text)
        assert number, f"{file.name} has no {old}"
    file.write_text(text)


@contextmanager
def running(command: list[str], url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers at ``url``, until the end of the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until(lambda: _answers(url) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        process.wait(_READY_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


class Alertmanager:
    """An Alertmanager that can be told of alerts, and stopped and started with what it remembers.

    Args:
        folder: of its configuration (`alertmanager.yml`) and its memory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.target = f"127.0.0.1:{self._port}"

    @contextmanager
    def started(self) -> Iterator[None]:
        """Running until the end of the block."""
        command = [
            tool("alertmanager", "prometheus-alertmanager"),
            f"--config.file={self._folder / 'alertmanager.yml'}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address={self.target}",
            "--cluster.listen-address=",
        ]
        with running(command, f"http://{self.target}/-/ready", self._folder / "alertmanager.log"):
            yield

    def tell(self, tenant: str, *, is_firing: bool = True, alert: str = "CostspanDailyBudgetPassed") -> None:
        """Say that an alert of ``tenant`` fires, or that it is over."""
        instant = time.time() + (3600 if is_firing else -1)
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(instant))
        labels = {"alertname": alert, "tenant": tenant, "threshold": "100", "severity": "critical", "app": "costspan"}
        began = {} if is_firing else {"startsAt": "2020-01-01T00:00:00Z"}
        body = json.dumps([{"labels": labels, "annotations": {"summary": "spent"}, "endsAt": ends, **began}]).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://{self.target}/api/v2/alerts", body, headers)
        with urllib.request.urlopen(request, timeout=10):
            pass
