"""`costspan report`: what a day, week or month cost, by whatever it is asked by."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from costspan import runtime
from costspan.cli import document, notes, table
from costspan.cli.question import SERVICES, Question, ask, day_of, zone_of
from costspan.cli.statement import Statement, answer, session_costs
from costspan.cli.target import Comparison, Projection, Target, compare, project
from costspan.errors import ConfigurationError, InvalidQuestion, LedgerError, LedgerUnavailable
from costspan.journal import Segment
from costspan.ledger import Dimension, Drainer, Ledger
from costspan.ledger.period import PERIODS
from costspan.settings import Settings

__all__ = ["Report", "look_up", "print_report", "report", "show_report"]

FAILED, REFUSED, OVER_TARGET = 1, 2, 3
#: How long journalled calls may take to land before the report goes on without them, and says so.
_FLUSH_S = 5.0
_WHAT_TO_DO = (
    "Is Postgres running, and COSTSPAN_DATABASE_URL right? Nothing is lost meanwhile: calls stay in the journal."
)
_DEFAULT_BY = ("day", "service")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to show."""

    statement: Statement
    now: datetime
    comparison: Comparison | None = None
    projection: Projection | None = None


def report(
    *,
    period: Annotated[
        str, typer.Option(metavar="|".join(PERIODS), help="What to sum up; weeks begin on Monday.")
    ] = "month",
    day: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Any day of the period; today when not given.")
    ] = None,
    tz: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Where days begin; COSTSPAN_TIMEZONE when not given.")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="DIMENSION,…", help=f"One or several of {', '.join(Dimension)}.")
    ] = ",".join(_DEFAULT_BY),
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="One tenant only; all when not given.")] = None,
    service: Annotated[
        str | None, typer.Option(metavar="|".join(SERVICES), help="One service only; all when not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; amounts are exact numbers.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the entries as CSV, without a total.")] = False,
    target: Annotated[
        str | None,
        typer.Option(metavar="USD/SESSIONS", help="Compare the cost per session with this, and project the month."),
    ] = None,
) -> None:
    """Print what a day, week or month cost, and what part of that is not certain.

    \b
    Try:
    costspan report                                    this month, by day and service
    costspan report --period week --by model,feature   this week, dearest first
    costspan report --period day --date 2026-11-20 --tz Asia/Kolkata
    costspan report --tenant acme --by session --csv > sessions.csv
    costspan report --target 0.33/100sessions          fails with 3 when over

    \b
    Exit codes:
    0  printed, and within the target if there is one
    1  the ledger cannot be read
    2  what is asked makes no sense, or needs calls that were dropped
    3  over the target
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    if as_json and as_csv:
        _refuse("--json and --csv are both given: allowed is one of them", REFUSED)
    try:
        settings = Settings.from_environment()
        zone = settings.timezone if tz is None else zone_of(tz)
        now = datetime.now(UTC)
        question = ask(period, day_of(day, zone, now), zone, by=by.split(","), tenant=tenant, service=service)
        aim = None if target is None else Target.parse(target, period)
    except (InvalidQuestion, ConfigurationError) as error:
        _refuse(str(error), REFUSED)
    try:
        found = look_up(settings, question, target=aim, now=now)
    except LedgerUnavailable as error:
        _refuse(f"the ledger cannot be reached: {error}. {_WHAT_TO_DO}", FAILED)
    except InvalidQuestion as error:  # about what was dropped, which only the ledger knows
        _refuse(str(error), REFUSED)
    except (LedgerError, ConfigurationError) as error:
        _refuse(str(error), FAILED)
    _write(found, as_json=as_json, as_csv=as_csv)
    if found.comparison is not None and found.comparison.is_over:
        raise typer.Exit(OVER_TARGET)


def show_report(
    settings: Settings,
    *,
    period: str = "month",
    day: date | None = None,
    by: Sequence[str] = _DEFAULT_BY,
    tenant: str | None = None,
    service: str | None = None,
    target: Target | None = None,
    console: Console | None = None,
    now: datetime | None = None,
) -> Report:
    """Print what `costspan report` prints, from inside a process that meters.

    Args:
        settings: where the ledger is, and where days begin.
        period: day, week or month.
        day: any day of it; today when not given.
        by: dimensions, see `costspan.ledger.Dimension`.
        tenant: one tenant only.
        service: one service only.
        target: also compare the cost per session with this.
        console: where to print; standard output when not given.
        now: another moment than this one, for a simulation.

    Raises:
        InvalidQuestion: for a period, a dimension or a service that there is not, or for calls that were dropped.
        LedgerError: when the ledger cannot be read.
    """
    now = now or datetime.now(UTC)
    zone = settings.timezone
    question = ask(period, day or now.astimezone(zone).date(), zone, by=by, tenant=tenant, service=service)
    drainer = runtime.start(settings).drainer
    found = look_up(settings, question, target=target, now=now, drainer=drainer)
    print_report(found, console or Console(highlight=False))
    return found


def look_up(
    settings: Settings,
    question: Question,
    *,
    target: Target | None = None,
    now: datetime,
    drainer: Drainer | None = None,
) -> Report:
    """Ask the ledger, after what is journalled here has landed in it, or five seconds.

    Args:
        settings: where ledger and journals are.
        question: what to ask.
        target: also ask what a session costs, and compare it with this.
        now: how far the period has come.
        drainer: of this process, if it meters; otherwise only journals of processes that are gone are drained.

    Raises:
        InvalidQuestion: for sums of calls that were dropped.
        LedgerError: when it cannot be read.
    """
    # Connected before anything is drained: a database that is away is told at once, and once.
    with closing(Ledger.connect(settings)) as ledger, _draining(settings, drainer) as is_behind:
        statement = answer(question, ledger, is_behind=is_behind)
        if target is None:
            return Report(statement, now)
        comparison = compare(session_costs(question, ledger), target)
    return Report(statement, now, comparison, project(comparison, question.period, question.month, now))


def print_report(found: Report, console: Console) -> None:
    """Print title, table, days, and what there is to say about them."""
    statement = found.statement
    table.say(console, table.title(statement.question), "bold")
    if statement.entries:
        table.print_table(statement, console)
        table.print_days(statement, console)
    else:
        for line in notes.empty(statement.question):
            table.say(console, line)
    for line in notes.below(statement):
        table.say(console, line)
    _print_target(found, console)


def _print_target(found: Report, console: Console) -> None:
    if found.comparison is not None:
        for line in notes.on_target(found.statement.question, found.comparison, found.projection, found.now):
            table.say(console, line)


def _write(found: Report, *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        typer.get_binary_stream("stdout").write(document.as_json(found.statement, found.comparison, found.projection))
    elif as_csv:
        typer.get_binary_stream("stdout").write(document.as_csv(found.statement))
        _print_target(found, Console(stderr=True, highlight=False))
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a name that this terminal has no letters for is still a name
        print_report(found, Console(highlight=False))


class _NoJournal:
    """Of a process that meters nothing: its drain has only what others left behind."""

    def segments(self) -> Sequence[Segment]:
        return ()


@contextmanager
def _draining(settings: Settings, drainer: Drainer | None) -> Iterator[bool]:
    """Let journalled calls land; whether some are still on their way."""
    if drainer is not None:
        yield not drainer.flush(_FLUSH_S)
        return
    adopting = Drainer(_NoJournal(), settings, keeps=False)
    try:
        yield not adopting.flush(_FLUSH_S)
    finally:
        adopting.stop(_FLUSH_S)


def _refuse(message: str, code: int) -> NoReturn:
    typer.echo(f"costspan report: {message}", err=True)
    raise typer.Exit(code)
