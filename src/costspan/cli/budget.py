"""`costspan budget`: what a tenant may spend in a day or a month, how much of it is spent, and who changed it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from costspan.cli import allowance, table
from costspan.cli.amount import dollars
from costspan.cli.opened import opened, sensible
from costspan.cli.screen import Json, console, print_json
from costspan.errors import InvalidQuestion
from costspan.ledger import Ledger
from costspan.ledger.allowance import SETTINGS, allowances, everybodys
from costspan.ledger.budget import BudgetChange, Window
from costspan.pricing.money import json_number
from costspan.settings import Settings
from costspan.text import clean

__all__ = ["budget_app"]

_SHOWN = 80
_WRITTEN = re.compile(r"\$?\s*(?P<usd>\d{1,13}(?:\.\d{1,12})?)\s*/\s*(?P<window>day|month)", re.ASCII | re.IGNORECASE)
_ALLOWED = "allowed are dollars a day or a month, 0 or more, such as 25/day or 499.50/month"
_NEGATIVE = re.compile(r"-[\d.]", re.ASCII)
_EVERYBODY = "everybody who has none"

_Default = Annotated[bool, typer.Option("--default", help="For everybody who has no budget of their own.")]


class _Literal(TyperCommand):
    """Takes a negative amount for a word, so that it reaches the check that says what is wrong with it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse ``args``, which a blank keeps from being taken for options."""
        return super().parse_args(ctx, [f" {arg}" if _NEGATIVE.match(arg) else arg for arg in args])


budget_app = typer.Typer(no_args_is_help=True, help="What a tenant may spend in a day or a month.")


@budget_app.command("set", cls=_Literal)
def set_budget(
    words: Annotated[
        list[str], typer.Argument(metavar="TENANT USD/WINDOW", help="For whom, and how much: acme 25/day.")
    ],
    *,
    for_all: _Default = False,
) -> None:
    """Set what a tenant may spend in a day or a month.

    Nothing is stopped when a budget is passed: it is logged, once an hour, and shown to Prometheus. Days and months are those of
    COSTSPAN_TIMEZONE. Who has no budget of their own has that of --default, and without one COSTSPAN_DAILY_BUDGET_USD a day.

    \b
    Try:
    costspan budget set acme 25/day
    costspan budget set acme 499.50/month      besides the one a day
    costspan budget set --default 15/day       everybody who has none

    \b
    Exit codes:
    0  set
    1  the ledger cannot be written
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("budget set"):
        *names, written = words
        tenant = _tenant(names, for_all=for_all)
        amount, window = _read(written)
        settings = Settings.from_environment()
    with opened("budget set", settings) as ledger:
        is_changed = ledger.set_budget(tenant, window.value, amount)
        typer.echo(f"{tenant or 'Everybody'}: {dollars(amount)} a {window}{'' if is_changed else ', as before'}.")
        if tenant is not None:
            _say_used(ledger, settings, tenant, window)


@budget_app.command("unset")
def unset_budget(
    words: Annotated[list[str], typer.Argument(metavar="TENANT WINDOW", help="Of whom, and which: acme day.")],
    *,
    for_all: _Default = False,
) -> None:
    """Take a budget away: what everybody has counts again.

    \b
    Try:
    costspan budget unset acme day
    costspan budget unset --default month

    \b
    Exit codes:
    0  there is none any more, also where there was none
    1  the ledger cannot be written
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("budget unset"):
        *names, written = words
        tenant = _tenant(names, for_all=for_all)
        window = _window(written)
        settings = Settings.from_environment()
    with opened("budget unset", settings) as ledger:
        was_there = ledger.unset_budget(tenant, window.value)
        whom = f"{tenant} has" if tenant else "Everybody has"
        typer.echo(
            f"{whom} no budget of {'their' if tenant is None else 'its'} own a {window}{'' if was_there else ', as before'}."
        )
        counting = everybodys(ledger, settings.daily_budget_usd).get(window)
        typer.echo("None counts now." if counting is None else f"What counts now: {_told(*counting, window)}.")


@budget_app.command("list")
def list_budgets(
    *,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="One tenant only; all when not given.")] = None,
    as_json: Json = False,
) -> None:
    """List what tenants may spend, and how much of it is spent so far; the fullest first.

    Named is who has a budget of their own, or had a call this month.

    \b
    Try:
    costspan budget list
    costspan budget list --tenant acme
    costspan budget list --json | jq '.budgets[] | select(.share > 0.8)'

    \b
    Exit codes:
    0  listed
    1  the ledger cannot be read
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("budget list"):
        whom = None if tenant is None else _named(tenant)
        settings = Settings.from_environment()
    now, zone, daily = datetime.now(UTC), settings.timezone, settings.daily_budget_usd
    with opened("budget list", settings) as ledger:
        found = allowances(ledger, daily=daily, zone=zone, now=now, tenant=whom)
        others = everybodys(ledger, daily)
    today = now.astimezone(zone).date()
    if as_json:
        document = {
            "date": today.isoformat(),
            "timezone": zone.key,
            "everybody": [
                {"window": window.value, "budget_usd": json_number(amount), "source": source}
                for window, (amount, source) in others.items()
            ],
            "budgets": [allowance.as_document(item) for item in found],
        }
        print_json(document)
        return
    to = console()
    table.say(to, f"Budgets on {today} ({zone.key})", "bold")
    if found:
        allowance.print_allowances(found, to)
    for window, (amount, source) in others.items():
        table.say(to, f"Everybody else: {_told(amount, source, window)}.")
    if any(item.not_priced for item in found):
        table.say(to, "Of calls that are not priced, not all of the cost is known: the true figures may be higher.")


