"""Somebody who is told: a webhook on loopback that keeps what Alertmanager posts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Message", "Webhook", "webhook"]


@dataclass(frozen=True)
class Message:
    """What one post said of its first alert."""

    at: float
    """When it came, of the clock."""
    path: str
    labels: dict[str, str]
    annotations: dict[str, str]
    fired_at: float
    """When Prometheus began to fire."""


@dataclass
class Webhook:
    """Where it is, and what it was told."""

    url: str
    messages: list[Message] = field(default_factory=list)

    def of(self, path: str, tenant: str = "") -> list[Message]:
        """The messages to a path so far, about one tenant or none."""
        return [said for said in list(self.messages) if said.path == path and said.labels.get("tenant", "") == tenant]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Somebody who listens until the end of the block."""

    class Posts(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Keep what came."""
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            listening.messages.append(_message(body, self.path))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Posts) as server:
        listening = Webhook(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield listening
        server.shutdown()


def _message(body: dict[str, Any], path: str) -> Message:
    first = body["alerts"][0]
    fired = datetime.fromisoformat(first["startsAt"]).timestamp()
    return Message(time.time(), path, first["labels"], first["annotations"], fired)
