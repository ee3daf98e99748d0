"""`costspan serve`: the long-running part of costspan on a host."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from typing import Annotated

import typer

from costspan.cli.opened import FAILED, REFUSED, opened, refuse, sensible
from costspan.ledger.token import new_token
from costspan.settings import Settings

__all__ = ["serve"]

_COMMAND = "serve"
_HOST = "127.0.0.1"
_PORT = "9465"
_LAST_PORT = 65535
_SHOWN = 80


def serve(
    *,
    port: Annotated[str, typer.Option(metavar="NUMBER", help="Where to listen; 0 takes any free port.")] = _PORT,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen here; other than loopback only where there is a token.")
    ] = _HOST,
    is_open: Annotated[
        bool, typer.Option("--open-on-loopback", help="Whoever asks from this machine needs no token.")
    ] = False,
    shows_token: Annotated[
        bool,
        typer.Option("--print-token", help="Print the page's link with its token also where stdout is no terminal."),
    ] = False,
) -> None:
    """Drain the journals of this host, keep the ledger small, answer over HTTP, and tell Prometheus what was spent.

    Applications that leave the draining to it say so: COSTSPAN_DRAIN=off.
    Ctrl-C or SIGTERM ends it once what was journalled is in the ledger.

    The link that it prints on a terminal has an administrator's token that counts until it ends. Tokens that last are made by
    `costspan token create`. /metrics needs none from this machine.

    \b
    Try:
    costspan serve
    curl http://127.0.0.1:9465/metrics
    curl http://127.0.0.1:9465/readyz     whether the ledger answers
    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:9465/api/metrics
    costspan serve --host 0.0.0.0         for other machines, behind something that speaks TLS

    \b
    Exit codes:
    0  ended by a signal
    1  cannot listen there, or the ledger cannot say whether there is a token
    2  an option or a setting that makes no sense, or the extra `server` is not installed
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    try:
        from costspan.exporter import Service  # noqa: PLC0415  # its libraries come with the extra
        from costspan.exporter.access import is_loopback  # noqa: PLC0415
    except ImportError as error:
        refuse(_COMMAND, f"it needs what `pip install 'costspan[server]'` brings ({error.name} is missing)", REFUSED)
    with sensible(_COMMAND):
        settings = Settings.from_environment()
    settings = replace(settings, open_on_loopback=settings.open_on_loopback or is_open)
    with _listening(host, port) as listening:
        address, number = listening.getsockname()[:2]
        if not is_loopback(address):
            _check_reachable(host, settings)
        url = _url(address, number)
        typer.echo(f"costspan serves on {url} (/metrics, /healthz, /readyz)")
        token = new_token() if shows_token or (sys.stdout.isatty() and not settings.open_on_loopback) else None
        if token is not None:
            typer.echo(f"Its page, for whoever has this link, until it ends: {url}/#token={token}")
        Service(settings, listening, token=token).run()


def _listening(host: str, port: str) -> socket.socket:
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= len(str(_LAST_PORT)) else -1
    if not 0 <= number <= _LAST_PORT:
        refuse(_COMMAND, f"--port is {port[:_SHOWN]!r}: allowed are whole numbers from 0 to {_LAST_PORT}", REFUSED)
    try:
        # A blank is no name, where no name at all would be every address.
        family, *_, address = socket.getaddrinfo(host or " ", number, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        refuse(_COMMAND, f"--host is {host[:_SHOWN]!r}: allowed is an address or a name of this machine", REFUSED)
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        refuse(_COMMAND, f"cannot listen on {host}:{port}: {error.strerror}. Is it running already?", FAILED)


def _check_reachable(host: str, settings: Settings) -> None:
    """Refuse to let other machines ask where that would let in everybody, or nobody."""
    if settings.open_on_loopback:
        told = f"--open-on-loopback (or its setting) besides --host {host[:_SHOWN]}: allowed is one of them"
        refuse(_COMMAND, told, REFUSED)
    with opened(_COMMAND, settings) as ledger:
        if not ledger.tokens.live():
            told = f"--host is {host[:_SHOWN]} and there is no token: make one first, with `costspan token create NAME --admin`"
            refuse(_COMMAND, told, REFUSED)


def _url(address: str, port: int) -> str:
    """Where a browser on this machine finds it."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104  # not bound here: translated
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
