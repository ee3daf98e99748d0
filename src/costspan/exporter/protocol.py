"""HTTP as uvicorn speaks it, with an end to waiting: a connection on which no request arrives is closed.

uvicorn itself closes only one that has had an answer. Without this, 500 connections that send a byte now and then would
keep everybody else out for ever.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from costspan.exporter.pool import Pool

__all__ = ["PunctualProtocol", "PunctualServer", "configured"]

#: Seconds from a connection, or from a request's first byte, to the end of its headers.
_HEADERS_WITHIN_S = 10.0
#: Connections of clients; more are told to come back.
_CONNECTIONS = 500
#: Seconds that a question under way may take when the server stops.
_GRACE_S = 5
#: Seconds after which a question that was ended then has had its answer, which says so.
_REFUSAL_S = 2


def configured(app: FastAPI) -> uvicorn.Config:
    """Return how ``app`` is served."""
    return uvicorn.Config(
        app,
        http=PunctualProtocol,  # on h11, which limits headers to 16 KiB; httptools, where installed, would not
        ws="none",
        proxy_headers=False,  # else whoever connects from loopback could say where they come from
        limit_concurrency=_CONNECTIONS,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S + _REFUSAL_S,
    )


class PunctualServer(uvicorn.Server):
    """Stops within some seconds also where Postgres hangs: who asks is told so, and no thread is left that waits for it.

    Args:
        config: see `configured`.
        pools: what questions are asked of.
    """

    def __init__(self, config: uvicorn.Config, *pools: Pool) -> None:
        super().__init__(config)
        self._pools = pools

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is asked, after the grace by force."""
        ending = asyncio.get_running_loop().call_later(_GRACE_S, self._hang_up)
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    def _hang_up(self) -> None:
        for pool in self._pools:
            pool.hang_up()


class PunctualProtocol(H11Protocol):
    """Waits for a request's headers, but not for ever. Bodies have their own end (`Bodies`)."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own is
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came: the headers, more of them, or something of a request that is being worked on."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._waiting is None:
            self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next request, which uvicorn does for some seconds itself."""
        self._stop_waiting()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if not self.transport.is_closing():
            self._waiting = self.loop.call_later(_HEADERS_WITHIN_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
