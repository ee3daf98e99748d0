"""Tokens: made once, stored as digests, for one tenant or for all, until they expire or are revoked; never changed."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg.errors import CheckViolation, InsufficientPrivilege

from costspan.attribution import NO_TENANT
from costspan.errors import InvalidQuestion, LedgerError
from costspan.ledger import token
from costspan.ledger.token import Tokens, digest_of, new_token
from costspan.text import clean
from integration.ledger.calls import batch, call
from integration.ledger.two_tenants import a_login

ODD = [
    "acme' or '1'='1", "acme'; drop table costspan.tenant; --", "%", "*", "null", "NULL", "0", "-1", "acme ", " acme", "ACME", "äcme",
    "a\u0308cme", "日本", "{acme}", "a" * 256, "b" * 10_000, "..", "/", "\\", "$1", "%s", "%(tenant)s", "\U0001f600", "costspan_admin",
]  # fmt: skip


def test_a_token_is_shown_once_and_stored_as_its_digest(ledger, rows):
    """No row, nor the server's statistics of statements, has the token; its SHA-256 is there."""
    made = ledger.tokens.create("grafana", tenant=None)

    assert rows("select name, is_admin, tenant_key, digest, expires_at from costspan.api_token") == [
        ("grafana", True, None, hashlib.sha256(made.text.encode()).digest(), None)
    ]
    assert made.text not in repr(rows("select * from costspan.api_token"))
    assert made.text not in repr(made)
    assert made.text not in repr(ledger.tokens.all())


def test_no_two_tokens_are_alike():
    """Each has 256 bits of its own, and a prefix that is easy to find where it should not be."""
    made = {new_token() for _ in range(1000)}

    assert len(made) == 1000
    assert all(one.startswith("csp_") and len(one) == 68 and digest_of(one) for one in made)


@pytest.mark.parametrize(
    "text", ["", "csp_", "csp_x", "csp_" + "0" * 63, "csp_" + "0" * 65, "CSP_" + "0" * 64, "csp_" + "G" * 64]
)
def test_what_is_no_token_has_no_digest(text):
    """It is known to be none without asking anybody."""
    assert digest_of(text) is None
    assert digest_of(f"csp_{'0' * 64}\n") is None


def test_what_counts_says_for_whom_and_how_long(ledger):
    """A tenant's says which, an administrator's none; and how many seconds are left, by the database's clock."""
    made = [
        ledger.tokens.create("one", tenant="acme", expires=timedelta(hours=1)),
        ledger.tokens.create("two", tenant=None),
        ledger.tokens.create("three", tenant=""),
    ]

    live = {one.digest: one for one in ledger.tokens.live()}
    one, two, three = (live[digest_of(token.text)] for token in made)

    assert (one.name, one.tenant) == ("one", "acme")
    assert one.seconds_left == pytest.approx(3600, abs=60)
    assert (two.tenant, two.seconds_left) == (None, None)
    assert (made[2].tenant, three.tenant) == (NO_TENANT, NO_TENANT)


def test_a_tenant_with_an_odd_name_is_that_tenant(shared_ledger):
    """Its token is for the name that its calls are stored under, and never for everybody or for who is named alike."""
    made = [shared_ledger.tokens.create(f"of {number}", tenant=tenant) for number, tenant in enumerate(ODD, start=100)]
    events = [call(tenant=clean(tenant)) for tenant in ODD]  # as `event` cleans them
    shared_ledger.write(batch(events), uuid4())

    live = {one.digest: one.tenant for one in shared_ledger.tokens.live()}
    for token_, tenant in zip(made, ODD, strict=True):
        whose = live[digest_of(token_.text)]
        assert whose == token_.tenant == clean(tenant)
        assert shared_ledger.daily_costs(whose, "2026-11-21").total.calls == 1, whose


def test_a_revoked_or_expired_token_does_not_count(ledger, rows):
    """It is listed as what it is, with who revoked it; its name is free for another."""
    ledger.tokens.create("short", tenant="acme", expires=timedelta(seconds=1))
    ledger.tokens.create("gone", tenant="acme")
    rows("select pg_sleep(1.1)")

    assert ledger.tokens.revoke("gone") == 1
    assert ledger.tokens.live() == ()
    ledger.tokens.create("gone", tenant="globex")
    ledger.tokens.create("short", tenant="globex")

    listed = [(one.number, one.name, one.tenant, one.state) for one in ledger.tokens.all()]
    assert listed == [
        (4, "short", "globex", "live"),
        (3, "gone", "globex", "live"),
        (2, "gone", "acme", "revoked"),
        (1, "short", "acme", "expired"),
    ]
    assert ledger.tokens.all()[2].revoked_by == ledger.tokens.all()[2].login


def test_revoking_again_is_nothing(ledger):
    """By name or by number, once; what is not there is not revoked, and no pattern is a name."""
    ledger.tokens.create("one", tenant="acme")
    ledger.tokens.create("two", tenant="acme")

    assert [ledger.tokens.revoke(name) for name in ("%", "", "*", "0", "-1", "99", "1 or 1=1", "9" * 40, "ONE")] == [
        0
    ] * 9
    assert [ledger.tokens.revoke("one"), ledger.tokens.revoke("one"), ledger.tokens.revoke("2")] == [1, 0, 1]
    assert ledger.tokens.live() == ()


