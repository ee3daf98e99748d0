"""`costspan report`: what a day, week or month cost, by whatever it is asked by."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated

import typer
from rich.console import Console

from costspan import runtime
from costspan.cli import changes, document, focus, notes, table
from costspan.cli.landed import landed
from costspan.cli.opened import sensible, told
from costspan.cli.question import RANGE, SERVICES, Question, ask, ask_range, day_of, range_of, zone_of
from costspan.cli.report_format import Format, agree, format_of
from costspan.cli.statement import Statement, answer, session_costs
from costspan.cli.target import Comparison, Projection, Target, compare, project
from costspan.cli.trend import Trends, trends
from costspan.errors import InvalidQuestion
from costspan.ledger import Dimension, Drainer, Ledger
from costspan.ledger.period import PERIODS, Period
from costspan.settings import Settings

__all__ = ["Report", "look_up", "print_report", "report", "show_report"]

OVER_TARGET = 3
_DEFAULT_BY = ("day", "service")
_DEFAULT_PERIOD = "month"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to show."""

    statement: Statement
    now: datetime
    comparison: Comparison | None = None
    projection: Projection | None = None
    trends: Trends | None = None


def report(
    *,
    period: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(PERIODS), help="What to sum up; weeks begin on Monday. The month when not given."
        ),
    ] = None,
    day: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Any day of the period; today when not given.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="Instead of a period: from this day or instant on.")
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="DATE", help="To the end of this day, or this instant; today when not given."),
    ] = None,
    tz: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Where days begin; COSTSPAN_TIMEZONE when not given.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="DIMENSION,…",
            help=f"One or several of {', '.join(Dimension)}. {','.join(_DEFAULT_BY)} when not given.",
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="One tenant only; all when not given.")] = None,
    service: Annotated[
        str | None, typer.Option(metavar="|".join(SERVICES), help="One service only; all when not given.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="|".join(Format), help="What to print; focus is CSV by FOCUS 1.2."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Short for --format json; amounts are exact numbers.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Short for --format csv: the entries, without a total.")
    ] = False,
    account: Annotated[
        str | None,
        typer.Option(
            "--billing-account",
            metavar="ID",
            help="With --format focus: the account at the provider, which costspan cannot know.",
        ),
    ] = None,
    versus: Annotated[
        str | None,
        typer.Option(
            "--compare",
            metavar="previous|DATE|DATE..DATE",
            help="What changed since the period before, that of another day, or a range; by model when not given.",
        ),
    ] = None,
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
    costspan report --from 2026-11-03 --to 2026-11-16 --by tenant
    costspan report --tenant acme --by session --csv > sessions.csv
    costspan report --compare previous --by tenant     what changed, and what made it
    costspan report --date 2026-10-01 --format focus > focus.csv
    costspan report --target 0.33/100sessions          fails with 3 when over

    \b
    Exit codes:
    0  printed, and within the target if there is one
    1  the ledger cannot be read
    2  what is asked makes no sense, or needs calls that were dropped
    3  over the target
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("report"):
        form = format_of(form, as_json=as_json, as_csv=as_csv)
        settings = Settings.from_environment()
        zone = settings.timezone if tz is None else zone_of(tz)
        now = datetime.now(UTC)
        agree(form, versus=versus, target=target, account=account)
        names = _names(by, form, is_compared=versus is not None)
        if first is None:
            if last is not None:
                raise InvalidQuestion(f"--to is {last[:80]!r} without --from: allowed is to give both, or --from alone")
            asked = period or _DEFAULT_PERIOD
            question = ask(asked, day_of(day, zone, now), zone, by=names, tenant=tenant, service=service)
        else:
            if period is not None or day is not None:
                raise InvalidQuestion("--from is given besides --period or --date: allowed is one of them")
            asked = RANGE
            question = ask_range(range_of(first, last, zone, now), by=names, tenant=tenant, service=service)
        aim = None if target is None else Target.parse(target, asked)
        periods = None if versus is None else changes.against(question, versus, now)
    console = Console(highlight=False)
    with told("report"):
        if form is Format.FOCUS:
            _write_focus(settings, question, account)
            return
        if periods is not None:
            _write_changes(settings, question, periods, form, console, now=now)
            return
        is_drawn = form is Format.TABLE and console.is_terminal
        found = look_up(settings, question, target=aim, now=now, is_drawn=is_drawn)
    _write(found, form, console)
    if found.comparison is not None and found.comparison.is_over:
        raise typer.Exit(OVER_TARGET)


