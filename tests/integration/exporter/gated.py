"""A small application behind the gate, on a port, and a client that sends whatever bytes it likes."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import msgspec
import uvicorn
from fastapi import Depends, FastAPI, Request

from costspan.exporter import problem
from costspan.exporter.access import Access, Caller, admin, known, scraper
from costspan.exporter.body import Bodies
from costspan.exporter.gate import INTAKE, Gate
from costspan.exporter.protocol import configured

__all__ = ["Gated", "Reply", "request", "serving"]

_READY_S = 30


@dataclass(frozen=True)
class Reply:
    """What came back, byte by byte."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body, parsed."""
        return msgspec.json.decode(self.body)


def request(method: str, path: str, *headers: str, body: bytes = b"", host: str = "localhost") -> bytes:
    """Return a request as it goes over the wire; a body gets its length."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body and not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass(frozen=True)
class Gated:
    """A running application."""

    port: int

    def send(self, *parts: bytes) -> Reply | None:
        """Send ``parts`` one after the other and return the answer; None where the connection is closed without one."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return reply(connection)

    def ask(self, method: str, path: str, *headers: str, body: bytes = b"", host: str = "localhost") -> Reply:
        """Send a request, which is answered."""
        answer = self.send(request(method, path, *headers, body=body, host=host))
        assert answer is not None
        return answer

    def connect(self) -> socket.socket:
        """Connect, and say nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_READY_S)


def reply(connection: socket.socket) -> Reply | None:
    """Read until the other end closes."""
    received = b""
    try:
        while part := connection.recv(1 << 16):
            received += part
    except ConnectionResetError:
        pass
    while received.startswith(b"HTTP/1.1 100"):
        received = received.partition(b"\r\n\r\n")[2]
    if not received:
        return None
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Reply(int(first.split()[1]), headers, body)


def _application(access: Access, per_second: int, bodies: Bodies | None) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    app.state.access = access
    problem.install(app)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics", dependencies=[Depends(scraper)])
    def metrics() -> dict[str, str]:
        return {"spent": "much"}

    @app.get("/api/who")
    def who(caller: Annotated[Caller, Depends(known)]) -> dict[str, str | None]:
        return {"name": caller.name, "tenant": caller.tenant}

    at_work: list[int] = []

    @app.get("/api/slow")
    def slow(_: Annotated[Caller, Depends(known)]) -> dict[str, int]:
        at_work.append(1)
        time.sleep(0.05)
        found = len(at_work)
        at_work.pop()
        return {"at_once": found}

    @app.put("/api/all")
    def everything(caller: Annotated[Caller, Depends(admin)]) -> dict[str, str]:
        return {"name": caller.name}

    @app.get("/hidden/by/its/route")
    def hidden(caller: Annotated[Caller, Depends(known)]) -> dict[str, str]:
        return {"name": caller.name}

    async def echo(request: Request) -> dict[str, object]:
        body = await request.body()
        encoding = request.headers.get("content-encoding")
        return {"bytes": len(body), "sha": hashlib.sha256(body).hexdigest(), "encoding": encoding}

    app.post("/api/echo", dependencies=[Depends(known)])(echo)
    app.post(INTAKE, dependencies=[Depends(known)])(echo)
    app.add_middleware(Gate, access=access, per_second=per_second, bodies=bodies)
    return app


@contextmanager
def serving(access: Access, *, per_second: int = 10_000, bodies: Bodies | None = None) -> Iterator[Gated]:
    """Serve until the end of the block, as `costspan serve` does."""
    config = configured(_application(access, per_second, bodies))
    config.port, config.timeout_keep_alive = 0, 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + _READY_S
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield Gated(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(_READY_S)
