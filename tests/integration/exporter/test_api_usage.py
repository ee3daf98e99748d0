"""`GET /api/metrics` over real HTTP: sums to the digit, and how far they can be trusted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from integration.exporter.api import Api
from integration.ledger.calls import NOON, batch, call, lost, unpriced

#: Beginnings and ends of days: an ordinary one, and those on which clocks are changed.
_DAYS = [
    ("2026-11-21", "Europe/Berlin", 24),
    ("2026-03-29", "Europe/Berlin", 23),
    ("2026-10-25", "Europe/Berlin", 25),
    ("2026-10-04", "Australia/Lord_Howe", 23.5),
]


def wrote(api: Api, *events, **others) -> None:
    """Let these calls be in the ledger."""
    api.ledger.write(batch(list(events), **others), uuid4())


def test_ten_calls_sum_to_the_digit(api):
    """Costs that no float can hold are added exactly, and are sent as a number with all of its digits."""
    costs = [
        Decimal(number)
        for number in ("0.1", "0.2", "0.0000013", "0.000000000001", "3", "0.7", "0.07", "12.5", "0", "1e-9")
    ]
    events = [call(tenant="ten", cost_pico=int(cost * 10**12)) for cost in costs]
    wrote(api, *events)

    said = api.get("/api/metrics", tenant="ten")

    assert said.status == 200
    assert said.headers["content-type"] == "application/json"
    assert said.json["total_cost"] == sum(costs)
    assert '"total_cost":16.570001301001,' in said.text
    assert (said.json["usage_count"], said.json["period"]) == (10, "day")


def test_the_breakdown_is_by_service_unless_asked_otherwise(api):
    """Each service has its cost and calls, the most expensive first, and together they are the total."""
    openai = {"service": "openai", "provider": "openai", "model": "gpt-4o-mini", "tenant": "by-service"}
    wrote(api, call(tenant="by-service"), call(tenant="by-service"), call(**openai, tokens=(10, 10)))

    said = api.get("/api/metrics", tenant="by-service").json

    told = [(row["service"], row["cost"], row["count"], row["tokens_in"]) for row in said["breakdown"]]
    assert told == [("anthropic", Decimal("0.0027"), 2, 900), ("openai", Decimal("0.00006"), 1, 10)]
    assert said["total_cost"] == sum(row["cost"] for row in said["breakdown"])
    assert said["group_by"] == ["service"]
    assert (said["tokens_in"], said["tokens_out"]) == (910, 370)


@pytest.mark.parametrize(
    ("service", "models"), [("anthropic", ["claude-3-5-haiku-latest"]), ("openai", ["gpt-4o-mini"])]
)
def test_one_service_has_its_own_models_only(api, service, models):
    """`service=anthropic` has only Claude."""
    tenant = f"only-{service}"
    wrote(api, call(tenant=tenant), call(tenant=tenant, service="openai", provider="openai", model="gpt-4o-mini"))

    said = api.get("/api/metrics", tenant=tenant, service=service, group_by="model").json

    assert [row["model"] for row in said["breakdown"]] == models
    assert said["usage_count"] == 1
    assert said["service"] == service


def test_weeks_begin_on_monday_and_months_on_their_first(api):
    """A Sunday belongs to the week before the Monday, and periods are told with their exact beginning and end."""
    sunday, monday = datetime(2026, 8, 2, 23, 59, tzinfo=UTC), datetime(2026, 8, 3, tzinfo=UTC)
    wrote(api, call(sunday, tenant="weeks"), call(monday, tenant="weeks"))

    week = api.get("/api/metrics", tenant="weeks", period="week", date="2026-08-05").json
    month = api.get("/api/metrics", tenant="weeks", period="month", date="2026-08-31", group_by="week").json

    assert (week["start"], week["end"]) == ("2026-08-03T00:00:00+00:00", "2026-08-10T00:00:00+00:00")
    assert week["usage_count"] == 1
    assert (month["start"], month["end"]) == ("2026-08-01T00:00:00+00:00", "2026-09-01T00:00:00+00:00")
    assert [(row["week"], row["count"]) for row in month["breakdown"]] == [("2026-07-27", 1), ("2026-08-03", 1)]


@pytest.mark.parametrize(("day", "zone", "hours"), _DAYS)
def test_days_are_as_long_as_clocks_make_them(api, day, zone, hours):
    """A day on which clocks are changed has 23 or 25 hours, each of them apart."""
    tenant = f"clocks-{day}-{zone}"
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    minutes = [start + timedelta(minutes=30 * half) for half in range(int(2 * hours))]
    wrote(api, *(call(at, tenant=tenant) for at in minutes), call(start - timedelta(minutes=1), tenant=tenant))

    said = api.get("/api/metrics", tenant=tenant, date=day, tz=zone, group_by="hour").json

    begin, end = (datetime.fromisoformat(said[name]) for name in ("start", "end"))
    assert end - begin == timedelta(hours=hours)
    assert said["usage_count"] == 2 * hours
    told = [datetime.fromisoformat(row["hour"]) for row in said["breakdown"]]
    assert [row["hour"] for row in said["breakdown"]] == [at.isoformat(timespec="seconds") for at in told]
    assert told == sorted(told)
    assert len(set(told)) == len(told) == {23.5: 24}.get(hours, hours)
    assert sum(row["count"] for row in said["breakdown"]) == said["usage_count"]
    assert said["timezone"] == zone


def test_several_dimensions_come_together(api):
    """Times are in their order, and of calls that name no feature that is null."""
    changes = [{"feature": "search"}, {"feature": ""}, {"feature": "", "user": "u-2"}]
    days = [NOON - timedelta(days=1), NOON]
    wrote(api, *(call(at, tenant="several", **change) for at in days for change in changes))

    said = api.get("/api/metrics", tenant="several", period="month", group_by="day, feature,user").json

    assert said["group_by"] == ["day", "feature", "user"]
    assert [(row["day"], row["feature"], row["user"]) for row in said["breakdown"][:3]] == [
        ("2026-11-20", None, "u-1"),
        ("2026-11-20", None, "u-2"),
        ("2026-11-20", "search", "u-1"),
    ]
    assert {row["day"] for row in said["breakdown"]} == {"2026-11-20", "2026-11-21"}
    assert "session" not in said["breakdown"][0]


def test_a_total_says_how_much_of_it_is_certain(api):
    """Calls and dollars of each status, the models without a price, and attempts of which nobody knows the end."""
    wrote(
        api,
        call(tenant="trust"),
        call(tenant="trust", status="estimated"),
        call(tenant="trust", status="partial", tokens=(100, 0)),
        unpriced(tenant="trust"),
        endings=[lost("open", tenant="trust"), lost("unanswered", tenant="trust")],
    )

    said = api.get("/api/metrics", tenant="trust").json

    assert said["status"] == {
        "priced": {"count": 1, "cost": Decimal("0.00135")},
        "estimated": {"count": 1, "cost": Decimal("0.00135")},
        "partial": {"count": 1, "cost": Decimal("0.0001")},
        "unpriced": {"count": 1, "cost": None},
        "invalid": {"count": 0, "cost": None},
    }
    assert said["unpriced_models"] == ["llama-9"]
    assert said["unsettled"] == {"open": 1, "unanswered": 1}
    assert said["total_cost"] == Decimal("0.0028")
    assert said["breakdown"][0]["not_priced"] == 3


def test_unknown_is_not_zero(api):
    """Where of no call a cost is known the total is null; where there was none it is 0."""
    wrote(api, unpriced(tenant="unknown"))

    assert api.get("/api/metrics", tenant="unknown").json["total_cost"] is None
    quiet = api.get("/api/metrics", tenant="unknown", date="2026-01-05").json
    assert (quiet["total_cost"], quiet["usage_count"], quiet["breakdown"]) == (0, 0, [])


def test_what_is_beyond_the_limit_is_summed(api):
    """The most expensive entries are told one by one and the others together, so that nothing is missing."""
    wrote(api, *(call(tenant="many", session=f"s-{number}", tokens=(number, 0)) for number in range(1, 8)))

    said = api.get("/api/metrics", tenant="many", group_by="session", limit=2).json

    assert [row["session"] for row in said["breakdown"]] == ["s-7", "s-6"]
    assert (said["other"]["count"], said["other"]["cost"]) == (5, Decimal("0.000015"))
    assert said["total_cost"] == sum(row["cost"] for row in said["breakdown"]) + said["other"]["cost"]


def test_an_administrator_sees_all_tenants_or_one(api):
    """Without a tenant the answer is of everybody, who can be told apart."""
    day = datetime(2026, 2, 3, 12, tzinfo=UTC)
    wrote(api, call(day, tenant="north"), call(day, tenant="south"), call(day, tenant="south"))

    whole = api.get("/api/metrics", date="2026-02-03", group_by="tenant").json
    one = api.get("/api/metrics", date="2026-02-03", tenant_="north").json

    assert [(row["tenant"], row["count"]) for row in whole["breakdown"]] == [("south", 2), ("north", 1)]
    assert whole["tenant"] is None
    assert (one["tenant"], one["usage_count"]) == ("north", 1)


def test_a_tenant_sees_itself_only(api):
    """Naming itself is fine, naming another is refused, and another's calls are in no sum and in no dimension."""
    wrote(api, call(tenant="east"), call(tenant="west", model="secret-project"), unpriced(tenant="west"))

    own = api.get("/api/metrics", tenant="east", group_by="tenant,model", tenant_="east").json
    other = api.get("/api/metrics", tenant="east", tenant_="west")

    assert [(row["tenant"], row["model"]) for row in own["breakdown"]] == [("east", "claude-3-5-haiku-latest")]
    assert own["unpriced_models"] == []
    assert other.status == 403
    assert other.problem["parameter"] == "tenant"


