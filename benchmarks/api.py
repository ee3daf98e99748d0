"""How long `costspan serve` takes to answer, beside its own /healthz in the same run.

    python benchmarks/api.py [--rows 1000000] [--tenants 1000] [--times 60] [--json] [--ledger URL]

Loads a month of calls (`ledger_calls`) and compacts all days but today, starts the server as its users do, and asks it over
HTTP on one connection, as an administrator, as the largest tenant and as a small one. Then gives so many tenants a call of
today, and scrapes; then sends spans as an OpenTelemetry exporter does. ``--ledger`` asks a ledger that exists, and writes
no call to it. Figures of a shared machine vary twofold: the ratios are what to look at.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent))
from ledger import database
from ledger_calls import Month
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from rich.console import Console
from rich.progress import Progress

from costspan.journal import Batch
from costspan.ledger import Ledger
from costspan.ledger.writer import MAX_BATCH
from costspan.settings import Settings

_DAYS, _SESSIONS, _CALLS_A_SESSION = 30, 20_000, 50
_SMALL = 30
"""The rank of the small tenant."""
#: As many as the OpenTelemetry SDKs send at a time.
_SPANS = 512
_FLOOR = "/healthz"


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of one question."""

    question: str
    median: float
    p95: float
    times_floor: float
    """Its median, in medians of /healthz."""


@dataclass(frozen=True, slots=True)
class Intake:
    """How fast spans are taken."""

    spans_per_second: float
    times_parsing: float
    """Time to take an export, in times to parse it."""


class Client:
    """One connection to a server.

    Args:
        address: host and port.
        token: an administrator's.
    """

    def __init__(self, address: str, token: str) -> None:
        self._connection = HTTPConnection(address, timeout=120)
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> bytes:
        """Return the answer's body.

        Raises:
            RuntimeError: it is another one than 200.
        """
        return self._ask("GET", path, None, {})

    def send(self, spans: bytes) -> None:
        """Send an export, packed. Errors as `get`."""
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        self._ask("POST", "/v1/traces", gzip.compress(spans, 6), headers)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        self._connection.request(method, path, body, self._headers | headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:500]!r}")
        return said


@contextmanager
def serving(url: str, folder: Path) -> Iterator[Client]:
    """`costspan serve` on the ledger at ``url``."""
    settings = {
        "COSTSPAN_DATABASE_URL": url,
        "COSTSPAN_STATE_DIR": str(folder),
        "COSTSPAN_REQUESTS_PER_SECOND": "100000",
    }
    command = [sys.executable, "-c", "from costspan.cli import main; main()", "serve", "--port", "0", "--print-token"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | settings)
    try:
        assert process.stdout is not None  # noqa: S101  # a pipe
        for line in process.stdout:
            link = re.search(r"http://([^/\s]+)/#token=(\S+)", line)
            if link:
                break
        else:
            raise RuntimeError("the server did not start")
        client = Client(link[1], link[2])
        _wait_until(lambda: client.get("/readyz"))
        yield client
    finally:
        process.terminate()
        process.wait(60)


