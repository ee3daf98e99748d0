"""Why the bill changed, where the month will end, what caching saved and which sessions are far out, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest

from costspan.event import CacheUse
from integration.ledger.calls import NOON, batch, call, nanoseconds, unpriced
from integration.ledger.test_ledger_savings import cached

_PATHS = ("/api/compare", "/api/forecast", "/api/savings")
EFFECTS = ("volume", "mix", "usage", "price", "usage_or_price")


def wrote(api, *events, **others) -> None:
    """Let these calls be in the ledger."""
    api.ledger.write(batch(list(events), **others), uuid4())


@pytest.fixture(scope="module")
def compared(api) -> str:
    """A tenant that called more in November than in October, longer, and from another feature."""
    early, late, after = (
        datetime(2026, 10, 5, tzinfo=UTC),
        datetime(2026, 10, 29, tzinfo=UTC),
        datetime(2026, 11, 5, tzinfo=UTC),
    )
    wrote(
        api,
        call(early, tenant="compared"),
        call(early, tenant="compared"),
        call(late, tenant="compared", tokens=(10**6, 0)),
        *[call(after, tenant="compared", tokens=(900, 180))] * 3,
        call(after, tenant="compared", feature="search", model="claude-opus-5"),
        unpriced(after, tenant="compared"),
        call(after, tenant="other", tokens=(10**6, 0)),
    )
    return "compared"


def test_a_running_month_is_compared_with_as_much_of_the_one_before(api, compared):
    """Until noon of the 21st of both; what October cost after that is in no sum."""
    said = api.get("/api/compare", tenant=compared).json

    assert (said["before"]["start"], said["before"]["end"]) == (
        "2026-10-01T00:00:00+00:00",
        "2026-10-21T12:00:00+00:00",
    )
    assert (said["after"]["start"], said["after"]["end"]) == ("2026-11-01T00:00:00+00:00", "2026-11-21T12:00:00+00:00")
    assert said["is_running"] is True
    assert (said["before"]["cost"], said["after"]["cost"]) == (Decimal("0.0027"), Decimal("0.00675"))
    assert (said["after"]["count"], said["after"]["not_priced"]) == (5, 1)
    assert (said["difference"], said["relative"]) == (Decimal("0.00405"), Decimal("1.5"))


def test_what_made_it_change(api, compared):
    """Two calls more, one of them of another model; 450 tokens more in each of three."""
    effects = api.get("/api/compare", tenant=compared).json["effects"]

    assert tuple(effects) == EFFECTS
    assert (effects["volume"], effects["usage"]) == (Decimal("0.0027"), Decimal("0.00135"))
    assert sum(effects.values()) == Decimal("0.00405")


def test_which_feature_made_it_change(api, compared):
    """The largest difference first; each has its own effects, which add up to its difference."""
    changes = api.get("/api/compare", tenant=compared, group_by="feature,model").json["changes"]

    assert [(row["feature"], row["model"], row["difference"]) for row in changes] == [
        ("compression", "claude-3-5-haiku-latest", Decimal("0.0027")),
        ("search", "claude-opus-5", Decimal("0.00135")),
        ("compression", "llama-9", 0),
    ]
    assert changes[1]["relative"] is None
    assert changes[2]["after"]["cost"] is None
    assert all(sum(row["effects"].values()) == row["difference"] for row in changes)


def test_the_rest_is_summed(api, compared):
    """Beyond the limit everything is one entry, so that all of them are the total."""
    said = api.get("/api/compare", tenant=compared, group_by="feature,model", limit=1).json

    assert said["changes"][0]["difference"] + said["other"]["difference"] == said["difference"]
    assert said["other"]["after"]["count"] == 2
    assert sum(said["other"]["effects"].values()) == said["other"]["difference"]


def test_whole_months(api, compared):
    """On request also of a month that is not over."""
    said = api.get("/api/compare", tenant=compared, whole=True).json

    assert (said["before"]["end"], said["after"]["end"]) == ("2026-11-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00")
    assert said["before"]["cost"] == Decimal("1.0027")
    assert said["is_running"] is False


def test_two_ranges(api, compared):
    """Any two: days, or instants; the earlier one is right before the later where it is not said."""
    after = {"from": "2026-11-01", "to": "2026-11-10"}
    before = {"before_from": "2026-10-29T00:00:00Z", "before_to": "2026-10-29T00:00:01+00:00"}

    said = api.get("/api/compare", tenant=compared, **after, **before).json
    right_before = api.get("/api/compare", tenant=compared, **after).json

    assert said["before"]["cost"] == 1
    assert right_before["before"]["start"] == "2026-10-22T00:00:00+00:00"
    assert right_before["before"]["cost"] == 1


@pytest.fixture(scope="module")
def spender(api) -> str:
    """A tenant that spends $1 at nine o'clock of each working day, since eight weeks."""
    days = [NOON - timedelta(days=number, hours=3) for number in range(56)]
    wrote(api, *[call(day, tenant="weekday-spender", tokens=(10**6, 0)) for day in days if day.weekday() < 5])
    api.ledger.set_budget("weekday-spender", "month", Decimal("18.5"))
    return "weekday-spender"


