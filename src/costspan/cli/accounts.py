"""The accounts of attempts: what was announced, what became of it, and whether journal and ledger say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from costspan.event import Outcome
from costspan.journal import Audit as Folder
from costspan.journal import audit
from costspan.journal.file import SUFFIX
from costspan.journal.reader import Gathered
from costspan.journal.replay import replay
from costspan.ledger import Ledger
from costspan.ledger.summary import Audit

__all__ = ["Accounts", "FileAccount", "Journals", "account", "compare_journals"]


@dataclass(frozen=True, slots=True)
class Accounts:
    """What became of every attempt that any journal announced, as far as it was drained."""

    ledger: Audit
    lost: Mapping[str, int]
    """Attempts of all time of which nobody knows whether they were billed, by `Outcome`."""
    folder: Folder | None
    """What the journals of this host hold now; None where there is no folder."""

    @property
    def ended(self) -> int:
        """Attempts that the ledger has seen the end of."""
        found = self.ledger
        return found.calls + found.duplicates + found.failed + found.unsettled + found.quarantined

    @property
    def under_way(self) -> int:
        """Attempts that were announced and not ended; at the least, where something else than costspan wrote calls."""
        return max(0, self.ledger.intents - self.ended)

    @property
    def unannounced(self) -> int:
        """Calls beyond what was announced: whatever costspan writes is, so something else wrote these."""
        return max(0, self.ended - self.ledger.intents)

    @property
    def elsewhere(self) -> int:
        """Of those under way, the ones that no journal of this host knows: on other hosts, or gone with their disks."""
        return max(0, self.under_way - (self.folder.open if self.folder else 0))


@dataclass(frozen=True, slots=True)
class FileAccount:
    """One journal file, compared with what the ledger counted of it."""

    name: str
    waiting: int
    """Calls and endings behind what the ledger has read."""
    problems: tuple[str, ...]
    """What is in one and not in the other."""


@dataclass(frozen=True, slots=True)
class Journals:
    """The journal files of this host, compared with the ledger."""

    files: tuple[FileAccount, ...]
    compared: int
    """Calls that are in both."""

    @property
    def waiting(self) -> int:
        """Calls and endings that are not in the ledger yet."""
        return sum(file.waiting for file in self.files)

    @property
    def problems(self) -> tuple[str, ...]:
        """What differs, with the name of the file."""
        return tuple(f"{file.name}: {problem}" for file in self.files for problem in file.problems)


def account(ledger: Ledger, folder: Path) -> Accounts:
    """Count both.

    Raises:
        LedgerError: when the ledger cannot be read.
        OSError: when the folder cannot be listed.
    """
    held = audit(folder) if folder.exists() else None
    return Accounts(ledger.audit(), ledger.lost(), held)


def compare_journals(ledger: Ledger, folder: Path) -> Journals:
    """Read every journal file again as far as the ledger has read it, and compare the counts.

    Raises:
        LedgerError: when the ledger cannot be read.
        OSError: when the folder cannot be listed, or a file of this user cannot be read.
    """
    files: list[FileAccount] = []
    compared = 0
    for path in sorted(folder.glob(f"*{SUFFIX}")) if folder.exists() else ():
        try:
            found = replay(path, lambda writer: _asked(ledger, writer))
        except FileNotFoundError:
            continue  # drained and gone meanwhile: it is all in the ledger
        if found is None:
            files.append(FileAccount(path.name, 0, ("it is no journal of this version, or not of this user",)))
            continue
        position, counted = found.told
        read, whole = found.read, found.whole
        problems = list(_differences(read, counted))
        if position > found.size + 1:
            problems.append(f"the ledger has read {position:,} bytes of it, and it has {found.size:,}: it was cut")
        waiting = len(whole.events) + len(whole.endings) - len(read.events) - len(read.endings)
        files.append(FileAccount(path.name, waiting, tuple(problems)))
        compared += len(read.events)
    return Journals(tuple(files), compared)


def _asked(ledger: Ledger, writer: UUID) -> tuple[int, tuple[int, Audit]]:
    position, counted = ledger.audit_of(writer)
    return position, (position, counted)


def _differences(read: Gathered, counted: Audit) -> Iterator[str]:
    if read.intents != counted.intents:
        yield f"{read.intents:,} attempts announced, {counted.intents:,} counted in the ledger"
    calls, there = len(read.events), counted.calls + counted.duplicates
    if not there <= calls <= there + counted.quarantined:
        yield f"{calls:,} calls journalled, {there:,} in the ledger and {counted.quarantined:,} in quarantine"
    failed = sum(ending.outcome == Outcome.FAILED for ending in read.endings)
    if failed != counted.failed:
        yield f"{failed:,} attempts failed, {counted.failed:,} counted in the ledger"
