"""Cost goes on one span: the one that is there, or our own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from costspan.attribution import attribute
from costspan.event import Line
from costspan.pricing import Quote
from costspan.sinks import spans
from costspan.usage import Portion, Reading, Status, Unit, Usage
from samples import call

READING = Reading(
    "anthropic",
    "anthropic",
    "chat",
    "claude-3-5-haiku-latest",
    (Portion("claude-3-5-haiku-latest", Usage({Unit.INPUT: 450, Unit.OUTPUT: 180})),),
    response_id="msg_1",
    finish_reason="end_turn",
)
LINES = (Line("claude-3-5-haiku-latest", "input_tokens", 450, 10**12, 450_000_000, "contract"),)
QUOTE = Quote(Status.PRICED, LINES, 1_350_000_000, "test")
UNPRICED = Quote(Status.UNPRICED, (), 0, "test", "no price is known")


@pytest.fixture
def exporter(monkeypatch):
    """Collect the spans of a provider that only this test uses."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "_tracer", provider.get_tracer("costspan"))
    exporter.tracer = provider.get_tracer
    return exporter


def begin():
    """Find the span of a call of the contract model."""
    return spans.begin(provider="anthropic", operation="chat", model="claude-3-5-haiku-latest", stream=False)


def test_alone_a_span_by_the_conventions_is_started(exporter):
    """Where nothing else traces, the call is a client span with usage, cost and attribution."""
    span = begin()
    span.settle(call(tenant="acme", session="s-1", response_id="msg_1"), READING, QUOTE)
    span.finish()

    (finished,) = exporter.get_finished_spans()
    assert finished.name == "chat claude-3-5-haiku-latest"
    assert finished.kind is SpanKind.CLIENT
    assert finished.attributes["gen_ai.usage.input_tokens"] == 450
    assert finished.attributes["gen_ai.usage.output_tokens"] == 180
    assert finished.attributes["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert finished.attributes["gen_ai.usage.cost.amount"] == 0.00135
    assert finished.attributes["gen_ai.usage.cost.currency"] == "USD"
    assert finished.attributes["costspan.cost.usd"] == "0.00135"
    assert finished.attributes["costspan.status"] == "priced"
    assert (finished.attributes["costspan.tenant"], finished.attributes["costspan.session"]) == ("acme", "s-1")


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        ("com.anthropic.sdk.python", {}),
        ("opentelemetry.instrumentation.genai.openai", {}),
        ("a.framework", {"gen_ai.operation.name": "chat"}),
        ("openinference.instrumentation.openai", {"openinference.span.kind": "LLM"}),
    ],
)
def test_an_inference_span_that_is_there_gets_the_cost(exporter, scope, attributes):
    """The span of the SDK or another instrumentation is enriched, and no second one is made."""
    with exporter.tracer(scope).start_as_current_span("theirs", attributes=attributes):
        span = begin()
        span.settle(call(), READING, QUOTE)
        span.finish()

    (finished,) = exporter.get_finished_spans()
    assert finished.name == "theirs"
    assert finished.attributes["costspan.cost.usd"] == "0.00135"
    assert "gen_ai.usage.input_tokens" not in finished.attributes


@pytest.mark.parametrize(
    "attributes", [{"gen_ai.operation.name": "invoke_agent"}, {"http.method": "POST"}, {"costspan.status": "priced"}]
)
def test_other_spans_stay_without_a_cost(exporter, attributes):
    """An agent, a web request or a call that has its cost already is a parent, not a place for this cost."""
    with exporter.tracer("a.framework").start_as_current_span("outer", attributes=attributes):
        span = begin()
        span.settle(call(), READING, QUOTE)
        span.finish()

    ours, outer = exporter.get_finished_spans()
    assert (ours.name, outer.name) == ("chat claude-3-5-haiku-latest", "outer")
    assert ours.parent.span_id == outer.context.span_id
    assert "costspan.cost.usd" not in outer.attributes


