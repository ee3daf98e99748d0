"""A call's cost is on one span: the one that is there, or one of ours."""

from __future__ import annotations

import threading

import anthropic
import openai
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

from costspan import hooks
from costspan.attribution import attribute
from costspan.sinks import names, spans
from fix_sdk import CHAT, MESSAGE, MESSAGES, chat_stream, message_stream, sdk_version
from loopback import Json

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5"}
HELLO = {"messages": MESSAGES, "model": "claude-haiku-4-5", "max_tokens": 200}
HAS_NATIVE_SPANS = sdk_version(anthropic) >= (1, 14)
needs_native_spans = pytest.mark.skipif(not HAS_NATIVE_SPANS, reason="this anthropic makes no spans of its own")


class Tracing:
    """A tracer provider of the test's own, and what it exported."""

    def __init__(self, sampler=ALWAYS_ON):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=ParentBased(sampler))
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def costs(self):
        """Exact costs by name of span; None for a span without one."""
        return [(span.name, span.attributes.get(names.EXACT_COST)) for span in self.exporter.get_finished_spans()]


@pytest.fixture
def tracing(monkeypatch):
    """Tracing to which costspan's own spans go, and, where the test gives it, those of others."""
    made = Tracing()
    monkeypatch.setattr(spans, "_tracer", made.provider.get_tracer("costspan"))
    yield made
    made.provider.shutdown()


def test_own_span_covers_call_and_stream(server, gpt, claude, kept, tracing):
    """Where nobody makes a span there is one of ours per call, ended with the answer, streamed or not."""
    server.answer(Json(CHAT), chat_stream(), Json(MESSAGE))

    gpt.chat.completions.create(**CHAT_HELLO)
    list(gpt.chat.completions.create(**CHAT_HELLO, stream=True))
    claude.messages.create(**HELLO)

    assert tracing.costs == [
        ("chat gpt-5", "0.00225"),
        ("chat gpt-5", "0.00225"),
        ("chat claude-haiku-4-5", "0.00135"),
    ]
    assert [call.trace_id for call in kept.calls] == [
        span.context.trace_id.to_bytes(16, "big") for span in tracing.exporter.get_finished_spans()
    ]


async def test_own_span_of_an_asynchronous_call(server, agpt, kept, tracing):
    """The same for an asynchronous client; nothing stays current afterwards."""
    server.answer(Json(CHAT), chat_stream())
    before = context.get_current()

    await agpt.chat.completions.create(**CHAT_HELLO)
    async for _ in await agpt.chat.completions.create(**CHAT_HELLO, stream=True):
        pass

    assert tracing.costs == [("chat gpt-5", "0.00225")] * 2
    assert context.get_current() is before


def test_one_span_covers_the_retries(server, gpt, kept, tracing, monkeypatch):
    """Attempts that failed are inside of the span of the one that did not."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    server.answer(Json({}, status=500), Json({}, status=503), Json(CHAT))

    gpt.with_options(max_retries=2).chat.completions.create(**CHAT_HELLO)

    assert tracing.costs == [("chat gpt-5", "0.00225")]


def test_failed_call_has_a_failed_span(server, gpt, kept, tracing):
    """A refused call's span has the error's type, no cost, and ends."""
    server.answer(Json({"error": {"message": "secret"}}, status=401))

    with pytest.raises(openai.AuthenticationError):
        gpt.chat.completions.create(**CHAT_HELLO)

    (span,) = tracing.exporter.get_finished_spans()
    assert span.attributes[names.ERROR_TYPE] == "AuthenticationError"
    assert names.EXACT_COST not in span.attributes
    assert not span.status.is_ok


def test_broken_stream_has_a_failed_span_with_its_part_of_the_cost(server, gpt, kept, tracing):
    """A stream that breaks marks its span, and what is certain is on it."""
    server.answer(chat_stream(2, is_cut=True, gate=threading.Semaphore(3)))

    with pytest.raises(Exception):  # noqa: B017, PT011  # httpx's, httpx2's or the SDK's, by its version
        list(gpt.chat.completions.create(**CHAT_HELLO, stream=True, timeout=0.3))

    (span,) = tracing.exporter.get_finished_spans()
    assert names.ERROR_TYPE in span.attributes
    assert span.attributes[names.STATUS] == "partial"


@pytest.mark.parametrize("scope", ["opentelemetry.instrumentation.genai.openai", "somebody"])
def test_span_that_is_there_gets_the_cost(server, gpt, kept, tracing, scope):
    """A GenAI span that is current is enriched, whoever made it; there is no second one."""
    server.answer(Json(CHAT), chat_stream())
    tracer = tracing.provider.get_tracer(scope)

    for stream in (False, True):
        with tracer.start_as_current_span("chat gpt-5", attributes={"gen_ai.operation.name": "chat"}):
            answer = gpt.chat.completions.create(**CHAT_HELLO, stream=stream)
            if stream:
                list(answer)

    assert tracing.costs == [("chat gpt-5", "0.00225")] * 2


def test_span_of_the_application_is_left_alone(server, gpt, kept, tracing):
    """An ordinary span becomes the parent of ours."""
    server.answer(Json(CHAT))

    with tracing.provider.get_tracer("app").start_as_current_span("handle request") as parent:
        gpt.chat.completions.create(**CHAT_HELLO)

    own, outer = tracing.exporter.get_finished_spans()
    assert tracing.costs == [("chat gpt-5", "0.00225"), ("handle request", None)]
    assert own.parent.span_id == parent.get_span_context().span_id
    assert outer.name == "handle request"


@needs_native_spans
@pytest.mark.parametrize("way", ["create", "stream", "helper", "early close"])
def test_native_span_of_anthropic_gets_the_cost(server, kept, tracing, way):
    """The anthropic SDK's own span has the cost, also of a stream and of one that is closed early; there is no other."""
    server.answer(Json(MESSAGE) if way == "create" else message_stream(30))

    with anthropic.Anthropic(
        api_key="none", base_url=server.url, open_telemetry={"tracer_provider": tracing.provider}
    ) as claude:
        if way == "create":
            claude.messages.create(**HELLO)
        elif way == "stream":
            list(claude.messages.create(**HELLO, stream=True))
        elif way == "helper":
            with claude.messages.stream(**HELLO) as stream:
                stream.until_done()
        else:
            with claude.messages.create(**HELLO, stream=True) as stream:
                next(stream)

    (span,) = tracing.exporter.get_finished_spans()
    assert span.name == "anthropic.messages.create"
    assert span.attributes[names.STATUS] == ("partial" if way == "early close" else "priced")
    assert span.attributes.get(names.EXACT_COST) == (None if way == "early close" else "0.00135")
    assert kept.is_settled


