"""The public functions, from a call to the ledger and back, with real parts."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import openai
import pytest
from prometheus_client import CollectorRegistry

import costspan
from costspan import runtime
from costspan.errors import ConfigurationError, InvalidUsage, UnknownModel
from costspan.settings import Settings
from costspan.usage import Status
from fix_sdk import MESSAGES, chat_stream
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


def test_look_ups_are_in_the_ledger_for_whom_they_were(metering):
    """Hits and misses of the context's tenant and feature, with the exact dollars that were not spent."""
    with costspan.attribute(tenant="acme", feature="search"):
        costspan.cache_hit("embeddings", tokens=1000, model="text-embedding-3-large")
        costspan.cache_miss("embeddings", model="text-embedding-3-large")
    costspan.cache_hit("answers")

    now = datetime.now(UTC)
    with runtime.running().ledger() as ledger:
        day = ledger.cache_summary(now - timedelta(hours=1), now, by=["tenant", "cache", "model", "feature"])
    nobodys, acmes = day.rows
    assert tuple(acmes.keys.values()) == ("acme", "embeddings", "text-embedding-3-large", "search")
    assert (acmes.hits, acmes.misses, acmes.tokens_avoided, acmes.avoided) == (1, 1, 1000, Decimal("0.00013"))
    assert tuple(nobodys.keys.values()) == ("00000000-0000-0000-0000-000000000000", "answers", "", "")
    assert (nobodys.hits, nobodys.hits_unpriced, nobodys.avoided) == (1, 1, 0)


def test_a_hit_with_odd_arguments_is_a_hit(metering):
    """Whatever an application says of it: it is counted, and what it saved is unknown."""
    odd = [
        (tokens, model)
        for tokens in (-5, 1.5, True, float("nan"), 10**30, "12", None)
        for model in ("text-embedding-3-large", "gpt-99-nova", "", None, 7)
    ]

    for tokens, model in odd:
        costspan.cache_hit("odd\0name", tokens=tokens, model=model)

    counted = metering.get_sample_value("costspan_cache_requests_total", {"cache": "odd\ufffdname", "result": "hit"})
    with runtime.running().ledger() as ledger:
        total = ledger.cache_summary(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)).total
    assert counted == total.hits == total.hits_unpriced == len(odd)
    assert (total.tokens_avoided, total.avoided) == (0, 0)


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


def test_a_stream_that_outlives_uninstrument_is_a_row_for_the_next_process(ledger_url, tmp_path):
    """Read to its end a moment after the journal was closed, it is journalled again and adopted."""
    settings = Settings(database_url=ledger_url, state_dir=tmp_path)
    with Loopback() as server, openai.OpenAI(api_key="none", base_url=f"{server.url}/v1") as client:
        server.answer(chat_stream())
        costspan.instrument(settings, registry=CollectorRegistry())
        stream = client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True)
        next(stream)
        meter = runtime.running().meter
        costspan.uninstrument()
        for _ in stream:
            pass
        meter.journal.shutdown()

    runtime.start(settings, registry=CollectorRegistry())
    row = costspan.get_daily_costs("00000000-0000-0000-0000-000000000000").total
    costspan.uninstrument()

    assert (row.calls, row.priced) == (1, 1)


def test_the_end_waits_two_seconds_at_the_most_for_a_database_that_never_answers(tmp_path, caplog):
    """A port that takes connections and says nothing holds nobody up, and the call stays journalled."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"host=127.0.0.1 port={silent.getsockname()[1]} connect_timeout=60"
        here = runtime.start(Settings(database_url=url, state_dir=tmp_path), registry=CollectorRegistry())
        costspan.track({"input_tokens": 450, "output_tokens": 180}, HAIKU)
        begin = time.monotonic()
        costspan.uninstrument()
        waited = time.monotonic() - begin

    assert waited < 3.9  # one deadline of two seconds; two of them would be four
    assert here.journal.stats.in_memory == 0
    assert len(list(tmp_path.glob("journal/*.journal"))) == 1


def test_calls_that_end_with_the_process_are_told(tmp_path, caplog):
    """Where neither the folder nor the ledger can be written, the end says how many calls are lost."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    settings = Settings(database_url="host=127.0.0.1 port=1", state_dir=tmp_path, journal_dir=blocked)

    with caplog.at_level(logging.WARNING, "costspan"):
        runtime.start(settings, registry=CollectorRegistry())
        for _ in range(3):
            costspan.track({"input_tokens": 450, "output_tokens": 180}, HAIKU)
        costspan.uninstrument()

    assert any("3 calls could be kept nowhere" in record.getMessage() for record in caplog.records)


def test_a_call_of_an_impossible_year_is_kept_aside(metering):
    """It is counted as invalid, with what is allowed, and nothing of it is summed."""
    quote = costspan.track({"input_tokens": 1}, HAIKU, tenant="acme", at=datetime(9999, 1, 1, tzinfo=UTC))

    assert quote.status is Status.INVALID
    assert "2015 to 2099" in quote.reason
    assert costspan.get_daily_costs("acme").total.invalid == 1


@pytest.mark.parametrize("at", ["2026-11-21", 1_795_000_000, date(2026, 11, 21)])
def test_a_call_whose_moment_is_none_is_kept_aside(metering, at):
    """What is no datetime loses no call: it is booked now, as invalid, with what is allowed."""
    quote = costspan.track({"input_tokens": 1}, HAIKU, tenant="acme", at=at)

    assert quote.status is Status.INVALID
    assert "allowed is a datetime" in quote.reason
    assert costspan.get_daily_costs("acme").total.invalid == 1


def test_a_port_that_is_taken_is_named(metering):
    """The error says which, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}.*another port"):
            costspan.start_metrics_server(port)


def test_a_long_tenant_is_asked_for_as_it_was_booked(metering):
    """Its name is cut on the way in, and on the way out the same."""
    costspan.track({"input_tokens": 450, "output_tokens": 180}, HAIKU, tenant="t" * 1000)

    assert costspan.get_daily_costs("t" * 1000).total_cost == Decimal("0.00135")
    assert costspan.check_daily_threshold("t" * 1000, threshold=0) is True


@pytest.mark.parametrize("leaving", ["break", "cancel"])
def test_an_async_stream_left_early_leaves_no_error_behind(leaving, ledger_url, tmp_path):
    """A loop that is left, or a task that is cancelled, in a stream: nothing of costspan is in what asyncio reports."""
    code = f"""
import asyncio, gc, time
import openai, costspan
from costspan.demo.providers import providers

async def read(client):
    chat = [{{"role": "user", "content": "hello " * 50}}]
    async for _ in await client.chat.completions.create(model="gpt-4.1-nano", messages=chat, stream=True):
        if {leaving == "break"}:
            break
        await asyncio.sleep(10)

async def main(url):
    async with openai.AsyncOpenAI(api_key="none", base_url=url) as client:
        task = asyncio.create_task(read(client))
        await asyncio.wait([task], timeout=1)
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()
        await asyncio.sleep(0.1)

costspan.instrument()
with providers(time.time_ns) as both:
    asyncio.run(main(both.openai_url))
print(costspan.get_daily_costs(None).total.partial)
"""
    environment = {**os.environ, "COSTSPAN_STATE_DIR": str(tmp_path), "COSTSPAN_DATABASE_URL": ledger_url}

    run = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)

    assert "costspan/hooks" not in run.stderr
    assert run.stdout == "1\n", run.stderr
