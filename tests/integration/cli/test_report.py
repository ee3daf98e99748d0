"""`costspan report` says what is in the ledger: to the digit, in any zone, and no other tenant's."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry
from rich.console import Console

from costspan import runtime
from costspan.cli.report import show_report
from costspan.cli.target import Target
from costspan.settings import Settings
from integration.ledger.calls import call, lost, unpriced

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
MONTH = ("--date", "2026-11-21")


def at(day: int, hour: int = 12, **more: int) -> datetime:
    """A moment of November 2026, in UTC."""
    return datetime(2026, 11, day, hour, tzinfo=UTC) + timedelta(**more)


def test_a_month_by_day_and_service(ask, seed):
    """The table has each day and service, and a total that is the sum of its calls to the last digit."""
    seed([call(at(1)), call(at(1)), call(at(2))])
    seed([call(at(2), tokens=(10, 0), service="openai", model="text-embedding-3-large", cost_pico=1_300_000)])

    found = ask(*MONTH)

    assert found.code == 0
    assert found.out.splitlines() == [
        "November 2026: 2026-11-01 00:00 until 2026-12-01 00:00 (UTC), all tenants",
        "day         service    calls  tokens in  tokens out  cached        cost",
        "2026-11-01  anthropic      2        900         360       0  $0.0027",
        "2026-11-02  anthropic      1        450         180       0  $0.00135",
        "2026-11-02  openai         1         10           0       0  $0.0000013",
        "total                      4       1360         540       0  $0.0040513",
        "All 4 calls are priced.",
    ]


def test_six_hundred_calls_add_up_exactly(ask, seed):
    """No digit of 600 amounts is lost, whatever they are summed by, and JSON has them as numbers."""
    events = [
        call(
            NOVEMBER + timedelta(minutes=61 * number),
            tokens=(number, number % 7),
            cached=number % 3,
            feature=f"f-{number % 5}",
            session=f"s-{number % 100}",
            model=f"m-{number % 4}",
        )
        for number in range(1, 601)
    ]
    seed(events)
    truth = Decimal(sum(event.cost_pico for event in events)).scaleb(-12)

    for by in (
        "day,service",
        "model",
        "feature,session",
        "hour",
        "week,model",
        "month",
        "tenant,provider,operation,status,user",
    ):
        found = ask(*MONTH, "--by", by, "--json").json

        assert found["total"]["cost_usd"] == truth, by
        assert sum(row["cost_usd"] for row in found["rows"]) == truth, by
        assert sum(row["calls"] for row in found["rows"]) == found["total"]["calls"] == 600, by
        assert found["total"]["tokens_in"] == sum(event.tokens_in for event in events), by
        assert found["total"]["cache_read_tokens"] == sum(number % 3 for number in range(1, 601)), by


def test_a_day_of_a_zone_half_an_hour_off(ask, seed):
    """In Kolkata a day begins at 18:30 UTC: what comes a microsecond before belongs to the day before."""
    seed([call(at(19, 18, minutes=30) - timedelta(microseconds=1)), call(at(19, 18, minutes=30)), call(at(20, 18))])

    found = ask("--period", "day", "--date", "2026-11-20", "--tz", "Asia/Kolkata", "--json").json

    assert (found["start"], found["end"]) == ("2026-11-20T00:00:00+05:30", "2026-11-21T00:00:00+05:30")
    assert found["total"]["calls"] == 2
    assert [row["day"] for row in found["rows"]] == ["2026-11-20"]


def test_the_configured_zone_is_where_days_begin(ask, seed):
    """Without --tz, COSTSPAN_TIMEZONE decides."""
    seed([call(at(19, 20))])

    found = ask(*MONTH, "--by", "day", "--json", COSTSPAN_TIMEZONE="Asia/Kolkata").json

    assert [row["day"] for row in found["rows"]] == ["2026-11-20"]


def test_a_week_in_which_the_clocks_go_back(ask, seed):
    """From Monday to Monday 169 hours; the hour that comes twice is told twice, and its Sunday has 25."""
    monday = datetime(2026, 10, 19, tzinfo=BERLIN).astimezone(UTC)
    seed([call(monday + timedelta(hours=hour)) for hour in range(-1, 170)])
    week = ("--period", "week", "--date", "2026-10-25", "--tz", "Europe/Berlin", "--json")

    days, hours = (ask(*week, "--by", by).json for by in ("day", "hour"))

    assert [row["calls"] for row in days["rows"]] == [24] * 6 + [25]
    assert days["total"]["cost_usd"] == 169 * Decimal("0.00135")
    assert len(hours["rows"]) == 169
    assert {"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"} < {row["hour"] for row in hours["rows"]}


def test_weeks_come_in_their_order_and_by_their_mondays(ask, seed):
    """The first week of a month is named by a Monday before it, as a month of a week is by its first day."""
    seed([call(at(1)), call(at(2)), call(at(8, 23)), call(at(9))])

    weeks = ask(*MONTH, "--by", "week", "--json").json
    months = ask("--period", "week", "--date", "2026-11-01", "--by", "month,week", "--csv")

    assert [(row["week"], row["calls"]) for row in weeks["rows"]] == [
        ("2026-10-26", 1), ("2026-11-02", 2), ("2026-11-09", 1),
    ]  # fmt: skip
    assert [line.split(",")[:3] for line in months.out.splitlines()[1:]] == [["2026-11-01", "2026-10-26", "1"]]


def test_what_was_dropped_is_refused_with_the_day_from_which_it_can_be_asked(ask, seed, ledger):
    """Code 2, and nothing printed that could be taken for an answer; what sums still tell is answered."""
    seed([call(at(2)), call(at(3))])
    ledger.retain(date(2026, 11, 3))

    refused, answered = ask(*MONTH, "--by", "session"), ask(*MONTH, "--by", "day", "--json")

    assert (refused.code, refused.out) == (2, "")
    assert "from 2026-11-03 on" in refused.err
    assert [row["day"] for row in answered.json["rows"]] == ["2026-11-02", "2026-11-03"]


def test_a_tenant_sees_its_own(ask, seed):
    """Another tenant's calls, unknown models and unsettled attempts are in nothing that is said."""
    seed([call(at(3), tenant="acme"), unpriced(at(3), tenant="globex")], endings=[lost("open", at(3), tenant="globex")])

    acme, globex, nobody = (ask(*MONTH, "--tenant", tenant) for tenant in ("acme", "globex", "initech"))

    assert "tenant acme" in acme.out
    assert "$0.00135" in acme.out
    assert "The one call is priced." in acme.out
    assert "llama-9" not in acme.out
    assert "open" not in acme.out
    assert "1 unpriced (no cost known: llama-9)" in globex.out
    assert "1 attempt was open when its process ended" in globex.out
    assert "$" not in globex.out
    assert "No calls in this period." in nobody.out


