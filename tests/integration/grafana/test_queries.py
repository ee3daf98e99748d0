"""Every question of every panel, asked of a real Prometheus and a real Postgres after Grafana's own expansion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg
import pytest

from costspan.ledger import Ledger
from costspan.ledger.period import Period
from costspan.ledger.summary import Dimension
from costspan.settings import Settings
from integration.grafana.boards import ALL, Expansion, boards, questions
from integration.grafana.conftest import login
from integration.grafana.load import AWKWARD, EVERYBODY, FEATURE, HOSTILE, SESSION, TENANTS

pytestmark = pytest.mark.xdist_group("grafana")
EVERY = list(questions())
OF_LEDGER = [question for question in EVERY if question.is_sql]
OF_PROMETHEUS = [question for question in EVERY if not question.is_sql]
ANY = {"tenant": ALL, "service": ALL, "model": ALL, "feature": ALL, "zone": "UTC", "session": ""}


def expansion(values=(), *, days=12, ago=timedelta()):
    """As of now, with every value of a variable chosen unless said."""
    variables = boards()["costspan-overview"]["templating"]["list"]
    all_values = {variable["name"]: variable["allValue"] for variable in variables if variable["type"] == "query"}
    end = datetime.now(UTC) + timedelta(seconds=1) - ago
    return Expansion(end - timedelta(days=days), end, {**ANY, **dict(values)}, all_values)


def of(board, panel):
    """The first question of a panel."""
    return next(question.text for question in EVERY if (question.board, question.panel) == (f"costspan-{board}", panel))


@pytest.mark.parametrize("days", [1, 12], ids=["a day", "twelve days"])
@pytest.mark.parametrize("question", OF_LEDGER, ids=str)
def test_the_ledger_answers_each_question(question, days, ask_ledger):
    """With rows, by hours and by days, in the columns that the panel needs."""
    rows = ask_ledger(expansion(days=days)(question.text))

    assert rows
    if question.target["format"] == "time_series":
        assert set(rows[0]) == {"time", "metric", "value"}
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert any(value is not None for value in rows[0].values())


@pytest.mark.parametrize("question", OF_PROMETHEUS, ids=str)
def test_prometheus_answers_each_question(question, ask_prometheus):
    """With series, of all tenants and of one whose name is awkward."""
    for values in ({}, {"tenant": [AWKWARD]}):
        asked = expansion(values)(question.text)

        found = ask_prometheus(asked, is_range=question.target["range"])

        assert found, asked
        tenants = {series["metric"]["tenant"] for series in found if "tenant" in series["metric"]}
        assert tenants <= ({AWKWARD} if values else set(EVERYBODY))


@pytest.mark.parametrize(
    "chosen",
    [
        {"tenant": [AWKWARD]},
        {"service": ["openai"], "model": ["gpt-5-mini"]},
        {"feature": [FEATURE]},
        {"tenant": ["acme", AWKWARD], "feature": ["compression", FEATURE], "zone": "Asia/Kolkata"},
        {"session": SESSION},
    ],
    ids=["tenant", "model", "feature", "several", "session"],
)
@pytest.mark.parametrize("question", [item for item in OF_LEDGER if item.board != "costspan-pipeline"], ids=str)
def test_questions_keep_to_what_is_chosen(question, chosen, ask_ledger):
    """Quotes and patterns in names are names, and no row is of anything else."""
    if "ai_cache_usage" in question.text and {"model", "feature"} & set(chosen):
        chosen = {name: value for name, value in chosen.items() if name not in {"model", "feature"}}

    rows = ask_ledger(expansion(chosen)(question.text))

    assert rows
    for column, name in (("Tenant", "tenant"), ("Service", "service"), ("Model", "model"), ("Feature", "feature")):
        if name in chosen and column in rows[0]:
            assert {row[column] for row in rows} <= set(chosen[name])
    if "session" in chosen and question.panel == "Calls":
        assert {row["Session"] for row in rows} == {SESSION}


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_panels_agree_with_the_ledger_to_the_last_digit(zone, ask_ledger):
    """However a period is broken down, its parts add up to what its calls cost."""
    period = expansion({"zone": zone})
    (truth,) = ask_ledger(
        f"select sum(cost_usd) as cost, count(*) as calls from ai_usage_metrics where timestamp >= "
        f"date_bin('15 minutes', '{period.begin}'::timestamptz, '2000-01-01 00:00+00') and timestamp < '{period.end}'"
    )

    sums = {
        panel: sum((row[column] or Decimal(0) for row in ask_ledger(period(of(board, panel)))), Decimal(0))
        for board, panel, column in (
            ("overview", "In the time chosen", "Spent"),
            ("overview", "Cost over time, by service", "value"),
            ("overview", "By model", "Cost"),
            ("overview", "By tenant", "Cost"),
            ("overview", "By feature", "Cost"),
            ("overview", "How far it can be believed", "Cost"),
            ("explore", "Cost over time, by model", "value"),
            ("explore", "By user and operation", "Cost"),
            ("efficiency", "By terms", "Cost"),
        )
    }
    assert set(sums.values()) == {truth["cost"]}, sums
    (chosen,) = ask_ledger(period(of("overview", "In the time chosen")))
    assert chosen["Calls"] == truth["calls"]
    assert 0 < chosen["Priced exactly"] < 1


def test_all_features_and_one_by_one_are_the_same(ask_ledger):
    """Sums by kind, and the calls that are read where a feature is chosen, agree."""
    spent = of("overview", "In the time chosen")
    every = ["compression", FEATURE]
    others = ("not said", HOSTILE.replace("$__", "$ __"))

    one_by_one = [ask_ledger(expansion({"feature": [feature]})(spent))[0]["Calls"] for feature in every]
    together = ask_ledger(expansion({"feature": every})(spent))[0]["Calls"]
    by_feature = {row["Feature"]: row["Calls"] for row in ask_ledger(expansion()(of("overview", "By feature")))}

    assert together == sum(one_by_one) == by_feature["compression"] + by_feature[FEATURE]
    assert ask_ledger(expansion()(spent))[0]["Calls"] == together + sum(by_feature[name] for name in others)


def test_what_reads_saved_is_what_the_ledger_says(ask_ledger, filled, tmp_path):
    """Of calls whose bill follows from their rates, the panel says what `Ledger.savings` does."""
    period = expansion()
    begin = period.begin.replace(minute=period.begin.minute // 15 * 15, second=0, microsecond=0)
    ledger = Ledger.connect(Settings(database_url=filled, state_dir=tmp_path))
    asked = Period(begin, period.end.replace(microsecond=0), ZoneInfo("UTC"))
    truth = {row.keys[Dimension.MODEL]: row.saved for row in ledger.savings(asked, by=["model"]).rows}
    ledger.close()

    shown = {row["Model"]: row["Reads saved"] for row in ask_ledger(period(of("efficiency", "Prompt cache, by model")))}

    assert shown["llama-9"] == 0
    assert {model: shown[model] for model in truth} == truth


def test_what_is_unknown_is_not_nothing(ask_ledger):
    """A model without a price has no cost, and is the first that is named; a time without calls cost nothing."""
    rows = ask_ledger(expansion()(of("overview", "How far it can be believed")))
    nothing = ask_ledger(expansion(ago=timedelta(days=900))(of("overview", "In the time chosen")))

    assert (rows[0]["Status"], rows[0]["Model"], rows[0]["Cost"]) == ("unpriced", "llama-9", None)
    assert nothing == [{"Spent": 0, "Calls": 0, "Priced exactly": None}]


def test_variables_offer_what_there_is(ask_ledger):
    """Tenants, services, models and features, by name."""
    variables = {variable["name"]: variable for variable in boards()["costspan-overview"]["templating"]["list"]}

    offered = {
        name: [next(iter(row.values())) for row in ask_ledger(expansion()(variable["query"]))]
        for name, variable in variables.items()
        if variable["type"] == "query"
    }

    assert set(offered["tenant"]) == set(TENANTS)
    assert HOSTILE not in offered["model"]
    assert offered["service"] == ["anthropic", "openai"]
    assert {"claude-haiku-4-5", "gpt-5-mini", "llama-9"} <= set(offered["model"])
    assert set(offered["feature"]) == {"compression", FEATURE}


def test_a_name_that_is_a_macro_never_becomes_a_value(ask_ledger):
    """Grafana would replace it inside of a text, and the rest of the name would be SQL; what can be clicked is disarmed."""
    for board in boards().values():
        for panel in board["panels"]:
            linked = {
                override["matcher"]["options"]
                for override in panel["fieldConfig"]["overrides"]
                for look in override["properties"]
                if look["id"] == "links"
            } - {"Trace"}
            # What the link of another column takes along.
            linked |= {"Tenant"} if "Session" in linked else set()
            for row in ask_ledger(expansion()(panel["targets"][0]["rawSql"])) if linked else []:
                assert all("$__" not in (row[column] or "") for column in linked), panel["title"]


def test_operators_read_and_change_nothing(ask_ledger):
    """What somebody sends by way of a panel is refused unless it reads."""
    for attempt in (
        "delete from costspan.call",
        "set default_transaction_read_only = off; delete from costspan.call",
        "set default_transaction_read_only = off; insert into costspan.tenant (tenant_id) values ('x')",
        "set role costspan_writer",
    ):
        with pytest.raises(psycopg.Error):
            ask_ledger(attempt)


@pytest.mark.parametrize("tenant", ["acme", AWKWARD], ids=["acme", "awkward"])
def test_a_tenants_login_sees_that_tenant_whatever_is_sent(tenant, filled):
    """Also where another tenant is set, or another role taken, by whoever may send any SQL."""
    spent = "select array_agg(distinct tenant_id) as seen, count(*) as calls from ai_usage_metrics"
    other = next(name for name in TENANTS if name != tenant)
    set_other = psycopg.sql.SQL("set app.current_tenant = {}").format(psycopg.sql.Literal(other))
    with (
        login(filled, "tenant.sql", login="grafana of one", tenant=tenant) as url,
        psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection,
    ):
        asked = connection.execute(spent).fetchall()
        shown = connection.execute(expansion()(of("overview", "By tenant")).encode()).fetchall()
        connection.execute(set_other)
        after_setting = connection.execute(spent).fetchall()
        connection.execute("set role costspan_tenant")
        as_tenants = connection.execute(spent).fetchall()
        connection.execute("reset role")
        refused = [_refused(connection, f"set role {role}") for role in ("costspan_admin", "costspan_owner")]
        tenants = connection.execute("select tenant_id from costspan.tenant").fetchall()

    assert asked[0]["seen"] == [tenant]
    assert [row["Tenant"] for row in shown] == [tenant]
    assert after_setting == as_tenants == [{"seen": None, "calls": 0}]
    assert all(refused)
    assert tenants == []
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("set role costspan_tenant")
        connection.execute(set_other)
        assert connection.execute(spent).fetchone()[0] == [other]


def _refused(connection, statement):
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False
