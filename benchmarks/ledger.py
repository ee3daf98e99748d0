"""What the ledger costs: bytes, rows a second and milliseconds an answer, beside the table that comes to mind first.

    python benchmarks/ledger.py [--rows 1000000] [--days 30] [--hot-days 1] [--quick] [--json] [--database-url URL]

Loads a month of calls as an application with fifty tenants makes them (`ledger_calls`) through the drain's own path into a
database of its own, and the same calls into the naive table (`ledger_naive`); compacts; asks; and checks that every sum is
what was made, to the pico-dollar. Without ``--database-url`` (a superuser's) it is a server of its own in a temporary
folder, set up as costspan sets up the embedded one. The ledger takes 8,192 calls at a time: batches of 10,000 would be
two, so the largest are measured. Figures of a shared machine vary twofold: the ratios are what to look at.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parent))
from ledger_ask import QUESTIONS, Answered, ask
from ledger_calls import TENANTS, Month, Totals
from ledger_load import LARGE, SMALL, Ingest, load
from ledger_naive import Naive

from costspan.ledger import Ledger, embedded
from costspan.ledger.database import Database
from costspan.ledger.drilldown import Drilldown
from costspan.ledger.size import Size
from costspan.settings import Settings

#: A month of thirty days.
_LAST_DAY = date(2026, 9, 30)
_SESSIONS, _CALLS_A_SESSION = 20_000, 50
_MB = 1_000_000


@dataclasses.dataclass(slots=True)
class Result:
    """All that was measured."""

    rows: int
    sessions: int
    server: str
    ingest: dict[str, Ingest] = dataclasses.field(default_factory=dict)
    naive_bytes: int = 0
    sizes: dict[str, Size] = dataclasses.field(default_factory=dict)
    """By what was hot."""
    compacted_per_second: float = 0
    answers: list[Answered] = dataclasses.field(default_factory=list)


class Run:
    """One run in the database of ``url``, step by step."""

    def __init__(self, options: argparse.Namespace, url: str, folder: Path, progress: Progress) -> None:
        sessions = min(_SESSIONS, max(TENANTS, options.rows // _CALLS_A_SESSION))
        self._options, self._progress = options, progress
        self._settings = Settings(database_url=url, state_dir=folder)
        self._month = Month(options.rows, options.days, _LAST_DAY, sessions)
        self._ledger, self._naive = Ledger.connect(self._settings), Naive(url)
        self._drilldown = Drilldown(Database(lambda: url))
        self._admin = psycopg.connect(url, autocommit=True)
        version = str(self._admin.execute("show server_version").fetchall()[0][0])
        self.result = Result(options.rows, sessions, version)

    def load(self) -> None:
        """Write everything, here and there."""
        task = self._progress.add_task("loading", total=self._options.rows)
        self.result.ingest = load(
            self._month,
            self._ledger,
            self._naive,
            self._settings,
            told=lambda count: self._progress.advance(task, count),
        )
        self._naive.analyze()
        self.result.naive_bytes = self._naive.size()
        self._size(f"all {self._options.days}")

    def compact(self) -> None:
        """Compact to seven hot days, and then to as many as are asked for."""
        took, moved = 0.0, 0
        for hot in sorted({7, self._options.hot_days} - {self._options.days}, reverse=True):
            task = self._progress.add_task(f"compacting to {hot} hot days", total=None)
            begin = time.perf_counter()
            done = self._ledger.compact(
                self._month.last_day - timedelta(days=hot - 1),
                progress=lambda count, total, task=task: self._progress.update(task, completed=count, total=total),  # type: ignore[misc]
            )
            took, moved = took + time.perf_counter() - begin, moved + done.calls
            self._size(f"{hot}")
        self.result.compacted_per_second = moved / took if moved else 0

    def _size(self, hot: str) -> None:
        """After what autovacuum would have done by then, and no more: no FULL."""
        self._admin.execute("vacuum analyze")
        self.result.sizes[hot] = self._ledger.size()

    def ask(self) -> None:
        """Ask everything, and check the answers."""
        task = self._progress.add_task("asking", total=QUESTIONS)
        for answer in ask(self._month, self._ledger, self._drilldown, self._naive, self._options.times):
            self.result.answers.append(answer)
            self._progress.advance(task)
        check(self._month, self._ledger)

    def close(self) -> None:
        """Close the connections."""
        self._admin.close()
        self._naive.close()
        self._ledger.close()


def check(month: Month, ledger: Ledger) -> None:
    """Compare the ledger's sums with what was made.

    Raises:
        RuntimeError: a sum differs.
    """
    for zone in (ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")):
        start, end = month.bounds(zone)
        for row in ledger.summary(start, end, by=("tenant", "day"), zone=zone).rows:
            tenant, day = (row.keys[name] for name in ("tenant", "day"))  # type: ignore[index]
            begin = datetime.combine(day, datetime.min.time(), zone)  # type: ignore[arg-type]
            made = month.total(month.tenants.index(str(tenant)), begin, begin + timedelta(days=1))
            _equal(f"{tenant} on {day} in {zone.key}", row, made)
        _equal(f"all in {zone.key}", ledger.summary(start, end, zone=zone).total, month.total(None, start, end))
    start, end = month.bounds(ZoneInfo("UTC"))
    for row in ledger.summary(start, end, by=("tenant", "feature")).rows:
        tenant, feature = (str(row.keys[name]) for name in ("tenant", "feature"))  # type: ignore[index]
        _equal(f"{tenant}'s {feature}", row, month.by_feature[month.tenants.index(tenant), feature])


def _equal(what: str, row: object, made: Totals) -> None:
    cost = int(row.cost.scaleb(12))  # type: ignore[attr-defined]
    found = Totals(row.calls, row.tokens_in, row.tokens_out, cost)  # type: ignore[attr-defined]
    if found != made:
        raise RuntimeError(f"{what}: the ledger says {found}, and what was made is {made}")


@contextmanager
def database(given: str | None) -> Iterator[tuple[str, Path]]:
    """A database of this run's own, on a server of its own unless one is given; and a folder."""
    with TemporaryDirectory(prefix="costspan-bench-") as temporary:
        folder = Path(temporary)
        server = given or embedded.ensure(folder).conninfo
        name = f"costspan_bench_{uuid4().hex[:8]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(server, dbname=name), folder
        finally:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
            if not given:
                embedded.release(folder)


