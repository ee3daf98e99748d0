"""The thread that looks after the journal."""

from __future__ import annotations

import threading

import pytest

from costspan.journal import flusher as flushers
from costspan.journal.flusher import Flusher
from unit.journal.test_journal_writer import wait_until


class Work:
    """Something to tick; ``busy`` is what a tick finds to do."""

    def __init__(self) -> None:
        self.busy: list[bool] = []
        self.ticks = 0

    def tick(self) -> bool:
        """Count."""
        self.ticks += 1
        return self.busy.pop() if self.busy else False


def test_it_ticks_while_there_is_work_and_then_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without work the thread sleeps until it is woken."""
    monkeypatch.setattr(flushers, "_PATIENCE", 3)
    work = Work()
    work.busy = [True] * 5
    flusher = Flusher(work, 0.001)

    flusher.wake()
    wait_until(lambda: flusher.is_asleep, "it does not fall asleep")
    slept_after = work.ticks
    flusher.wake()
    wait_until(lambda: work.ticks > slept_after, "it does not wake up")
    flusher.stop(20)

    assert slept_after >= 8
    assert flusher._thread is None


def test_work_that_comes_while_it_falls_asleep_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record between the last tick and the sleep does not wait for the next one."""
    monkeypatch.setattr(flushers, "_PATIENCE", 1)

    class Late(Work):
        def tick(self) -> bool:
            super().tick()
            return flusher.is_asleep and self.ticks < 10  # only the tick after lying down finds work

    work = Late()
    flusher = Flusher(work, 0.001)
    flusher.wake()
    wait_until(lambda: work.ticks >= 10, "it slept over work")
    flusher.stop(20)


def test_a_system_without_threads_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, records go on and a later one tries again, not each."""
    tries = []

    def refuse(thread: threading.Thread) -> None:
        tries.append(thread)
        raise RuntimeError("can't start new thread")

    work = Work()
    flusher = Flusher(work, 0.001)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(5):
            flusher.wake()
    assert (len(tries), flusher.is_asleep) == (1, True)

    flusher._start_at = 0.0
    flusher.wake()
    wait_until(lambda: work.ticks, "it is not tried again")
    flusher.stop(20)


def test_a_tick_that_raises_ends_the_thread_but_not_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault nobody thought of is told, and the next record has its thread again."""
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))

    class Faulty(Work):
        def tick(self) -> bool:
            if not told:
                raise ZeroDivisionError
            return super().tick()

    work = Faulty()
    flusher = Flusher(work, 0.001)
    flusher.wake()
    wait_until(lambda: told, "nothing was told")
    wait_until(lambda: flusher.is_asleep, "the next record would not start a thread")
    flusher.wake()
    wait_until(lambda: work.ticks, "no new thread")
    flusher.stop(20)

    assert told == [ZeroDivisionError]


def test_stopping_what_never_started_is_nothing() -> None:
    """A journal without records has no thread."""
    work = Work()
    flusher = Flusher(work, 0.001)

    flusher.stop(20)

    assert work.ticks == 0
