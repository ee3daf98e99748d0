"""Every recorded exchange, through the real SDKs over loopback HTTP, ends as one true row in Postgres."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import anthropic
import openai
import psycopg
import pytest
from prometheus_client import CollectorRegistry
from psycopg.rows import dict_row

import costspan
import replay
from costspan.settings import Settings
from costspan.usage import Status

_STATUSES = {status.value for status in Status}


@pytest.fixture(scope="module")
def exchanges(shared):
    """Every recorded exchange."""
    return replay.load(shared)


@pytest.fixture(scope="module")
def ledger_rows(exchanges, module_database_url, tmp_path_factory):
    """Play everything once, metered; return the rows by exchange and the errors that callers saw."""
    settings = Settings(database_url=module_database_url, state_dir=tmp_path_factory.mktemp("state"))
    costspan.instrument(settings, registry=CollectorRegistry())
    errors: dict[str, Exception] = {}
    with replay.serve(exchanges) as url, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the recorded models are old, and the SDKs say so
        player = replay.Player(url)
        for exchange in exchanges:
            with costspan.attribute(tenant="recorded", session=exchange.id):
                try:
                    player.play(exchange)
                except (openai.OpenAIError, anthropic.AnthropicError) as error:
                    errors[exchange.id] = error
        player.close()
    assert costspan.flush(60)
    costspan.uninstrument()
    return _rows(module_database_url), errors


def _rows(url: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("select set_config('app.current_tenant', 'recorded', false)")
        return connection.execute("select * from ai_usage_metrics").fetchall()


def _reported(exchange: replay.Exchange) -> tuple[int, int] | None:
    """Return the provider's own count of tokens read (caches included) and written, if it sent one."""
    merged: dict[str, Any] = {}
    for event in exchange.events:
        for place in (event, event.get("message") or {}, event.get("response") or {}):
            usage = place.get("usage")
            if isinstance(usage, dict):
                merged.update({key: value for key, value in usage.items() if isinstance(value, int)})
    if not merged:
        return None
    if exchange.service == "anthropic":
        caches = merged.get("cache_read_input_tokens", 0) + merged.get("cache_creation_input_tokens", 0)
        return merged["input_tokens"] + caches, merged["output_tokens"]
    read = merged.get("prompt_tokens", merged.get("input_tokens", 0))
    return read, merged.get("completion_tokens", merged.get("output_tokens", 0))


def test_recorded_callers_see_only_the_providers_own_errors(exchanges, ledger_rows):
    """An exchange that was answered with 200 raises nothing; one that was refused raises the SDK's status error."""
    _, errors = ledger_rows
    by_id = {exchange.id: exchange for exchange in exchanges}

    assert {by_id[id_].status for id_ in errors}.isdisjoint({200})
    assert len(errors) == sum(exchange.status != 200 for exchange in exchanges)


def test_recorded_answers_are_one_row_each(exchanges, ledger_rows):
    """One row per 200 answer, none for a refusal."""
    rows, _ = ledger_rows

    assert Counter(row["session_id"] for row in rows) == Counter(
        exchange.id for exchange in exchanges if exchange.status == 200
    )


def test_recorded_token_counts_are_the_providers_own(exchanges, ledger_rows):
    """Tokens in and out of each row equal what the provider reported, wherever it reported any."""
    rows, _ = ledger_rows
    by_session = {row["session_id"]: row for row in rows}

    compared = 0
    for exchange in exchanges:
        if exchange.status == 200 and (reported := _reported(exchange)) is not None:
            row = by_session[exchange.id]
            assert (row["tokens_in"], row["tokens_out"]) == reported, exchange.id
            compared += 1
    assert compared > 200


def test_recorded_rows_say_how_far_they_can_be_trusted(exchanges, ledger_rows):
    """Each row has a status; `priced` and `partial` have a cost, `unpriced` has none; missing usage is `estimated`."""
    rows, _ = ledger_rows
    by_id = {exchange.id: exchange for exchange in exchanges}

    for row in rows:
        assert row["status"] in _STATUSES
        assert (row["cost_usd"] is None) == (row["status"] in {"unpriced", "invalid"}), row
        if _reported(by_id[row["session_id"]]) is None:
            assert row["status"] in {"estimated", "unpriced", "partial"}, row
    assert sum(row["status"] == "priced" for row in rows) > 200


def test_recorded_embeddings_keep_their_dimensions_and_azure_its_name(exchanges, ledger_rows):
    """Embedding calls are told from chats, and Azure's from OpenAI's."""
    rows, _ = ledger_rows
    by_id = {exchange.id: exchange for exchange in exchanges}

    for row in rows:
        exchange = by_id[row["session_id"]]
        assert (row["operation"] == "embeddings") == exchange.path.endswith("/embeddings")
        assert (row["provider"] == "azure.ai.openai") == exchange.is_azure
