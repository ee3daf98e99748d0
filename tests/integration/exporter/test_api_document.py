"""The OpenAPI document, the page that shows it, and what all answers have in common."""

from __future__ import annotations

import re

import jsonschema
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from costspan.errors import LedgerError, LedgerUnavailable
from costspan.exporter.access import Access
from costspan.exporter.app import create_app
from costspan.exporter.keyring import Keyring
from costspan.exporter.pool import Pool
from costspan.ledger import Ledger
from costspan.ledger.token import new_token
from costspan.settings import Settings

_METHODS = {"get", "put", "post", "delete"}


def operations(api):
    """Each operation of the document with its method and path."""
    document = api.get("/openapi.json", token="").json
    return [(method, path, item) for path, items in document["paths"].items() for method, item in items.items()]


def test_the_document_has_every_route_and_needs_no_token(api):
    """With a summary, an answer and a name of its own each; and nothing refers to what is not there."""
    said = api.get("/openapi.json", token="")

    assert said.status == 200
    document = said.json
    found = operations(api)
    paths = {
        "/api/metrics",
        "/api/sessions/{id}",
        "/api/calls",
        "/api/calls/{id}",
        "/api/budgets",
        "/api/budgets/history",
    }
    assert paths <= set(document["paths"])
    assert {method for method, _, _ in found} <= _METHODS
    names = [item["operationId"] for _, _, item in found]
    assert len(set(names)) == len(names)
    assert all(item["summary"] for _, _, item in found)
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', said.text))
    assert referred <= set(document["components"]["schemas"])


def test_what_needs_a_token_says_so(api):
    """Each route under /api has the security scheme, and describes its refusals as problems."""
    for _, path, item in operations(api):
        if path.startswith("/api/"):
            assert item["security"] == [{"token": []}]
            for status in ("401", "403", "422", "429", "503"):
                assert "application/problem+json" in item["responses"][status]["content"]


def test_examples_are_as_the_document_says(api):
    """Each route under /api has an example of its answer, and of its body, which keeps to the schema."""
    document = api.get("/openapi.json", token="").json
    for _, path, item in operations(api):
        if not path.startswith("/api/"):
            continue
        described = [*item["responses"].values(), *([item["requestBody"]] if "requestBody" in item else [])]
        for content in (content for part in described for content in part["content"].values()):
            schema = {**content["schema"], "components": document["components"]}
            jsonschema.Draft202012Validator(schema).validate(content["example"])


def test_the_page_needs_nothing_from_elsewhere(api):
    """All it loads comes from this server, without inline scripts, under a policy that forbids anything else."""
    page = api.get("/docs", token="")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"].partition("script-src")[2]
    assert not re.search(r"<script(?![^>]* src=)", page.text)
    assert len(loaded) >= 4
    for path in loaded:
        if path != "data:,":
            assert path.startswith("/")
            assert api.get(path, token="").status == 200


def test_parts_of_the_page_may_be_kept_and_answers_not(api):
    """What never changes may be cached; what a ledger said may not, a refusal neither. Nothing is to be guessed."""
    assert api.get("/docs/start.js", token="").headers["cache-control"] == "public, max-age=3600"
    for path in ("/api/metrics", "/api/metrics?x=1", "/nowhere", "/healthz", "/openapi.json", "/docs"):
        said = api.get(path)
        assert said.headers["cache-control"] == "no-store"
        assert said.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in said.headers


@pytest.mark.parametrize(
    "name", ["..%2f..%2fapp.py", "%2e%2e/app.py", "index.html", "app.py", "%00", "redoc.standalone.js"]
)
def test_no_other_file_is_served(api, name):
    """Only what the page is made of, by its name."""
    assert api.get(f"/docs/{name}", token="").status == 404


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/", "/api/metrics/", "/api/calls/1/2", "/API/metrics"])
def test_what_is_nowhere_is_a_problem(api, path):
    """404 as a problem document, without a redirect."""
    assert api.get(path).problem["status"] == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_what_is_not_allowed_is_a_problem(api, method):
    """405 as a problem document, with what is allowed."""
    said = api.ask(method, "/api/metrics")

    assert said.problem["status"] == 405
    assert said.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/api/metrics", "/api/calls", "/api/calls/1", "/api/sessions/s", "/api/budgets"])
def test_without_a_token_nothing_is_told(api, path):
    """401 with the scheme, before anything is said about the question."""
    for token in ("", "csp_" + "0" * 64, "nonsense"):
        said = api.get(path, token=token, nonsense="1")
        assert said.problem["status"] == 401
        assert said.headers["www-authenticate"].startswith("Bearer")


def refusing(error: Exception, *, is_local: bool = True) -> tuple[FastAPI, str]:
    """The application over a ledger that fails, and a token for it."""

    def connect() -> Ledger:
        raise error

    token, pool = new_token(), Pool(connect)
    access = Access(Keyring(pool, own=token), is_local=is_local)
    return create_app(pool, CollectorRegistry(), Settings(), access=access), token


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (LedgerUnavailable("connection refused"), 503, "the ledger does not answer: connection refused"),
        (LedgerError("permission denied for table call"), 503, "the ledger refused; the server's log says why"),
        (RuntimeError("secret of the inside"), 500, "an error of costspan itself; the server's log says which"),
    ],
)
def test_what_fails_inside_is_a_problem(error, status, told):
    """503 and when to come back where it is the ledger; and never a word of a stack trace."""
    app, token = refusing(error)
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    said = client.get("/api/metrics", headers={"Authorization": f"Bearer {token}"})

    assert said.status_code == status
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["detail"] == told
    assert said.headers["cache-control"] == "no-store"
    assert ("retry-after" in said.headers) is (status == 503)


def test_where_the_ledger_is_is_told_on_this_machine_only():
    """Other machines hear that it does not answer; its address, which is in the driver's message, is for the log."""
    app, token = refusing(LedgerUnavailable("connection to server at 10.0.0.7 failed"), is_local=False)
    client = TestClient(app, raise_server_exceptions=False)

    said = [client.get(path, headers={"Authorization": f"Bearer {token}"}) for path in ("/api/metrics", "/readyz")]

    assert [one.status_code for one in said] == [503, 503]
    assert all("the server's log says why" in one.text and "10.0.0.7" not in one.text for one in said)
