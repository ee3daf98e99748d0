"""Records to journal, and readers of what came out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from costspan.event import CacheUse, CallEvent, Ending, Intent, Line
from costspan.journal import Journal, Segment, Unsettled

NOON = 1_767_268_800_000_000_000
"""2026-01-01 12:00 UTC."""


def attempt(number: int) -> bytes:
    """The 16 bytes of an attempt."""
    return number.to_bytes(16, "big")


def intent(number: int) -> Intent:
    """An attempt that is about to leave."""
    return Intent(
        attempt(number),
        NOON + number,
        "openai",
        "openai",
        "chat",
        "gpt-5",
        "acme",
        f"session-{number}",
        "u-7",
        "search",
    )


def event(number: int) -> CallEvent:
    """The priced call of `intent`."""
    return CallEvent(
        attempt=attempt(number),
        at_ns=NOON + number,
        duration_ms=812,
        service="openai",
        provider="openai",
        operation="chat",
        model="gpt-5",
        request_model="gpt-5",
        status="priced",
        cost_pico=1_350_000_000 + number,
        tokens_in=450,
        tokens_out=180,
        quantities={"input_tokens": 450, "output_tokens": 180},
        reasoning=0,
        terms="standard",
        price_version="list",
        lines=[Line("gpt-5", "input_tokens", 450, 10**12, 450_000_000, "list")],
        tenant="acme",
        session=f"session-{number}",
    )


def ending(number: int, outcome: str = "unanswered") -> Ending:
    """An attempt of `intent` that brought no usage."""
    return Ending(attempt(number), outcome, "timeout")


def use(number: int) -> CacheUse:
    """A hit that is told from others by its tokens."""
    return CacheUse(NOON, "embeddings", True, number, 130_000 * number, "text-embedding-3-large", "acme", "search")


class Drained:
    """What a drainer that commits everything would have put into the ledger."""

    def __init__(self) -> None:
        self.positions: dict[object, int] = {}
        self.numbers: list[int] = []
        self.events: list[CallEvent] = []
        self.endings: list[Unsettled] = []
        self.uses: list[CacheUse] = []
        self.quarantined: list[bytes] = []
        self.torn = 0

    def drain(self, segments: Iterable[Segment], limit: int = 100) -> Drained:
        """Read ``segments`` to their ends; discard the ones that are finished."""
        for segment in segments:
            while True:
                batch = segment.read(self.positions.get(segment.writer, 0), limit)
                assert batch.end >= batch.start
                self.positions[segment.writer] = batch.end
                self.events += batch.events
                self.numbers += [int.from_bytes(found.attempt, "big") for found in batch.events]
                self.endings += batch.endings
                self.uses += batch.cache_uses
                self.quarantined += batch.quarantined
                self.torn += batch.torn
                if batch.is_last:
                    segment.discard()
                if batch.is_last or batch.end == batch.start:
                    break
        return self

    def outcomes(self) -> dict[int, str]:
        """Outcome by number of the attempts that ended without usage."""
        return {int.from_bytes(found.attempt, "big"): str(found.outcome) for found in self.endings}


def call(journal: Journal, number: int) -> None:
    """Journal a whole call."""
    journal.open(intent(number))
    journal.close_attempt(event(number))


def files(directory: Path) -> list[Path]:
    """The journal files of ``directory``."""
    return sorted(directory.glob("*.journal"))


def run_python(script: str, *arguments: object) -> str:
    """Run ``script`` to its end and return what it printed."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environ, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
