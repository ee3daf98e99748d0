"""`costspan serve`: the long-running part of costspan on a host."""

from __future__ import annotations

import socket
from typing import Annotated, NoReturn

import typer

from costspan.errors import ConfigurationError
from costspan.settings import Settings

__all__ = ["serve"]

FAILED, REFUSED = 1, 2
_HOST = "127.0.0.1"
_PORT = "9465"
_LAST_PORT = 65535


def serve(
    *,
    port: Annotated[
        str, typer.Option(metavar="NUMBER", help="Where to listen on loopback; 0 takes any free port.")
    ] = _PORT,
) -> None:
    """Drain the journals of this host, keep the ledger small, and tell Prometheus what was spent.

    \b
    Applications that leave the draining to it say so: COSTSPAN_DRAIN=off.
    Ctrl-C or SIGTERM ends it once what was journalled is in the ledger.

    \b
    Try:
    costspan serve
    curl http://127.0.0.1:9465/metrics
    curl http://127.0.0.1:9465/readyz     whether the ledger answers

    \b
    Exit codes:
    0  ended by a signal
    1  cannot listen there
    2  a port or a setting that makes no sense, or the extra `server` is not installed
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    try:
        from costspan.exporter import Service  # noqa: PLC0415  # its libraries come with the extra
    except ImportError as error:
        _refuse(f"it needs what `pip install 'costspan[server]'` brings ({error.name} is missing)", REFUSED)
    try:
        settings = Settings.from_environment()
    except ConfigurationError as error:
        _refuse(str(error), REFUSED)
    number = int(port) if port.isascii() and port.isdigit() else -1
    if not 0 <= number <= _LAST_PORT:
        _refuse(f"--port is {port[:40]!r}: allowed are whole numbers from 0 to {_LAST_PORT}", REFUSED)
    try:
        listening = socket.create_server((_HOST, number))
    except OSError as error:
        _refuse(f"cannot listen on {_HOST}:{port}: {error.strerror}. Is it running already?", FAILED)
    with listening:
        typer.echo(f"costspan serves on http://{_HOST}:{listening.getsockname()[1]} (/metrics, /healthz, /readyz)")
        Service(settings, listening).run()


def _refuse(message: str, code: int) -> NoReturn:
    typer.echo(f"costspan serve: {message}", err=True)
    raise typer.Exit(code)