@budget_app.command("history")
def print_history(
    tenant: Annotated[
        str | None, typer.Argument(metavar="[TENANT]", help="One tenant only; all when not given.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Print who changed which budget, and when; the newest first.

    \b
    Try:
    costspan budget history
    costspan budget history acme --json

    \b
    Exit codes:
    0  printed
    1  the ledger cannot be read
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("budget history"):
        whom = None if tenant is None else _named(tenant)
        settings = Settings.from_environment()
    with opened("budget history", settings) as ledger:
        changes = ledger.budget_history(whom)
    if as_json:
        print_json([_document(change) for change in changes])
        return
    to = console()
    if not changes:
        table.say(to, f"No budget {'' if whom is None else f'of {whom} '}was ever changed.")
        return
    shown = Table(box=SIMPLE, pad_edge=False)
    for head in ("changed", "tenant", "budget", "by login"):
        shown.add_column(head, overflow="fold")
    for change in changes:
        at = change.changed_at.astimezone(settings.timezone)
        amount = "none" if change.amount is None else dollars(change.amount)
        cells = (f"{at:%Y-%m-%d %H:%M:%S}", change.tenant or _EVERYBODY, f"{amount} a {change.window}", change.login)
        shown.add_row(*map(Text, cells))
    to.print(shown)


def _read(written: str) -> tuple[Decimal, Window]:
    written = written.strip()
    found = _WRITTEN.fullmatch(written)
    if found is None:
        raise InvalidQuestion(f"budget is {written[:_SHOWN]!r}: {_ALLOWED}")
    return Decimal(found["usd"]), Window(found["window"].lower())


def _window(written: str) -> Window:
    try:
        return Window(written.strip().lower())
    except ValueError as error:
        raise InvalidQuestion(f"window is {written[:_SHOWN]!r}: allowed are {', '.join(Window)}") from error


def _tenant(names: list[str], *, for_all: bool) -> str | None:
    if for_all and not names:
        return None
    if for_all or len(names) != 1:
        given = " ".join(map(repr, names))[:_SHOWN] or "none"
        raise InvalidQuestion(
            f"tenant is {given}{' besides --default' if for_all else ''}: allowed is one, or --default"
        )
    return _named(names[0])


def _named(tenant: str) -> str:
    if not tenant.strip():
        raise InvalidQuestion(f"tenant is {tenant!r}: allowed is the id of a tenant")
    return clean(tenant)


def _say_used(ledger: Ledger, settings: Settings, tenant: str, window: Window) -> None:
    found = allowances(
        ledger, daily=settings.daily_budget_usd, zone=settings.timezone, now=datetime.now(UTC), tenant=tenant
    )
    for item in found:
        if item.window is window:
            used = allowance.used(item)
            typer.echo(f"Spent of it so far: {dollars(item.spent)}{f' ({used})' if used else ''}.")


def _told(amount: Decimal, source: str, window: Window) -> str:
    whose = "COSTSPAN_DAILY_BUDGET_USD" if source == SETTINGS else "set for everybody"
    return f"{dollars(amount)} a {window} ({whose})"


def _document(change: BudgetChange) -> dict[str, object]:
    return {
        "changed_at": change.changed_at.astimezone(UTC).isoformat(),
        "tenant": change.tenant,
        "window": change.window.value,
        "budget_usd": json_number(change.amount),
        "login": change.login,
    }
