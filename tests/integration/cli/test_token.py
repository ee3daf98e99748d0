"""`costspan token` makes, lists and revokes; `costspan serve` refuses to listen where that would let in everybody."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from costspan.cli import app
from costspan.ledger.token import digest_of
from integration.cli.conftest import Answer


@pytest.fixture
def run(environment):
    """Runs `costspan …`."""

    def run(*words: str, **changed: str) -> Answer:
        found = CliRunner(env={**environment, **changed}).invoke(app, list(words))
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Answer(found.exit_code, found.stdout, found.stderr)

    return run


def test_a_token_is_printed_alone(run, ledger):
    """Standard output is the token and nothing else, so that a script can keep it; what it is for is told beside."""
    made = run("token", "create", "grafana", "--admin")

    assert made.code == 0
    assert re.fullmatch(r"csp_[0-9a-f]{64}\n", made.out)
    assert made.err == "grafana: sees everybody (admin), until it is revoked. It is shown this once:\n"
    assert [(live.digest, live.tenant) for live in ledger.tokens.live()] == [(digest_of(made.out.strip()), None)]


def test_a_tenants_token_expires(run, ledger):
    """After so many hours, days or weeks."""
    made = run("token", "create", "ci", "--tenant", "acme", "--expires", "2w", "--json").json

    (live,) = ledger.tokens.live()
    assert (made["name"], made["tenant"], digest_of(made["token"])) == ("ci", "acme", live.digest)
    assert abs(datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC) - timedelta(weeks=2)) < timedelta(hours=1)
    assert live.tenant == "acme"


def test_tokens_are_listed_without_themselves(run):
    """For whom, by whom, until when; expired and revoked ones where asked for; no token, and no digest."""
    assert "There is no token." in run("token", "list").out
    made = [
        run("token", "create", name, "--tenant", "[red]acme", "--expires", "90d").out.strip() for name in ("one", "two")
    ]
    run("token", "revoke", "one")

    shown, everything = run("token", "list").out, run("token", "list", "--all").out
    listed = run("token", "list", "--all", "--json")

    assert [line.split()[:3] for line in shown.splitlines() if "acme" in line] == [["2", "two", "[red]acme"]]
    assert "counts until" in shown
    assert "revoked" in everything
    assert [(one["number"], one["name"], one["state"]) for one in listed.json] == [
        (2, "two", "live"),
        (1, "one", "revoked"),
    ]
    for token in made:
        for said in (shown, everything, listed.out):
            assert token not in said
            assert digest_of(token).hex() not in said


def test_a_token_is_revoked_once(run, ledger):
    """By its name or number; a second time there is none to revoke."""
    run("token", "create", "one", "--admin")

    assert run("token", "revoke", "one").out == "one is revoked.\n"
    again = run("token", "revoke", "1")

    assert (again.code, ledger.tokens.live()) == (1, ())
    assert "no token has the name or number '1'" in again.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["one"], "neither --tenant nor --admin"),
        (["one", "--admin", "--tenant", "acme"], "--admin besides --tenant"),
        (["one", "--tenant", ""], "tenant is ''"),
        (["one", "--tenant", " "], "tenant is ' '"),
        (["", "--admin"], "name is ''"),
        (["7", "--admin"], "name is '7'"),
        (["one", "--admin", "--expires", "90"], "expires is '90'"),
        (["one", "--admin", "--expires", "-1d"], "expires is '-1d'"),
        (["one", "--admin", "--expires", "0d"], "--expires is '0d'"),
        (["one", "--admin", "--expires", "999999w"], "--expires is '999999w': allowed are hours, days or weeks"),
        (["one", "--admin", "--expires", "\u0661d"], "expires is"),
    ],
)
def test_what_makes_no_sense_makes_no_token(run, words, told):
    """Exit code 2, with the value and what is allowed."""
    refused = run("token", "create", *words)

    assert (refused.code, refused.out) == (2, "")
    assert told in refused.err
    assert "allowed" in refused.err


def test_a_ledger_that_is_away_is_told(run):
    """Exit code 1, without its password."""
    away = run("token", "list", COSTSPAN_DATABASE_URL="postgresql://u:s3cret@127.0.0.1:1/x")

    assert away.code == 1
    assert "s3cret" not in away.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--host", "0.0.0.0"], 2, "there is no token: make one first"),
        (["--host", "::"], 2, "there is no token: make one first"),
        (["--host", "0.0.0.0", "--open-on-loopback"], 2, "allowed is one of them"),
        (["--host", ""], 2, "--host is ''"),
        (["--host", "no such host"], 2, "--host is 'no such host'"),
        (["--host", "203.0.113.9"], 1, "cannot listen on 203.0.113.9"),
        (["--port", "99999999999999999999"], 2, "--port is"),
    ],
)
def test_serve_does_not_listen_where_it_should_not(run, words, code, told):
    """Other machines are let in only where there is a token, and never by where they are."""
    refused = run("serve", *words, *([] if "--port" in words else ["--port", "0"]))

    assert refused.code == code, refused.err
    assert told in refused.err
    assert refused.out == ""


def test_serve_asks_the_setting_too(run):
    """An open loopback by COSTSPAN_OPEN_ON_LOOPBACK is refused like the option; so is a ledger that cannot say."""
    opened = run("serve", "--host", "0.0.0.0", "--port", "0", COSTSPAN_OPEN_ON_LOOPBACK="on")
    away = run("serve", "--host", "0.0.0.0", "--port", "0", COSTSPAN_DATABASE_URL="postgresql://u:s3cret@127.0.0.1:1/x")

    assert (opened.code, away.code) == (2, 1)
    assert "allowed is one of them" in opened.err
    assert "s3cret" not in away.err
