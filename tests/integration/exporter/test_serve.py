"""The long-running part of a host: what it drains, keeps and tells, and how it ends."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from costspan.ledger import Ledger
from integration.ledger.calls import batch, call, unpriced

#: Meters one call, leaves the draining to somebody else, and stays alive until its input ends.
METERING = """
import costspan, sys
costspan.track({"input_tokens": 450, "output_tokens": 180}, "claude-3-5-haiku-latest", tenant="acme")
print("metered", flush=True)
sys.stdin.read()
"""


def soon(is_so: Callable[[], object]) -> None:
    """Wait for what another process does."""
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def samples(text: str, name: str) -> dict[tuple[str, ...], float]:
    """The values of one metric by those of its labels, in the order of their names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.name == name
    }


def test_it_drains_a_living_process_that_does_not(serve, environment, ledger):
    """A call of an application with COSTSPAN_DRAIN=off lands while that application goes on."""
    serve()
    command = [sys.executable, "-c", METERING]
    with subprocess.Popen(
        command, env={**environment, "COSTSPAN_DRAIN": "off"}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as metering:
        assert metering.stdout is not None
        assert metering.stdout.readline() == "metered\n"

        soon(lambda: ledger.daily_costs("acme").total.calls == 1)

        assert metering.poll() is None
        metering.communicate("")
    assert ledger.daily_costs("acme").total_cost == Decimal("0.00135")


def test_it_compacts_what_is_due(serve, ledger, ledger_url):
    """Days that are over leave the rows for slices without anybody asking."""
    long_ago = datetime.now(UTC) - timedelta(days=9)
    ledger.write(batch([call(long_ago), call()]), uuid4())

    serve()

    with psycopg.connect(ledger_url, autocommit=True) as connection:
        soon(lambda: connection.execute("select sum(size) from costspan.call_slice").fetchone() == (1,))


def test_metrics_say_what_the_ledger_says(serve, ledger):
    """Spend, budgets and calls without a price, per tenant, as the ledger sums them."""
    now = datetime.now(UTC)
    ledger.write(batch([call(now), call(now), call(now, tenant="globex"), unpriced(now, tenant="globex")]), uuid4())
    ledger.set_budget("globex", "month", Decimal(250))
    serving = serve()

    soon(lambda: "costspan_ledger_last_success_timestamp_seconds" in serving.get("/metrics").text)
    told = serving.get("/metrics").text

    spent = {("acme",): 0.0027, ("globex",): 0.00135}
    for name in ("today", "month", "trailing_hour"):
        assert samples(told, f"costspan_spend_{name}_usd") == spent
    assert samples(told, "costspan_budget_usd") == {
        ("acme", "day"): 10,
        ("globex", "day"): 10,
        ("globex", "month"): 250,
    }
    assert samples(told, "costspan_unpriced_calls_today") == {("llama-9", "anthropic", "globex"): 1}
    assert set(samples(told, "costspan_ledger_query_failed").values()) == {0}
    projected = samples(told, "costspan_spend_projected_today_usd")
    assert projected.keys() == spent.keys()
    assert all(projected[tenant] >= spent[tenant] for tenant in spent)


def test_openmetrics_where_it_is_asked_for(serve):
    """A scraper that accepts OpenMetrics gets it; any other the text format."""
    serving = serve()

    asked = serving.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    plain = serving.get("/metrics")

    assert asked.type.startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")
    list(parse_openmetrics(asked.text))
    assert plain.type.startswith("text/plain")


def test_a_question_that_fails_hides_no_other(serve, ledger, ledger_url):
    """Without its table the budgets are gone, which a gauge says; what was spent is still told."""
    ledger.write(batch([call(datetime.now(UTC))]), uuid4())
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute("drop view costspan.budget")
    serving = serve()

    soon(lambda: len(samples(serving.get("/metrics").text, "costspan_ledger_query_failed")) == 6)
    told = serving.get("/metrics").text

    failed = samples(told, "costspan_ledger_query_failed")
    assert failed.pop(("budgets",)) == 1
    assert set(failed.values()) == {0}
    assert samples(told, "costspan_spend_today_usd") == {("acme",): 0.00135}
    assert samples(told, "costspan_budget_usd") == {}
    assert "costspan_ledger_last_success_timestamp_seconds" not in told


def test_health_is_not_readiness(serve):
    """Without Postgres the process is healthy and says that it is not ready, and why, without an address or a password."""
    serving = serve(COSTSPAN_DATABASE_URL="postgresql://somebody:secret@127.0.0.1:1/nothing")

    assert (serving.get("/healthz").status, serving.get("/healthz").json) == (200, {"status": "ok"})
    refused = serving.get("/readyz")
    assert (refused.status, refused.json["status"]) == (503, "unavailable")
    assert "secret" not in refused.text
    assert serving.get("/metrics").status == 200


def test_ready_where_the_ledger_answers(serve):
    """With Postgres it is ready."""
    assert serve().get("/readyz").status == 200


def test_a_signal_ends_it_cleanly(serve):
    """SIGTERM is how it is told to stop; it does so without a word of complaint."""
    serving = serve()
    assert serving.get("/healthz").status == 200

    assert serving.end() == 0

    assert serving.process.stdout is not None
    assert serving.process.stdout.read() == ""


def test_who_did_not_spend_today_is_at_zero(serve, ledger: Ledger):
    """A tenant of the days before has a gauge of 0: one that vanished at midnight would be remembered as it was."""
    ledger.write(batch([call(datetime.now(UTC) - timedelta(days=1))]), uuid4())
    serving = serve()

    soon(lambda: samples(serving.get("/metrics").text, "costspan_spend_today_usd"))

    assert samples(serving.get("/metrics").text, "costspan_spend_today_usd") == {("acme",): 0}


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_a_port_that_cannot_be_is_refused(environment, port):
    """With the value and what is allowed."""
    command = [sys.executable, "-m", "costspan", "serve", "--port", port]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60, check=False)

    assert done.returncode == 2
    assert port in done.stderr


def test_a_port_that_is_taken_is_told(environment):
    """The error names the address and asks whether it runs already."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "costspan", "serve", "--port", str(port)]
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60, check=False)

    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "running already" in done.stderr
