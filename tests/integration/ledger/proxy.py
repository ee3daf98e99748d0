"""A loopback proxy before Postgres that breaks as networks do: cut, refused, or lost just after a COMMIT was sent."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_BYTES = 1 << 16


class Proxy:
    """Forwards connections of 127.0.0.1 to the server of ``target``; ``url`` is the way through it."""

    def __init__(self, target: str) -> None:
        given = conninfo_to_dict(target)
        self._host, self._port = str(given["host"]), int(given.get("port", 5432))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = make_conninfo(target, host="127.0.0.1", port=self._listener.getsockname()[1], sslmode="disable")
        self.loses_next_commit = False
        """Let the next COMMIT reach the server, and its answer nobody."""
        self.commits = 0
        self._may_pass = threading.Event()
        self._may_pass.set()
        self._is_open = True
        self._is_cut = False
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        self.go_on()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Break every connection, and let no new one through."""
        self._is_cut = True
        self._drop()

    def hang(self) -> None:
        """Take connections and whatever is sent, and hand nothing on."""
        self._may_pass.clear()

    def go_on(self) -> None:
        """Hand on what was sent meanwhile, and what comes."""
        self._may_pass.set()

    def mend(self) -> None:
        """Let new connections through."""
        self._is_cut = False

    def _drop(self) -> None:
        for end in tuple(self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while self._is_open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                client.close()
                continue
            server = self._connect()
            self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._forward, args=(source, sink, source is client))
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(Path(self._host) / f".s.PGSQL.{self._port}"))
            return server
        return socket.create_connection((self._host, self._port))

    def _forward(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_BYTES):
                self._may_pass.wait()
                is_commit = is_request and data.endswith(b"COMMIT\0")
                self.commits += is_commit
                if is_commit and self.loses_next_commit:
                    self.loses_next_commit = False
                    source.shutdown(socket.SHUT_RDWR)  # the client never hears; the server does its work
                    sink.sendall(data)
                    break
                sink.sendall(data)
        for end in (sink, source):
            with suppress(OSError):
                end.shutdown(socket.SHUT_WR if end is sink else socket.SHUT_RD)
            if not is_request:
                self._sockets.discard(end)
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread that reads from it
                end.close()
