"""A scriptable HTTP/1.1 server on 127.0.0.1: the test says which answer each request gets, and sees what was asked."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["Json", "Loopback", "Raw", "Reset", "Seen", "Sse", "Unanswered"]

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """With names in lower case."""
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON that was sent."""
        return json.loads(self.raw)


@dataclass(frozen=True)
class Raw:
    """Bytes as an answer."""

    content: bytes = b""
    content_type: str = "text/plain"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def Json(body: Any, *, status: int = 200, headers: dict[str, str] | None = None, is_gzipped: bool = False) -> Raw:  # noqa: N802  # reads as the kind of answer that it is
    """Return a JSON answer."""
    content = json.dumps(body).encode()
    extra = dict(headers or {})
    if is_gzipped:
        content, extra["content-encoding"] = gzip.compress(content), "gzip"
    return Raw(content, "application/json", status, extra)


@dataclass(frozen=True)
class Sse:
    """Server-sent events, one write each."""

    events: Iterable[Any]
    """JSON documents; text is sent as it is."""
    is_named: bool = False
    """Whether each event's ``type`` is its name, as Anthropic's are."""
    has_done: bool = True
    """Whether ``[DONE]`` ends it, as it ends OpenAI's."""
    gate: threading.Semaphore | None = None
    """Released once for each event that may be sent; ungated events are sent at once."""
    is_cut: bool = False
    """Whether the connection ends in the middle of the answer, after the last event."""
    is_gzipped: bool = False

    def frames(self) -> Iterable[bytes]:
        """The events as bytes."""
        for event in self.events:
            if isinstance(event, str):
                yield event.encode()
                continue
            name = f"event: {event['type']}\n" if self.is_named else ""
            yield f"{name}data: {json.dumps(event)}\n\n".encode()
        if self.has_done and not self.is_named and not self.is_cut:
            yield b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Reset:
    """No answer: the connection is reset."""


@dataclass(frozen=True)
class Unanswered:
    """No answer until the test is over."""


Answer = Raw | Sse | Reset | Unanswered


class Loopback:
    """The server. Answers in the order of `script`, then with `otherwise`; ``with`` starts and stops it."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.sent: list[int] = []
        """The status of each answer that was begun."""
        self.script: deque[Answer | Callable[[Seen], Answer]] = deque()
        self.otherwise: Answer | Callable[[Seen], Answer] = Raw(b"no answer was scripted", status=501)
        self.has_asked = threading.Event()
        """Set when a request has arrived."""
        self._over = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, *answers: Answer | Callable[[Seen], Answer]) -> None:
        """Script the answers to the next requests."""
        self.script.extend(answers)

    def __enter__(self) -> Self:
        loopback = self

        class Handler(_Handler):
            owner = loopback

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_answer(self, seen: Seen) -> Answer:
        """Return what ``seen`` gets."""
        chosen = self.script.popleft() if self.script else self.otherwise
        return chosen(seen) if callable(chosen) else chosen

    def wait_until_over(self) -> None:
        """Keep a request waiting."""
        self._over.wait(_PATIENCE_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_args: object) -> None:
        """Stay quiet: clients that go away are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    owner: Loopback
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length))
        self.owner.seen.append(seen)
        self.owner.has_asked.set()
        answer = self.owner.next_answer(seen)
        if isinstance(answer, Sse):
            self._stream(answer)
        elif isinstance(answer, Raw):
            self._whole(answer)
        else:
            self._refuse(answer)

    do_GET = do_DELETE = do_POST

    def log_message(self, *args: object) -> None:
        """Stay quiet."""

    def _refuse(self, answer: Reset | Unanswered) -> None:
        if isinstance(answer, Unanswered):
            self.owner.wait_until_over()
        self.close_connection = True
        # Lingering for no time at all makes the close a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _whole(self, answer: Raw) -> None:
        self.owner.sent.append(answer.status)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("content-type", answer.content_type)
            self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        if answer.status != 204:
            self.wfile.write(answer.content)

    def _stream(self, answer: Sse) -> None:
        self.owner.sent.append(200)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        if answer.is_gzipped:
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        try:
            for frame in [gzip.compress(b"".join(answer.frames()))] if answer.is_gzipped else answer.frames():
                if answer.gate is not None and not answer.gate.acquire(timeout=_PATIENCE_S):
                    return
                self.wfile.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
            if answer.is_cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
