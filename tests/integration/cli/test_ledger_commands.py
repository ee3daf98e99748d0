"""`costspan ledger` keeps the ledger small: it says what it did, asks before it drops, and tells what stands in its way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from typer.testing import CliRunner

from costspan.cli import app
from integration.cli.conftest import Answer
from integration.ledger.calls import call

NOW = datetime.now(UTC)
TODAY = NOW.date()
LOCK = "select pg_advisory_xact_lock(hashtextextended('costspan.keeper', 0))"


@pytest.fixture
def keep(environment):
    """Runs `costspan ledger …`."""

    def run(*words: str, answer: str | None = None, **changed: str) -> Answer:
        found = CliRunner(env={**environment, **changed}).invoke(app, ["ledger", *words], input=answer)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Answer(found.exit_code, found.stdout, found.stderr)

    return run


def days_ago(days: int):
    """A call of that day, at noon."""
    return call(NOW.replace(hour=12) - timedelta(days=days))


def test_days_that_are_over_are_compacted(keep, seed):
    """It says how many calls are in slices now; a second time there is nothing to do."""
    seed([days_ago(3), days_ago(3), days_ago(5), call(NOW)])

    first, second = keep("compact"), keep("compact")

    assert (first.code, second.code) == (0, 0)
    assert first.out.startswith("3 calls of 2 days before ")
    assert first.out.endswith(" (UTC): in 2 slices now.\n")
    assert second.out.startswith("Nothing to compact: no call before ")


def test_how_long_a_day_must_be_over(keep, seed):
    """--after is stronger than the setting; JSON says what was done."""
    seed([days_ago(3), days_ago(6), days_ago(10)])

    kept = keep("compact", "--json", COSTSPAN_COMPACT_AFTER_DAYS="8").json
    given = keep("compact", "--json", "--after", "4", COSTSPAN_COMPACT_AFTER_DAYS="30").json

    assert (kept["calls"], given["calls"], given["days"], given["slices"]) == (1, 1, 1, 1)
    assert given["before"] <= (TODAY - timedelta(days=4)).isoformat()


def test_another_process_at_it_is_told(keep, seed, ledger_url):
    """Who finds the turn taken ends with 3 and has changed nothing."""
    seed([days_ago(40)])

    with psycopg.connect(ledger_url) as other:
        other.execute(LOCK)
        compacted, retained = keep("compact"), keep("retain", "--days", "30", "--yes")

    assert (compacted.code, compacted.out) == (3, "")
    assert compacted.err == "costspan ledger compact: another process is at it: try again when it is done\n"
    assert retained.code == 3
    assert keep("size", "--json").json["calls_hot"] == 1


def test_what_would_be_dropped_is_told(keep, seed):
    """--dry-run changes nothing."""
    seed([days_ago(40), days_ago(40), days_ago(2)])

    found = keep("retain", "--days", "30", "--dry-run")

    since = TODAY - timedelta(days=30)
    assert (found.code, found.out) == (
        0, f"2 calls of 1 day before {since} (UTC): would be dropped. Their sums would stay.\n"
    )  # fmt: skip
    assert keep("size", "--json").json["calls"] == 3


def test_it_asks_before_it_drops(keep, seed):
    """No, or nobody to answer, leaves everything; yes drops it for good."""
    seed([days_ago(40), days_ago(2)])
    question = (
        f"1 call of 1 day before {TODAY - timedelta(days=30)} (UTC): dropped for good, but for their sums. Go on?"
    )

    no, nobody = (keep("retain", "--days", "30", answer=answer) for answer in ("n\n", ""))
    left = keep("size", "--json").json["calls"]
    yes = keep("retain", "--days", "30", answer="y\n")

    for found in (no, nobody):
        assert found.code == 3
        assert question in found.err
        assert "nothing was dropped" in found.err
    assert left == 2
    assert yes.code == 0
    assert "1 call of 1 day before " in yes.out
    assert keep("size", "--json").json["calls"] == 1


def test_the_setting_says_how_many_days_are_kept(keep, seed):
    """Without --days it does, and without either nothing is dropped."""
    seed([days_ago(40), days_ago(2)])

    neither = keep("retain", "--yes")
    setting = keep("retain", "--yes", "--json", COSTSPAN_RETENTION_DAYS="30").json

    assert neither.code == 2
    assert "how many days are to keep their calls? Give --days or COSTSPAN_RETENTION_DAYS" in neither.err
    assert (setting["kept_since"], setting["calls"], setting["days"]) == (
        (TODAY - timedelta(days=30)).isoformat(),
        1,
        1,
    )
    assert setting["is_dry_run"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("retain", "--days", "0"), "--days is '0': allowed are whole numbers above 0"),
        (("retain", "--days", "-3"), "--days is '-3': allowed are whole numbers above 0"),
        (("compact", "--after", "-1"), "--after is '-1': allowed are whole numbers from 0"),
        (("compact", "--after", "soon"), "--after is 'soon': allowed are whole numbers from 0"),
    ],
)
def test_what_makes_no_sense_is_refused(keep, words, message):
    """With 2 and the value that was given."""
    found = keep(*words)

    assert found.code == 2
    assert message in found.err


def test_a_setting_that_makes_no_sense_is_refused(keep):
    """The command line names the variable."""
    found = keep("compact", COSTSPAN_COMPACT_AFTER_DAYS="-1")

    assert found.code == 2
    assert "COSTSPAN_COMPACT_AFTER_DAYS is '-1': allowed are whole numbers from 0" in found.err


def test_a_ledger_that_is_away_is_told(keep):
    """With 1, and what to look at."""
    for words in (("compact",), ("retain", "--days", "3", "--yes"), ("size",)):
        found = keep(*words, COSTSPAN_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

        assert found.code == 1
        assert "the ledger cannot be reached" in found.err


def test_the_size_is_told_by_part(keep, seed):
    """Every byte is in one part, every call is a row or in a slice."""
    seed([days_ago(n % 5) for n in range(50)])
    keep("compact")
    keep("retain", "--days", "3", "--yes")

    table, found = keep("size"), keep("size", "--json").json

    assert sum(found["parts"].values()) == found["bytes"] < found["database_bytes"]
    assert all(found["parts"][part] > 0 for part in ("rows", "row_indexes", "slices", "sums", "dictionaries"))
    assert (found["calls"], found["days_hot"] + found["days_cold"]) == (found["calls_hot"] + found["calls_cold"], 4)
    assert found["calls"] == 40
    assert float(found["mb_per_million"]) == pytest.approx(found["bytes"] / found["calls"], abs=0.01)
    assert found["kept_since"] == (TODAY - timedelta(days=3)).isoformat()
    assert "calls in slices" in table.out
    assert "MB a million" in table.out
    assert f"Before {found['kept_since']} (UTC) there are only sums." in table.out


def test_an_empty_ledger_has_a_size(keep):
    """Nothing is divided by no calls."""
    found = keep("size", "--json").json

    assert (found["calls"], found["mb_per_million"], found["kept_since"]) == (0, None, None)
    assert keep("size").code == 0
    assert keep("compact").code == 0
    assert keep("retain", "--days", "1", "--yes").code == 0
