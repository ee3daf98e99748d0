"""Moves the journal into the ledger, on one thread that nobody waits for.

The thread imports the database driver, connects and writes; the application's threads never do. While Postgres is away
everything stays in the journal, one warning is logged, and the thread tries again ever more rarely.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from costspan.guard import guard
from costspan.journal import adopt
from costspan.journal.forks import importing, on_fork
from costspan.journal.segment import Batch, Segment
from costspan.ledger.upkeep import Upkeep
from costspan.ledger.watch import BudgetWatch
from costspan.settings import Settings

if TYPE_CHECKING:
    from costspan.ledger.ledger import Ledger
    from costspan.ledger.writer import Written

__all__ = ["DrainStats", "Drainer", "NoJournal"]

logger = logging.getLogger("costspan")

#: Records a transaction: enough that its fixed cost vanishes, few enough that it takes well under a second.
_LIMIT = 5000
_INTERVAL_S = 0.5
_LONGEST_WAIT_S = 30.0
_ADOPT_EVERY_S = 30.0


class _Source(Protocol):
    """What the drainer needs of a journal."""

    def segments(self) -> Sequence[Segment]: ...


class NoJournal:
    """Of a process that meters nothing: its drain has only what others give up, and what the dead left."""

    def segments(self) -> Sequence[Segment]:
        """None of its own."""
        return ()


@dataclass(slots=True)
class DrainStats:
    """What was moved since the process started."""

    calls: int = 0
    batches: int = 0
    duplicates: int = 0
    unsettled: int = 0
    quarantined: int = 0
    cache_uses: int = 0
    errors: int = 0
    last_success: float = 0.0
    """Seconds since the epoch when everything that was there had been written; 0 before that."""
    is_away: bool = False
    """Whether the last attempt found no ledger."""


class Drainer:
    """Drains one journal, and the files of processes that are gone.

    Args:
        journal: whose segments are drained.
        settings: where the ledger is and where the journals lie.
        after_commit: called on the drain's thread with the tenants whose calls were just committed.
        adopts_every: seconds between two looks for files whose processes are gone, or gave them up.
        keeps: also compact the ledger about hourly, if the login may; not for a drain that is soon gone.
        connect: opens the ledger; `Ledger.connect` unless a test says otherwise.
    """

    def __init__(
        self,
        journal: _Source,
        settings: Settings,
        *,
        after_commit: Callable[[set[str]], None] | None = None,
        adopts_every: float = _ADOPT_EVERY_S,
        keeps: bool = True,
        connect: Callable[[Settings], Ledger] | None = None,
    ) -> None:
        self.stats = DrainStats()
        self._journal = journal
        self._settings = settings
        self._after_commit = after_commit
        self._adopts_every = adopts_every
        self._keeps = keeps
        self._connect = connect or _connect
        self._inherited: list[object] = []
        self._is_started = False
        self._renew()
        on_fork(self)

    def _renew(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._asked = self._answered = 0
        self._ledger: Ledger | None = None
        self._positions: dict[UUID, int] = {}
        self._orphans: list[Segment] = []
        self._since: dict[UUID, int] = {}
        self._adopted_at = -self._adopts_every
        self._watch = BudgetWatch(self._settings.daily_budget_usd)
        self._upkeep = Upkeep()

    def after_fork(self) -> None:
        """In a child: no thread and no connection, until `wake`, `start` or `flush` is called here."""
        self._inherited.append(self._ledger)  # kept, as the end of the object would end the parent's session
        self._renew()

    def start(self) -> None:
        """Start the thread, unless it runs. Returns at once; never raises."""
        self._is_started = True
        self.wake()

    def wake(self) -> None:
        """Make sure that a started drain runs here, also after a fork. Cheap when it does."""
        if self._thread is None and self._is_started and not self._is_stopping:
            with self._changed:
                if self._thread is None:
                    self._thread = _begin(self._run)

    def flush(self, timeout: float) -> bool:
        """Wait until everything journalled before this call is committed; False when ``timeout`` seconds were too few."""
        self.start()
        with self._changed:
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answered >= mine or self._is_stopping, timeout)
            return self._answered >= mine

    def stop(self, timeout: float) -> None:
        """End the thread after what it is doing; wait ``timeout`` seconds at the most. What is left stays journalled."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    @property
    def oldest_ns(self) -> int:
        """When the oldest call left of the files that were taken over and are not in the ledger; 0 where there is none."""
        return min(filter(None, list(self._since.values())), default=0)

    def _run(self) -> None:
        wait = _INTERVAL_S
        while not self._is_stopping:
            asked = self._asked
            try:
                self._drain_all(at_once=asked > self._answered)
            except Exception as error:
                self._failed(error)
                wait = min(wait * 2, _LONGEST_WAIT_S)
            else:
                self._succeeded(asked)
                wait = 0 if self._keep(asked) else _INTERVAL_S
            with self._changed:
                self._changed.wait_for(lambda seen=asked: self._is_stopping or self._asked > seen, wait)  # type: ignore[misc]
        self._end()

    def _drain_all(self, *, at_once: bool) -> None:
        self._adopt()
        for segment in self._journal.segments():
            if segment.writer in self._positions or segment.read(0, 1).end > 0:  # else nothing to connect for
                self._drain(segment)
        for orphan in tuple(self._orphans):
            if self._drain(orphan):
                self._orphans.remove(orphan)
                self._since.pop(orphan.writer, None)
        if self._ledger is not None:
            self._watch.ask(self._ledger, at_once=at_once)

    def _keep(self, asked: int) -> bool:
        """Keep the ledger small for a moment, now that everything is written; True when there is more to do."""
        if not self._keeps or self._ledger is None or self._is_stopping or self._asked > asked:
            return False
        return self._upkeep.work(self._ledger)

    def _drain(self, segment: Segment) -> bool:
        """Write what there is of ``segment``; True when it was finished and is gone."""
        ledger = self._connected()
        position = self._positions.get(segment.writer)
        if position is None:
            position = ledger.position(segment.writer)
        while not self._is_stopping:
            batch = segment.read(position, _LIMIT)
            if batch.end != position:
                written = ledger.write(batch, segment.writer)
                position = self._positions[segment.writer] = written.position
                if position != batch.end:
                    continue  # another commit was there before, or ours of which we never heard
                self._account(written)
            if batch.is_last:
                segment.discard()
                self._positions.pop(segment.writer, None)
                return True
            if _is_short(batch):
                self._positions[segment.writer] = position
                return False
        return False

    def _connected(self) -> Ledger:
        if self._ledger is None:
            self._ledger = self._connect(self._settings)
        return self._ledger

    def _adopt(self) -> None:
        now = time.monotonic()
        if now - self._adopted_at >= self._adopts_every:
            self._adopted_at = now
            for orphan in adopt(Path(self._settings.journal_path)):
                self._orphans.append(orphan)
                self._since[orphan.writer] = orphan.oldest_ns()

    def _account(self, written: Written) -> None:
        stats = self.stats
        stats.batches += 1
        stats.calls += written.calls
        stats.duplicates += written.duplicates
        stats.unsettled += written.unsettled
        stats.quarantined += written.quarantined
        stats.cache_uses += written.cache_uses
        if written.quarantined:
            logger.warning(
                "costspan: %d records could not be stored and are in the ledger's quarantine", written.quarantined
            )
        if written.tenants:
            self._watch.spent(written.tenants)
            if self._after_commit is not None:
                with guard("after_commit"):
                    self._after_commit(set(written.tenants))

    def _failed(self, error: Exception) -> None:
        self.stats.errors += 1
        self._positions.clear()  # nobody knows whether the last commit took place
        level = logging.DEBUG if self.stats.is_away else logging.WARNING
        self.stats.is_away = True
        logger.log(
            level,
            "costspan: the ledger cannot be written (%s: %s). Calls stay in the journal until it can",
            type(error).__name__,
            error,
            exc_info=error if level == logging.DEBUG else None,
        )

    def _succeeded(self, asked: int) -> None:
        if self.stats.is_away:
            self.stats.is_away = False
            logger.info("costspan: the ledger can be written again; %d calls so far", self.stats.calls)
        self.stats.last_success = time.time()
        with self._changed:
            self._answered = max(self._answered, asked)
            self._changed.notify_all()

    def _end(self) -> None:
        for orphan in self._orphans:
            with guard("drain_release"):
                orphan.release()
        if self._ledger is not None:
            with guard("drain_close"):
                self._ledger.close()


def _is_short(batch: Batch) -> bool:
    """Whether it reached the end of what was journalled: less than what was asked for, or nothing."""
    return batch.end == batch.start or batch.weight < _LIMIT


def _begin(run: Callable[[], None]) -> threading.Thread | None:
    thread = threading.Thread(target=run, name="costspan-drain", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is leaving, or the system has no more threads: the journal keeps everything
        return None
    return thread


def _connect(settings: Settings) -> Ledger:
    with importing():
        from costspan.ledger.ledger import Ledger  # noqa: PLC0415  # the driver is loaded on the drain's own thread

    return Ledger.connect(settings)
