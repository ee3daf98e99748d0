"""What a process journalled before it died is in the next report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SRC = Path(__file__).parents[3] / "src"
_TESTS = Path(__file__).parents[2]
#: Journals 20 calls and one that is never answered, and is gone without a word.
_VICTIM = """
import os, sys
from pathlib import Path
from costspan.event import Intent
from costspan.journal import Journal
from integration.ledger.calls import call

journal = Journal(Path(sys.argv[1]))
for _ in range(20):
    event = call(session="s-1")
    journal.open(Intent(event.attempt, event.at_ns, "anthropic", "anthropic", "chat", event.model, "acme", "s-1", "", ""))
    journal.close_attempt(event)
event = call()
journal.open(Intent(event.attempt, event.at_ns, "anthropic", "anthropic", "chat", event.model, "acme", "s-1", "", ""))
os._exit(9)
"""


@pytest.fixture
def orphan(tmp_path):
    """The journal of a process that is gone."""
    command = [sys.executable, "-c", _VICTIM, str(tmp_path / "journal")]
    ended = subprocess.run(command, env={"PYTHONPATH": f"{_SRC}:{_TESTS}"}, check=False)
    assert ended.returncode == 9
    return tmp_path / "journal"


def test_calls_of_a_process_that_died_are_in_the_report(ask, orphan):
    """They are drained first, its open attempt is told apart, and a second report says the same."""
    first, second = (ask("--date", "2026-11-21", "--json").json for _ in range(2))

    assert first["total"]["calls"] == 20
    assert str(first["total"]["cost_usd"]) == "0.027"
    assert first["unsettled"] == {"open": 1}
    assert first["is_behind"] is False
    assert second == first
    assert list(orphan.iterdir()) == []


def test_who_meters_without_draining_finds_its_calls_in_the_report(ask, orphan):
    """COSTSPAN_DRAIN=off is about processes that meter: with the same environment the report brings in what they left."""
    found = ask("--date", "2026-11-21", "--json", COSTSPAN_DRAIN="off").json

    assert found["total"]["calls"] == 20
    assert list(orphan.iterdir()) == []