def test_where_the_month_will_end(api, spender):
    """15 working days are over at noon of Saturday, 21 November, and six are to come. The first known one is a Monday."""
    said = api.get("/api/forecast", tenant=spender).json

    assert (said["spent"], said["expected"]) == (15, 21)
    assert said["low"] <= 21 <= said["high"]
    assert (said["coverage"], said["method"], said["interval"]) == (Decimal("0.8"), "seasonal", "backtest")
    assert (said["known_days"], said["weekly_growth"], said["unknown_calls"]) == (54, 0, 0)
    assert said["backtests"] > 10
    assert [day["cost"] for day in said["days"][20:26]] == [0, 0, 1, 1, 1, 1]
    assert [day["date"] for day in said["days"] if day["is_expected"]] == [f"2026-11-{day}" for day in range(21, 31)]


def test_when_the_budget_will_be_passed(api, spender):
    """$18.50 last until the fourth working day of the coming week."""
    said = api.get("/api/forecast", tenant=spender).json

    assert (said["budget"], said["exhausted_on"]) == (Decimal("18.5"), "2026-11-26")


def test_a_budget_of_all_services_is_not_one_of_a_single_one(api, spender):
    """It is told only where it can be compared."""
    said = api.get("/api/forecast", tenant=spender, service="anthropic").json

    assert (said["expected"], said["budget"], said["exhausted_on"]) == (21, None, None)


def test_nothing_is_made_up_for_who_just_began(api):
    """One call of this morning: a straight line without an interval."""
    wrote(api, call(NOON - timedelta(hours=1), tenant="begun", tokens=(10**6, 0)))

    said = api.get("/api/forecast", tenant="begun").json

    assert (said["method"], said["low"], said["high"], said["interval"], said["interval_is"]) == (
        "straight line",
        None,
        None,
        None,
        None,
    )
    assert said["expected"] == 2 + 9 * 2


def test_what_prompt_caches_saved_and_wasted(api):
    """By model and feature unless asked otherwise."""
    wrote(
        api,
        cached(NOON, read=10**6, tenant="saver", feature="chat"),
        cached(NOON, write=10**6, tenant="saver", feature="search"),
    )

    said = api.get("/api/savings", tenant="saver").json

    assert said["prompt_cache"] == {
        "read_tokens": 10**6, "write_tokens": 10**6, "unknown_tokens": 0, "saved": Decimal("2.7"), "extra": Decimal("0.75"),
        "net": Decimal("1.95"), "unrecovered": Decimal("0.75"),
    }  # fmt: skip
    assert [(row["model"], row["feature"], row["net"]) for row in said["by"]] == [
        ("sonnet", "chat", Decimal("2.7")),
        ("sonnet", "search", Decimal("-0.75")),
    ]
    assert (said["period"], said["start"], said["left_out"]) == ("month", "2026-11-01T00:00:00+00:00", 0)


def test_what_an_embedding_cache_saved(api):
    """Hits, misses, and what the hits did not cost."""
    words = {"model": "text-embedding-3-large", "tenant": "embedder", "feature": "search"}
    hit = CacheUse(nanoseconds(NOON), "embeddings", is_hit=True, tokens=1000, avoided_pico=130_000_000, **words)
    uses = [hit, hit, hit, msgspec.structs.replace(hit, is_hit=False, tokens=0, avoided_pico=None)]
    wrote(api, cache_uses=uses)

    said = api.get("/api/savings", tenant="embedder").json

    expected = {
        "hits": 3,
        "misses": 1,
        "hit_rate": Decimal("0.75"),
        "tokens_avoided": 3000,
        "avoided": Decimal("0.00039"),
        "hits_unpriced": 0,
    }
    assert said["application_caches"] == expected
    assert said["caches"] == [{"cache": "embeddings", "model": "text-embedding-3-large", **expected}]


