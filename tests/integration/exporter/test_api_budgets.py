"""`/api/budgets` over real HTTP: what may be spent, how much of it is, and who may say so."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest

from costspan.ledger.budget import Window
from integration.exporter.api import Api, Said
from integration.ledger.calls import NOON, batch, call, unpriced


@pytest.fixture(autouse=True)
def _nothing_for_everybody(api: Api) -> None:
    """Whatever another test set for everybody is taken away."""
    for window in Window:
        api.ledger.unset_budget(None, window.value)


def put(api: Api, tenant: str | None, window: str, budget: str, **more) -> Said:
    """Set a budget, written as JSON would have it."""
    name = "null" if tenant is None else f'"{tenant}"'
    content = f'{{"tenant": {name}, "window": "{window}", "budget_usd": {budget}}}'
    return api.ask("PUT", "/api/budgets", content=content, headers={"Content-Type": "application/json"}, **more)


def listed(api: Api, name: str, **more) -> dict[str, dict]:
    """What counts for the tenant of this name, by window."""
    return {item["window"]: item for item in api.get("/api/budgets", tenant_=name, **more).json["budgets"]}


def test_a_budget_is_set_to_the_digit_and_taken_away(api):
    """What is set counts at once; the same once more is no change, and when it is taken away the settings' counts again."""
    first = put(api, "set", "day", "0.300000000001")
    again = put(api, "set", "day", "0.300000000001")
    told = listed(api, "set")
    gone = api.ask("DELETE", "/api/budgets", params={"tenant": "set", "window": "day"})

    assert (first.status, first.json["is_changed"], again.json["is_changed"]) == (200, True, False)
    assert '"budget_usd":0.300000000001' in first.text
    assert (told["day"]["budget_usd"], told["day"]["source"]) == (Decimal("0.300000000001"), "own")
    assert gone.json == {"is_changed": True, "tenant": "set", "window": "day", "budget_usd": None}
    assert (listed(api, "set")["day"]["budget_usd"], listed(api, "set")["day"]["source"]) == (10, "settings")


def test_what_is_spent_is_told_beside_it(api):
    """Since the day began, its share of the budget, whether that is too much, and how many calls have no certain price."""
    api.ledger.write(
        batch([call(NOON, tenant="spender"), call(NOON, tenant="spender"), unpriced(NOON, tenant="spender")]), uuid4()
    )
    put(api, "spender", "day", "0.002")
    put(api, "spender", "month", "27")

    told = listed(api, "spender", tenant="spender")

    assert told["day"] == {
        "tenant": "spender",
        "window": "day",
        "budget_usd": Decimal("0.002"),
        "source": "own",
        "spent_usd": Decimal("0.0027"),
        "share": Decimal("1.35"),
        "is_over": True,
        "not_priced": 1,
    }
    assert (told["month"]["share"], told["month"]["is_over"]) == (Decimal("0.0001"), False)


def test_everybodys_budget_counts_for_who_has_none(api):
    """It comes before the settings' and after a tenant's own, and is told to each of them."""
    put(api, None, "month", "1000")

    said = api.get("/api/budgets", tenant="somebody").json
    gone = api.ask("DELETE", "/api/budgets", params={"everybody": "true", "window": "month"})

    assert said["everybody"] == [
        {"window": "day", "budget_usd": 10, "source": "settings"},
        {"window": "month", "budget_usd": 1000, "source": "everybody's"},
    ]
    assert [(item["window"], item["source"]) for item in said["budgets"]] == [
        ("day", "settings"),
        ("month", "everybody's"),
    ]
    assert gone.json["is_changed"] is True


def test_an_administrator_sees_the_fullest_first(api):
    """Those that spent, or have a budget of their own; what is beyond the limit is counted."""
    api.ledger.write(batch([call(NOON, tenant="fuller", tokens=(9_000_000, 0))]), uuid4())
    put(api, "emptier", "day", "5")

    said = api.get("/api/budgets", limit=1).json
    whole = api.get("/api/budgets").json

    assert len(said["budgets"]) == 1
    assert said["left_out"] == len(whole["budgets"]) - 1 >= 1
    assert {"fuller", "emptier"} <= {item["tenant"] for item in whole["budgets"]}
    shares = [item["share"] for item in whole["budgets"] if item["share"] is not None]
    assert shares == sorted(shares, reverse=True)


def test_a_tenant_sees_its_own_and_may_change_none(api):
    """Another's budgets and changes are hidden, and setting or taking away is for administrators."""
    put(api, "owner", "day", "1")
    put(api, "stranger", "day", "2")

    said = api.get("/api/budgets", tenant="owner").json
    history = api.get("/api/budgets/history", tenant="owner").json

    assert {item["tenant"] for item in said["budgets"]} == {"owner"}
    assert [(item["tenant"], item["budget_usd"], item["login"]) for item in history["changes"]] == [("owner", 1, None)]
    assert api.get("/api/budgets", tenant="owner", tenant_="stranger").status == 403
    assert api.get("/api/budgets/history", tenant="owner", tenant_="stranger").status == 403
    refused = api.ask("DELETE", "/api/budgets", tenant="owner", params={"tenant": "owner", "window": "day"})
    assert refused.problem["status"] == 403


