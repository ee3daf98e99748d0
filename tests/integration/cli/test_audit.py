"""`costspan audit` adds up, and `costspan drain` and `costspan migrate` do once what others do all the time."""

from __future__ import annotations

import psycopg
import pytest
from typer.testing import CliRunner

from costspan.cli import app
from costspan.journal import Journal
from integration.cli.conftest import Answer
from integration.cli.test_report_journal import orphan
from integration.ledger.calls import NOON, call, lost
from samples import intent

__all__ = ["orphan"]


def running(environment):
    """Return what runs `costspan …` with these settings."""

    def run(*words: str, **changed: str) -> Answer:
        found = CliRunner(env={**environment, **changed}).invoke(app, list(words))
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Answer(found.exit_code, found.stdout, found.stderr)

    return run


@pytest.fixture
def run(environment):
    """Runs `costspan …` on a ledger of this test's own."""
    return running(environment)


@pytest.fixture
def run_without(tmp_path):
    """Runs `costspan …` where there is no ledger."""
    return running({"COSTSPAN_STATE_DIR": str(tmp_path), "COSTSPAN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"})


def adds_up(found: dict) -> bool:
    """Intents are everything that became of them."""
    parts = ("settled", "duplicates", "failed", "unanswered", "open", "quarantined", "under_way")
    return found["intents"] == sum(found[part] for part in parts) - found["unannounced"]


def test_what_a_process_left_waits_and_is_then_accounted_for(run, orphan):
    """20 calls and an open attempt: first in the journal, then in the ledger, each once and none missing."""
    waiting = run("audit", "--journal", "--json").json
    drained, again = run("drain"), run("drain")
    told, found = run("audit"), run("audit", "--journal", "--json").json

    assert (waiting["journal"]["waiting"], waiting["folder"]["settled"], waiting["intents"]) == (20, 20, 0)
    assert drained.out == "Into the ledger: 20 calls, 1 never answered or left open.\n"
    assert again.out == "Nothing was waiting.\n"
    assert (found["intents"], found["settled"], found["open"], found["under_way"]) == (21, 20, 1, 0)
    assert (adds_up(found), found["journal"]["is_equal"]) == (True, True)
    assert told.out.splitlines()[0].split() == [
        "21",
        "attempts",
        "announced,",
        "in",
        "every",
        "journal",
        "that",
        "was",
        "drained",
    ]


def test_what_is_under_way_is_told_from_what_is_lost(run, seed, tmp_path):
    """An attempt of a living process is in its journal; one that is in no journal of this host is said."""
    journal = Journal(tmp_path / "journal")
    try:
        journal.open(intent())
        seed([call(NOON)], intents=3)

        found = run("audit", "--json").json
        told = run("audit")
    finally:
        journal.shutdown()

    assert (found["under_way"], found["elsewhere"], found["folder"]["in_flight"]) == (2, 1, 1)
    assert adds_up(found)
    assert "1 attempt that no journal of this host knows" in told.out


def test_calls_that_nobody_announced_do_not_hide_the_sum(run, seed):
    """Tracked by hand they have no intent."""
    seed([call(NOON), call(NOON)], endings=[lost("unanswered"), lost("failed")], intents=2)

    found = run("audit", "--json").json

    assert (found["settled"], found["unanswered"], found["failed"], found["unannounced"]) == (2, 1, 1, 2)
    assert adds_up(found)


def test_a_call_that_the_ledger_lost_shows(run, tmp_path, ledger, ledger_url):
    """Journal against ledger: what one has and the other has not, by file, with exit code 3."""
    journal = Journal(tmp_path / "journal")
    try:
        for event in (call(NOON), call(NOON)):
            journal.open(intent(attempt=event.attempt))
            journal.close_attempt(event)
        (segment,) = journal.segments()
        ledger.write(segment.read(0, 100), segment.writer)
        same = run("audit", "--journal")
        with psycopg.connect(ledger_url, autocommit=True) as connection:
            connection.execute("update costspan.writer set calls = calls - 1, intents = intents + 1")
        told, listed = run("audit", "--journal"), run("audit", "--journal", "--json")
    finally:
        journal.shutdown()

    assert (same.code, told.code, listed.code) == (0, 3, 3)
    assert "1 file, 2 calls in both: they say the same." in same.out
    assert "2 calls journalled, 1 in the ledger" in told.out
    (file,) = listed.json["journal"]["files"]
    assert file["problems"] == [
        "2 attempts announced, 3 counted in the ledger", "2 calls journalled, 1 in the ledger and 0 in quarantine",
    ]  # fmt: skip


def test_a_schema_is_migrated_once(run_without, database_url):
    """What was applied is named; the second time nothing is."""
    first, second = (run_without("migrate", COSTSPAN_DATABASE_URL=database_url) for _ in range(2))
    listed = run_without("migrate", "--json", COSTSPAN_DATABASE_URL=database_url)

    assert first.out.startswith("Applied: 0001_tables, ")
    assert second.out == "Nothing to apply: the schema is as this version needs it.\n"
    assert listed.json == {"applied": []}


@pytest.mark.parametrize("command", [("audit",), ("drain",), ("migrate",), ("tail",)])
def test_a_ledger_that_is_away_is_said_in_a_line(run_without, command):
    """Exit code 1; a database that cannot be read and an option that makes no sense are 2."""
    away = run_without(*command)
    garbage = run_without(*command, COSTSPAN_DATABASE_URL="garbage")

    assert (away.code, garbage.code) == (1, 2)
    assert away.err.startswith(f"costspan {command[0]}: the ledger cannot be reached")
    assert len(away.err.splitlines()) == len(garbage.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("drain", "--timeout", "0"), "--timeout is 0"),
        (("tail", "--last", "-1"), "--last is -1"),
        (("tail", "--every", "0"), "--every is 0"),
        (("tail", "--tenant", " "), "--tenant is ' '"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(run_without, words, named):
    """Exit code 2, before the ledger is looked for."""
    found = run_without(*words)

    assert (found.code, found.out) == (2, "")
    assert named in found.err
