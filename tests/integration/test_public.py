"""The public functions, from a call to the ledger and back, with real parts."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import openai
import pytest
from prometheus_client import CollectorRegistry

import costspan
from costspan import runtime
from costspan.errors import InvalidUsage, UnknownModel
from costspan.settings import Settings
from costspan.usage import Status
from loopback import Json, Loopback

HAIKU = "claude-3-5-haiku-latest"
_VECTOR = {"object": "embedding", "index": 0, "embedding": [0.5]}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def metering(ledger_url, tmp_path):
    """A process that meters into a ledger of this test's own; gives its registry."""
    registry = CollectorRegistry()
    runtime.start(Settings(database_url=ledger_url, state_dir=tmp_path), registry=registry)
    yield registry
    costspan.uninstrument()


def test_the_contracts_own_figures(metering):
    """450 in and 180 out of Haiku, a thousand tokens embedded, ten tokens embedded."""
    embedding = {"prompt_tokens": 1000, "total_tokens": 1000}
    ten = {"prompt_tokens": 10, "total_tokens": 10}

    assert costspan.calculate_cost({"input_tokens": 450, "output_tokens": 180}, HAIKU) == Decimal("0.00135")
    assert costspan.calculate_cost(embedding, "text-embedding-3-large") == Decimal("0.00013")
    assert costspan.calculate_cost(ten, "text-embedding-3-large") == Decimal("0.0000013")


@pytest.mark.parametrize("count", [-1, 1.5, True, float("nan"), 10**30, "12"])
def test_impossible_counts_are_refused_by_name_and_value(metering, count):
    """The error names the field and what is allowed."""
    with pytest.raises(InvalidUsage, match="input_tokens"):
        costspan.calculate_cost({"input_tokens": count, "output_tokens": 1}, HAIKU)


def test_a_model_that_nobody_knows_is_an_error_not_zero(metering):
    """There is no price for it, so there is no cost."""
    with pytest.raises(UnknownModel, match="gpt-99-nova"):
        costspan.calculate_cost({"prompt_tokens": 10, "completion_tokens": 1}, "gpt-99-nova")


def test_a_call_is_priced_at_its_own_date(metering):
    """The long-context surcharge of opus-4-6 ended on 2026-03-13."""
    usage = {"input_tokens": 250_000, "output_tokens": 1000}

    before = costspan.calculate_cost(usage, "claude-opus-4-6", at=datetime(2026, 2, 10, tzinfo=UTC))
    after = costspan.calculate_cost(usage, "claude-opus-4-6", at=NOON)

    assert before == Decimal("2.5375")
    assert after < before


def test_tracked_calls_are_rows_that_the_plain_functions_find(metering):
    """A compression and an embedding of a session are in its tenant's day, month and breakdown, to the digit."""
    usage = {"input_tokens": 450, "output_tokens": 180}
    costspan.track_compression(usage, HAIKU, "s-1", "acme")
    costspan.track_embedding(1000, "text-embedding-3-large", "s-1", "acme")
    costspan.track(usage, HAIKU, tenant="other")
    today = datetime.now(UTC).date()

    day = costspan.get_daily_costs("acme", today)
    month = costspan.get_monthly_costs("acme", today.year, today.month)
    breakdown = costspan.get_service_breakdown("acme", "month")

    assert day.total_cost == month.total_cost == breakdown.total_cost == Decimal("0.00148")
    by_service = {next(iter(row.keys.values())): (row.calls, row.cost) for row in breakdown.rows}
    assert by_service == {"anthropic": (1, Decimal("0.00135")), "openai": (1, Decimal("0.00013"))}


def test_tracking_never_raises_for_what_an_application_passes(metering):
    """Impossible counts become an `invalid` row, an unknown model an `unpriced` one; nothing of them is summed."""
    bad = costspan.track({"input_tokens": -5}, HAIKU, tenant="acme")
    shapeless = costspan.track(object(), HAIKU, tenant="acme")
    unknown = costspan.track({"prompt_tokens": 10}, "gpt-99-nova", tenant="a\x00\ud800" + "x" * 10**6)
    costspan.track({"input_tokens": 1}, "m" * 10**6, tenant="acme")

    day = costspan.get_daily_costs("acme")
    assert bad.status is Status.INVALID
    assert shapeless.status in {Status.INVALID, Status.ESTIMATED, Status.UNPRICED}
    assert unknown.status is Status.UNPRICED
    assert day.total_cost == 0
    assert day.total.invalid >= 1


def test_a_hit_makes_no_row_and_no_cost_and_is_counted(metering):
    """A thousand tokens that were not embedded are $0.00013 avoided."""
    costspan.cache_hit("embeddings", tokens=1000, model="text-embedding-3-large")
    costspan.cache_miss("embeddings")

    hit = metering.get_sample_value("costspan_cache_requests_total", {"cache": "embeddings", "result": "hit"})
    avoided = metering.get_sample_value("costspan_cache_avoided_usd_total", {"cache": "embeddings"})
    assert (hit, avoided) == (1, 0.00013)
    assert costspan.get_daily_costs("00000000-0000-0000-0000-000000000000").total.calls == 0