@needs_native_spans
async def test_native_span_of_asynchronous_anthropic_gets_the_cost(server, kept, tracing):
    """The asynchronous one too."""
    server.answer(Json(MESSAGE), message_stream(3))

    async with anthropic.AsyncAnthropic(
        api_key="none", base_url=server.url, open_telemetry={"tracer_provider": tracing.provider}
    ) as claude:
        await claude.messages.create(**HELLO)
        async with claude.messages.stream(**HELLO) as stream:
            await stream.get_final_message()

    assert tracing.costs == [("anthropic.messages.create", "0.00135")] * 2


@needs_native_spans
def test_each_hop_of_a_middleware_has_a_span_for_its_cost(server, kept, tracing):
    """Two billed hops of one call are two costs, and never two on one span."""
    server.answer(Json(MESSAGE), Json(MESSAGE))

    with anthropic.Anthropic(
        api_key="none",
        base_url=server.url,
        open_telemetry={"tracer_provider": tracing.provider},
        middleware=[lambda request, call_next: (call_next(request), call_next(request))[1]],
    ) as claude:
        claude.messages.create(**HELLO)

    assert sorted(tracing.costs) == [("anthropic.messages.create", "0.00135"), ("chat claude-haiku-4-5", "0.00135")]


def test_sampled_out_call_is_still_a_row(server, gpt, claude, kept, monkeypatch):
    """With sampling at 0 there is no span, and the rows are complete."""
    off = Tracing(ALWAYS_OFF)
    monkeypatch.setattr(spans, "_tracer", off.provider.get_tracer("costspan"))
    server.answer(Json(CHAT), Json(MESSAGE), message_stream())

    gpt.chat.completions.create(**CHAT_HELLO)
    claude.messages.create(**HELLO)
    list(claude.messages.create(**HELLO, stream=True))

    assert off.costs == []
    assert [call.status for call in kept.calls] == ["priced"] * 3


def test_spans_can_be_switched_off(server, gpt, meter, tracing):
    """`spans=False` makes and touches none."""
    server.answer(Json(CHAT))
    hooks.instrument(meter, spans=False)

    with tracing.provider.get_tracer("x").start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        gpt.chat.completions.create(**CHAT_HELLO)

    assert tracing.costs == [("chat", None)]


@pytest.mark.parametrize("has_spans", [False, True])
def test_baggage_of_ours_does_not_reach_the_provider(server, gpt, meter, has_spans):
    """Ids in baggage attribute the call and are gone from the context in which its request is sent; others stay."""
    seen = []

    def answer(_request):
        return Json(CHAT)

    server.answer(answer)
    hooks.instrument(meter, spans=has_spans)
    original = type(gpt)._prepare_request
    token = context.attach(baggage.set_baggage("theirs", "kept"))

    def watching(self, request):
        seen.append(dict(baggage.get_all()))
        return original(self, request)

    type(gpt)._prepare_request = watching
    try:
        with attribute(tenant="acme"):
            gpt.chat.completions.create(**CHAT_HELLO)
            after = dict(baggage.get_all())
    finally:
        del type(gpt)._prepare_request
        context.detach(token)

    events = [event for segment in meter.journal.segments() for event in segment.read(0, 9).events]
    assert seen == [{"theirs": "kept"}]
    assert after == {"theirs": "kept", "costspan.tenant": "acme"}
    assert events[0].tenant == "acme"
    assert trace.get_current_span() is trace.INVALID_SPAN
