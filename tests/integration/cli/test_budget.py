"""`costspan budget` sets, lists and remembers what tenants may spend; what makes no sense it refuses with the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from costspan.cli import allowance, app
from costspan.ledger.allowance import OWN, Allowance
from costspan.ledger.budget import Window
from integration.cli.conftest import Answer
from integration.ledger.calls import call, unpriced

NOW = datetime.now(UTC)


@pytest.fixture
def budget(environment):
    """Runs `costspan budget …`."""

    def run(*words: str, **changed: str) -> Answer:
        found = CliRunner(env={**environment, **changed}).invoke(app, ["budget", *words])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Answer(found.exit_code, found.stdout, found.stderr)

    return run


def dear(tenant: str, dollars: str):
    """A call of that price, now."""
    return call(NOW, tenant=tenant, cost_pico=int(Decimal(dollars) * 10**12))


def test_a_budget_is_set_and_listed_with_what_is_spent(budget, seed):
    """Each line has the tenant's own budget or the one that counts for it; the fullest comes first."""
    seed([dear("acme", "5"), dear("rival", "8")])

    said = budget("set", "acme", "25/day")
    budget("set", "acme", "500/month")
    listed = budget("list")

    assert (said.code, said.out) == (0, "acme: $25.00 a day.\nSpent of it so far: $5.00 (20 %).\n")
    lines = [line.split() for line in listed.out.splitlines() if line.split()[:1] in (["acme"], ["rival"], ["tenant"])]
    assert lines == [
        ["tenant", "window", "budget", "spent", "used", "whose"],
        ["rival", "day", "$10.00", "$8.00", "80", "%", "settings"],
        ["acme", "day", "$25.00", "$5.00", "20", "%", "own"],
        ["acme", "month", "$500.00", "$5.00", "1", "%", "own"],
    ]
    assert "Everybody else: $10.00 a day (COSTSPAN_DAILY_BUDGET_USD)." in listed.out


def test_everybody_gets_a_budget(budget, seed):
    """--default counts for who has none of their own, until it is taken away; then the settings' does."""
    seed([dear("acme", "5")])

    said = budget("set", "--default", "20/day")
    listed = budget("list", "--json").json
    gone = budget("unset", "--default", "day", COSTSPAN_DAILY_BUDGET_USD="12.50")

    assert said.out == "Everybody: $20.00 a day.\n"
    assert listed["everybody"] == [{"window": "day", "budget_usd": 20, "source": "everybody's"}]
    assert [(row["budget_usd"], row["source"], row["share"]) for row in listed["budgets"]] == [
        (20, "everybody's", Decimal("0.25"))
    ]
    assert gone.out.endswith("What counts now: $12.50 a day (COSTSPAN_DAILY_BUDGET_USD).\n")


def test_json_is_exact(budget, seed):
    """To the pico-dollar, with the calls whose cost is not known counted beside."""
    seed([call(NOW, cost_pico=1), unpriced(NOW)])
    budget("set", "acme", "0.000000000004/day")

    found = budget("list", "--tenant", "acme", "--json").json

    assert found["timezone"] == "UTC"
    assert found["budgets"] == [
        {
            "tenant": "acme",
            "window": "day",
            "budget_usd": Decimal("0.000000000004"),
            "source": "own",
            "spent_usd": Decimal("0.000000000001"),
            "share": Decimal("0.25"),
            "is_over": False,
            "not_priced": 1,
        }
    ]


def test_what_is_not_priced_is_said(budget, seed):
    """A share that may be higher does not look certain."""
    seed([dear("acme", "5"), unpriced(NOW)])

    found = budget("list")

    assert "not priced" in found.out
    assert "the true figures may be higher" in found.out


def test_a_tenant_without_a_call_is_listed_with_its_budget(budget):
    """A budget may be set before the first call; and an empty ledger says what counts."""
    empty = budget("list")
    budget("set", "acme", "25/day")

    assert (empty.code, empty.out.splitlines()[1]) == (0, "Everybody else: $10.00 a day (COSTSPAN_DAILY_BUDGET_USD).")
    assert [row["spent_usd"] for row in budget("list", "--json").json["budgets"]] == [0]


def test_setting_the_same_again_is_no_change(budget):
    """It says so, and the history keeps one line."""
    budget("set", "acme", "25/day")

    again = budget("set", "acme", "$25.00 / DAY")

    assert again.out.startswith("acme: $25.00 a day, as before.")
    assert len(budget("history", "--json").json) == 1


