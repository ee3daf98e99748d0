"""`costspan serve` as a process: whom it lets in, what it prints of its token, and that every route of it is guarded."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from costspan.exporter.gate import INTAKE
from costspan.ledger.token import new_token

#: What needs no token: the page, what it is made of, and whether the server is well.
OPEN = {"/", "/healthz", "/readyz", "/metrics", "/openapi.json"}


def test_a_running_server_follows_its_tokens(serve, ledger):
    """Its own and the ledger's count, one made meanwhile too; no token or request of the day is in what it prints."""
    serving = serve()
    shown = [serving.token, ledger.tokens.create("ci", tenant="acme").text, new_token()]

    statuses = [serving.get("/api/nothing", Authorization=f"Bearer {token}").status for token in shown]
    serving.get(f"/api/nothing?token={shown[1]}")
    serving.get("/api/nothing", Authorization=shown[1], Cookie=shown[1])

    assert statuses == [404, 404, 401]
    assert serving.get("/api/nothing").status == 401
    assert serving.get("/healthz", Host="evil.example").status == 403
    assert serving.end() == 0
    assert serving.process.stdout.read() == ""


def test_open_on_loopback_needs_no_token(serve):
    """Where that was asked for, and only for who is here."""
    serving = serve("--open-on-loopback")

    assert serving.get("/api/nothing").status == 404
    assert serving.get("/api/nothing", **{"X-Forwarded-For": "127.0.0.1"}).status == 401
    assert serving.get("/api/nothing", **{"Sec-Fetch-Site": "cross-site"}).status == 401


@contextmanager
def started(
    environment: dict[str, str], *options: str, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """The command on a free port, ended at the end."""
    command = [sys.executable, "-m", "costspan", "serve", "--port", "0", *options]
    with subprocess.Popen(command, env=environment, text=True, stdout=stdout, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def test_a_terminal_gets_the_link(environment):
    """With a token in its fragment, which no browser sends to a server."""
    ours, theirs = pty.openpty()
    with started(environment, stdout=theirs), os.fdopen(ours, "r") as terminal:
        os.close(theirs)

        told = [terminal.readline(), terminal.readline()]

    assert "costspan serves on" in told[0]
    assert "/#token=csp_" in told[1]


def test_other_machines_need_a_token_for_all_but_health(environment, ledger):
    """Listening everywhere, with a token in the ledger: /metrics is closed too, any Host is served, and no log gets a token."""
    token = ledger.tokens.create("prometheus", tenant=None).text
    with started(environment, "--host", "0.0.0.0") as process:
        url = process.stdout.readline().split()[3]
        with httpx.Client(base_url=url, headers={"Host": "costs.example"}, trust_env=False, timeout=20) as client:
            statuses = [client.get(path).status_code for path in ("/healthz", "/metrics", "/api/nothing")]
            shown = client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code
        process.terminate()
        said = process.communicate(timeout=60)

    assert (statuses, shown, process.returncode, said) == ([200, 401, 401], 200, 0, ("", ""))


def test_every_route_is_guarded(api):
    """Each path and method of the OpenAPI document, and the intake: nothing without a token that counts."""
    document = json.loads(api.get("/openapi.json").text)
    routes = [(method, path) for path, methods in document["paths"].items() for method in methods if path not in OPEN]
    if INTAKE not in document["paths"]:
        routes.append(("post", INTAKE))

    for method, path in routes:
        for token in ("", "csp_nonsense"):
            answer = api.ask(method.upper(), path.replace("{", "").replace("}", ""), token=token)
            # A wrong token is soon tried too often.
            assert answer.status == 401 or (token and answer.status == 429), f"{method} {path}"


def test_what_is_not_under_api_is_known(api):
    """A route that somebody adds elsewhere is either guarded or written down above."""
    document = json.loads(api.get("/openapi.json").text)

    assert [path for path in document["paths"] if path not in OPEN and not path.startswith(("/api/", "/v1/"))] == []


@pytest.mark.parametrize(
    "tenant", ["acme' or '1'='1", "%", "*", "null", "äcme", "a b", "日本", "../acme", "acme\u202e"]
)
def test_a_tenant_with_an_odd_name_sees_its_own(api, tenant):
    """Whatever the name looks like to SQL, to a path or to an eye."""
    token = api.ledger.tokens.create(f"odd {tenant.encode().hex()}", tenant=tenant).text

    own = api.ask("GET", "/api/metrics", token=token)
    another = api.ask("GET", "/api/metrics", token=token, params={"tenant": "rival"})

    assert (own.status, own.json["usage_count"]) == (200, 0)
    assert another.status == 403
