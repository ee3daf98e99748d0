"""`GET /api/calls`, `/api/calls/{id}` and `/api/sessions/{id}` over real HTTP: what is behind a sum."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest

from costspan.ledger import search
from costspan.settings import Settings
from integration.exporter.api import Api, running
from integration.ledger.calls import NOON, Rows, batch, call, unpriced
from integration.ledger.corrected import correct

#: Of slices: older than what a test compacts.
_COLD = datetime(2026, 3, 10, 12, tzinfo=UTC)
_DAY = timedelta(days=1)


def wrote(api: Api, *events) -> None:
    """Let these calls be in the ledger."""
    api.ledger.write(batch(list(events)), uuid4())


def pages(api: Api, path: str, **params) -> list[list[dict]]:
    """All pages of an answer."""
    found, cursor = [], {}
    while True:
        said = api.get(path, **params, **cursor)
        assert said.status == 200, said.text
        found.append(said.json["calls"])
        if said.json["next_cursor"] is None:
            return found
        cursor = {"cursor": said.json["next_cursor"]}
        assert len(found) < 100


def test_a_call_is_told_with_all_that_is_known(api):
    """As it was metered, with its id as text and its cost exact."""
    wrote(api, call(NOON, tenant="known", tokens=(451, 181), cached=3))

    (told,) = api.get("/api/calls", tenant="known").json["calls"]

    assert told["timestamp"] == "2026-11-21T12:00:00.000000+00:00"
    assert told["cost_usd"] == Decimal("0.0013563")
    assert isinstance(told["id"], str)
    assert (told["tokens_in"], told["tokens_out"], told["cache_read_tokens"]) == (454, 181, 3)
    assert (told["tenant"], told["session"], told["user"], told["feature"]) == ("known", "s-1", "u-1", "compression")
    assert len(told["trace_id"]) == 32


def test_pages_hold_every_call_once(api):
    """The newest first, at one instant too, whatever is written meanwhile."""
    wrote(
        api, *(call(NOON - timedelta(seconds=number // 3), tenant="pages", tokens=(number, 0)) for number in range(20))
    )

    first = api.get("/api/calls", tenant="pages", limit=7).json
    wrote(api, call(NOON + timedelta(seconds=1), tenant="pages"))
    second = api.get("/api/calls", tenant="pages", limit=7, cursor=first["next_cursor"]).json
    third = api.get("/api/calls", tenant="pages", limit=7, cursor=second["next_cursor"]).json

    told = [*first["calls"], *second["calls"], *third["calls"]]
    assert [len(page["calls"]) for page in (first, second, third)] == [7, 7, 6]
    assert len({item["id"] for item in told}) == 20
    assert third["next_cursor"] is None
    assert [item["timestamp"] for item in told] == sorted((item["timestamp"] for item in told), reverse=True)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"model": "gpt-4o-mini"}, {5}),
        ({"service": "anthropic"}, {1, 2, 3, 4}),
        ({"feature": "search"}, {2}),
        ({"feature": ""}, {3}),
        ({"user": "u-9", "session": "s-9"}, {4}),
        ({"user": "u-9", "session": "s-1"}, set()),
        ({"status": "unpriced"}, {6}),
        ({"operation": "embeddings"}, {5}),
        ({"session": "s-9"}, {4}),
        ({"session": "s-none"}, set()),
        ({"trace": "0" * 31 + "9"}, {5}),
        ({"trace": "00000000-0000-0000-0000-000000000009"}, {5}),
        ({"from_": "2026-05-02", "to": "2026-05-03"}, {2, 3}),
        ({"from_": "2026-05-03T14:00:00+02:00"}, {3, 4, 5, 6}),
        ({"from_": "2026-05-03T14:00:00 02:00"}, {3, 4, 5, 6}),
        ({"to": "2026-05-03T12:00:00Z"}, {1, 2}),
        ({"from_": "2026-05-02", "to": "2026-05-02", "tz": "Pacific/Kiritimati"}, {1}),
    ],
)
@pytest.mark.parametrize("limit", [2, 1000])
def test_filters_find_what_has_it(api, filters, expected, limit):
    """Each filter alone and together, on however many pages."""
    if "filters" not in api.tokens:
        changes = [
            {},
            {"feature": "search"},
            {"feature": ""},
            {"user": "u-9", "session": "s-9"},
            {
                "service": "openai",
                "model": "gpt-4o-mini",
                "operation": "embeddings",
                "trace_id": (9).to_bytes(16, "big"),
            },
        ]
        days = [datetime(2026, 5, number + 1, 12, tzinfo=UTC) for number in range(6)]
        made = [call(days[n], tenant="filters", tokens=(n + 1, 0), **change) for n, change in enumerate(changes)]
        wrote(api, *made, unpriced(days[5], tenant="filters", tokens_in=6, service="openai"))

    found = pages(api, "/api/calls", tenant="filters", limit=limit, **filters)

    told = [item["tokens_in"] for page in found for item in page]
    assert sorted(told) == sorted(expected)
    assert told == sorted(told, reverse=True)


def test_what_is_rare_is_found_by_going_on(api, monkeypatch):
    """A page looks at so many calls only; it may be empty, and still leads to the next one."""
    monkeypatch.setattr(search, "LOOKED_AT", 5)
    wrote(
        api,
        *(call(NOON - timedelta(minutes=n), tenant="rare", model="rare" if n == 12 else "usual") for n in range(14)),
    )

    found = pages(api, "/api/calls", tenant="rare", model="rare")

    assert [len(page) for page in found] == [0, 0, 1]


def test_the_most_expensive_calls_come_first(api):
    """Of those with a known cost, in a range."""
    wrote(api, *(call(NOON, tenant="dear", tokens=(n, 0)) for n in (5, 9, 7)), unpriced(NOON, tenant="dear"))

    said = api.get("/api/calls", tenant="dear", order="cost", limit=2, from_="2026-11-21").json

    assert [item["tokens_in"] for item in said["calls"]] == [9, 7]
    assert said["next_cursor"] is None


def test_a_bill_adds_up(api):
    """The lines of a call with their rates are its cost; with or without its timestamp it is the same call."""
    wrote(api, call(NOON, tenant="bill", tokens=(450, 180), cached=1000))
    told = api.get("/api/calls", tenant="bill").json["calls"][0]

    said = api.get(f"/api/calls/{told['id']}", tenant="bill")
    again = api.get(f"/api/calls/{told['id']}", tenant="bill", at=told["timestamp"])

    assert said.json["call"] == told
    assert again.json == said.json
    assert sum(line["amount_usd"] for line in said.json["lines"]) == told["cost_usd"] == Decimal("0.00145")
    assert [(line["unit"], line["quantity"], line["rate_usd"]) for line in said.json["lines"]] == [
        ("input_tokens", 450, Decimal("0.000001")),
        ("cache_read_tokens", 1000, Decimal("0.0000001")),
        ("output_tokens", 180, Decimal("0.000005")),
    ]


def test_a_call_is_found_by_its_day(api):
    """Of the asked zone; at another day or instant there is none, and the refusal says that it looked there."""
    wrote(api, call(NOON, tenant="dated"))
    told = api.get("/api/calls", tenant="dated").json["calls"][0]
    path, day = f"/api/calls/{told['id']}", NOON.date()

    found = [
        api.get(path, tenant="dated", at=at, tz=zone) for at, zone in ((day, "UTC"), (day + _DAY, "Pacific/Kiritimati"))
    ]
    wrong = [api.get(path, tenant="dated", at=at) for at in (day - _DAY, day + _DAY, f"{day}T00:00:00Z")]

    assert [said.json["call"] for said in found] == [told, told]
    assert {(said.problem["status"], said.problem["parameter"]) for said in wrong} == {(404, "at")}
    assert f"there is no call '{told['id']}' at '{day - _DAY}'" in wrong[0].problem["detail"]
    assert api.get("/api/calls/12").problem["detail"] == "there is no call '12'"


def test_another_tenants_call_is_none(api):
    """By its id, its session or its trace: as if there were none."""
    wrote(
        api,
        call(NOON, tenant="mine", session="shared"),
        call(NOON, tenant="theirs", session="private", trace_id=b"t" * 16),
    )
    (theirs,) = api.get("/api/calls", tenant="theirs").json["calls"]

    asked = [
        api.get(f"/api/calls/{theirs['id']}", tenant="mine"),
        api.get(f"/api/calls/{theirs['id']}", tenant="mine", at=theirs["timestamp"]),
        api.get("/api/sessions/private", tenant="mine"),
    ]

    assert [said.status for said in asked] == [404, 404, 404]
    assert all("theirs" not in said.text for said in asked)
    assert api.get("/api/calls", tenant="mine", trace=theirs["trace_id"]).json["calls"] == []
    assert api.get("/api/calls", tenant="mine", session="private").json["calls"] == []
    assert api.get(f"/api/calls/{theirs['id']}").status == 200
    assert api.get("/api/sessions/private").json["tenants"] == ["theirs"]


def test_a_session_is_told_over_its_life(api):
    """Calls that are rows and calls in slices, as they were corrected, and exactly what they cost together."""
    who = {"tenant": "life", "session": "long"}
    days = [_COLD, _COLD + timedelta(hours=1), _COLD + timedelta(days=2), NOON]
    wrote(api, *(call(at, **who) for at in days), call(_COLD, tenant="life", session="other"))
    wrote(api, unpriced(NOON + timedelta(minutes=1), **who))
    api.ledger.compact(date(2026, 3, 20))
    told = pages(api, "/api/calls", tenant="life", session="long")[0]
    with psycopg.connect(api.settings.database_url, autocommit=True) as connection:
        correct(Rows(connection), int(told[-1]["id"]), 7)

    said = api.get("/api/sessions/long", tenant="life", limit=2).json

    assert (said["first_call"], said["last_call"]) == ("2026-03-10T12:00:00+00:00", "2026-11-21T12:01:00+00:00")
    assert said["total_cost"] == 3 * Decimal("0.00135") + Decimal("7e-12")
    assert said["usage_count"] == 5
    assert [(row["model"], row["count"], row["cost"]) for row in said["breakdown"]] == [
        ("claude-3-5-haiku-latest", 4, said["total_cost"]),
        ("llama-9", 1, None),
    ]
    assert said["status"]["unpriced"] == {"count": 1, "cost": None}
    assert said["calls"] == api.get("/api/calls", tenant="life", session="long", limit=2).json["calls"]
    rest = api.get("/api/sessions/long", tenant="life", cursor=said["next_cursor"]).json
    assert len(rest["calls"]) == 3
    assert rest["total_cost"] == said["total_cost"]


def test_a_session_of_two_tenants_is_told_apart(api):
    """An administrator who names no tenant sees whose part is what."""
    wrote(
        api, call(tenant="one", session="both"), call(tenant="two", session="both"), call(tenant="two", session="both")
    )

    said = api.get("/api/sessions/both").json

    assert said["tenants"] == ["one", "two"]
    assert [(row["tenant"], row["count"]) for row in said["breakdown"]] == [("two", 2), ("one", 1)]
    assert api.get("/api/sessions/both", tenant_="one").json["usage_count"] == 1


@pytest.mark.parametrize(
    "name", ["a/b//c", "..", "%", "ünï çödé", "a?b#c", "'; drop table costspan.call; --", "x" * 300]
)
def test_a_session_may_have_any_name(api, name):
    """What it is called is no part of the address, nor of any statement."""
    wrote(api, call(tenant="names", session=name if len(name) <= 256 else search.clean(name)))

    said = api.ask("GET", f"/api/sessions/{quote(name, safe='').replace('.', '%2E')}", tenant="names")

    assert said.status == 200
    assert said.json["usage_count"] == 1


@pytest.mark.parametrize(
    ("path", "params", "name"),
    [
        ("/api/calls", {"cursor": "x"}, "cursor"),
        ("/api/calls", {"cursor": "9999999999999999-9999999999999999999"}, "cursor"),
        ("/api/calls", {"limit": 0}, "limit"),
        ("/api/calls", {"limit": 1001}, "limit"),
        ("/api/calls", {"from_": "yesterday"}, "from"),
        ("/api/calls", {"from_": "2026-11-21T25:00:00Z"}, "from"),
        ("/api/calls", {"to": "2026-11-21T12:00:00"}, "to"),
        ("/api/calls", {"to": "0001-01-01T00:00:00+14:00"}, "to"),
        ("/api/calls", {"from_": "2026-11-21", "to": "2026-11-20"}, "to"),
        ("/api/calls", {"status": "free"}, "status"),
        ("/api/calls", {"trace": "abc"}, "trace"),
        ("/api/calls", {"session": ""}, "session"),
        ("/api/calls", {"order": "cost", "model": "x"}, "order"),
        ("/api/calls", {"order": "cost", "cursor": "1-1"}, "order"),
        ("/api/calls", {"model": "x" * 1001}, "model"),
        ("/api/calls/abc", {}, "id"),
        ("/api/calls/-1", {}, "id"),
        ("/api/calls/99999999999999999999", {}, "id"),
        ("/api/calls/1", {"at": "now"}, "at"),
    ],
)
def test_what_makes_no_sense_is_refused(api, path, params, name):
    """With the parameter at fault."""
    said = api.get(path, **params)

    assert said.status == 422
    assert said.problem["parameter"] == name


def test_a_session_without_a_name_is_refused(api):
    """With its value and what is allowed."""
    said = api.get("/api/calls", session="")

    assert said.problem["detail"] == "session is '': allowed is a text of at least 1 character"


def test_nothing_is_found_where_nothing_is(api):
    """A call and a session that are not there are 404, and the next page after the last is none."""
    assert api.get("/api/calls/1").status == 404
    assert api.get("/api/calls/9223372036854775807").status == 404
    assert api.get("/api/sessions/nobody").problem["detail"] == "there is no call of session 'nobody'"
    assert api.get("/api/calls", cursor="0-0").json == {"calls": [], "next_cursor": None}
    assert api.get("/api/sessions/").status == 404


def test_what_was_dropped_is_not_left_out_silently(ledger_url, tmp_path):
    """Sums by session over dropped calls are refused with the day they can be had from, and a session says since when it is whole."""
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    with running(settings, now=NOON) as api:
        wrote(api, *(call(at, session="old") for at in (_COLD, NOON)))
        api.ledger.compact(date(2026, 3, 20))
        api.ledger.retain(date(2026, 3, 15))

        refused = api.get("/api/metrics", period="month", date="2026-03-01", group_by="session")
        sums = api.get("/api/metrics", period="month", date="2026-03-01").json
        session = api.get("/api/sessions/old").json

    assert refused.status == 422
    assert "2026-03-11" in refused.problem["detail"]
    assert sums["usage_count"] == 1
    assert (session["calls_kept_since"], session["usage_count"]) == ("2026-03-11", 1)
    assert session["first_call"] == "2026-11-21T12:00:00+00:00"