@pytest.mark.parametrize(
    ("params", "name", "allowed"),
    [
        ({"period": "year"}, "period", "month"),
        ({"period": ""}, "period", "month"),
        ({"service": "google"}, "service", "anthropic"),
        ({"date": "21.11.2026"}, "date", "YYYY-MM-DD"),
        ({"date": "2026-02-30"}, "date", "YYYY-MM-DD"),
        ({"date": "1999-01-01"}, "date", "2015-01-01"),
        ({"date": "\u0662\u0660\u0662\u0666-11-21"}, "date", "YYYY-MM-DD"),
        ({"tz": "Mars/Olympus"}, "tz", "Asia/Kolkata"),
        ({"tz": "right/Europe/Berlin"}, "tz", "Asia/Kolkata"),
        ({"tz": "localtime"}, "tz", "Asia/Kolkata"),
        ({"tz": "../../../etc/passwd"}, "tz", "Asia/Kolkata"),
        ({"tz": "Europe"}, "tz", "Asia/Kolkata"),
        ({"tz": "a" * 3000}, "tz", "Asia/Kolkata"),
        ({"tz": "UTC\0"}, "tz", "Asia/Kolkata"),
        ({"group_by": "colour"}, "group_by", "feature"),
        ({"group_by": ""}, "group_by", "feature"),
        ({"group_by": "model,"}, "group_by", "feature"),
        ({"limit": "0"}, "limit", "1"),
        ({"limit": "many"}, "limit", "integer"),
        ({"limit": "9" * 5000}, "limit", "integer"),
        ({"tenant_": " "}, "tenant", "id of a tenant"),
        ({"perod": "day"}, "perod", "period"),
    ],
)
def test_what_makes_no_sense_is_refused(api, params, name, allowed):
    """With the parameter at fault, its value, and what is allowed."""
    said = api.get("/api/metrics", **params)

    assert said.status == 422
    assert said.problem["parameter"] == name
    assert allowed in said.problem["detail"]
    assert len(said.problem["detail"]) < 500


def test_a_parameter_that_is_given_twice_is_refused(api):
    """Which of the two counts would be a guess."""
    said = api.ask("GET", "/api/metrics?period=day&period=month")

    assert said.status == 422
    assert said.problem["detail"] == "period is given 2 times: once is allowed"


def test_today_is_that_of_the_zone(api):
    """At noon in UTC it is tomorrow in Kiritimati, fourteen hours ahead."""
    said = api.get("/api/metrics", tz="Pacific/Kiritimati").json

    assert said["start"] == "2026-11-22T00:00:00+14:00"
