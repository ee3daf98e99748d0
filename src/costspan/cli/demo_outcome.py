"""What the demo has to say: before it plays, and after, for people and for programs."""

from __future__ import annotations

import calendar
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from costspan.cli.amount import align, dollars
from costspan.cli.report import show_report
from costspan.cli.table import say
from costspan.cli.target import Target
from costspan.pricing.money import json_number
from costspan.settings import Settings

if TYPE_CHECKING:
    from costspan.demo.comparison import Comparison
    from costspan.demo.play import Plan

__all__ = ["TARGET", "Outcome", "as_json", "closing", "opening"]

#: What a month of a hundred sessions of the conversation memory may cost.
TARGET = Target(Decimal("0.33"), 100, "month")
#: Differences that are shown one by one.
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A month that was played."""

    plan: Plan
    settings: Settings
    comparison: Comparison
    refused: Mapping[int, int]
    """Requests that the providers refused, by HTTP status."""
    hits: int
    misses: int
    spared_usd: float
    """Of the application's embedding cache; a counter's value, and so a float."""
    metrics_url: str
    openai_url: str
    anthropic_url: str

    @property
    def last_day(self) -> date:
        """Of the month."""
        first = self.plan.first_day
        return first.replace(day=calendar.monthrange(first.year, first.month)[1])


def opening(console: Console, plan: Plan, settings: Settings) -> None:
    """Say what is going to happen, and what is not."""
    say(
        console,
        f"A conversation memory, {plan.first_day:%B %Y}: {_count(plan.sessions, 'session')}, made up from seed {plan.seed}.",
        "bold",
    )
    say(console, "Anthropic and OpenAI are played on this machine: no key is needed, and nothing is sent anywhere.")
    if settings.database_url:
        say(console, "The ledger is the database you named; it must be empty.")
        return
    say(console, f"The demo has a ledger of its own, begun anew by each run: {settings.state_dir}")
    if os.environ.get("COSTSPAN_DATABASE_URL"):
        say(console, "COSTSPAN_DATABASE_URL is set: the demo leaves that ledger alone.")


def closing(console: Console, outcome: Outcome, *, once: bool) -> None:
    """Print the report, hold it against the providers' bill, and say what to try next."""
    say(console, "")
    show_report(outcome.settings, period="month", day=outcome.last_day, target=TARGET, console=console)
    say(console, "")
    _print_comparison(console, outcome.comparison)
    _print_events(console, outcome)
    say(console, "")
    _print_next(console, outcome, once=once)


def as_json(outcome: Outcome) -> bytes:
    """Return the outcome as indented JSON with a last newline; amounts are exact numbers."""
    comparison = outcome.comparison
    document = {
        "month": f"{outcome.plan.first_day:%Y-%m}",
        "sessions": outcome.plan.sessions,
        "seed": outcome.plan.seed,
        "billed_usd": json_number(comparison.billed.usd),
        "billed_calls": comparison.billed.calls,
        "ledger_usd": json_number(comparison.booked.usd),
        "ledger_calls": comparison.booked.calls,
        "difference_usd": json_number(comparison.difference_usd),
        "is_exact": comparison.is_exact,
        "refused": {str(status): count for status, count in outcome.refused.items()},
        "cache": {"hits": outcome.hits, "misses": outcome.misses},
        "state_dir": str(outcome.settings.state_dir),
        "metrics_url": outcome.metrics_url,
    }
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


def _print_comparison(console: Console, comparison: Comparison) -> None:
    amounts = align(
        [dollars(comparison.billed.usd), dollars(comparison.booked.usd), dollars(comparison.difference_usd)]
    )
    say(console, f"Billed by the providers  {amounts[0]}  for {_count(comparison.billed.calls, 'answer')}")
    say(console, f"Booked in the ledger     {amounts[1]}  in {_count(comparison.booked.calls, 'row')}")
    if comparison.is_exact:
        say(
            console,
            f"Difference               {amounts[2]}  the same on every day, for every model, tokens included",
            "green",
        )
        return
    say(console, f"Difference               {amounts[2]}  the two do not agree", "bold red")
    differences = comparison.differences
    for key, billed, booked in differences[:_SHOWN]:
        say(console, f"  {' '.join(key)}: billed {billed}; booked {booked}")
    if len(differences) > _SHOWN:
        say(console, f"  and {len(differences) - _SHOWN:,} more")
    say(
        console,
        f"  Requests refused: {comparison.refused:,}; attempts booked as failed: {comparison.failed:,}, "
        f"as never settled: {comparison.unsettled:,}",
    )


def _print_events(console: Console, outcome: Outcome) -> None:
    refused = sum(outcome.refused.values())
    if refused:
        kinds = ", ".join(f"{count} with {status}" for status, count in outcome.refused.items())
        say(console, f"{_count(refused, 'request')} refused ({kinds}) and sent again by the SDKs: not billed, no row.")
    looked_up = outcome.hits + outcome.misses
    say(
        console,
        f"The application's embedding cache had {outcome.hits:,} of {_count(looked_up, 'text')}: "
        f"no call, no row, about ${outcome.spared_usd:.6f} not spent.",
    )


def _print_next(console: Console, outcome: Outcome, *, once: bool) -> None:
    until = "until this ends; leave out --once and it stays" if once else "until you press Ctrl-C"
    say(console, f"Metrics: {outcome.metrics_url} ({until})")
    if not once:
        say(console, f"The providers play on, for your own code: OPENAI_BASE_URL={outcome.openai_url}")
        say(console, f"                                          ANTHROPIC_BASE_URL={outcome.anthropic_url}")
    say(console, "To try next:")
    command = _command(outcome.settings)
    for arguments in (
        f"report --date {outcome.last_day} --by tenant,feature",
        f"report --date {outcome.last_day} --by session --tenant globex --csv",
        f"report --date {outcome.last_day} --by day,model --json",
    ):
        say(console, f"  {command} {arguments}")
    say(console, f"  {_program()} prices show claude-3-5-haiku-latest")
    say(console, f"  {_program()} demo --reset")


def _command(settings: Settings) -> str:
    """How to ask the demo's ledger from a shell. A database's address may hold a password, so it is not repeated."""
    if settings.database_url:
        return f"COSTSPAN_DATABASE_URL=… {_program()}"
    return f"COSTSPAN_STATE_DIR={shlex.quote(str(settings.state_dir))} {_program()}"


def _program() -> str:
    """How this program was called: by its path where the shell would not find its name."""
    called = Path(sys.argv[0])
    is_hidden = called.name == "costspan" and shutil.which("costspan") is None
    return shlex.quote(str(called)) if is_hidden else "costspan"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
