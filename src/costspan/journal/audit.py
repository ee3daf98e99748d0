"""What a journal folder holds, counted without touching it: what ``costspan audit`` shows.

Every attempt announced ends once or is open: ``settled + failed + unanswered + open`` is ``intents``, and more by the
calls that were tracked without an intent. What the drainer has deleted is in the ledger and counts there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from costspan.event import Outcome
from costspan.journal.file import SUFFIX
from costspan.journal.glance import glance
from costspan.journal.reader import Gathered

__all__ = ["Audit", "audit"]


@dataclass(frozen=True, slots=True)
class Audit:
    """Attempts of all journals in a folder."""

    files: int = 0
    live_files: int = 0
    """Of these, files whose writers or adopters are alive."""
    foreign: int = 0
    """Files that could not be read: no journal, another version, no permission."""
    intents: int = 0
    settled: int = 0
    failed: int = 0
    unanswered: int = 0
    open: int = 0
    """Attempts that nobody ended, or that an ending says nothing can be known of."""
    in_flight: int = 0
    """Of the open ones, those of living writers."""
    damaged: int = 0
    """Bytes that are no record."""
    torn: int = 0
    """Bytes of writes that a crash cut, and zeros."""


@dataclass(slots=True)
class _Tally:
    """Sums over files; an attempt that was carried from file to file is one attempt."""

    counts: Counter[str] = field(default_factory=Counter)
    open: set[bytes] = field(default_factory=set)
    in_flight: set[bytes] = field(default_factory=set)
    left_behind: set[bytes] = field(default_factory=set)
    carried: set[bytes] = field(default_factory=set)
    ended: set[bytes] = field(default_factory=set)

    def add(self, found: Gathered, *, is_live: bool) -> None:
        still_open = found.open.keys()
        self.open |= still_open
        if is_live:
            self.in_flight |= still_open
        self.left_behind |= still_open - found.carried
        self.carried |= found.carried
        self.ended |= (found.carried - still_open) | found.strays
        self.counts["files"] += 1
        self.counts["live_files"] += is_live
        self.counts["intents"] += found.intents
        self.counts["settled"] += len(found.events)
        self.counts["damaged"] += sum(map(len, found.damaged))
        self.counts["torn"] += 0 if is_live else found.torn  # a living writer may be in the middle of a write
        self.counts.update(ending.outcome for ending in found.endings)

    def result(self) -> Audit:
        counts, still_open = self.counts, self.open - self.ended
        return Audit(
            files=counts["files"],
            live_files=counts["live_files"],
            foreign=counts["foreign"],
            intents=counts["intents"] + len(self.carried - self.left_behind),
            settled=counts["settled"],
            failed=counts[Outcome.FAILED],
            unanswered=counts[Outcome.UNANSWERED],
            open=counts[Outcome.OPEN] + len(still_open),
            in_flight=len(still_open & self.in_flight),
            damaged=counts["damaged"],
            torn=counts["torn"],
        )


def audit(directory: Path) -> Audit:
    """Count what the journals in ``directory`` hold. Changes nothing; writers may go on meanwhile.

    Raises:
        OSError: when the folder cannot be listed.
    """
    tally = _Tally()
    for path in sorted(path for path in Path(directory).iterdir() if path.suffix == SUFFIX):
        try:
            seen = glance(path)
        except FileNotFoundError:
            continue  # drained meanwhile
        except OSError:
            seen = None
        if seen is None:
            tally.counts["foreign"] += 1
        else:
            tally.add(seen.found, is_live=seen.is_live)
    return tally.result()
