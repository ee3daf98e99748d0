"""Real limits of real disks: a file's size, a full file system, no free descriptors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from costspan.journal import Journal, adopt
from unit.journal.conftest import MakeJournal
from unit.journal.records import Drained, call, files, run_python

LIMITED = """
import json, os, resource, sys
from pathlib import Path
from costspan.journal import Journal
from unit.journal.records import Drained, call

kind, soft = getattr(resource, sys.argv[2]), int(sys.argv[3])
journal = Journal(Path(sys.argv[1]), segment_bytes=4000, retry_seconds=0)
_, hard = resource.getrlimit(kind)
call(journal, 0)
resource.setrlimit(kind, (soft, hard))
for number in range(1, 40):
    call(journal, number)
during = journal.stats
resource.setrlimit(kind, (hard, hard))
call(journal, 40)
after = journal.stats
print(json.dumps([during.in_memory, during.dropped, after.in_memory, after.dropped]))
"""


@pytest.mark.parametrize(
    ("kind", "soft", "is_memory_needed"),
    [
        ("RLIMIT_FSIZE", 0, True),
        ("RLIMIT_FSIZE", 50, True),
        ("RLIMIT_FSIZE", 500, False),
        ("RLIMIT_FSIZE", 1111, False),
        ("RLIMIT_NOFILE", 4, False),
    ],
)
def test_a_limit_of_the_process(folder: Path, kind: str, soft: int, is_memory_needed: bool) -> None:
    """Writes cut short by a limit cost nothing: other files or memory take the records, and files when it is lifted."""
    in_memory, dropped, in_memory_after, dropped_after = json.loads(run_python(LIMITED, folder, kind, soft))

    drained = Drained().drain(adopt(folder))

    assert bool(in_memory) is is_memory_needed
    assert (dropped, in_memory_after, dropped_after) == (0, 0, 0)
    assert sorted(drained.numbers) == list(range(41))
    assert (drained.endings, drained.quarantined, drained.torn) == ([], [], 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    if subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], check=False, capture_output=True
    ).returncode:
        pytest.skip("may not mount a small file system here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """A disk that fills up loses nothing: memory takes over, room brings the journal back, and all comes out once."""
    ballast = small_disk / "ballast"
    journal = Journal(small_disk / "journal", segment_bytes=20_000, retry_seconds=0)
    for number in range(100):
        call(journal, number)

    with ballast.open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        while True:
            full.write(bytes(4096))
    for number in range(100, 400):
        call(journal, number)
    during = journal.stats
    ballast.unlink()
    call(journal, 400)
    after = journal.stats
    drained = Drained().drain(journal.segments(), limit=50)
    journal.shutdown()

    assert during.in_memory > 200
    assert (during.dropped, after.dropped, after.in_memory) == (0, 0, 0)
    assert sorted(drained.numbers) == list(range(401))
    assert (drained.quarantined, drained.torn) == ([], 0)


def test_a_disk_that_stays_full(small_disk: Path) -> None:
    """A disk with room for a part only: what fits is written, the rest is in memory or dropped, and each is counted."""
    journal = Journal(small_disk / "journal", segment_bytes=20_000, retry_seconds=0, memory_records=500)

    for number in range(3000):
        call(journal, number)
    stats = journal.stats
    drained = Drained().drain(journal.segments(), limit=50)
    journal.shutdown()

    assert stats.dropped > 0
    assert stats.in_memory == 500
    assert len(set(drained.numbers)) == len(drained.numbers) == 3000 - stats.dropped


def test_a_device_that_is_always_full(folder: Path, make_journal: MakeJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing to /dev/full fails as a full disk does, and the journal goes on in another file."""
    journal = make_journal()
    call(journal, 1)
    fd = journal._shelf.files()[0]._fd
    kept = os.dup(fd)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, fd)
    os.close(full)

    call(journal, 2)
    os.dup2(kept, fd)
    os.close(kept)

    assert len(files(folder)) == 2
    assert journal.stats.io_errors >= 1
    assert Drained().drain(journal.segments()).numbers == [1, 2]
