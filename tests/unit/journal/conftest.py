"""Journals that end with their test, and a disk that fails when told to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from costspan.journal import Journal
from unit.journal.faults import Disk

MakeJournal = Callable[..., Journal]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the journals of a test lie; not created yet. In memory where that is possible: a thousand syncs take time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as parent:
        yield Path(parent) / "journal"


@pytest.fixture
def make_journal(folder: Path) -> Iterator[MakeJournal]:
    """Makes journals in `folder`, which are shut down after the test."""
    made: list[Journal] = []

    def make(**options: object) -> Journal:
        made.append(Journal(folder, **{"retry_seconds": 0, **options}))  # type: ignore[arg-type]  # as the test gives them
        return made[-1]

    yield make
    for journal in made:
        journal.shutdown()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk that fails when told to."""
    return Disk(monkeypatch)
