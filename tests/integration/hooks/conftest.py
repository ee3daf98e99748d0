"""The real meter, journal and price book behind the real SDKs; nothing is drained, so a test reads the journal."""

from __future__ import annotations

import gc
import time

import pytest
from prometheus_client import CollectorRegistry

from costspan import hooks
from costspan.event import CallEvent
from costspan.journal import Journal, Unsettled
from costspan.meter import Meter
from costspan.pricing import PriceBook
from costspan.sinks.prometheus import PrometheusSink
from fix_sdk import aclaude, agpt, both, claude, gpt, server  # noqa: F401  # fixtures

_PATIENCE_S = 10.0


class Kept:
    """What the journal has."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    @property
    def calls(self) -> list[CallEvent]:
        """Billed attempts, in the order in which they were settled."""
        return [event for batch in self._batches() for event in batch.events]

    @property
    def endings(self) -> list[Unsettled]:
        """Attempts that ended without usage."""
        return [ending for batch in self._batches() for ending in batch.endings]

    @property
    def outcomes(self) -> list[str]:
        """How those ended."""
        return [ending.outcome for ending in self.endings]

    @property
    def opened(self) -> int:
        """Attempts announced."""
        return self.meter.journal.stats.intents

    @property
    def is_settled(self) -> bool:
        """Whether each attempt that was announced has ended, once."""
        return self.meter.journal.stats.open_intents == 0 and self.opened == len(self.calls) + len(self.endings)

    def call(self) -> CallEvent:
        """Return the only call; there must be no other, no ending, and nothing open."""
        assert (len(self.calls), self.outcomes, self.is_settled) == (1, [], True)
        return self.calls[0]

    def wait(self) -> None:
        """Wait until the garbage collector, and the thread after it, have settled what was dropped."""
        gc.collect()
        deadline = time.monotonic() + _PATIENCE_S
        while not self.is_settled and time.monotonic() < deadline:
            time.sleep(0.005)
        assert self.is_settled

    def _batches(self):
        return [segment.read(0, 100_000) for segment in self.meter.journal.segments()]


@pytest.fixture(autouse=True)
def unhooked():
    """The SDKs are as they were once a test is over, however it ends."""
    yield
    hooks.uninstrument()


@pytest.fixture(scope="session")
def book():
    """The price book, resolved once."""
    return PriceBook.load()


@pytest.fixture
def meter(tmp_path, book):
    """A meter that keeps what it settles in a journal of its own."""
    journal = Journal(tmp_path / "journal")
    yield Meter(journal, book, PrometheusSink(CollectorRegistry()))
    journal.shutdown()


@pytest.fixture
def kept(meter, monkeypatch):
    """Both SDKs are metered, and costspan's own errors are not swallowed."""
    monkeypatch.setenv("COSTSPAN_RAISE", "1")
    report = hooks.instrument(meter)
    assert report.is_complete, str(report)
    return Kept(meter)
