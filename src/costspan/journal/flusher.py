"""The thread ``costspan-sync``: looks after the journal ten times a second while something is written, else sleeps."""

from __future__ import annotations

import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from typing import Protocol
from weakref import ref

__all__ = ["Flusher"]

#: Ticks without work after which the thread sleeps until it is woken.
_PATIENCE = 50
_RETRY_SECONDS = 1.0


class _Ticking(Protocol):
    def tick(self) -> bool:
        """Do what is due; return whether there was anything."""


class Flusher:
    """Ticks a journal for as long as that lives."""

    def __init__(self, journal: _Ticking, seconds: float) -> None:
        # Re-entrant, as a signal handler needs it; an Event is not.
        self._calls: SimpleQueue[None] = SimpleQueue()
        calls = self._calls
        self._journal = ref(journal, lambda _: calls.put(None))
        self._seconds = seconds
        self._thread: Thread | None = None
        self._start_at = 0.0
        self._is_stopped = False
        #: Whether the next record must call `wake`. While ticks go on it need not, which keeps it off the caller's path.
        self.is_asleep = True

    def wake(self) -> None:
        """See to it that there will be a tick. Must not be called from a signal handler that interrupted it."""
        if self._thread is not None:
            self.is_asleep = False
            self._calls.put(None)
        elif time.monotonic() >= self._start_at:
            self._start()

    def _start(self) -> None:
        self._thread = Thread(target=self._run, name="costspan-sync", daemon=True)
        self.is_asleep = False
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is going down, or the system has no more threads
            self._thread, self.is_asleep = None, True
            self._start_at = time.monotonic() + _RETRY_SECONDS

    def _run(self) -> None:
        try:
            self._loop()
        finally:  # should a tick raise, the next record starts a new thread
            self._thread, self.is_asleep = None, True

    def _loop(self) -> None:
        idle = 0
        while not self._is_stopped:
            idle = 0 if self._tick() else idle + 1
            if idle < _PATIENCE:
                self._wait(self._seconds)
            else:
                self.is_asleep = True
                if not self._tick():  # once more: a record that came before the line above did not wake us
                    self._wait(None)
                self.is_asleep = False
                idle = 0

    def _tick(self) -> bool:
        journal = self._journal()
        if journal is None:
            self._is_stopped = True
            return True
        return journal.tick()

    def _wait(self, seconds: float | None) -> None:
        with suppress(Empty):
            self._calls.get(timeout=seconds)

    def stop(self, timeout: float) -> None:
        """End the thread, waiting at most ``timeout`` seconds for it."""
        self._is_stopped = True
        self._calls.put(None)
        thread = self._thread
        if thread is not None and thread is not current_thread():
            thread.join(timeout)
