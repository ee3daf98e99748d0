"""Writes calls into a ledger from wherever it is, until it is killed or done: ``writing_process.py URL WRITER CALLS``."""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import UUID

from costspan.ledger import Ledger
from costspan.settings import Settings
from integration.ledger.calls import MemorySegment, call

_BATCH = 100


def calls_of(count: int) -> MemorySegment:
    """The same calls in every process."""
    return MemorySegment(events=[call(tokens=(number, 2 * number), tenant=f"t{number % 5}") for number in range(count)])


def main(url: str, writer: str, count: str) -> None:
    """Write."""
    segment = calls_of(int(count))
    ledger = Ledger.connect(Settings(database_url=url, state_dir=Path.cwd()))
    position = ledger.position(UUID(writer))
    sys.stdout.write("writing\n")
    sys.stdout.flush()
    while (batch := segment.read(position, _BATCH)).end > position:
        position = ledger.write(batch, UUID(writer)).position
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
