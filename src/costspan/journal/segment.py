"""What the drainer sees of the journal: segments, read in batches from a position that the ledger remembers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from costspan.event import CacheUse, CallEvent, Intent

__all__ = ["Batch", "Segment", "Unsettled"]


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An attempt that ended without usage, with what was known when it left."""

    attempt: bytes
    intent: Intent | None
    """None where damage took it, or where the attempt was never announced."""
    outcome: str
    """A `costspan.event.Outcome`. ``failed`` was not billed; the others may have been."""
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Records from one position of a segment to another."""

    start: int
    end: int
    """The position after this batch; to be committed together with it."""
    events: list[CallEvent] = field(default_factory=list)
    endings: list[Unsettled] = field(default_factory=list)
    quarantined: list[bytes] = field(default_factory=list)
    """Damaged bytes, and payloads that are no record of this version; pieces of at most 64 KiB."""
    torn: int = 0
    """Bytes of damage with nothing to keep: zeros, and at the file's end the beginning of a frame that a crash cut."""
    intents: int = 0
    """Intents announced in this batch, those carried over from an earlier file not counted again."""
    is_last: bool = False
    """Nothing can follow: once ``end`` is committed, the segment can be discarded."""
    cache_uses: list[CacheUse] = field(default_factory=list)

    @property
    def weight(self) -> int:
        """Records that count against a batch's limit."""
        return len(self.events) + len(self.endings) + len(self.quarantined) + len(self.cache_uses)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that the ledger would store."""
        return not self.weight


class Segment(Protocol):
    """One writer's records, in order. At any time one thread reads it."""

    @property
    def writer(self) -> UUID:
        """Its identity in the ledger."""

    @property
    def is_finished(self) -> bool:
        """Whether no more records can come."""

    def read(self, position: int, limit: int) -> Batch:
        """Return what follows ``position`` (0: the beginning), at most about ``limit`` events, endings, uses and damages.

        Never raises: what cannot be read is in ``quarantined`` or ``torn``. Reading from a position says that
        everything before it is committed. Where nothing more is there yet, ``end == start``.
        """

    def discard(self) -> None:
        """Delete the segment, whose last batch is committed.

        Raises:
            ValueError: when its last batch was not read yet.
        """

    def release(self) -> None:
        """Let go of it unfinished, so that another process may adopt it. Own segments stay."""