def test_a_passed_threshold_is_told_once_an_hour(metering, caplog):
    """$12.50 in a day is over $10: True each time, one line."""
    costspan.track({"input_tokens": 12_500_000}, HAIKU, tenant="acme")

    with caplog.at_level(logging.WARNING, "costspan"):
        answers = [costspan.check_daily_threshold("acme", threshold=Decimal(10)) for _ in range(3)]
        below = costspan.check_daily_threshold("acme", threshold=Decimal("12.50"))

    lines = [record.getMessage() for record in caplog.records if "threshold" in record.getMessage()]
    assert answers == [True, True, True]
    assert below is False
    assert len(lines) == 1
    assert "Daily cost threshold exceeded: $12.50 > $10.00" in lines[0]


def test_an_earlier_call_is_booked_on_its_own_day(metering):
    """What is tracked today may have been made yesterday."""
    yesterday = datetime.now(UTC) - timedelta(days=1)

    costspan.track({"input_tokens": 450, "output_tokens": 180}, HAIKU, tenant="acme", at=yesterday)

    assert costspan.get_daily_costs("acme").total.calls == 0
    assert costspan.get_daily_costs("acme", yesterday.date()).total_cost == Decimal("0.00135")


def test_metrics_are_served_on_loopback(metering):
    """Who has no /metrics of its own gets one, and nobody else on the network does."""
    costspan.track({"input_tokens": 450, "output_tokens": 180}, HAIKU, tenant="acme")

    port = costspan.start_metrics_server(0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        page = answer.read().decode()

    assert 'tenant="acme"' in page
    assert "costspan_events_total" in page


def test_instrumenting_twice_counts_once_and_leaves_no_trace(ledger_url, tmp_path):
    """The SDK's functions are its own again after uninstrument(), and the registry is as it was."""
    before = openai._base_client.SyncAPIClient.request
    registry = CollectorRegistry()
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    answer = {"object": "list", "model": "text-embedding-3-large", "data": [_VECTOR], "usage": {"prompt_tokens": 9}}

    costspan.instrument(settings, registry=registry)
    costspan.instrument(settings, registry=registry)
    with Loopback() as server, openai.OpenAI(api_key="none", base_url=f"{server.url}/v1") as client:
        server.answer(Json(answer))
        client.embeddings.create(model="text-embedding-3-large", input="ten tokens", encoding_format="float")
    calls = costspan.get_daily_costs("00000000-0000-0000-0000-000000000000").total.calls
    costspan.uninstrument()

    assert calls == 1
    assert openai._base_client.SyncAPIClient.request is before
    assert list(registry.collect()) == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("COSTSPAN_DAILY_BUDGET_USD", "ten", "COSTSPAN_DAILY_BUDGET_USD is 'ten'"),
        ("COSTSPAN_TIMEZONE", "Mars/Olympus", "COSTSPAN_TIMEZONE is 'Mars/Olympus'"),
        ("COSTSPAN_PRICES", "nowhere.toml", "nowhere.toml"),
        ("COSTSPAN_DATABASE_URL", "not a url", "COSTSPAN_DATABASE_URL"),
        ("COSTSPAN_JOURNAL_DIR", "/dev/null/journal", "/dev/null/journal"),
    ],
)
def test_an_unusable_setting_is_said_once_and_breaks_nothing(variable, value, said, tmp_path):
    """The application starts, its call works, and one clear line names the setting."""
    code = (
        "import costspan; costspan.instrument()\n"
        f"print(costspan.track({{'input_tokens': 450, 'output_tokens': 180}}, '{HAIKU}').cost_usd)\n"
        "costspan.flush(0.5)"
    )
    environment = {
        **os.environ,
        "COSTSPAN_STATE_DIR": str(tmp_path),
        "COSTSPAN_DATABASE_URL": "host=127.0.0.1 port=1",
        variable: value,
    }

    run = subprocess.run(
        [sys.executable, "-c", code], check=False, env=environment, capture_output=True, text=True, timeout=60
    )

    assert (run.returncode, run.stdout) == (0, "0.00135\n"), run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_a_process_that_does_not_drain_leaves_its_calls_to_others(ledger_url, tmp_path):
    """With COSTSPAN_DRAIN=off the files are given up while the process lives, and another one brings them in."""
    quiet = Settings(database_url=ledger_url, state_dir=tmp_path, drain="off")
    runtime.start(quiet, registry=CollectorRegistry())
    costspan.track({"input_tokens": 450, "output_tokens": 180}, HAIKU, tenant="acme")
    draining = (
        "import costspan; costspan.instrument(); costspan.flush(20); print(costspan.get_daily_costs('acme').total_cost)"
    )
    environment = {**os.environ, "COSTSPAN_STATE_DIR": str(tmp_path), "COSTSPAN_DATABASE_URL": ledger_url}

    seen = ""
    for _ in range(20):  # the file is given up a second after it began
        other = subprocess.run(
            [sys.executable, "-c", draining], check=True, env=environment, capture_output=True, text=True
        )
        seen = other.stdout.strip()
        if seen != "0":
            break
    costspan.uninstrument()

    assert seen == "0.00135"
