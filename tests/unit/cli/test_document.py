"""Statements for programs."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.cli.document import as_csv, as_json
from costspan.cli.question import ask
from costspan.cli.statement import state
from costspan.cli.target import SessionCost, Target, compare, project
from costspan.ledger import Dimension, Summary, SummaryRow

FIRST = {"day": date(2026, 11, 1), "service": "openai"}


def read(document: bytes) -> dict:
    """JSON as a careful reader takes it: numbers as decimals."""
    return json.loads(document, parse_float=Decimal)


def test_json_has_period_rows_total_and_trust(november, row, stated):
    """Begin and end carry their offset; what is not known is null; what is not named too."""
    rows = (row(cost="0.331874", calls=589, tokens_in=7, cache_read=2, **FIRST), row("partial", cost="0.002", **FIRST))
    lost = row("unpriced", day=date(2026, 11, 2), service="openai")

    found = read(as_json(stated(november, *rows, lost, unsettled={"open": 1}, unpriced_models=["gpt-99-nova"])))

    assert (found["start"], found["end"]) == ("2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00")
    assert (found["period"], found["timezone"], found["tenant"]) == ("month", "Europe/Berlin", None)
    assert found["rows"][0]["day"] == "2026-11-01"
    assert found["rows"][0]["cost_usd"] == Decimal("0.333874")
    assert (found["rows"][0]["calls"], found["rows"][0]["not_priced"], found["rows"][0]["cache_read_tokens"]) == (
        590,
        1,
        2,
    )
    assert found["rows"][1]["cost_usd"] is None
    assert found["total"]["cost_usd"] == Decimal("0.333874")
    assert found["status"] == {
        "priced": {"calls": 589, "cost_usd": Decimal("0.331874")},
        "partial": {"calls": 1, "cost_usd": Decimal("0.002")},
        "unpriced": {"calls": 1, "cost_usd": None},
    }
    assert found["unpriced_models"] == ["gpt-99-nova"]
    assert found["unsettled"] == {"open": 1}
    assert "target" not in found


def test_json_has_the_target_and_the_projection(november, stated):
    """Every figure of the comparison, as a number."""
    sessions = [SessionCost(f"s{n}", 1, 0, Decimal("0.00331874")) for n in range(100)]
    comparison = compare(sessions, Target(Decimal("0.33"), 100))
    projection = project(comparison, november.period, november.month, november.period.start + timedelta(days=15))

    found = read(as_json(stated(november), comparison, projection))["target"]

    assert found["cost_per_session_usd"] == Decimal("0.00331874")
    assert found["cost_per_100_sessions_usd"] == Decimal("0.331874")
    assert found["difference_per_session_usd"] == Decimal("0.00001874")
    assert found["difference_percent"] == Decimal("0.567878787879")
    assert found["is_over"] is True
    assert found["projected_month"]["cost_usd"] == Decimal("0.663748")
    assert found["projected_month"]["sessions"] == 200
    assert found["projected_month"]["basis_seconds"] == 15 * 86_400


def test_csv_is_what_rfc_4180_says(november, row, stated):
    """CRLF, a header, plain decimals, an empty cell where the cost is not known."""
    rows = (row(cost="1.30E-6", tokens_in=10, **FIRST), row("unpriced", day=date(2026, 11, 2), service="openai"))

    found = as_csv(stated(november, *rows))

    assert found.decode().split("\r\n") == [
        "day,service,calls,tokens_in,tokens_out,cache_read_tokens,cache_write_tokens,reasoning_tokens,cost_usd,not_priced",
        "2026-11-01,openai,1,10,0,0,0,0,0.0000013,0",
        "2026-11-02,openai,1,0,0,0,0,0,,1",
        "",
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_name_is_no_formula(row, stated, name):
    """A session may be called anything; a spreadsheet shows it and does not run it."""
    question = ask("month", date(2026, 11, 1), ZoneInfo("UTC"), by=("session",))

    found = as_csv(stated(question, row(cost="1", session=name)))

    assert list(csv.reader(io.StringIO(found.decode(), newline="")))[1][0] == f"'{name}"


@given(st.text(st.characters(codec="utf-8")))
def test_csv_can_be_read_back(name):
    """Commas, quotes and line ends in a name stay in its cell."""
    question = ask("month", date(2026, 11, 1), ZoneInfo("UTC"), by=("session",))
    row = SummaryRow({Dimension.SESSION: name, Dimension.STATUS: "priced"}, calls=1, priced=1)
    statement = state(question, Summary(question.period.start, question.period.end, (row,), row, {}))

    found = list(csv.reader(io.StringIO(as_csv(statement).decode(), newline="")))

    assert len(found) == 2
    assert found[1][0].removeprefix("'") == name.removeprefix("'")
