"""`costspan tail` tells each call once, while they land."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from integration.ledger.calls import call, unpriced


@pytest.fixture
def following(environment):
    """Starts `costspan tail` as a process, and ends it after the test."""
    running = []

    def start(*options: str) -> subprocess.Popen[str]:
        variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
        process = subprocess.Popen(
            [sys.executable, "-m", "costspan", "tail", "--every", "0.1", *options],
            env={**variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def test_calls_come_as_they_land_and_end_with_ctrl_c(following, seed):
    """First the newest, then each that is written, with its cost as an exact number; Ctrl-C is no failure."""
    now = datetime.now(UTC)
    seed([call(now - timedelta(hours=1), session=f"before-{number}") for number in range(3)])
    process = following("--last", "2", "--json", "--tenant", "acme")
    first = [json.loads(process.stdout.readline()) for _ in range(2)]

    seed([call(now, session="while"), unpriced(now, session="while"), call(now, tenant="globex")])
    landed = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 0
    assert process.stdout.read() == ""
    assert {line["session"] for line in first} <= {"before-0", "before-1", "before-2"}
    assert [(line["session"], line["status"], line["cost_usd"]) for line in landed] == [
        ("while", "priced", 0.00135), ("while", "unpriced", None),
    ]  # fmt: skip


def test_people_get_a_line_for_each(following, seed):
    """When, what it cost, how much was read and written, and whose it was."""
    seed([unpriced(datetime.now(UTC))])
    process = following()

    head, line = process.stdout.readline(), process.stdout.readline()

    assert head.split()[:3] == ["time", "cost", "in"]
    assert " ".join(line.split()[1:]) == "unknown 450 180 0.7 s llama-9, acme, compression, s-1 [unpriced]"


def test_what_was_overtaken_is_told_once_and_late(ledger, seed):
    """A transaction that commits after one which took its number later is not lost, and nothing is told twice."""
    now = datetime.now(UTC)
    follower = ledger.follow()
    seed([call(now, session="a")])
    first, again = follower.written(), follower.written()
    seed([call(now, session="b"), call(now - timedelta(days=2), session="old")])

    second = follower.written()

    assert [made.session_id for made in first] == ["a"]
    assert again == ()
    assert [made.session_id for made in second] == ["b"]
