"""What an enemy writes where a word is asked for: nothing of it runs, nothing comes back that is another's, nothing breaks."""

from __future__ import annotations

from itertools import count
from urllib.parse import quote
from uuid import uuid4

import pytest

from integration.ledger.calls import NOON, batch, call

_SECRET = "rival-secret"
PAYLOADS = [
    "' or '1'='1",
    "x'; drop table costspan.call; --",
    "x' union select tenant_id from costspan.tenant --",
    "1; select pg_sleep(5)",
    "$$; reset role; set app.current_tenant = 'rival'; --",
    "%(tenant)s %s {0} ${jndi:ldap://127.0.0.1/x}",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "rival\x00acme",
    "acme\r\nX-Injected: 1",
    "<script>alert(1)</script>",
    "\u202eacme\ufeff\ud7ff",
    "9" * 400,
    "-0x1",
    "NaN",
    "",
]


@pytest.fixture(scope="module")
def places(api):
    """Every parameter of every operation under /api, as (method, path, where, name)."""
    document = api.get("/openapi.json", token="").json
    found = [
        (method, path, parameter["in"], parameter["name"])
        for path, items in document["paths"].items()
        for method, item in items.items()
        for parameter in item.get("parameters", ())
        if path.startswith("/api/")
    ]
    assert {where for _, _, where, _ in found} == {"query", "path"}
    return found


@pytest.fixture(scope="module")
def rival(api):
    """A tenant whose calls nobody else may see."""
    who = {"tenant": f"rival-{uuid4()}", "session": _SECRET, "user": _SECRET, "feature": _SECRET, "model": _SECRET}
    api.ledger.write(batch([call(NOON, **who)]), uuid4())
    return who["tenant"]


def stored(api):
    """How much there is of everything that a payload could have changed."""
    with api.ledger._database.transaction() as cursor:
        return cursor.execute(
            "select (select count(*) from costspan.call), (select count(*) from costspan.tenant),"
            " (select count(*) from costspan.budget_change), (select count(*) from costspan.api_token)"
        ).fetchone()


@pytest.mark.parametrize("payload", PAYLOADS, ids=count())
def test_a_payload_is_a_word_or_is_refused(api, places, rival, payload):
    """In every parameter of every route, as a tenant: an answer or a refusal, soon, without another's data or our insides."""
    tenant = f"attacker-{uuid4()}"
    api.token(tenant)
    before = stored(api)
    for method, path, where, name in places:
        there, params = path, {}
        if where == "path":
            there = path.replace(f"{{{name}}}", quote(payload, safe="") or "%20")
        else:
            there, params = path.replace("{id}", "1"), {name: payload}

        said = api.ask(method, there, tenant=tenant, params=params)

        assert said.status in {200, 403, 404, 405, 422}, (method, path, name, said)
        for word in (_SECRET, rival, "Traceback", "psycopg", "costspan.call", "syntax error", "root:x:"):
            assert word not in said.text.replace(payload, ""), (method, path, name, said)
        assert "x-injected" not in said.headers
    assert stored(api) == before


@pytest.mark.parametrize("payload", PAYLOADS, ids=count())
def test_a_payload_in_a_header_or_a_path_is_nothing(api, payload):
    """As a token, as what is accepted, as an origin, as a path of its own."""
    encoded = payload.encode()
    if encoded and b"\x00" not in encoded and b"\n" not in encoded:  # those no client sends
        for name in ("authorization", "accept", "origin", "x-forwarded-for", "traceparent", "content-type"):
            said = api.ask("GET", "/api/metrics", headers={name: b"Bearer " * (name == "authorization") + encoded})
            assert said.status in {200, 401, 403}, (name, said)
    said = api.ask("GET", f"/api/{quote(payload, safe='')}")
    assert said.status == 404
    assert said.problem["status"] == 404


def test_another_tenant_is_not_to_be_had_by_any_parameter(api, places, rival):
    """Who names another tenant is refused everywhere, and is told nothing of whether there is one."""
    tenant = f"attacker-{uuid4()}"
    asked = [(method, path) for method, path, _, name in places if name == "tenant" and method == "get"]
    assert asked
    for method, path in asked:
        told = [
            api.ask(method, path.replace("{id}", "1"), tenant=tenant, params={"tenant": name}).problem["status"]
            for name in (rival, "nobody-at-all")
        ]
        assert told == [403, 403], path