def load(ledger: Ledger, rows: int, told: Callable[[int], None]) -> None:
    """Write a month of calls that ends today, and compact all of its other days."""
    today = datetime.now(UTC).date()
    month = Month(rows, _DAYS, today, min(_SESSIONS, max(50, rows // _CALLS_A_SESSION)))
    writer, position = uuid.uuid4(), 0
    for day in range(_DAYS):
        events = month.day(day)
        for first in range(0, len(events), MAX_BATCH):
            batch = events[first : first + MAX_BATCH]
            position = ledger.write(Batch(position, position + len(batch), batch, intents=len(batch)), writer).position
            told(len(batch))
    ledger.compact(today)


def crowd(ledger: Ledger, tenants: int) -> None:
    """Give each of so many tenants a call of today."""
    now = time.time_ns()
    example = Month(100, 1, datetime.now(UTC).date(), 50).day(0)[0]
    events = [replace(example, at_ns=now, tenant=f"tenant-{number}") for number in range(tenants)]
    writer, position = uuid.uuid4(), 0
    for first in range(0, tenants, MAX_BATCH):
        batch = events[first : first + MAX_BATCH]
        position = ledger.write(Batch(position, position + len(batch), batch, intents=len(batch)), writer).position


def questions(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """What is asked: a title and a path."""
    now = datetime.now(UTC)
    month = now - timedelta(days=_DAYS), now
    rows = ledger.summary(*month, by=("tenant",)).rows
    ranked = sorted(rows, key=lambda row: -row.calls)
    names = [str(next(iter(row.keys.values()))) for row in ranked]
    largest, small = names[0], names[min(_SMALL, len(names) - 1)]
    for who, tenant in (("everybody", ""), ("largest", largest), ("small", small)):
        whose = f"&tenant={quote(tenant)}" if tenant else ""
        yield f"metrics, day by service, {who}", f"/api/metrics?period=day{whose}"
        yield f"metrics, month by service, {who}", f"/api/metrics?period=month{whose}"
        yield f"metrics, month by day, {who}", f"/api/metrics?period=month&group_by=day,service{whose}"
        yield f"compare, day by model, {who}", f"/api/compare?period=day&group_by=model{whose}"
        yield f"forecast, {who}", f"/api/forecast?{whose[1:]}"
    whose = f"tenant={quote(largest)}"
    yield "metrics, month in Asia/Kolkata, largest", f"/api/metrics?period=month&tz=Asia/Kolkata&{whose}"
    yield "metrics, month by feature, largest", f"/api/metrics?period=month&group_by=feature&{whose}"
    yield "savings, month, largest", f"/api/savings?period=month&{whose}"
    call = ledger.newest_calls(tenant=largest, limit=1)[0]
    yield "a session", f"/api/sessions/{quote(call.session_id or '', safe='')}?{whose}"
    yield "a call", f"/api/calls/{call.id}?{whose}"
    yield "100 newest calls, largest", f"/api/calls?{whose}"
    yield "budgets", "/api/budgets"


def measure(client: Client, title: str, path: str, times: int, floor: float) -> Measured:
    """Ask ``path`` so often."""
    client.get(path)  # the first answer plans, connects, caches
    taken = sorted(_timed(lambda: client.get(path)) for _ in range(times))
    median = statistics.median(taken)
    return Measured(title, median, taken[int(len(taken) * 0.95)], median / floor if floor else 1.0)


def intake(client: Client, exports: int) -> Intake:
    """Send so many exports."""
    made = [_export() for _ in range(exports + 1)]
    client.send(made[0])
    taken = sum(_timed(lambda export=export: client.send(export)) for export in made[1:])  # type: ignore[misc]
    parsed = sum(
        _timed(lambda export=export: ExportTraceServiceRequest.FromString(export))  # type: ignore[misc]
        for export in made[1:]
    )
    return Intake(exports * _SPANS / taken * 1000, taken / parsed)


def _export() -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    now = time.time_ns()
    for number in range(_SPANS):
        span = spans.add(
            trace_id=os.urandom(16),
            span_id=os.urandom(8),
            name="chat gpt-4o-mini",
            start_time_unix_nano=now - 10**9,
            end_time_unix_nano=now,
        )
        for key, value in (
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o-mini"),
            ("gen_ai.response.model", "gpt-4o-mini"),
            ("gen_ai.response.id", f"chatcmpl-{uuid.uuid4().hex}"),
            ("gen_ai.usage.input_tokens", 450 + number),
            ("gen_ai.usage.output_tokens", 180),
        ):
            told = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
            span.attributes.append(KeyValue(key=key, value=told))
    return request.SerializeToString()


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def _wait_until(ask: Callable[[], object]) -> None:
    for _ in range(600):
        try:
            ask()
        except (OSError, RuntimeError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server is not ready after a minute")


def show(found: list[Measured], taken: Intake | None, console: Console) -> None:
    """Print what was measured."""
    console.print(f"{'answers over HTTP, ms':48}{'median':>10}{'p95':>10}{'x /healthz':>12}")
    for one in found:
        console.print(f"{one.question:48}{one.median:10.1f}{one.p95:10.1f}{one.times_floor:12.1f}")
    if taken is not None:
        console.print(
            f"\nspans taken a second, {_SPANS} at a time: {taken.spans_per_second:,.0f};"
            f" an export takes {taken.times_parsing:.0f} times what parsing it takes"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--tenants", type=int, default=1000, help="that have a call of today when the server is scraped"
    )
    parser.add_argument("--times", type=int, default=60, help="how often each question is asked")
    parser.add_argument("--exports", type=int, default=40, help="of 512 spans")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ledger", metavar="URL", help="ask this one, and write no call")
    options = parser.parse_args()
    found: list[Measured] = []
    taken = None
    with (
        database(options.ledger) if options.ledger is None else _existing(options.ledger) as (url, folder),
        Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress,
    ):
        ledger = Ledger.connect(Settings(database_url=url, state_dir=folder))
        if options.ledger is None:
            task = progress.add_task("loading", total=options.rows)
            load(ledger, options.rows, lambda count: progress.advance(task, count))
        with serving(url, folder) as client:
            asked = list(questions(ledger))
            task = progress.add_task("asking", total=len(asked))
            floor = measure(client, _FLOOR, _FLOOR, options.times, 0)
            found.append(floor)
            for title, path in asked:
                found.append(measure(client, title, path, options.times, floor.median))
                progress.advance(task)
            if options.ledger is None:
                crowd(ledger, options.tenants)
                _wait_until(lambda: _must_have(client, f'tenant="tenant-{options.tenants - 1}"'))
            found.append(
                measure(client, f"a scrape, {options.tenants:,} tenants", "/metrics", options.times, floor.median)
            )
            if options.ledger is None:
                taken = intake(client, options.exports)
        ledger.close()
    if options.json:
        print(json.dumps({"answers": [asdict(one) for one in found], "intake": taken and asdict(taken)}, indent=2))
    else:
        show(found, taken, Console(highlight=False, width=140, soft_wrap=True))


def _must_have(client: Client, text: str) -> None:
    if text.encode() not in client.get("/metrics"):
        raise RuntimeError("not yet")


@contextmanager
def _existing(url: str) -> Iterator[tuple[str, Path]]:
    with TemporaryDirectory(prefix="costspan-bench-") as folder:
        yield url, Path(folder)


if __name__ == "__main__":
    main()