@given(st.one_of(st.integers(0, 10**18), st.integers(0, 10**7), st.integers(0, 10**6).map(lambda usd: usd * 10**12)))
def test_an_amount_on_a_span_is_the_quotes_own(pico):
    """To the last digit as a text, without exponent or trailing zeros, and as the nearest float."""
    quote = Quote(Status.PRICED, (), pico, "test")
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = spans.CallSpan(provider.get_tracer("a.test").start_span("chat"), is_own=True)

    span.settle(call(cost_pico=quote.cost_pico), READING, quote)
    span.finish()

    (finished,) = exporter.get_finished_spans()
    assert finished.attributes["costspan.cost.usd"] == format(quote.cost_usd, "f")
    assert finished.attributes["gen_ai.usage.cost.amount"] == float(quote.cost_usd)


def test_the_certain_part_of_a_cut_answer_is_no_amount(exporter):
    """A lower bound is not what the call cost, and a backend that sums spans would take it for that."""
    span = begin()
    span.settle(call(status="partial", problem="cut"), READING, Quote(Status.PARTIAL, LINES, 1, "test", "cut", True))
    span.finish()

    (finished,) = exporter.get_finished_spans()
    assert finished.attributes["costspan.status"] == "partial"
    assert "gen_ai.usage.cost.amount" not in finished.attributes
    assert "costspan.cost.usd" not in finished.attributes


def test_an_unknown_cost_is_absent_not_zero(exporter):
    """A span without a price says its status, and has no amount."""
    span = begin()
    span.settle(call(status="unpriced", cost_pico=None, problem="no price is known"), READING, UNPRICED)
    span.finish()

    (finished,) = exporter.get_finished_spans()
    assert finished.attributes["costspan.status"] == "unpriced"
    assert finished.attributes["costspan.problem"] == "no price is known"
    assert "gen_ai.usage.cost.amount" not in finished.attributes


def test_a_failed_call_is_marked_without_its_text(exporter):
    """An error's text may quote a prompt, so only its type is kept."""
    span = begin()
    span.fail(ValueError("the secret prompt"))
    span.finish()
    span.finish()

    (finished,) = exporter.get_finished_spans()
    assert finished.status.status_code is StatusCode.ERROR
    assert finished.attributes["error.type"] == "ValueError"
    assert "secret" not in finished.to_json()


def test_a_span_that_ended_early_is_left_alone(exporter):
    """An instrumentation that ends its span before the stream does gets no warning from us."""
    theirs = exporter.tracer("com.anthropic.sdk.python").start_span("theirs")
    with trace.use_span(theirs):
        span = begin()
    theirs.end()

    span.settle(call(), READING, QUOTE)

    (finished,) = exporter.get_finished_spans()
    assert "costspan.cost.usd" not in finished.attributes


def test_our_span_is_current_inside_and_our_baggage_is_not(exporter):
    """HTTP spans become children of ours; ids of attribute() are kept from the provider's headers."""
    before = context.get_current()
    with attribute(tenant="acme"):
        span = begin()
        span.attach()
        inside, carried = trace.get_current_span(), dict(baggage.get_all())
        span.detach()
        outside = dict(baggage.get_all())
    span.finish()

    assert inside is span.span
    assert carried == {}
    assert outside == {"costspan.tenant": "acme"}
    assert context.get_current() == before


def test_suppressed_instrumentation_makes_no_span(exporter):
    """OpenTelemetry's own switch stops the span."""
    with suppress_instrumentation():
        assert begin() is None


def test_only_sampled_spans_make_exemplars(exporter, monkeypatch):
    """A link to a trace that nobody kept would lead nowhere."""
    kept = begin()
    monkeypatch.setattr(spans, "_tracer", TracerProvider(sampler=ALWAYS_OFF).get_tracer("costspan"))
    dropped = begin()

    assert kept.exemplar == {"trace_id": kept.ids[0].hex(), "span_id": kept.ids[1].hex()}
    assert dropped.exemplar is None
    kept.finish()


def test_without_tracing_set_up_there_are_no_ids(monkeypatch):
    """The API alone gives an invalid span: no ids, no exemplar, nothing to settle."""
    monkeypatch.setattr(spans, "_tracer", trace.NoOpTracer())

    span = begin()
    span.settle(call(), READING, QUOTE)
    span.finish()

    assert span.ids == (b"", b"")
    assert span.exemplar is None
