"""What containers do before `costspan serve` begins: passwords, roles and logins, the schema, tokens."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from costspan.ledger import embedded
from integration.alerting.processes import free_port, running

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
_TOKENS = ("prometheus", "collector")


def _sh(script: str, *arguments: object, **environment: str) -> str:
    command = ["sh", str(DEPLOY / script), *map(str, arguments)]
    given = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Prepared:
    """A Postgres as the script of its image leaves it."""

    conninfo: str
    """Without a login."""
    secrets: Path
    path: str
    """With `costspan` in it, as the image has."""

    def environment(self, login: str, secret: str) -> dict[str, str]:
        """As docker-compose.yml gives it to a container."""
        return {
            "PATH": self.path,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "COSTSPAN_STATE_DIR": str(self.secrets.parent / "state"),
            "COSTSPAN_DATABASE_URL": make_conninfo(self.conninfo, user=login),
            "PGPASSWORD_FILE": str(self.secrets / secret),
        }

    def connect(self, login: str, secret: str) -> psycopg.Connection:
        """As this login."""
        password = (self.secrets / secret).read_text()
        return psycopg.connect(make_conninfo(self.conninfo, user=login, password=password), autocommit=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """A server of its own: logins are shared by all databases of one."""
    if shutil.which("psql") is None:
        missing = "needs psql: apt-get install postgresql-client"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    folder = tmp_path_factory.mktemp("containers")
    (folder / "bin").mkdir()
    (folder / "bin" / "costspan").write_text(f'#!/bin/sh\nexec {sys.executable} -m costspan "$@"\n')
    (folder / "bin" / "costspan").chmod(0o755)
    _sh("secrets.sh", folder / "secrets")
    server = embedded.ensure(folder / "server")
    where = {"host": str(server.socket_folder), "port": str(server.port), "dbname": server.database}
    try:
        _sh(
            "postgres.sh",
            PGHOST=where["host"],
            PGPORT=where["port"],
            PGPASSWORD=server.password,
            POSTGRES_USER=server.user,
            POSTGRES_DB=where["dbname"],
            SECRETS=str(folder / "secrets"),
            OPERATOR_SQL=str(ROOT / "grafana" / "postgres" / "operator.sql"),
        )
        yield Prepared(make_conninfo("", **where), folder / "secrets", f"{folder / 'bin'}:{os.environ['PATH']}")
    finally:
        embedded.release(folder / "server")


@pytest.fixture(scope="module")
def tokens(prepared: Prepared) -> Path:
    """The folder that `setup.sh` fills."""
    folder = prepared.secrets.parent / "tokens"
    for name in _TOKENS:
        (folder / name).mkdir(parents=True)
    _sh("setup.sh", folder, **prepared.environment("costspan_setup", "setup_password"))
    return folder


def test_passwords_are_made_once(tmp_path):
    """Each is another one; what there is stays; only the owner gets into their folder."""
    _sh("secrets.sh", tmp_path / "made")
    before = {file.name: file.read_text() for file in (tmp_path / "made").glob("*_password")}
    said = _sh("secrets.sh", tmp_path / "made")

    after = {file.name: file.read_text() for file in (tmp_path / "made").glob("*_password")}
    assert (before, said) == (after, "")
    assert len(set(before.values())) == len(before) == 5
    assert all(len(password) == 48 for password in before.values())
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700


def test_servers_run_with_what_was_set_up(prepared, tokens, tmp_path):
    """`entrypoint.sh` takes the password out of its file, and both tokens are an administrator's."""
    port = free_port()
    environment = prepared.environment("costspan_serve", "serve_password")
    given = [f"{name}={value}" for name, value in environment.items()]
    command = ["env", "--ignore-environment", *given, "sh", str(DEPLOY / "entrypoint.sh"), "serve", "--port", str(port)]
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/metrics?period=month")

    with running(command, f"http://127.0.0.1:{port}/readyz", tmp_path / "log"):
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            urllib.request.urlopen(asked, timeout=10)
        refused.value.close()
        answers = []
        for name in _TOKENS:
            asked.add_header("Authorization", f"Bearer {(tokens / name / 'token').read_text()}")
            with urllib.request.urlopen(asked, timeout=10) as answer:
                answers.append(json.load(answer)["usage_count"])

    assert answers == [0, 0]


def test_setting_up_again_changes_nothing_but_what_was_lost(prepared, tokens):
    """A token whose file is gone is revoked, and made anew."""
    before = {name: (tokens / name / "token").read_text() for name in _TOKENS}
    (tokens / "prometheus" / "token").unlink()

    _sh("setup.sh", tokens, **prepared.environment("costspan_setup", "setup_password"))

    after = {name: (tokens / name / "token").read_text() for name in _TOKENS}
    assert after["collector"] == before["collector"]
    assert after["prometheus"] not in {"", before["prometheus"]}
    assert all(token == token.strip() for token in after.values())
    told = _sh("entrypoint.sh", "token", "list", "--json", **prepared.environment("costspan_serve", "serve_password"))
    assert sorted(token["name"] for token in json.loads(told)) == sorted(_TOKENS)


@pytest.mark.parametrize(
    ("login", "secret", "statement"),
    [
        ("costspan_serve", "serve_password", "create table costspan.mine ()"),
        ("costspan_serve", "serve_password", "create table public.mine ()"),
        ("costspan_serve", "serve_password", "set role costspan_owner"),
        ("costspan_serve", "serve_password", "create role mine"),
        ("costspan_setup", "setup_password", "create role mine"),
        ("costspan_grafana", "grafana_database_password", "create temporary table mine ()"),
        ("costspan_grafana", "grafana_database_password", "set role costspan_writer"),
    ],
)
def test_no_login_may_more_than_it_needs(prepared, tokens, login, secret, statement):
    """Servers cannot change the schema, Grafana's login writes nothing, and none makes roles."""
    with prepared.connect(login, secret) as connection, pytest.raises(psycopg.errors.Error) as refused:
        connection.execute(statement)

    assert refused.value.sqlstate in {"42501", "25006"}


def test_grafana_reads_every_tenant(prepared, tokens):
    """Its login needs no tenant."""
    with prepared.connect("costspan_grafana", "grafana_database_password") as connection:
        found = connection.execute("select count(*) from ai_usage_metrics").fetchone()

    assert found == (0,)