def test_which_sessions_are_far_out(api):
    """Above ten times the median, or as many times as one says."""
    dollars = [1, 1, 2, 3, 3, 25]
    wrote(
        api,
        *[
            call(tenant="far", session=f"s-{number}", tokens=(10_000 * cents, 0))
            for number, cents in enumerate(dollars)
        ],
    )

    ten, twenty = (
        api.get("/api/savings", tenant="far", **asked).json["far_sessions"] for asked in ({}, {"factor": "12.5"})
    )

    assert ten["sessions"] == [
        {
            "tenant": "far", "session": "s-5", "count": 1, "cost": Decimal("0.25"), "unknown_calls": 0,
            "median": Decimal("0.02"), "times": Decimal("12.5"),
        }
    ]  # fmt: skip
    assert (ten["factor"], ten["count"], ten["usual"]) == (10, 1, Decimal("0.02"))
    assert (twenty["count"], twenty["sessions"]) == (0, [])


@pytest.mark.parametrize("path", _PATHS)
def test_a_tenant_sees_its_own(api, path, compared, spender):
    """Naming another is refused, and without a token there is no answer; an administrator sees everybody."""
    assert api.get(path, tenant="compared", tenant_="spender").problem["status"] == 403
    assert api.get(path, token="").problem["status"] == 401
    assert api.get(path).json["tenant"] is None
    own, as_admin = api.get(path, tenant="compared"), api.get(path, tenant_="compared")
    assert own.text == as_admin.text


@pytest.mark.parametrize(
    ("path", "asked", "parameter"),
    [
        ("/api/compare", {"group_by": "day"}, "group_by"),
        ("/api/compare", {"group_by": ""}, "group_by"),
        ("/api/compare", {"period": "year"}, "period"),
        ("/api/compare", {"from": "2026-11-01"}, "to"),
        ("/api/compare", {"before_from": "2026-11-01"}, "from"),
        ("/api/compare", {"from": "2026-11-01", "to": "2026-11-02", "before_from": "2026-10-01"}, "before_to"),
        (
            "/api/compare",
            {"from": "2026-11-01", "to": "2026-11-02", "before_from": "x", "before_to": "2026-10-01"},
            "before_from",
        ),
        ("/api/compare", {"from": "2026-11-01", "to": "2026-11-02", "period": "day"}, "period"),
        ("/api/compare", {"from": "2026-11-01", "to": "2026-11-02", "date": "2026-11-02"}, "date"),
        ("/api/compare", {"from": "2026-11-01", "to": "2026-11-02", "whole": "true"}, "whole"),
        (
            "/api/compare",
            {"from": "2026-11-01", "to": "2026-11-07", "before_from": "2026-10-25", "before_to": "2026-11-01"},
            "before_to",
        ),
        ("/api/compare", {"limit": "0"}, "limit"),
        ("/api/compare", {"by": "model"}, "by"),
        ("/api/forecast", {"date": "2026-11-01"}, "date"),
        ("/api/forecast", {"service": "gemini"}, "service"),
        ("/api/forecast", {"tz": "Mars/Olympus"}, "tz"),
        ("/api/savings", {"group_by": "session"}, "group_by"),
        ("/api/savings", {"factor": "0.5"}, "factor"),
        ("/api/savings", {"factor": "NaN"}, "factor"),
        ("/api/savings", {"factor": "1e400"}, "factor"),
        ("/api/savings", {"date": "2026-13-01"}, "date"),
    ],
)
def test_what_makes_no_sense_is_named(api, path, asked, parameter):
    """The parameter, and what is allowed."""
    problem = api.get(path, **asked).problem

    assert (problem["status"], problem["parameter"]) == (422, parameter)
    assert "allowed" in problem["detail"] or "missing" in problem["detail"]


@pytest.mark.parametrize("path", _PATHS)
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/Havana"])
def test_any_zone(api, path, zone, compared):
    """Days begin where one says."""
    said = api.get(path, tenant=compared, tz=zone).json

    assert said["timezone"] == zone
    assert (said.get("after") or said)["start"].startswith("2026-11-01T00:00:00")


def test_the_document_describes_them(api):
    """Each has a schema and an example that has just its fields."""
    document = api.get("/openapi.json").json

    for path in _PATHS:
        content = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        assert set(content["example"]) == set(schema["properties"])
        said = api.get(path).json
        assert set(said) == set(schema["properties"])