def test_one_service_only(ask, seed):
    """The other's calls are in no sum, nor are its unsettled attempts."""
    seed([call(at(3)), call(at(3), service="openai", cost_pico=5)], endings=[lost("unanswered", at(3))])

    openai, anthropic = (ask(*MONTH, "--service", service, "--json").json for service in ("openai", "anthropic"))

    assert (openai["total"]["calls"], openai["total"]["cost_usd"]) == (1, Decimal("5e-12"))
    assert (anthropic["total"]["calls"], anthropic["total"]["cost_usd"]) == (1, Decimal("0.00135"))
    assert (openai["unsettled"], anthropic["unsettled"]) == ({"unanswered": 1}, {})


def test_it_says_what_is_not_priced(ask, seed):
    """Estimated and partial amounts are in the total and said so; unknown ones are neither 0 nor hidden."""
    seed(
        [
            *(call(at(4)) for _ in range(6)),
            call(at(4), status="estimated", cost_pico=400_000_000),
            call(at(4), status="partial", cost_pico=2_000_000_000),
            unpriced(at(4)),
            call(at(4), status="invalid", cost_pico=None, tokens_in=0, tokens_out=0, lines=[], quantities={}),
        ],
        endings=[lost("unanswered", at(4)), lost("unanswered", at(4)), lost("open", at(4)), lost("failed", at(4))],
    )

    found = ask(*MONTH)

    assert found.out.endswith(
        "60 % of 10 calls are priced; 1 estimated ($0.0004), 1 partial (at least $0.002), 1 unpriced (no cost known: "
        "llama-9), 1 invalid (kept aside, never summed).\n"
        "2 attempts were never answered, 1 was open when its process ended: their cost is unknown.\n"
    )
    assert "$0.0105" in found.out


