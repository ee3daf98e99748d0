"""`costspan tail`: calls as they land in the ledger, one a line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from costspan.attribution import NO_TENANT
from costspan.cli.amount import dollars
from costspan.cli.opened import opened, sensible
from costspan.cli.question import tenant_of
from costspan.errors import InvalidQuestion, LedgerUnavailable
from costspan.ledger import Call, Ledger
from costspan.pricing.money import json_number
from costspan.settings import Settings
from costspan.usage import Status

__all__ = ["tail"]

_MOST = 10_000
_STYLES = {Status.ESTIMATED: "yellow", Status.PARTIAL: "yellow", Status.UNPRICED: "red", Status.INVALID: "red"}
_HEAD = f"{'time':<8} {'cost':>14} {'in':>9} {'out':>7} {'took':>7} model, tenant, feature, session"
_AWAY_S = 5.0


def tail(
    *,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="One tenant only; all when not given.")] = None,
    last: Annotated[int, typer.Option("--last", metavar="N", help="How many of the newest calls to begin with.")] = 10,
    every: Annotated[float, typer.Option(metavar="SECONDS", help="How often to look.")] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a line; amounts are exact numbers.")
    ] = False,
) -> None:
    """Follow calls as they land in the ledger, each once, until Ctrl-C.

    A call lands about half a second after its answer came, where a process drains. Corrections, and calls that come out of the
    journals of processes that were gone for half an hour, are not told: they are in every report.

    \b
    Try:
    costspan tail
    costspan tail --tenant acme --last 50
    costspan tail --json | jq 'select(.cost_usd > 0.10)'

    \b
    Exit codes:
    0  ended by Ctrl-C
    1  the ledger cannot be read
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("tail"):
        if not 0 <= last <= _MOST:
            raise InvalidQuestion(f"--last is {last}: allowed are whole numbers from 0 to {_MOST:,}")
        if not 0.1 <= every <= 3600:  # noqa: PLR2004  # a tenth of a second, and an hour
            raise InvalidQuestion(f"--every is {every:g}: allowed are seconds from 0.1 to 3600")
        whom = tenant_of(tenant)
        settings = Settings.from_environment()
    console = Console(highlight=False)
    try:
        with opened("tail", settings) as ledger:
            if not as_json:
                console.print(Text(_HEAD, style="dim"), soft_wrap=True)
            for calls in _followed(ledger, whom, last=last, every=every):
                _show(calls, console, settings.timezone, as_json=as_json)
    except KeyboardInterrupt:
        return


def _followed(ledger: Ledger, tenant: str | None, *, last: int, every: float) -> Iterator[Iterable[Call]]:
    follower = ledger.follow(tenant=tenant)
    shown: set[int] = set()
    if last:
        newest = ledger.newest_calls(tenant=tenant, limit=last)
        shown = {call.id for call in newest}
        yield reversed(newest)
    is_away = False
    while True:
        time.sleep(_AWAY_S if is_away else every)
        try:
            found = follower.written()
        except LedgerUnavailable as error:  # it was there, and comes back: who follows waits
            if not is_away:
                typer.echo(f"costspan tail: the ledger is away ({error}); waiting for it", err=True)
            is_away = True
            continue
        is_away = False
        yield [call for call in found if call.id not in shown]


def _show(calls: Iterable[Call], console: Console, zone: ZoneInfo, *, as_json: bool) -> None:
    for call in calls:
        if as_json:
            sys.stdout.write(msgspec.json.encode(_document(call)).decode() + "\n")
        else:
            console.print(Text(_line(call, zone), style=_STYLES.get(Status(call.status), "")), soft_wrap=True)
    sys.stdout.flush()


def _line(call: Call, zone: ZoneInfo) -> str:
    at: datetime = call.timestamp.astimezone(zone)
    cost = "unknown" if call.cost_usd is None else dollars(call.cost_usd)
    tenant = "" if call.tenant_id == NO_TENANT else call.tenant_id
    named = ", ".join(filter(None, (call.model, tenant, call.feature, call.session_id)))
    doubt = "" if call.status == Status.PRICED else f" [{call.status}]"
    took = f"{call.duration_ms / 1000:.1f} s"
    return f"{at:%H:%M:%S} {cost:>14} {call.tokens_in:>9,} {call.tokens_out:>7,} {took:>7} {named}{doubt}"


def _document(call: Call) -> dict[str, object]:
    return {
        "id": call.id,
        "timestamp": call.timestamp.isoformat(),
        "service": call.service,
        "provider": call.provider,
        "model": call.model,
        "operation": call.operation,
        "status": call.status,
        "cost_usd": json_number(call.cost_usd),
        "tokens_in": call.tokens_in,
        "tokens_out": call.tokens_out,
        "cache_read_tokens": call.cache_read_tokens,
        "cache_write_tokens": call.cache_write_tokens,
        "reasoning_tokens": call.reasoning_tokens,
        "duration_ms": call.duration_ms,
        "tenant": call.tenant_id,
        "session": call.session_id,
        "user": call.user_id,
        "feature": call.feature,
        "trace_id": call.trace_id,
        "span_id": call.span_id,
        "price_version": call.price_version,
        "created_at": call.created_at.isoformat(),
    }
