"""`costspan prices diff`, `costspan reprice` and `costspan ledger verify` on a real Postgres."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import typer
from typer.testing import CliRunner, Result

from costspan.cli.ledger_verify import verify
from costspan.cli.prices_diff import diff
from costspan.cli.reprice import reprice
from costspan.ledger import Dimension
from integration.ledger.calls import call, unpriced

APP = typer.Typer(pretty_exceptions_enable=False)
for command in (diff, reprice, verify):
    APP.command()(command)
NOVEMBER = ("--since", "2026-11-01", "--until", "2026-12-01")
DAY = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.fixture
def prices(tmp_path) -> Path:
    """A price file that knows llama-9."""
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nmodel = "llama-9"\ninput = 2.00\noutput = 3.00\n')
    return path


@pytest.fixture
def run(environment, prices) -> Callable[..., Result]:
    """Runs a command with the price file."""

    def invoke(*words: str, answer: str = "", **changed: str) -> Result:
        variables = {**environment, "COSTSPAN_PRICES": str(prices), **changed}
        found = CliRunner(env=variables).invoke(APP, list(words), input=answer)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    return invoke


@pytest.fixture
def calls(seed):
    """Three calls of a model that had no price, one of a model that nobody has a price for, and one with a price."""
    seed([unpriced(DAY + timedelta(minutes=number)) for number in range(3)])
    nova = unpriced(model="gpt-99", lines=[], quantities={}, tokens_in=0, tokens_out=0, provider="openai")
    seed([call(DAY), nova])


def exact(found: Result) -> dict:
    """What was printed, with exact decimals."""
    return json.loads(found.stdout, parse_float=Decimal)


def test_a_difference_is_told_by_model_and_status(run, calls):
    """Each model's calls, what they cost now and then, what gets a price, and what stays without one."""
    found = run("diff", *NOVEMBER)

    assert found.exit_code == 0
    lines = [" ".join(line.split()) for line in found.stdout.splitlines() if line.strip()]
    assert lines[0] == "Calls from 2026-11-01 00:00 until 2026-12-01 00:00 (UTC), all tenants"
    assert "anthropic claude-3-5-haiku-latest priced 1 $0.00135 $0.00135" in lines
    assert "anthropic llama-9 unpriced 3 3 unknown $0.00432 +$0.00432" in lines
    assert "openai gpt-99 unpriced 1 unknown unknown" in lines
    assert "total 5 3 $0.00135 $0.00567 +$0.00432" in lines
    assert "3 calls without a cost would get one: $0.00432." in lines
    assert any(line.startswith("1 call of gpt-99 at openai stays without a cost: no price is known") for line in lines)
    assert "contract " in lines[-1]  # which prices these are


def test_a_difference_as_json_is_exact(run, calls):
    """Amounts are numbers with every digit; null is no tenant, no model, and a cost that is not known."""
    found = exact(run("diff", *NOVEMBER, "--json"))

    assert (found["tenant"], found["model"], found["kept_since"]) == (None, None, None)
    assert found["total"] == {
        "calls": 5,
        "changed": 3,
        "cost_now_usd": Decimal("0.00135"),
        "cost_then_usd": Decimal("0.00567"),
        "difference_usd": Decimal("0.00432"),
    }
    assert found["newly_priced"] == {"calls": 3, "cost_usd": Decimal("0.00432")}
    assert [(entry["model"], entry["calls"]) for entry in found["still_unpriced"]] == [("gpt-99", 1)]
    assert found["kept"] == []
    costs = {row["model"]: (row["cost_now_usd"], row["cost_then_usd"]) for row in found["rows"]}
    assert (costs["gpt-99"], costs["llama-9"]) == ((None, None), (None, Decimal("0.00432")))


def test_repricing_asks_and_then_corrects(run, calls, ledger, ledger_url):
    """It says what will change, asks, and afterwards every sum has it; a second run has nothing to do."""
    refused = run("reprice", *NOVEMBER, answer="n\n")
    nobody = run("reprice", *NOVEMBER)
    agreed = run("reprice", *NOVEMBER, "--reason", "llama-9 is known", answer="y\n")
    again = run("reprice", *NOVEMBER, "--yes")

    assert [found.exit_code for found in (refused, nobody, agreed, again)] == [3, 3, 0, 0]
    assert "nothing was corrected" in refused.stderr
    assert "3 calls will be corrected" in agreed.stderr
    assert "3 calls without a cost got one: $0.00432." in agreed.stdout
    assert "3 corrections were appended, as run 1 of costspan.reprice." in agreed.stdout
    assert "Nothing differs, and nothing was corrected." in again.stdout
    summary = ledger.summary(DAY - timedelta(days=2), DAY + timedelta(days=27), by=(Dimension.MODEL, Dimension.STATUS))
    assert [
        (row.keys[Dimension.MODEL], row.keys[Dimension.STATUS], row.calls, row.cost)
        for row in summary.rows
        if row.calls
    ] == [
        ("claude-3-5-haiku-latest", "priced", 1, Decimal("0.00135")),
        ("gpt-99", "unpriced", 1, Decimal(0)),
        ("llama-9", "priced", 3, Decimal("0.00432")),
    ]
    assert (summary.total.calls, summary.total.unpriced, summary.total_cost) == (5, 1, Decimal("0.00567"))
    with psycopg.connect(ledger_url) as connection:
        assert connection.execute("select reason from costspan.reprice").fetchall() == [("llama-9 is known",)]


