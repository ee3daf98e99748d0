"""The process's counters: right, bounded and linked to traces."""

from __future__ import annotations

from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from costspan.sinks import prometheus
from costspan.sinks.prometheus import PrometheusSink
from costspan.sinks.spans import CallSpan
from costspan.text import clean
from samples import call

LABELS = {
    "service": "anthropic",
    "model": "claude-3-5-haiku-latest",
    "operation": "chat",
    "tenant": "acme",
    "feature": "compression",
}


@pytest.fixture
def registry():
    """A registry of this test's own."""
    return CollectorRegistry()


@pytest.fixture
def sink(registry):
    """Counters that tell five values of a label apart."""
    return PrometheusSink(registry, max_label_values=5)


def test_a_call_is_counted_once_in_each_metric(sink, registry):
    """Cost, disjoint tokens, status and duration of a call are there under its labels."""
    sink.record(
        call(tenant="acme", feature="compression", quantities={"input_tokens": 450, "cache_read_tokens": 7}), None
    )

    assert registry.get_sample_value("costspan_cost_usd_total", LABELS) == pytest.approx(0.00135)
    assert registry.get_sample_value("costspan_tokens_total", {**LABELS, "type": "input"}) == 450
    assert registry.get_sample_value("costspan_tokens_total", {**LABELS, "type": "cache_read"}) == 7
    assert registry.get_sample_value("costspan_calls_total", {**LABELS, "status": "priced"}) == 1
    assert registry.get_sample_value("costspan_call_duration_seconds_sum", LABELS) == pytest.approx(0.42)


def test_a_call_without_a_price_adds_no_cost_but_is_counted(sink, registry):
    """Unknown is not zero: the call shows under its status, and the cost stays as it was."""
    sink.record(call(tenant="acme", feature="compression", status="unpriced", cost_pico=None), None)

    assert registry.get_sample_value("costspan_calls_total", {**LABELS, "status": "unpriced"}) == 1
    assert registry.get_sample_value("costspan_cost_usd_total", LABELS) == 0


def test_searches_and_seconds_are_no_tokens(sink, registry):
    """Only token units are counted as tokens."""
    sink.record(call(tenant="acme", feature="compression", quantities={"web_searches": 3}), None)

    assert registry.get_sample_value("costspan_tokens_total", {**LABELS, "type": "web_searches"}) is None


def test_a_million_names_stay_a_bounded_number_of_series(sink, registry):
    """New tenants beyond the cap are counted as 'overflow', and nothing of their cost is lost."""
    for number in range(200):
        sink.record(call(tenant=f"t{number}", model=f"m{number}"), None)

    sets = {
        tuple(sorted(s.labels.items()))
        for f in registry.collect()
        for s in f.samples
        if s.name == "costspan_cost_usd_total"
    }
    total = sum(s.value for f in registry.collect() for s in f.samples if s.name == "costspan_cost_usd_total")
    assert len(sets) <= 5 * 5 + 2
    assert total == pytest.approx(200 * 0.00135)
    assert registry.get_sample_value("costspan_labels_overflowed_total", {"label": "tenant"}) == 195


def traced():
    """A sampled span, and its trace id as an exposition shows it."""
    span = CallSpan(TracerProvider().get_tracer("a.test").start_span("chat"), is_own=True)
    return span, span.ids[0].hex()


def linked(registry, trace):
    """The names of the series that link to a trace."""
    return {line.partition("{")[0] for line in openmetrics(registry).decode().splitlines() if trace in line}


def test_cost_and_duration_link_to_the_trace(sink, registry):
    """An exemplar carries the trace id of a sampled span."""
    span, trace = traced()

    sink.record(call(), span)

    assert linked(registry, trace) == {"costspan_cost_usd_total", "costspan_call_duration_seconds_bucket"}


def test_a_burst_of_alike_calls_links_to_its_first(sink, registry):
    """Within a second another call of about the same duration changes no link; one that took longer has its own."""
    (first, one), (second, two), (slow, three) = traced(), traced(), traced()

    sink.record(call(duration_ms=420), first)
    sink.record(call(duration_ms=430), second)
    sink.record(call(duration_ms=9000), slow)

    assert linked(registry, two) == set()
    assert linked(registry, one) == {"costspan_call_duration_seconds_bucket"}
    assert linked(registry, three) == {"costspan_cost_usd_total", "costspan_call_duration_seconds_bucket"}


def test_a_link_is_renewed_after_a_second(sink, registry, monkeypatch):
    """What a scrape shows is at most a second older than the last call of its kind."""
    (first, _), (second, two) = traced(), traced()
    sink.record(call(), first)
    later = monotonic() + 1.5
    monkeypatch.setattr(prometheus, "monotonic", lambda: later)

    sink.record(call(), second)

    assert linked(registry, two) == {"costspan_cost_usd_total", "costspan_call_duration_seconds_bucket"}


def test_cache_results_and_savings_are_counted_apart(sink, registry):
    """A hit is a request and a saving, never a cost."""
    sink.cache("embeddings", "hit", 130_000_000)
    sink.cache("embeddings", "miss")

    assert registry.get_sample_value("costspan_cache_requests_total", {"cache": "embeddings", "result": "hit"}) == 1
    assert registry.get_sample_value("costspan_cache_requests_total", {"cache": "embeddings", "result": "miss"}) == 1
    assert registry.get_sample_value("costspan_cache_avoided_usd_total", {"cache": "embeddings"}) == 0.00013


def test_closing_leaves_the_registry_as_it_was(sink, registry):
    """After uninstrument the user's registry has nothing of ours, and it can be instrumented again."""
    sink.close()

    assert list(registry.collect()) == []
    PrometheusSink(registry)


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_cleaned_name_can_be_scraped(tenant, model):
    """Whatever a tenant is called, one scrape shows every series."""
    registry = CollectorRegistry()
    PrometheusSink(registry).record(call(tenant=clean(tenant), model=clean(model)), None)

    samples = [
        s for f in parse(generate_latest(registry).decode()) for s in f.samples if s.name == "costspan_cost_usd_total"
    ]

    assert [s.labels["tenant"] for s in samples] == [clean(tenant)]