def test_taking_away_says_what_counts_now(budget):
    """A month without any budget has none; a second time it is as before, and no error."""
    budget("set", "acme", "25/day")
    budget("set", "acme", "400/month")

    day, month, again = (budget("unset", "acme", window) for window in ("day", "month", "month"))

    assert day.out == (
        "acme has no budget of its own a day.\nWhat counts now: $10.00 a day (COSTSPAN_DAILY_BUDGET_USD).\n"
    )
    assert month.out == "acme has no budget of its own a month.\nNone counts now.\n"
    assert (again.code, again.out.splitlines()[0]) == (0, "acme has no budget of its own a month, as before.")


def test_the_history_tells_who_changed_what(budget, environment, ledger):
    """The newest first, all or one tenant's, in the configured zone."""
    assert budget("history").out == "No budget was ever changed.\n"
    budget("set", "acme", "25/day")
    budget("set", "--default", "100/month")
    budget("unset", "acme", "day")
    assert budget("history", "globex").out == "No budget of globex was ever changed.\n"

    everything = budget("history", "--json").json
    shown = budget("history", "acme").out.splitlines()

    login = everything[0]["login"]
    assert [(row["tenant"], row["window"], row["budget_usd"]) for row in everything] == [
        ("acme", "day", None),
        (None, "month", 100),
        ("acme", "day", 25),
    ]
    assert [line.split()[2:] for line in shown if "acme" in line] == [
        ["acme", "none", "a", "day", login],
        ["acme", "$25.00", "a", "day", login],
    ]
    assert datetime.fromisoformat(everything[0]["changed_at"]).utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    "written",
    [
        "-5/day", "-0.01/month", "NaN/day", "inf/day", "1e400/day", "1e3/day", "25", "25/week", "25/", "/day", "", "day",
        "25/day/month", "25,50/day", "0.0000000000001/day", "99999999999999/day", "٢٥/day", "25 euro/day",
    ],
)  # fmt: skip
def test_an_amount_that_is_none_is_refused(budget, written):
    """With 2, and with what is allowed; nothing is set."""
    found = budget("set", "acme", written)

    assert (found.code, found.out) == (2, "")
    assert f"costspan budget set: budget is {written!r}: allowed are dollars a day or a month" in found.err
    assert budget("history", "--json").json == []


@pytest.mark.parametrize(
    "words",
    [
        ("set", "25/day"), ("set", "", "25/day"), ("set", "  ", "25/day"), ("set", "acme", "rival", "25/day"),
        ("set", "acme", "25/day", "--default"), ("unset", "day"),
        ("unset", "acme", "--default", "day"), ("list", "--tenant", " "), ("history", ""),
    ],
)  # fmt: skip
def test_whom_it_is_for_must_be_clear(budget, words):
    """One tenant or everybody: no tenant, an empty one, two, or both are refused."""
    found = budget(*words)

    assert found.code == 2
    assert f"costspan budget {words[0]}: " in found.err
    assert "allowed" in found.err


@pytest.mark.parametrize("window", ["week", "", "25/day", "daily"])
def test_a_window_is_a_day_or_a_month(budget, window):
    """To take away, the window is enough."""
    found = budget("unset", "acme", window)

    assert found.code == 2
    assert f"window is {window!r}: allowed are day, month" in found.err


@pytest.mark.parametrize("words", [("set", "acme", "25/day"), ("unset", "acme", "day"), ("list",), ("history",)])
def test_a_ledger_that_is_away_is_told(budget, words):
    """With 1 and what to look at, and no traceback."""
    found = budget(*words, COSTSPAN_DATABASE_URL="postgresql://u:s3cret@127.0.0.1:1/x")

    assert found.code == 1
    assert "the ledger cannot be reached" in found.err
    assert "s3cret" not in found.err


def test_a_setting_that_cannot_be_used_is_told(budget):
    """The command line refuses where an application would go on with the default."""
    found = budget("list", COSTSPAN_DAILY_BUDGET_USD="lots")

    assert (found.code, "COSTSPAN_DAILY_BUDGET_USD" in found.err) == (2, True)


@pytest.mark.parametrize(
    ("amount", "spent", "said", "is_over"),
    [
        ("10", "0", "0 %", False), ("10", "10", "100 %", False), ("10", "12.5", "125 %", True),
        ("10", "9.9999", "over 99.9 %", False), ("10", "0.001", "under 0.1 %", False), ("0", "0", "", False),
        ("0", "0.01", "over", True),
    ],
)  # fmt: skip
def test_a_share_never_looks_rounder_than_it_is(amount, spent, said, is_over):
    """Nearly all is not all; of a budget of nothing there is no share, and any spending is over it."""
    item = Allowance("acme", Window.DAY, Decimal(amount), OWN, Decimal(spent), 0)

    assert (allowance.used(item), item.is_over) == (said, is_over)