def test_csv_is_for_spreadsheets(ask, seed):
    """Each entry with plain decimals; a session that looks like a formula is a text."""
    seed([call(at(5), session="=HYPERLINK(1)"), call(at(6), session="s,1")])

    found = ask(*MONTH, "--by", "session", "--csv")

    lines = list(csv.reader(io.StringIO(found.out, newline="")))
    assert [line[0] for line in lines] == ["session", "'=HYPERLINK(1)", "s,1"]
    assert [line[7] for line in lines[1:]] == ["0.00135", "0.00135"]


def test_within_target_and_over_it(ask, seed):
    """A script can tell by the exit code: 0 within, 3 over; the same session at two tenants is two."""
    seed([call(at(7), session="s-1", tenant="acme"), call(at(7), session="s-1", tenant="globex")])
    seed([call(at(7), session="", tokens=(1000, 0))])

    within, over = (ask(*MONTH, "--target", target) for target in ("$0.135/100 sessions", "0.134999/100sessions/month"))

    assert (within.code, over.code) == (0, 3)
    assert "2 sessions cost $0.0027: $0.00135 a session, $0.135 for 100." in within.out
    assert "Verdict: within target, exactly." in within.out
    assert "Verdict: over target by $0.000001 for 100 sessions (+0.0007 %)." in over.out
    assert "1 call ($0.001) names no session and is in none of these figures." in over.out


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_target_leaves_data_readable(ask, seed, form):
    """With --json it is part of it; with --csv it goes to standard error."""
    seed([call(at(7), session="s-1")])

    found = ask(*MONTH, form, "--target", "0.33/100sessions")

    assert found.code == 0
    if form == "--json":
        assert found.json["target"]["cost_per_100_sessions_usd"] == Decimal("0.135")
        assert found.err == ""
    else:
        assert "Verdict" not in found.out
        assert "Verdict: within target" in found.err


def test_an_empty_period_is_no_failure(ask):
    """It says so, and what to do."""
    found = ask("--date", "2020-02-29", "--target", "0.33/100sessions")

    assert found.code == 0
    assert "No calls in this period." in found.out
    assert "costspan demo" in found.out
    assert "nothing to compare" in found.out


def test_without_a_terminal_there_are_no_codes(ask, seed):
    """Neither colours nor boxes reach a file or a pipe."""
    seed([call(at(8))])

    found = ask(*MONTH)

    assert "\x1b" not in found.out
    assert found.out.isascii()


def test_a_ledger_that_is_away_is_said_in_a_line(ask, tmp_path):
    """No traceback: what cannot be reached, what to look at, and exit code 1."""
    found = ask(COSTSPAN_DATABASE_URL=f"postgresql:///costs?host={tmp_path}&password=secret")

    assert found.code == 1
    assert found.out == ""
    assert found.err.startswith("costspan report: the ledger cannot be reached: ")
    assert "COSTSPAN_DATABASE_URL" in found.err
    assert "secret" not in found.err
    assert len(found.err.splitlines()) == 1


def test_a_metering_process_reports_its_own_calls(ledger_url, tmp_path):
    """What was journalled just before `show_report` is in it."""
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    journal = runtime.start(settings, registry=CollectorRegistry()).journal
    screen = io.StringIO()

    try:
        journal.close_attempt(call(at(9), session="s-9"))
        found = show_report(
            settings,
            day=date(2026, 11, 9),
            by=("day", "model"),
            target=Target(Decimal("0.33"), 100),
            console=Console(file=screen, highlight=False, force_terminal=True, width=120),
            now=at(15),
        )
    finally:
        runtime.stop()

    assert found.statement.total.cost == Decimal("0.00135")
    assert found.comparison is not None
    assert found.comparison.sessions == 1
    assert found.projection is not None
    assert "claude-3-5-haiku-latest" in screen.getvalue()
    assert "Nov 01" in screen.getvalue()
