"""Any sequence of calls, crashes, outages, drains and damage, compared with a dict that knows what must come out."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from costspan.event import CacheUse, CallEvent, Ending, Intent, Outcome
from costspan.journal import Journal, Segment, adopt, file
from costspan.journal.frame import CARRIED, read_header, salt, scan
from costspan.journal.reader import record
from unit.journal.records import ending, event, files, intent, use

PROCESSES = 2
MEMORY = Path("/dev/shm")


class JournalMachine(RuleBasedStateMachine):
    """Some processes share a folder, and a ledger commits positions and rows together."""

    attempts = Bundle("attempts")

    @initialize(segment_bytes=st.sampled_from([400, 1500, 8 << 20]), sync=st.sampled_from(["group", "always"]))
    def start(self, segment_bytes: int, sync: str) -> None:
        """Begin with an empty folder."""
        self.parent = Path(tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
        self.folder = self.parent / "journal"
        self.options = {"segment_bytes": segment_bytes, "sync": sync, "retry_seconds": 0}
        self.processes = [self.new_process() for _ in range(PROCESSES)]
        self.adopted: list[Segment] = []
        self.next = 0
        # The model: the process and state of each attempt. `uncertain` ones may have lost records to damage or a crash.
        self.owner: dict[int, Journal] = {}
        self.state: dict[int, str] = {}
        self.uncertain: set[int] = set()
        # The ledger.
        self.positions: Counter[object] = Counter()
        self.events: Counter[int] = Counter()
        self.endings: dict[int, list[str]] = {}
        self.uses: Counter[int] = Counter()
        self.writes_fail = False
        file._write = self.write  # type: ignore[attr-defined]  # the real one is put back in teardown

    def new_process(self) -> Journal:
        """A journal as a process has one."""
        return Journal(self.folder, **self.options)  # type: ignore[arg-type]  # chosen in `start`

    def write(self, fd: int, data: bytes) -> int:
        """Write, or fail half way as a full disk does."""
        if self.writes_fail:
            os.write(fd, data[: len(data) // 3])
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, data)

    @rule(target=attempts, process=st.integers(0, PROCESSES - 1))
    def open(self, process: int) -> int:
        """A request leaves."""
        number, self.next = self.next, self.next + 1
        self.owner[number] = self.processes[process]
        self.state[number] = "open"
        self.owner[number].open(intent(number))
        if self.writes_fail:
            self.uncertain.add(number)  # until it is written, a kill loses it
        return number

    @rule(number=consumes(attempts), how=st.sampled_from(["settled", "settled", "failed", "unanswered"]))
    def close(self, number: int, how: str) -> None:
        """An answer returns, unless the process is gone."""
        if self.owner[number] not in self.processes:
            return
        self.state[number] = how
        self.owner[number].close_attempt(event(number) if how == "settled" else ending(number, how))
        if self.writes_fail:
            self.uncertain.add(number)

    @rule(process=st.integers(0, PROCESSES - 1))
    def look_up(self, process: int) -> None:
        """An application's own cache is asked."""
        number, self.next = self.next, self.next + 1
        self.owner[number] = self.processes[process]
        self.state[number] = "used"
        self.owner[number].note(use(number))
        if self.writes_fail:
            self.uncertain.add(number)

    @rule(process=st.integers(0, PROCESSES - 1))
    def crash(self, process: int) -> None:
        """A process is gone without a word. Its locks go; what it had in memory is lost."""
        journal = self.processes[process]
        self.processes[process] = self.new_process()
        journal._flusher.stop(20)
        for opened in journal._shelf.files():
            opened.close()

    @rule(process=st.integers(0, PROCESSES - 1))
    def exit(self, process: int) -> None:
        """A process ends in good order."""
        journal = self.processes[process]
        if journal.stats.in_memory == 0:
            self.processes[process] = self.new_process()
            journal.shutdown()

    @rule()
    def disk_full(self) -> None:
        """Nothing can be written from now on."""
        self.writes_fail = True

    @rule()
    def disk_freed(self) -> None:
        """Writing works again, and living processes find out."""
        self.writes_fail = False
        for journal in self.processes:
            journal.segments()
            if journal._shelf._file is not None and journal.stats.in_memory == 0:
                mine = {number for number, owner in self.owner.items() if owner is journal}
                self.uncertain -= mine - self.endangered()

    def endangered(self) -> set[int]:
        """Attempts whose records damage may have hit: they stay uncertain."""
        return getattr(self, "hit", set())

    @rule(limit=st.integers(1, 6), process=st.integers(0, PROCESSES - 1))
    def drain(self, limit: int, process: int) -> None:
        """A process drains a batch of each of its segments."""
        for segment in self.processes[process].segments():
            self.commit(segment, limit)

    @rule(process=st.integers(0, PROCESSES - 1), limit=st.integers(1, 6))
    def commit_fails(self, process: int, limit: int) -> None:
        """A process reads batches that never reach the ledger."""
        for segment in self.processes[process].segments():
            segment.read(self.positions[segment.writer], limit)

    @rule()
    def adopt(self) -> None:
        """Somebody takes over what gone processes left."""
        self.adopted += adopt(self.folder)

    @rule(limit=st.integers(1, 6))
    def drain_adopted(self, limit: int) -> None:
        """A batch of each adopted segment."""
        self.adopted = [segment for segment in self.adopted if not self.commit(segment, limit)]

    @rule()
    def adopter_crashes(self) -> None:
        """Whoever adopted is gone as well."""
        for segment in self.adopted:
            segment.release()
        self.adopted = []

    @precondition(lambda self: not self.adopted)
    @rule(seed=st.integers(0, 1000), kind=st.sampled_from(["torn", "zeros", "junk", "cut", "flip"]))
    def damage(self, seed: int, kind: str) -> None:
        """A disk damages the end, or a bit, of a file whose process is gone."""
        random = Random(seed)
        for orphan in adopt(self.folder):
            path = self.folder / f"{orphan.writer}.journal"
            orphan.release()
            data = path.read_bytes()
            bad = self.damaged(data, kind, random)
            if self.positions[orphan.writer] <= len(data):  # never what is committed: the disk has that
                if len(bad) < max(self.positions[orphan.writer], 32):
                    continue
                if kind == "flip" and self.positions[orphan.writer]:
                    continue
                path.write_bytes(bad)
                self.note_damage(data, bad, salt(orphan.writer))
            break

    def damaged(self, data: bytes, kind: str, random: Random) -> bytes:
        """``data`` with damage of a kind."""
        if kind == "torn":
            return data + data[32 : 32 + random.randrange(1, 40)][:30]
        if kind == "zeros":
            return data + bytes(random.randrange(1, 5000))
        if kind == "junk":
            return data + random.randbytes(random.randrange(1, 300))
        if kind == "cut":
            return data[: len(data) - random.randrange(1, 400)]
        bit = random.randrange(len(data) * 8)
        bent = bytearray(data)
        bent[bit // 8] ^= 1 << bit % 8
        return bytes(bent)

    def note_damage(self, before: bytes, after: bytes, seed: int) -> None:
        """Attempts with a record that is no longer there are uncertain."""

        def payloads(data: bytes) -> Counter[bytes]:
            return Counter(payload for _, _, payload in scan(data, seed, 0, at_end=True) if payload is not None)

        lost = payloads(before) - payloads(after)
        hit: set[int] = self.endangered()
        for payload in lost:
            found = record(payload.removeprefix(CARRIED))
            if isinstance(found, CallEvent | Ending | Intent):
                hit.add(int.from_bytes(found.attempt, "big"))
            elif isinstance(found, CacheUse):
                hit.add(found.tokens)
            else:  # the word that a file was rotated: its open intents may show up in two files
                hit |= {number for number, state in self.state.items() if state}
        self.hit = hit
        self.uncertain |= hit

    def commit(self, segment: Segment, limit: int) -> bool:
        """Read a batch, commit it with its position; return whether the segment is done."""
        position = self.positions[segment.writer]
        batch = segment.read(position, limit)
        assert batch.start == position
        assert batch.end >= position
        assert batch == segment.read(position, limit) or not segment.is_finished
        batch = segment.read(position, limit)
        self.positions[segment.writer] = batch.end
        for found in batch.events:
            number = int.from_bytes(found.attempt, "big")
            assert found == event(number)
            self.events[number] += 1
        for used in batch.cache_uses:
            assert used == use(used.tokens)
            self.uses[used.tokens] += 1
        for ended in batch.endings:
            number = int.from_bytes(ended.attempt, "big")
            assert ended.intent == intent(number) or number in self.uncertain or ended.intent is None
            self.endings.setdefault(number, []).append(str(ended.outcome))
        if batch.is_last:
            segment.discard()
        return batch.is_last

    @invariant()
    def nothing_is_made_up(self) -> None:
        """Only calls that were settled are events, and none twice."""
        for number, times in self.events.items():
            assert times == 1
            assert self.state[number] == "settled"
        for number, times in self.uses.items():
            assert times == 1
            assert self.state[number] == "used"
        for number, outcomes in self.endings.items():
            assert number in self.uncertain or len(outcomes) == 1
            assert number in self.uncertain or outcomes[0] in {self.state[number], Outcome.OPEN}

    @invariant()
    def no_call_was_dropped(self) -> None:
        """Memory has room for all of this."""
        assert all(journal.stats.dropped == journal.stats.uses_dropped == 0 for journal in self.processes)

    def teardown(self) -> None:
        """All processes end, the rest is drained: what was certain is in the ledger."""
        if not hasattr(self, "parent"):
            return
        try:
            self.disk_freed()
            for segment in [item for journal in self.processes for item in journal.segments()]:
                while self.commit(segment, 100) is False and segment.is_finished:
                    pass
            for journal in self.processes:
                journal.shutdown()
            self.adopter_crashes()
            while orphans := adopt(self.folder):
                for segment in orphans:
                    while not self.commit(segment, 100):
                        pass
            self.nothing_is_made_up()
            self.check_complete()
        finally:
            file._write = os.write  # type: ignore[attr-defined]  # as it was
            shutil.rmtree(self.parent)

    def check_complete(self) -> None:
        """Each attempt that nothing could have harmed came out as what it was."""
        for number, state in self.state.items():
            if number in self.uncertain:
                continue
            if state == "settled":
                assert self.events[number] == 1, f"{number} is missing"
                assert number not in self.endings
            elif state == "used":
                assert self.uses[number] == 1, f"{number} is missing"
            else:
                assert self.endings.get(number) == [state], f"{number} is {self.endings.get(number)}, not {state}"
        left = files(self.folder) if self.folder.exists() else []
        assert all(read_header(path.read_bytes()) is None for path in left), "a journal is left over"


class TestJournalModel(JournalMachine.TestCase):  # type: ignore[name-defined,misc]  # hypothesis makes it
    """A small run for every day."""

    settings = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.reliability
class TestJournalModelAtLength(JournalMachine.TestCase):  # type: ignore[name-defined,misc]  # hypothesis makes it
    """Two thousand sequences of fifty steps."""

    settings = settings(
        max_examples=2000, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
