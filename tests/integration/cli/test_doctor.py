"""`costspan doctor` finds what is wrong, and says what to do about it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typer.testing import CliRunner

from costspan.cli import app
from costspan.ledger import Ledger
from costspan.settings import Settings
from integration.cli.conftest import Answer
from integration.cli.test_report_journal import orphan
from integration.ledger.calls import NOON, unpriced

__all__ = ["orphan"]


@pytest.fixture(scope="module")
def sound_url(module_database_url, tmp_path_factory):
    """A migrated ledger without a call, which no test writes to."""
    Ledger.connect(Settings(database_url=module_database_url, state_dir=tmp_path_factory.mktemp("sound"))).close()
    return module_database_url


@pytest.fixture
def environment(sound_url, tmp_path):
    """Settings of that ledger, and of a journal folder of this test's own."""
    return {"COSTSPAN_DATABASE_URL": sound_url, "COSTSPAN_STATE_DIR": str(tmp_path), "COSTSPAN_TIMEZONE": None}


@pytest.fixture
def doctor(environment):
    """Runs `costspan doctor`."""

    def run(*words: str, **changed: str) -> Answer:
        found = CliRunner(env={**environment, **changed}).invoke(app, ["doctor", *words])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Answer(found.exit_code, found.stdout, found.stderr)

    return run


def findings(answer: Answer) -> dict[str, list[tuple[str, str, str | None]]]:
    """What was found, by what it is about."""
    found: dict[str, list[tuple[str, str, str | None]]] = {}
    for item in answer.json["findings"]:
        found.setdefault(item["about"], []).append((item["verdict"], item["said"], item["todo"]))
    return found


def test_where_all_is_well_it_says_so(doctor):
    """Every part is named with what was found, and it ends with 0."""
    told, listed = doctor(), doctor("--json")

    assert (told.code, listed.code) == (0, 0)
    assert told.out.rstrip().endswith("All is well.")
    assert listed.json["is_well"] is True
    verdicts = {about: {verdict for verdict, _, _ in items} for about, items in findings(listed).items()}
    parts = ("settings", "openai", "anthropic", "journal", "database", "clock", "migrations", "roles", "prices")
    assert verdicts == {part: {"ok"} for part in parts}


def test_settings_that_cannot_be_used_are_named(doctor):
    """Also one that is no setting at all, and what it may have been meant to be. The rest is checked all the same."""
    found = doctor(
        "--json", COSTSPAN_DATABASE_URL="garbage", COSTSPAN_TIMEZONE="Mars/Olympus", COSTSPAN_DATABSE_URL="x"
    )

    assert found.code == 1
    said = findings(found)
    assert [verdict for verdict, _, _ in said["settings"]] == ["wrong", "wrong", "notice"]
    assert said["settings"][2][2] == "Did you mean COSTSPAN_DATABASE_URL?"
    assert said["prices"][0][0] == "ok"
    assert "database" not in said


def test_a_database_that_is_away_is_wrong_and_nothing_is_lost(doctor):
    """With what to look at."""
    ((verdict, said, todo),) = findings(doctor("--json", COSTSPAN_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x"))[
        "database"
    ]

    assert verdict == "wrong"
    assert said.startswith("cannot be reached: ")
    assert "calls stay in the journal" in todo


def test_an_empty_database_is_not_migrated_by_being_looked_at(doctor, database_url):
    """What is to come is a notice, and still to come the second time."""
    for _ in range(2):
        found = doctor("--json", COSTSPAN_DATABASE_URL=database_url)

        assert found.code == 0
        ((verdict, said, todo),) = findings(found)["migrations"]
        assert (verdict, said.split(",")[1]) == ("notice", " from 0001_tables to " + said.split(" to ")[-1])
        assert "costspan migrate" in todo


def test_a_login_without_its_roles_is_told_what_to_run(doctor, sound_url):
    """As a statement for a superuser."""
    login = f"reader_{os.getpid()}"
    with psycopg.connect(sound_url, autocommit=True) as superuser:
        superuser.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(login)))
        superuser.execute(sql.SQL("grant costspan_tenant to {}").format(sql.Identifier(login)))
        try:
            url = make_conninfo(**{**conninfo_to_dict(sound_url), "user": login, "password": "x"})
            found = doctor("--json", COSTSPAN_DATABASE_URL=url)
        finally:
            superuser.execute(sql.SQL("drop role {}").format(sql.Identifier(login)))

    assert found.code == 1
    ((verdict, _, todo),) = findings(found)["roles"]
    assert verdict == "wrong"
    assert todo == f"GRANT costspan_owner, costspan_writer, costspan_keeper, costspan_admin TO {login};"


def test_a_journal_that_nobody_drains_is_found(doctor, orphan, environment):
    """After two minutes; wrong where this host leaves draining to a server, and none does."""
    long_ago = time.time() - 300
    for path in orphan.iterdir():
        os.utime(path, (long_ago, long_ago))

    noticed, wrong = doctor("--json"), doctor("--json", COSTSPAN_DRAIN="off")

    assert (noticed.code, wrong.code) == (0, 1)
    assert findings(noticed)["journal"][1][0] == "notice"
    assert "costspan drain" in findings(noticed)["journal"][1][2]
    assert "costspan serve" in findings(wrong)["journal"][1][2]
    assert len(list(orphan.iterdir())) == 1


@pytest.mark.parametrize("folder", ["/proc/nope", "/proc/nope/deeper", "/proc"])
def test_a_journal_that_could_never_be_made_is_wrong(doctor, folder):
    """Also where root is told that it may: no call would ever be metered."""
    found = doctor("--json", COSTSPAN_JOURNAL_DIR=folder)

    assert found.code == 1
    ((verdict, said, todo),) = findings(found)["journal"]
    assert verdict == "wrong"
    assert folder in said
    assert "COSTSPAN_JOURNAL_DIR" in todo


def test_a_journal_that_is_still_to_be_made_is_fine(doctor, tmp_path):
    """However deep, in a folder that can be written to; looking for that leaves nothing there."""
    found = doctor("--json", COSTSPAN_JOURNAL_DIR=str(tmp_path / "some" / "where"))

    ((verdict, said, _),) = findings(found)["journal"]
    assert (found.code, verdict) == (0, "ok")
    assert "made by the first call" in said
    assert not list(tmp_path.iterdir())


def test_a_journal_that_everybody_may_write_to_is_noticed(doctor, tmp_path):
    """With what to do about it; one of this user's own is not."""
    for mode, verdicts in ((0o777, ["ok", "notice"]), (0o700, ["ok"])):
        tmp_path.chmod(mode)

        said = findings(doctor("--json", COSTSPAN_JOURNAL_DIR=str(tmp_path)))["journal"]

        assert [verdict for verdict, _, _ in said] == verdicts
    assert not list(tmp_path.iterdir())


def test_models_without_a_price_are_noticed(doctor, seed, ledger_url):
    """By name; they are no reason to fail."""
    seed([unpriced(datetime.now(UTC)), unpriced(NOON)])

    found = doctor("--json", COSTSPAN_DATABASE_URL=ledger_url)

    assert found.code == 0
    assert any("without a price: llama-9" in said for _, said, _ in findings(found)["prices"])


def test_a_price_file_that_cannot_be_read_is_wrong(doctor, tmp_path):
    """With file and line."""
    file = tmp_path / "prices.toml"
    file.write_text("[[price]]\nmodel = 'x'\ninput = -1\n")

    found = doctor("--json", COSTSPAN_PRICES=str(file))

    assert found.code == 1
    assert "prices.toml" in findings(found)["prices"][-1][1]
