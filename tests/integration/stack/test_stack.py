"""`make stack`: from a call to the message, with everything that is shipped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from integration.alerting.processes import tool

STACK = Path(__file__).resolve().parents[3] / "deploy" / "stack.py"


def _run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    command = [sys.executable, str(STACK), *options]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=300)


def _processes_about(folder: Path) -> list[str]:
    commands = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if os.access(file, os.R_OK)]
    return [command.decode(errors="replace") for command in commands if os.fsencode(folder) in command]


@pytest.mark.xdist_group("alerting")
def test_the_stack_tells_of_a_budget_that_is_passed_and_leaves_nothing(tmp_path):
    """The message has what people need, and how long it took; no process stays, no file, and no ledger of the user's is asked."""
    tool("prometheus")
    tool("alertmanager", "prometheus-alertmanager")

    done = _run("--fast", TMPDIR=str(tmp_path), COSTSPAN_DATABASE_URL="postgresql://127.0.0.1:1/not-asked")

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"Told \d+\.\d s after the call that passed it", done.stdout)
    assert "summary: acme has passed its budget of the day: $12.00 spent" in done.stdout
    assert "top_models: claude-3-5-haiku-latest $12.00" in done.stdout
    assert "All of it has ended." in done.stdout
    assert _processes_about(tmp_path) == []
    assert list(tmp_path.glob("costspan-stack-*")) == []


def test_the_stack_says_what_is_missing(tmp_path):
    """Where Prometheus is not installed it ends at once, with 2."""
    done = _run(PATH=str(tmp_path))

    assert done.returncode == 2
    assert "apt-get install prometheus prometheus-alertmanager" in done.stderr