def show_report(
    settings: Settings,
    *,
    period: str = _DEFAULT_PERIOD,
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
    console = console or Console(highlight=False)
    found = look_up(settings, question, target=target, now=now, drainer=drainer, is_drawn=console.is_terminal)
    print_report(found, console)
    return found


def look_up(
    settings: Settings,
    question: Question,
    *,
    target: Target | None = None,
    now: datetime,
    drainer: Drainer | None = None,
    is_drawn: bool = False,
) -> Report:
    """Ask the ledger, after what is journalled here has landed in it, or five seconds.

    Args:
        settings: where ledger and journals are.
        question: what to ask.
        target: also ask what a session costs, and compare it with this.
        now: how far the period has come.
        drainer: of this process, if it meters; otherwise only journals of processes that are gone are drained.
        is_drawn: also ask how each entry's cost went.

    Raises:
        InvalidQuestion: for sums of calls that were dropped.
        LedgerError: when it cannot be read.
    """
    with landed(settings, drainer) as (ledger, is_behind), _advised(ledger, question):
        statement = answer(question, ledger, is_behind=is_behind)
        went = trends(question, ledger, now) if is_drawn and statement.entries else None
        if target is None:
            return Report(statement, now, trends=went)
        comparison = compare(session_costs(question, ledger), target)
    projection = None
    if question.name != RANGE:
        projection = project(comparison, question.period, question.month, now)
    return Report(statement, now, comparison, projection, went)


def print_report(found: Report, console: Console) -> None:
    """Print title, table, days, and what there is to say about them."""
    statement = found.statement
    table.say(console, table.title(statement.question), "bold")
    if statement.entries:
        table.print_table(statement, console, found.trends)
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


def _names(by: str | None, form: Format, *, is_compared: bool) -> Sequence[str]:
    if by is not None:
        return by.split(",")
    if is_compared:
        return changes.DEFAULT_BY
    return focus.DEFAULT_BY if form is Format.FOCUS else _DEFAULT_BY


def _write(found: Report, form: Format, console: Console) -> None:
    if form is Format.JSON:
        typer.get_binary_stream("stdout").write(document.as_json(found.statement, found.comparison, found.projection))
    elif form is Format.CSV:
        typer.get_binary_stream("stdout").write(document.as_csv(found.statement))
        _print_target(found, Console(stderr=True, highlight=False))
    else:
        _forgive_letters()
        print_report(found, console)


def _forgive_letters() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that this terminal has no letters for is still a name


def _write_focus(settings: Settings, question: Question, account: str | None) -> None:
    with landed(settings, None) as (ledger, is_behind), _advised(ledger, question):
        charges = focus.charges(question, ledger)
    typer.get_binary_stream("stdout").write(focus.as_csv(charges, account=account))
    errors = Console(stderr=True, highlight=False)
    for line in notes.beside_focus(charges, is_behind=is_behind):
        table.say(errors, line)


def _write_changes(
    settings: Settings,
    question: Question,
    periods: tuple[Period, Period],
    form: Format,
    console: Console,
    *,
    now: datetime,
) -> None:
    with landed(settings, None) as (ledger, is_behind), _advised(ledger, question):
        found = changes.look_up_changes(question, ledger, periods)
    if form is Format.JSON:
        typer.get_binary_stream("stdout").write(changes.as_json(found, question))
    elif form is Format.CSV:
        typer.get_binary_stream("stdout").write(changes.as_csv(found))
    else:
        _forgive_letters()
        changes.print_changes(found, console, whom=table.whose(question), now=now)
        if is_behind:
            table.say(console, notes.BEHIND)


@contextmanager
def _advised(ledger: Ledger, question: Question) -> Iterator[None]:
    """Where calls were dropped that a question needs, say besides what can be asked instead."""
    try:
        yield
    except InvalidQuestion as error:
        since = ledger.kept_since()
        if since is None:
            raise
        raise InvalidQuestion(f"{error}. {notes.instead(question, since)}") from error
