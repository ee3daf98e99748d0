"""Late calls, compaction and readers at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from costspan.event import CallEvent
from costspan.ledger import Ledger
from integration.ledger.calls import NOON, batch, call

_PAST = NOON.replace(hour=0) - timedelta(days=400)


class Journals:
    """Writes calls as the drain does, each batch once."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.writer = uuid4()
        self.position = 0

    def write(self, *events: CallEvent) -> None:
        """Write ``events`` in one batch."""
        self.write_batch(list(events))

    def write_batch(self, events: Sequence[CallEvent] = (), **others: Any) -> None:
        """Write a batch that may have more than events."""
        self.position = self.ledger.write(batch(events, self.position, **others), self.writer).position


class Race:
    """Late calls, compaction and readers on one day, all at once. Every call costs the same, so a wrong total shows."""

    def __init__(self, writing: Ledger, compacting: Ledger, reading: Ledger) -> None:
        self.writing, self.compacting, self.reading = writing, compacting, reading
        self.begun = self.landed = self.reads = 0
        self.wrong: list[object] = []
        self.is_over = False

    def run(self, reads: int) -> None:
        """Read so often, while the others do what they can."""
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in (self._write, self._compact)]
        for thread in threads:
            thread.start()
        try:
            self._read(reads)
        finally:
            self.is_over = True
            for thread in threads:
                thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            while not self.is_over:
                work()
        except BaseException as error:
            self.wrong.append(error)
            raise

    def _write(self) -> None:
        journals = Journals(self.writing)
        while not self.is_over:
            events = [
                call(_PAST + timedelta(minutes=11 * n + self.begun % 11), tenant="acme", session=f"s-{n % 4}")
                for n in range(40)
            ]
            self.begun += len(events)
            journals.write(*events)
            self.landed += len(events)

    def _compact(self) -> None:
        self.compacting.compact(NOON.date())
        time.sleep(0.002)

    def _read(self, reads: int) -> None:
        start = _PAST - timedelta(days=1)
        zones = [ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")]
        for number in range(reads):
            least = self.landed
            found = self.reading.summary(
                start,
                NOON,
                by=("day",) if number % 3 else ("session",),
                tenant="acme" if number % 2 else None,
                zone=zones[number % 2],
            )
            most = self.begun
            if not (
                least <= found.total.calls <= most and found.total.cost * 10**12 == found.total.calls * 1_350_000_000
            ):
                self.wrong.append((least, found.total, most))
            self.reads += 1