def test_a_dry_run_writes_nothing(run, calls, ledger_url):
    """With --dry-run it only says what would change, and asks nobody, not even with --yes."""
    found = exact(run("reprice", *NOVEMBER, "--dry-run", "--yes", "--json"))

    assert (found["is_dry_run"], found["corrections"], found["reprice_id"]) == (True, 0, None)
    assert found["total"]["changed"] == 3
    with psycopg.connect(ledger_url) as connection:
        assert connection.execute("select count(*) from costspan.correction").fetchall() == [(0,)]


def test_corrections_are_counted_in_json(run, calls):
    """A program learns how many corrections there are and which run they are of."""
    found = exact(run("reprice", *NOVEMBER, "--only", "unpriced", "--yes", "--json"))

    assert (found["is_dry_run"], found["corrections"], found["overtaken"], found["reprice_id"]) == (False, 3, 0, 1)
    assert (found["only_unpriced"], found["total"]["calls"]) == (True, 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "yesterday"), "--since is 'yesterday': allowed are days such as 2026-11-20"),
        (("--since", "2026-13-01"), "--since is '2026-13-01'"),
        (("--since", "1999-01-01"), "the years 2015 to 2099"),
        (("--since", "2026-11-02", "--until", "2026-11-01"), "it must end after it begins"),
        (("--since", "2026-11-01", "--until", "2026-11-01"), "it must end after it begins"),
        (("--since", "2026-11-02", "--until", "soon"), "--until is 'soon'"),
        (("--since", "2026-11-02", "--tenant", " "), "--tenant is ' '"),
    ],
)
@pytest.mark.parametrize("command", ["diff", "reprice"])
def test_what_makes_no_sense_is_refused(run, words, said, command):
    """Dates that are none, ranges that end before they begin and empty tenants end with 2, before anything is asked."""
    found = run(command, *words, COSTSPAN_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert found.exit_code == 2
    assert said in found.stderr


def test_another_only_is_refused(run):
    """--only has one word."""
    found = run("reprice", *NOVEMBER, "--only", "priced")

    assert (found.exit_code, found.stderr) == (2, "costspan reprice: --only is 'priced': allowed is unpriced\n")


def test_days_begin_where_the_setting_says(run, seed):
    """A date is midnight in COSTSPAN_TIMEZONE; an instant is itself."""
    seed([unpriced(datetime(2026, 11, 2, 18, 30, tzinfo=UTC)), unpriced(datetime(2026, 11, 2, 18, 29, tzinfo=UTC))])

    kolkata = exact(run("diff", "--since", "2026-11-03", "--json", COSTSPAN_TIMEZONE="Asia/Kolkata"))
    instant = exact(run("diff", "--since", "2026-11-02T18:29+00:00", "--json", COSTSPAN_TIMEZONE="Asia/Kolkata"))

    assert (kolkata["since"], kolkata["total"]["calls"]) == ("2026-11-02T18:30:00+00:00", 1)
    assert instant["total"]["calls"] == 2


def test_a_price_file_that_cannot_be_read_is_refused(run, prices):
    """File and line are named, and the ledger is not asked."""
    prices.write_text("[[price]]\nmodel = 'x'\ninput = -1\n")

    found = run("diff", *NOVEMBER)

    assert found.exit_code == 2
    assert "prices.toml" in found.stderr


def test_a_ledger_that_is_away_is_told(run):
    """Where Postgres cannot be reached it ends with 1."""
    away = "postgresql://nobody@127.0.0.1:1/none"

    for command in (("diff", *NOVEMBER), ("reprice", *NOVEMBER, "--yes"), ("verify",)):
        found = run(*command, COSTSPAN_DATABASE_URL=away)

        assert found.exit_code == 1
        assert "cannot be reached" in found.stderr


def test_an_empty_range_is_told(run, ledger):
    """No call, no table."""
    found = run("diff", *NOVEMBER)

    assert found.exit_code == 0
    assert "No calls in this range that could be priced again." in found.stdout


def test_a_sound_ledger_is_verified(run, calls):
    """Each check says how much it compared; it ends with 0."""
    found = run("verify")

    assert found.exit_code == 0
    assert "5 calls. Everything holds together." in found.stdout
    assert " ok " in found.stdout


def test_a_broken_ledger_fails_verification(run, calls, ledger_url):
    """What is wrong is named, in words and as JSON, and it ends with 1."""
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute("update costspan.usage_hour set calls = calls + 1")

    told, listed = run("verify", "--all"), run("verify", "--json")

    assert (told.exit_code, listed.exit_code) == (1, 1)
    assert "sums per hour are those of the calls that are rows" in told.stdout
    assert "things are wrong" in told.stdout
    checks = {check["name"]: check for check in exact(listed)["checks"]}
    assert checks["hours"]["wrong"] == checks["hours"]["compared"] == 3
    assert checks["hours"]["offenders"]
    assert checks["days_sums"]["wrong"] == 0
