"""`costspan token`: who may ask over HTTP, and for which tenant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from costspan.cli import screen, table
from costspan.cli.opened import FAILED, opened, refuse, sensible
from costspan.cli.screen import Json
from costspan.errors import InvalidQuestion
from costspan.ledger.token import LONGEST, Token
from costspan.settings import Settings
from costspan.text import clean

__all__ = ["token_app"]

_SHOWN = 80
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_WRITTEN = re.compile(r"(?P<number>\d{1,6})(?P<unit>[hdw])", re.ASCII)
_EVERYBODY = "everybody (admin)"

token_app = typer.Typer(no_args_is_help=True, help="Who may ask over HTTP, and for which tenant.")


@token_app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as grafana; it is revoked by it.")],
    *,
    tenant: Annotated[
        str | None, typer.Option(metavar="ID", help="Sees this tenant's calls, and nothing else.")
    ] = None,
    is_admin: Annotated[bool, typer.Option("--admin", help="Sees everybody's calls, and may set budgets.")] = False,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Counts for so many hours, days or weeks: 12h, 90d, 4w.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token, and print it: this once, as only its digest is stored.

    The token is all that is printed to standard output, so a script can keep it.

    \b
    Try:
    costspan token create grafana --admin
    costspan token create acme-dashboard --tenant acme --expires 90d
    export TOKEN=$(costspan token create ci --tenant acme --expires 12h)

    \b
    Exit codes:
    0  made
    1  the ledger cannot be written
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("token create"):
        whom = _whom(tenant, is_admin=is_admin)
        lasts = None if expires is None else _time(expires)
        settings = Settings.from_environment()
    with opened("token create", settings) as ledger:
        made = ledger.tokens.create(name, tenant=whom, expires=lasts)
    if as_json:
        screen.print_json(
            {"name": made.name, "token": made.text, "tenant": made.tenant, "expires_at": _instant(made.expires_at)}
        )
        return
    until = "until it is revoked" if made.expires_at is None else f"until {_shown(made.expires_at, settings)}"
    typer.echo(f"{made.name}: sees {made.tenant or _EVERYBODY}, {until}. It is shown this once:", err=True)
    typer.echo(made.text)


@token_app.command("list")
def print_tokens(
    *,
    shows_all: Annotated[bool, typer.Option("--all", help="Expired and revoked ones, too.")] = False,
    as_json: Json = False,
) -> None:
    """List the tokens that count, the newest first: who made them, for whom, until when.

    \b
    Try:
    costspan token list
    costspan token list --all --json

    \b
    Exit codes:
    0  listed
    1  the ledger cannot be read
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("token list"):
        settings = Settings.from_environment()
    with opened("token list", settings) as ledger:
        found = [token for token in ledger.tokens.all() if shows_all or token.state == "live"]
    if as_json:
        screen.print_json([_document(token) for token in found])
        return
    console = screen.console()
    if not found:
        table.say(console, "There is no token. `costspan token create` makes one.")
        return
    shown = Table(box=SIMPLE, pad_edge=False)
    for head in ("number", "name", "sees", "made", "by login", "state"):
        shown.add_column(head, overflow="fold")
    for token in found:
        cells = (
            str(token.number),
            token.name,
            _EVERYBODY if token.tenant is None else token.tenant,
            _shown(token.created_at, settings),
            token.login,
            _state(token, settings),
        )
        shown.add_row(*map(Text, cells))
    console.print(shown)


@token_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="That of the token, or its number.")],
) -> None:
    """Revoke a token: some seconds later it counts nowhere. It cannot be taken back.

    \b
    Try:
    costspan token revoke acme-dashboard
    costspan token revoke 7

    \b
    Exit codes:
    0  revoked
    1  there is none that could be revoked, or the ledger cannot be written
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("token revoke"):
        settings = Settings.from_environment()
    with opened("token revoke", settings) as ledger:
        number = ledger.tokens.revoke(name)
    if not number:
        refuse("token revoke", f"no token has the name or number {name[:_SHOWN]!r} and is not revoked yet", FAILED)
    typer.echo(f"{name} is revoked.")


def _whom(tenant: str | None, *, is_admin: bool) -> str | None:
    if is_admin == (tenant is not None):
        given = "--admin besides --tenant" if is_admin else "neither --tenant nor --admin"
        raise InvalidQuestion(f"given is {given}: allowed is one of them")
    if tenant is not None and not tenant.strip():
        raise InvalidQuestion(f"tenant is {tenant!r}: allowed is the id of a tenant")
    return None if tenant is None else clean(tenant)


def _time(written: str) -> timedelta:
    found = _WRITTEN.fullmatch(written.strip().lower())
    lasts = timedelta(0) if found is None else timedelta(**{_UNITS[found["unit"]]: int(found["number"])})
    if not timedelta(0) < lasts <= LONGEST:
        allowed = f"allowed are hours, days or weeks, such as 12h, 90d or 4w, and {LONGEST.days} days at the most"
        raise InvalidQuestion(f"--expires is {written[:_SHOWN]!r}: {allowed}")
    return lasts


def _state(token: Token, settings: Settings) -> str:
    if token.revoked_at is not None:
        return f"revoked {_shown(token.revoked_at, settings)} by {token.revoked_by}"
    if token.expires_at is None:
        return "counts"
    return f"{'counts until' if token.state == 'live' else 'expired'} {_shown(token.expires_at, settings)}"


def _shown(at: datetime, settings: Settings) -> str:
    return f"{at.astimezone(settings.timezone):%Y-%m-%d %H:%M}"


def _document(token: Token) -> dict[str, object]:
    return {
        "number": token.number,
        "name": token.name,
        "tenant": token.tenant,
        "state": token.state,
        "created_at": _instant(token.created_at),
        "login": token.login,
        "expires_at": _instant(token.expires_at),
        "revoked_at": _instant(token.revoked_at),
        "revoked_by": token.revoked_by,
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
