"""`GET /api/pipeline`: what waits, what was put aside, and what went wrong."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from costspan.ledger import Ledger
from integration.ledger.calls import batch, call, lost


def test_it_tells_of_the_host_and_of_the_ledger(serve, ledger: Ledger):
    """Journals, what was moved, errors and the last success as `/metrics` has them; intents as the ledger counts them."""
    now = datetime.now(UTC)
    ledger.write(batch([call(now), call(now)], intents=3, endings=[lost("open", now)]), uuid4())
    serving = serve()
    until = time.monotonic() + 30
    while "costspan_ledger_last_success" not in serving.get("/metrics").text and time.monotonic() < until:
        time.sleep(0.05)

    said = serving.get("/api/pipeline", Authorization=f"Bearer {serving.token}")

    assert said.status == 200, said.text
    told = json.loads(said.text)
    assert told["journal_bytes"] == 0
    assert told["journal_oldest_age_s"] == 0
    assert told["moved"] == {"landed": 0, "duplicate": 0, "unsettled": 0, "quarantined": 0}
    assert told["internal_errors"]["drain"] == 0
    assert told["failed_questions"] == []
    late = datetime.fromisoformat(told["at"]) - datetime.fromisoformat(told["ledger_last_success"])
    assert abs(late.total_seconds()) < 60
    assert told["intents"] == {
        "announced": 3, "calls": 2, "duplicates": 0, "failed": 0, "unsettled": 1, "quarantined": 0,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_can_be_asked_for_without_an_answer(api, path):
    """What load balancers ask: the same headers as for a GET, and no body."""
    asked, said = api.ask("HEAD", path), api.get(path)

    assert (asked.status, asked.text) == (said.status, "") == (200, "")
    assert asked.headers["content-type"] == said.headers["content-type"]
    assert asked.headers["content-length"] == said.headers["content-length"]
    assert "head" not in api.get("/openapi.json").json["paths"][path]


def test_it_is_for_administrators(api):
    """Of a host and of all tenants together, it is nothing for one of them."""
    assert api.get("/api/pipeline", tenant="acme").problem["status"] == 403
    assert api.get("/api/pipeline", token="").problem["status"] == 401


def test_what_the_server_does_not_know_is_null(api):
    """Without journals and gauges there is nothing to tell of them, which is not nothing that waits."""
    told = api.get("/api/pipeline").json

    assert (told["journal_bytes"], told["journal_oldest_age_s"], told["ledger_last_success"]) == (None, None, None)
    assert told["moved"] == {}