def show(result: Result, console: Console) -> None:
    """Print what was measured."""
    console.print(f"{result.rows:,} calls, {result.sessions:,} sessions, {TENANTS} tenants, PostgreSQL {result.server}")
    _show_sizes(result, console)
    _show_writing(result, console)
    console.print(f"\n{'asking, ms':44}{'median':>10}{'p95':>10}{'naive':>12}{'x':>8}")
    for answer in result.answers:
        naive = answer.naive
        against = f"{'-':>12}" if naive is None else f"{naive:12.1f}{naive / answer.median:8.1f}"
        console.print(f"{answer.question:44}{answer.median:10.1f}{answer.p95:10.1f}{against}")
    console.print("\nevery sum equals what was made, to the pico-dollar")


def _show_sizes(result: Result, console: Console) -> None:
    def line(title: str, numbers: Iterable[float], *, end: str = "") -> None:
        console.print(f"{title:38}" + "".join(f"{number / _MB / million:16.1f}" for number in numbers) + end)

    million, sizes = result.rows / _MB, result.sizes.values()
    console.print(f"\n{'MB per million calls':38}" + "".join(f"{f'{hot} hot days':>16}" for hot in result.sizes))
    line("all of it", [size.total for size in sizes], end=f"   naive {result.naive_bytes / _MB / million:.1f}")
    for part in next(iter(sizes)).parts:
        line(f"  {part}", [size.parts[part] for size in sizes])
    console.print(f"{'naive : ours':38}" + "".join(f"{result.naive_bytes / size.total:16.1f}" for size in sizes))


def _show_writing(result: Result, console: Console) -> None:
    base = result.ingest["naive"].rows_per_second
    console.print(f"\n{'writing':38}{'rows/s':>12}{'client us':>12}{'server us':>12}{'x naive':>10}")
    for name, title in (
        ("small", f"batches of {SMALL:,}"),
        ("large", f"batches of {LARGE:,}, the largest allowed"),
        ("naive", f"naive, executemany of {SMALL:,}"),
        ("drain", "journal and drain, with decoding"),
    ):
        ingest = result.ingest[name]
        if ingest.days:
            figures = f"{ingest.rows_per_second:12,.0f}{ingest.client_us:12.1f}{ingest.server_us:12.1f}"
            console.print(f"{title:38}{figures}{ingest.rows_per_second / base:10.1f}")
    console.print(f"{'compaction':38}{result.compacted_per_second:12,.0f}")


def as_json(result: Result) -> str:
    """What was measured, for programs."""
    document = dataclasses.asdict(result)
    document["ingest"] = {
        name: {"rows_per_second": one.rows_per_second, "client_us": one.client_us, "server_us": one.server_us}
        for name, one in result.ingest.items()
        if one.days
    }
    return json.dumps(document, indent=2, default=str)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--hot-days", type=int, default=1, help="days that stay rows for the questions")
    parser.add_argument("--times", type=int, default=40, help="how often each question is asked")
    parser.add_argument("--quick", action="store_true", help="60,000 rows, in half a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--database-url")
    options = parser.parse_args()
    if options.quick:
        options.rows = 60_000
    console = Console(highlight=False, width=140, soft_wrap=True)
    with (
        database(options.database_url) as (url, folder),
        Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress,
    ):
        run = Run(options, url, folder, progress)
        run.load()
        run.compact()
        run.ask()
        run.close()
    if options.json:
        print(as_json(run.result))
    else:
        show(run.result, console)


if __name__ == "__main__":
    main()