def test_a_name_counts_once(ledger):
    """Also where many make it at once: who revokes it must know what it was."""
    refused: list[InvalidQuestion] = []

    def create() -> None:
        with ledger._database.another() as database:
            try:
                Tokens(database).create("ci", tenant="acme")
            except InvalidQuestion as error:
                refused.append(error)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ledger.tokens.live()) == 1
    assert len(refused) == 5
    assert "a token of that name counts already" in str(refused[0])


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a ", "a\nb", "a\x00", "\u202eevil", "x" * 257, "7", "007", "a\x1b[31m"]
)
def test_a_name_that_cannot_be_is_refused(shared_ledger, name):
    """It is printed, logged and typed again: no control characters, no blanks around it, and not a number."""
    with pytest.raises(InvalidQuestion, match="name is"):
        shared_ledger.tokens.create(name, tenant="acme")

    assert name not in {one.name for one in shared_ledger.tokens.all()}


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(seconds=-1), timedelta(days=3661), timedelta.max])
def test_a_time_that_cannot_be_is_refused(shared_ledger, expires):
    """Nothing, the past, and what is longer than anybody remembers."""
    with pytest.raises(InvalidQuestion, match="expires is"):
        shared_ledger.tokens.create("one", tenant="acme", expires=expires)


def test_there_are_only_so_many(ledger, monkeypatch):
    """Who checks them keeps all in memory; what is revoked or expired takes no place."""
    monkeypatch.setattr(token, "_MOST", 2)
    ledger.tokens.create("one", tenant="acme")
    ledger.tokens.create("two", tenant="acme")

    with pytest.raises(InvalidQuestion, match="2 tokens count already"):
        ledger.tokens.create("three", tenant="acme")

    ledger.tokens.revoke("one")
    assert ledger.tokens.create("three", tenant="acme").name == "three"


TAMPERING = [
    "update costspan.api_token set tenant_key = 2",
    "update costspan.api_token set is_admin = true, tenant_key = null",
    "update costspan.api_token set expires_at = null",
    "update costspan.api_token set digest = digest",
    "delete from costspan.api_token",
    "delete from costspan.revoked_token",
    "update costspan.revoked_token set token_id = 2",
    "truncate costspan.revoked_token",
    "insert into costspan.api_token (name, is_admin, digest, login) values ('x', true, sha256('x'), 'somebody')",
    "insert into costspan.api_token (name, is_admin, digest, created_at) values ('x', true, sha256('x'), now())",
    "insert into costspan.revoked_token (token_id, revoked_at) values (1, 'infinity')",
]


@pytest.mark.parametrize("statement", TAMPERING)
def test_nobody_changes_what_was_made_or_revoked(world, statement):
    """Neither the keeper, who makes and revokes, nor any other role: not for whom, not how long, not who did it."""
    for role in ("costspan_keeper", "costspan_admin", "costspan_writer", "costspan_tenant"):
        with world.acting(role, "acme") as ask, pytest.raises(InsufficientPrivilege):
            ask(statement)


@pytest.mark.parametrize("role", ["costspan_tenant", "costspan_writer"])
def test_a_tenant_does_not_see_that_there_are_tokens(world, role):
    """Nor does the writer; neither their own nor their digests."""
    with world.acting(role, "acme") as ask:
        for query in (
            "select * from costspan.api_token",
            "select digest from costspan.api_token",
            "table costspan.revoked_token",
        ):
            with pytest.raises(InsufficientPrivilege):
                ask(query)


@pytest.mark.parametrize("values", ["true, 1", "false, null"])
def test_a_missing_tenant_makes_no_administrator(world, values):
    """The database itself refuses a token that is for a tenant and for all, or for neither."""
    with world.acting("costspan_keeper") as ask, pytest.raises(CheckViolation):
        ask(f"insert into costspan.api_token (name, is_admin, tenant_key, digest) values ('x', {values}, sha256('x'))")


def test_a_login_without_the_keeper_makes_no_token(ledger, ledger_url):
    """Who may only write and ask can check tokens, and is told what is missing when it makes one."""
    made = ledger.tokens.create("one", tenant="acme")
    with a_login(ledger_url, ["costspan_writer", "costspan_admin", "costspan_tenant"]) as connection:
        info = connection.info
        url = psycopg.conninfo.make_conninfo(ledger_url, user=info.user, password="p")
        with type(ledger._database)(lambda: url).another() as database:
            tokens = Tokens(database)

            assert [one.digest for one in tokens.live()] == [digest_of(made.text)]
            with pytest.raises(LedgerError, match="costspan_keeper"):
                tokens.create("two", tenant=None)
            with pytest.raises(LedgerError, match="costspan_keeper"):
                tokens.revoke("one")


def test_it_is_known_who_made_and_revoked_it(ledger):
    """The login and the moment, by the database."""
    ledger.tokens.create("one", tenant="acme", expires=timedelta(days=1))
    ledger.tokens.revoke("one")

    (one,) = ledger.tokens.all()

    assert one.login == one.revoked_by == ledger._database._connection.info.user
    assert abs(datetime.now(UTC) - one.created_at) < timedelta(minutes=5)
    assert one.revoked_at is not None
    assert one.revoked_at >= one.created_at
    assert one.expires_at - one.created_at == timedelta(days=1)
