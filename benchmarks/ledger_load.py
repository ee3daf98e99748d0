"""Loads a month through the drain's own path, and the same calls into the naive table, by turns.

Events are made, encoded and decoded before a clock starts: what is timed begins where the drain has a batch in its hands.
A day's calls go in one half with small batches, one half with large ones; a part of the first day goes through a journal
and the drain itself.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ledger_calls import Month
from ledger_naive import Naive
from msgspec.structs import replace

from costspan.event import CallEvent, decode, encode
from costspan.journal import Batch, Journal
from costspan.ledger import Drainer, Ledger
from costspan.ledger.writer import MAX_BATCH
from costspan.settings import Settings

__all__ = ["Ingest", "load"]

SMALL, LARGE = 1000, MAX_BATCH
#: Of each day, as many are timed with the naive table; the rest of its rows are copied.
_NAIVE_BATCHES = 3
_JOURNALLED = 20_000


@dataclass(slots=True)
class Ingest:
    """Days of one way to write, each as (rows, wall seconds, client CPU seconds, server CPU seconds)."""

    days: list[tuple[int, float, float, float]] = field(default_factory=list)

    @property
    def rows_per_second(self) -> float:
        """The median day."""
        return statistics.median(rows / wall for rows, wall, _, _ in self.days)

    @property
    def client_us(self) -> float:
        """CPU microseconds of the client a row."""
        return sum(day[2] for day in self.days) / sum(day[0] for day in self.days) * 1e6

    @property
    def server_us(self) -> float:
        """CPU microseconds of the server's process a row; 0 where the system does not tell."""
        return sum(day[3] for day in self.days) / sum(day[0] for day in self.days) * 1e6


class _Clock:
    """Adds up what a stretch of work takes, here and in the server's process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.rows = 0
        self.wall = self.client = self.server = 0.0

    def time(self, work: Callable[[], object], rows: int) -> None:
        server, begin, client = _cpu_of(self._pid), time.perf_counter(), time.thread_time()
        work()
        self.client += time.thread_time() - client
        self.wall += time.perf_counter() - begin
        self.server += _cpu_of(self._pid) - server
        self.rows += rows

    def day(self) -> tuple[int, float, float, float]:
        return self.rows, self.wall, self.client, self.server


def _cpu_of(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / float(os.sysconf("SC_CLK_TCK"))


def _pid_of(ledger: Ledger) -> int:
    with ledger._database.transaction() as cursor:  # noqa: SLF001  # whose CPU is looked at
        return int(cursor.execute("select pg_backend_pid()").fetchall()[0][0])


def load(
    month: Month, ledger: Ledger, naive: Naive, settings: Settings, *, told: Callable[[int], None]
) -> dict[str, Ingest]:
    """Load the whole month; return what writing took."""
    pid = _pid_of(ledger)
    found = {"small": Ingest(), "large": Ingest(), "naive": Ingest(), "drain": Ingest()}
    writer, position = uuid.uuid4(), 0
    for number in range(month.days):
        records = [encode(event) for event in month.day(number)]
        gc.freeze()  # else each collection would walk through all that the benchmark keeps
        if number == 0:
            found["drain"].days.append(_through_the_drain(records[:_JOURNALLED], settings))
            naive.copy([_decoded(record) for record in records[:_JOURNALLED]])
            records = records[_JOURNALLED:]
        middle = len(records) // 2
        timed = _NAIVE_BATCHES * SMALL
        for name, size, part in (("small", SMALL, records[:middle]), ("large", LARGE, records[middle:])):
            clock = _Clock(pid)
            for events in _batches(part, size):
                batch = Batch(position, position + len(events), events, intents=len(events))
                clock.time(lambda batch=batch: ledger.write(batch, writer), len(events))  # type: ignore[misc]
                position = batch.end
                told(len(events))
            if clock.rows:
                found[name].days.append(clock.day())
            if name == "small":
                _insert(naive, part[:timed], found["naive"])
            naive.copy([_decoded(record) for record in (part[timed:] if name == "small" else part)])
    return found


def _insert(naive: Naive, records: Sequence[bytes], found: Ingest) -> None:
    rows, wall, client, server = 0, 0.0, 0.0, _cpu_of(naive.pid)
    for events in _batches(records, SMALL):
        took = naive.insert(events)
        rows, wall, client = rows + len(events), wall + took[0], client + took[1]
    if rows:
        found.days.append((rows, wall, client, _cpu_of(naive.pid) - server))


def _batches(records: Sequence[bytes], size: int) -> Iterator[list[CallEvent]]:
    """Decoded just before they are needed, as the drain does: their strings are new and the caches warm."""
    for first in range(0, len(records), size):
        yield [_decoded(record) for record in records[first : first + size]]


def _decoded(record: bytes) -> CallEvent:
    event = decode(record)
    assert isinstance(event, CallEvent)  # noqa: S101  # it was one before
    return event


def _through_the_drain(records: Sequence[bytes], settings: Settings) -> tuple[int, float, float, float]:
    """From a journal's files, with reading and decoding them."""
    journal = Journal(settings.journal_path)
    for number, record in enumerate(records):
        event = _decoded(record)
        journal.close_attempt(replace(event, attempt=number.to_bytes(16, "big")))
    drainer = Drainer(journal, settings, keeps=False)
    begin, client = time.perf_counter(), time.process_time()
    drainer.start()
    if not drainer.flush(600) or drainer.stats.calls != len(records):
        raise RuntimeError(f"the drain wrote {drainer.stats.calls} of {len(records)} calls")
    took = time.perf_counter() - begin, time.process_time() - client
    drainer.stop(60)
    journal.shutdown()
    return len(records), *took, 0.0
