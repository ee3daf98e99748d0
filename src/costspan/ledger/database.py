"""One connection to Postgres: made when first needed, remade when lost, and never shared over a fork.

Everything that the driver raises becomes an error of ours here, and only here.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction
from psycopg.pq import TransactionStatus

from costspan.errors import LedgerError, LedgerUnavailable
from costspan.settings import UNREADABLE_URL

__all__ = ["Cursor", "Database", "RefusedRows"]

Cursor = psycopg.Cursor[tuple[Any, ...]]

#: A peer that is gone must be noticed in well under a minute, on a connection that waits for it as on an idle one.
_DEFAULTS: dict[str, Any] = {
    "application_name": "costspan",
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class RefusedRows(LedgerError):
    """Postgres will not have a value: too large, of the wrong kind, or against a constraint."""


class Database:
    """Transactions on one connection. Threads take turns.

    Args:
        conninfo: gives the connection string at each connect; an embedded server is started by asking.
    """

    def __init__(self, conninfo: Callable[[], str]) -> None:
        self._conninfo = conninfo
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._inherited: list[object] = []
        self._pid = os.getpid()
        self._turn = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A transaction: committed at the end, rolled back by an exception.

        Raises:
            LedgerUnavailable: Postgres cannot be reached, is read-only or did not answer in time. When this comes from the
                commit, nobody can know whether it took place.
            RefusedRows: a value cannot be stored.
            LedgerError: anything else that Postgres says no to.
        """
        self._after_fork()
        with self._turn, _translated():
            connection = self._connected()
            try:
                with connection.transaction(), connection.cursor() as cursor:
                    yield cursor
            except psycopg.OperationalError:
                self.close()
                raise

    @contextmanager
    def another(self) -> Iterator[Database]:
        """A second connection to the same database, closed at the end: for who writes while still reading."""
        other = Database(self._conninfo)
        try:
            yield other
        finally:
            other.close()

    def close(self) -> None:
        """Close the connection, if there is one. The next transaction makes a new one."""
        self._after_fork()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def hang_up(self) -> None:
        """Break the connection, from any thread: who waits for an answer on it gets `LedgerUnavailable`."""
        connection = self._connection
        if connection is None or self._pid != os.getpid():
            return
        # Of a copy: the connection itself belongs to the thread that waits on it.
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed or _is_lost(self._connection):
            self.close()
            self._connection = _connect(self._conninfo())
        return self._connection

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            # The socket is the parent's: even closing it here would tell Postgres to end the parent's session.
            self._inherited.append(self._connection)
            self._connection, self._pid, self._turn = None, os.getpid(), threading.RLock()


def _connect(conninfo: str) -> psycopg.Connection[tuple[Any, ...]]:
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        # Not chained: the driver's message repeats the whole string, password included.
        raise LedgerUnavailable(UNREADABLE_URL) from None
    # Not prepared: a pooler in transaction mode would hand the next transaction to a server that knows no such statement.
    return psycopg.connect(autocommit=True, prepare_threshold=None, **{**_DEFAULTS, **given})


def _is_lost(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    """Whether the peer of an idle connection has closed it, as a server does that is started anew. Waits for nothing."""
    line = connection.pgconn
    if line.transaction_status != TransactionStatus.IDLE:
        return False
    try:
        line.consume_input()  # what the server said last, if anything
        line.consume_input()  # that it says no more
    except psycopg.OperationalError:
        return True
    return False


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, ReadOnlySqlTransaction) as error:
        raise LedgerUnavailable(_said(error)) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise RefusedRows(_said(error)) from error
    except InsufficientPrivilege as error:
        raise LedgerError(
            f"{_said(error)}: the login needs `GRANT costspan_writer, costspan_keeper, costspan_admin, costspan_tenant TO` it"
        ) from error
    except psycopg.Error as error:
        raise LedgerError(_said(error)) from error


def _said(error: psycopg.Error) -> str:
    """The first line of what Postgres said. The rest may quote values of a row."""
    return (error.diag.message_primary or str(error)).strip().partition("\n")[0] or type(error).__name__