def test_a_tenant_cannot_raise_its_own_budget(api):
    """Nor set one for everybody."""
    put(api, "greedy", "day", "1")

    for name in ("greedy", None):
        content = {"tenant": name, "window": "day", "budget_usd": 1000}
        assert api.ask("PUT", "/api/budgets", tenant="greedy", json=content).problem["status"] == 403

    assert listed(api, "greedy")["day"]["budget_usd"] == 1


def test_every_change_is_on_record(api):
    """The newest first, with who was connected to Postgres for an administrator; taken away is null."""
    put(api, "history", "day", "1")
    put(api, "history", "day", "2.5")
    api.ask("DELETE", "/api/budgets", params={"tenant": "history", "window": "day"})

    said = api.get("/api/budgets/history", tenant_="history", limit=2).json

    assert [item["budget_usd"] for item in said["changes"]] == [None, Decimal("2.5")]
    assert said["left_out"] == 1
    assert all(item["login"] for item in said["changes"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"window": "day", "budget_usd": 1}', "tenant is missing: allowed is the id of a tenant"),
        (b'{"tenant": 5, "window": "day", "budget_usd": 1}', "tenant is '5': allowed is the id of a tenant"),
        (b'{"tenant": "x", "window": "year", "budget_usd": 1}', "window is 'year': allowed are day and month"),
        (b'{"tenant": "x", "window": "year", budget', "cannot be read"),
        (b'{"tenant": "x", "budget_usd": 1}', "window is missing: allowed are day and month"),
        (b'{"tenant": "x", "window": "day"}', "budget_usd is missing: allowed is a number of dollars"),
        (
            b'{"tenant": "x", "window": "day", "budget_usd": "ten"}',
            "budget_usd is 'ten': allowed is a number of dollars",
        ),
        (
            b'{"tenant": "x", "window": "day", "budget_usd": null}',
            "budget_usd is 'null': allowed is a number of dollars",
        ),
        ('{"tenant": "x", "window": "day", "budget_usd": "\u0664\u0662"}'.encode(), "allowed is a number of dollars"),
        (b'{"tenant": "x", "window": "day", "budget_usd": "1_000"}', "budget_usd is '1_000': allowed"),
        (b'{"tenant": "x", "window": "day", "budget_usd": " 5"}', "budget_usd is ' 5': allowed"),
        (b'{"tenant": "x", "window": "day", "budget_usd": 1, "budget_usd": 2}', "budget_usd is given 2 times"),
        (b'{"tenant": "x", "window": "day", "budget_usd": ' + b"[" * 3000 + b"]" * 3000 + b"}", ""),
        (
            b'{"tenant": "x", "window": "day", "budget_usd": -1}',
            "budget_usd is '-1': allowed is a number of dollars from 0",
        ),
        (b'{"tenant": "x", "window": "day", "budget_usd": 1e400}', "from 0"),
        (b'{"tenant": "x", "window": "day", "budget_usd": 1e999999999999}', ""),
        (b'{"tenant": "x", "window": "day", "budget_usd": 0.0000000000001}', "12 decimals"),
        (b'{"tenant": "x", "window": "day", "budget_usd": true}', "allowed is a number"),
        (b'{"tenant": "x", "window": "day", "budget_usd": {"a": [1]}}', "allowed is a number"),
        (b'{"tenant": "x", "window": "day", "budget_usd": "NaN"}', "from 0"),
        (b'{"tenant": "", "window": "day", "budget_usd": 1}', "tenant"),
        (
            b'{"tenant": "x", "window": "day", "budget_usd": 1, "currency": "EUR"}',
            "'currency': allowed are tenant, window",
        ),
        (b'{"tenant": ' + b"[" * 5000, "cannot be read"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(api, content, told):
    """With what is wrong about it; nothing is set."""
    said = api.ask("PUT", "/api/budgets", content=content, headers={"Content-Type": "application/json"})

    assert said.status == 422
    assert told in said.problem["detail"]
    names = ("tenant", "window", "budget_usd")
    assert said.problem.get("parameter") == next(
        (name for name in names if told.startswith(f"{name} ")), said.problem.get("parameter")
    )
    assert api.get("/api/budgets/history", tenant_="x").json["changes"] == []


def test_another_type_than_json_is_refused(api):
    """A form of some web page sets no budget."""
    said = api.ask("PUT", "/api/budgets", content=b"{}", headers={"Content-Type": "text/plain"})

    assert said.problem["status"] == 415


@pytest.mark.parametrize(
    "params",
    [
        {"window": "day"},
        {"window": "day", "tenant": "x", "everybody": "true"},
        {"tenant": "x"},
        {"window": "hour", "tenant": "x"},
        {"window": "day", "tenant": "  "},
    ],
)
def test_what_is_taken_away_must_be_said(api, params):
    """Everybody's budget goes only when that is said, and never by leaving the tenant out."""
    said = api.ask("DELETE", "/api/budgets", params=params)

    assert said.problem["status"] == 422
    assert said.problem["parameter"] in ("tenant", "everybody", "window")
