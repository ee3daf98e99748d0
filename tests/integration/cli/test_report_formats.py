"""`costspan report` over ranges, against other periods, as a bill for FinOps tools, and with bars on a terminal."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from costspan.cli.question import ask as question_of
from costspan.cli.report import look_up, print_report
from costspan.settings import Settings
from focus_rules import broken, read
from integration.ledger.calls import call, unpriced

NOVEMBER = ("--date", "2026-11-21")


def at(day: int, hour: int = 12, month: int = 11) -> datetime:
    """A moment of 2026, in UTC."""
    return datetime(2026, month, day, hour, tzinfo=UTC)


def test_a_range_is_from_one_day_to_the_end_of_another(ask, seed):
    """Both days count whole, and instants to themselves; JSON says what was summed."""
    seed([call(at(day, hour)) for day in (2, 3, 4, 5) for hour in (0, 23)])

    days = ask("--from", "2026-11-03", "--to", "2026-11-04", "--json").json
    hours = ask("--from", "2026-11-03T12:00Z", "--to", "2026-11-04T12:00Z", "--by", "day", "--json").json
    table = ask("--from", "2026-11-03", "--to", "2026-11-04", "--target", "1/session")

    assert (days["period"], days["start"], days["end"]) == (
        "range",
        "2026-11-03T00:00:00+00:00",
        "2026-11-05T00:00:00+00:00",
    )
    assert days["total"]["calls"] == 4
    assert [(row["day"], row["calls"]) for row in hours["rows"]] == [("2026-11-03", 1), ("2026-11-04", 1)]
    assert table.out.startswith("2026-11-03 00:00 until 2026-11-05 00:00 (UTC), all tenants\n")
    assert "rojection" not in table.out


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_what_was_dropped_comes_with_what_to_ask_instead(ask, seed, ledger, zone):
    """The range that is said to work does; so does leaving out what only calls know."""
    seed([call(at(2), session="a"), call(at(3), session="b")])
    ledger.retain(date(2026, 11, 3))

    refused = ask(*NOVEMBER, "--by", "session", "--tz", zone)
    first = refused.err.partition("--from ")[2].split(",")[0]
    again = ask("--from", first, "--to", "2026-11-30", "--by", "session", "--tz", zone, "--json")

    assert refused.code == 2
    assert "or leave session out of --by" in refused.err
    assert [row["session"] for row in again.json["rows"]] == ["b"]


def test_two_months_are_compared(ask, seed):
    """What each model cost before and now, the largest difference first, and what made it, to the digit."""
    seed([call(at(3, month=10)), call(at(4, month=10), model="gone", cost_pico=10**12), call(at(31, 23, month=10))])
    seed([call(at(3)), call(at(4)), call(at(4)), unpriced(at(5))])

    table = ask("--date", "2026-11-21", "--compare", "2026-10-15")
    found = ask("--date", "2026-11-21", "--compare", "2026-10-15", "--json").json
    listed = ask("--date", "2026-11-21", "--compare", "2026-10-15", "--csv", "--by", "tenant")

    assert table.out.splitlines()[:6] == [
        "2026-11-01 00:00 until 2026-12-01 00:00, all tenants",
        "compared with 2026-10-01 00:00 until 2026-11-01 00:00 (UTC)",
        "model                    calls before  calls now  cost before  cost now  difference    change",
        "gone                                1          0      $1.00    $0.00      -$1.00     -100.0 %",
        "claude-3-5-haiku-latest             2          3      $0.0027  $0.00405   +$0.00135   +50.0 %",
        "llama-9                             0          1      $0.00     unknown    $0.00",
    ]
    assert "Of 1 call now no cost is known" in table.out
    assert ("not over" in table.out) == (datetime.now(UTC) < at(1, 0, month=12))
    assert found["total"]["difference_usd"] == Decimal("0.00405") - Decimal("1.0027")
    assert sum(found["total"]["effects_usd"].values()) == found["total"]["difference_usd"]
    assert [row["model"] for row in found["rows"]] == ["gone", "claude-3-5-haiku-latest", "llama-9"]
    assert listed.out.splitlines()[1] == "acme,3,4,1.0027,0.00405,-0.99865"


def test_a_comparison_by_days_makes_no_sense(ask, seed):
    """No day is in both periods."""
    found = ask("--compare", "previous", "--by", "day")

    assert (found.code, found.out) == (2, "")
    assert "--by is 'day': allowed with --compare are service" in found.err


def test_a_bill_for_finops_tools_keeps_its_rules_and_the_sum(ask, seed):
    """Day by day in UTC, also for a month of another zone; what has no known cost is said beside it."""
    seed([call(at(day, hour), tenant=tenant) for day in (1, 2) for hour in (0, 20) for tenant in ("acme", "globex")])
    seed([unpriced(at(3)), call(at(30, 23)), call(at(31, 20, month=10), session="s=1")])

    found = ask(*NOVEMBER, "--tz", "Asia/Kolkata", "--format", "focus", "--by", "session", "--billing-account", "org-1")
    rows = read(found.out.encode())

    assert found.code == 0
    assert found.err == "1 call without a known cost is in no row: llama-9.\n"
    assert broken(found.out.encode()) == []
    assert sum(Decimal(row["BilledCost"]) for row in rows) == 9 * Decimal("0.00135")
    assert sum(int(row["x_CallCount"]) for row in rows) == 9
    assert rows[0]["ChargePeriodStart"] == "2026-10-31T18:30:00Z"
    assert (rows[0]["BillingPeriodStart"], rows[0]["Tags"]) == ("2026-10-01T00:00:00Z", '{"session":"s=1"}')
    assert {row["BillingAccountId"] for row in rows} == {"org-1"}


def test_a_terminal_shows_how_each_cost_went(ledger_url, tmp_path, seed):
    """A bar a day beside each tenant, to this day and not beyond, where there is room; none where there is not."""
    seed([call(at(day), tenant="acme", cost_pico=day * 10**9) for day in range(1, 9)])
    seed([call(at(3), tenant="globex"), call(at(9), tenant="globex")])
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    question = question_of("month", date(2026, 11, 9), settings.timezone, by=("tenant",))
    screens = {width: io.StringIO() for width in (120, 50)}

    found = look_up(settings, question, now=at(9, 13), is_drawn=True)
    for width, screen in screens.items():
        print_report(found, Console(file=screen, force_terminal=True, no_color=True, highlight=False, width=width))

    wide, narrow = (screen.getvalue() for screen in screens.values())
    assert "by day" in wide
    assert "▂▃▄▅▆▇██" in wide
    assert "  █     █\n" in wide
    assert "by day" not in narrow
    assert "█" not in narrow


def test_a_database_that_cannot_be_read_is_refused(ask):
    """Exit code 2, as for any setting that makes no sense, and the value is not repeated."""
    found = ask(COSTSPAN_DATABASE_URL="garbage:secret")

    assert (found.code, found.out) == (2, "")
    assert "COSTSPAN_DATABASE_URL cannot be read" in found.err
    assert "secret" not in found.err


def test_previous_is_as_much_of_the_month_before(ask, seed):
    """In a month that is not over, what it has brought is compared with the same days of the one before."""
    now = datetime.now(UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (first - timedelta(days=1)).replace(day=1)
    seed([call(before), call(first - timedelta(minutes=1))])

    found = ask("--compare", "previous", "--json").json

    assert found["before"]["start"] == before.isoformat()
    assert found["now"]["start"] == first.isoformat()
    assert datetime.fromisoformat(found["now"]["end"]) <= now
    assert found["total"]["calls_before"] == (1 if now - first < timedelta(days=27) else found["total"]["calls_before"])
