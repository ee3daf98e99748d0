"""An HTTP server on 127.0.0.1 that speaks like an AI provider: keep-alive, JSON, server-sent events, request ids.

What to answer is a provider's business (`Provider`); how it goes over the wire is decided here, once for both.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Protocol

__all__ = ["Answer", "Provider", "Refusal", "Request", "Stream", "serve"]

_MAX_BODY = 32 << 20


class Refusal(Exception):
    """A request that is answered with an HTTP error."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Request:
    """A POST whose body was a JSON object."""

    id: str
    path: str
    headers: Mapping[str, str]
    """With names in lower case."""
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer."""

    body: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer in server-sent events. When the client leaves early the generator is closed, so it can bill what it sent."""

    events: Iterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


class Provider(Protocol):
    """What a loopback server asks of a provider."""

    def request_id(self) -> str:
        """An id for the request that has arrived."""
        ...

    def headers(self, request_id: str) -> Mapping[str, str]:
        """Headers of every answer."""
        ...

    def answer(self, request: Request) -> Answer | Stream:
        """Answer ``request``, or raise `Refusal`."""
        ...

    def refuse(self, refusal: Refusal, request_id: str) -> Answer:
        """Word ``refusal`` as this provider does."""
        ...


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "costspan-demo"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet: no 40 ms pause for a delayed acknowledgement

    def do_POST(self) -> None:
        provider = self.server.provider
        request_id = provider.request_id()
        try:
            request = Request(request_id, self.path.partition("?")[0], self._lowered(), self._read_object())
            answer = provider.answer(request)
        except Refusal as refusal:
            answer = provider.refuse(refusal, request_id)
        if isinstance(answer, Stream):
            self._send_stream(answer, request_id)
        else:
            self._send(answer, request_id)

    def do_GET(self) -> None:
        self._refuse(405, "Only POST is answered here.")

    do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # the names that the base class looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Stay quiet: the demo's terminal is for its report."""

    def _refuse(self, status: int, message: str) -> None:
        provider = self.server.provider
        request_id = provider.request_id()
        self.close_connection = True  # a body may follow that nobody reads
        self._send(provider.refuse(Refusal(status, "invalid_request_error", message), request_id), request_id)

    def _lowered(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _read_object(self) -> Mapping[str, Any]:
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            raise Refusal(413, "request_too_large", f"Send a content-length of at most {_MAX_BODY} bytes.")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise Refusal(400, "invalid_request_error", "We could not parse the JSON body of your request.") from error
        if not isinstance(body, dict):
            raise Refusal(400, "invalid_request_error", "The body of your request must be a JSON object.")
        return body

    def _start(self, status: int, headers: Mapping[str, str], request_id: str) -> None:
        self.send_response(status)
        for name, value in {**self.server.provider.headers(request_id), **headers}.items():
            self.send_header(name, value)

    def _send(self, answer: Answer, request_id: str) -> None:
        body = json.dumps(answer.body).encode()
        self._start(answer.status, answer.headers, request_id)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _send_stream(self, stream: Stream, request_id: str) -> None:
        self._start(200, stream.headers, request_id)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with closing(stream.events):  # type: ignore[type-var]  # providers' streams are generators
            for event in stream.events:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client's idle keep-alive connection must not hold up the end

    def __init__(self, provider: Provider) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left early is no error of ours; anything else is shown as the base class does."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed wants a socket


@contextmanager
def serve(provider: Provider) -> Iterator[str]:
    """Answer for ``provider`` on a free port of 127.0.0.1; yields the address, such as ``http://127.0.0.1:49152``."""
    with _Server(provider) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
