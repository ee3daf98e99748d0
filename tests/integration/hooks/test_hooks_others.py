"""Other libraries on the same calls: one attempt stays one row, and one cost."""

from __future__ import annotations

from functools import wraps

import anthropic
import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from costspan import hooks
from costspan.sinks import names, spans
from fix_sdk import CHAT, EMBEDDINGS, MESSAGE, MESSAGES, chat_stream, message_stream, sdk_version
from loopback import Json

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5"}
HELLO = {"messages": MESSAGES, "model": "claude-haiku-4-5", "max_tokens": 200}


@pytest.fixture
def official(monkeypatch):
    """The official GenAI instrumentations, and the spans that everybody makes."""
    for_openai = pytest.importorskip("opentelemetry.instrumentation.genai.openai", reason="not installed here")
    for_anthropic = pytest.importorskip("opentelemetry.instrumentation.genai.anthropic", reason="not installed here")
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "_tracer", provider.get_tracer("costspan"))
    instrumentors = [for_openai.OpenAIInstrumentor(), for_anthropic.AnthropicInstrumentor()]
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=provider)
    yield exporter
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_official_instrumentation_carries_the_cost(server, gpt, claude, kept, official):
    """With the official instrumentations there is one row and one cost for each call, on the official span."""
    server.answer(Json(CHAT), chat_stream(), Json(EMBEDDINGS), Json(MESSAGE), message_stream(), message_stream())

    gpt.chat.completions.create(**CHAT_HELLO)
    list(gpt.chat.completions.create(**CHAT_HELLO, stream=True))
    gpt.embeddings.create(model="text-embedding-3-large", input="hi")
    claude.messages.create(**HELLO)
    list(claude.messages.create(**HELLO, stream=True))
    with claude.messages.stream(**HELLO) as stream:
        stream.until_done()

    costs = [
        (span.instrumentation_scope.name.rpartition(".")[2], span.attributes[names.EXACT_COST])
        for span in official.get_finished_spans()
        if names.EXACT_COST in span.attributes
    ]
    assert costs == [
        ("openai", "0.00225"),
        ("openai", "0.00225"),
        ("openai", "0.00013"),
        ("anthropic", "0.00135"),
        ("anthropic", "0.00135"),
        ("anthropic", "0.00135"),
    ]
    assert len(kept.calls) == 6
    assert kept.is_settled


def test_request_kept_by_another_library_is_still_metered(server, meter, monkeypatch):
    """A library that wrapped `request` before us and calls the SDK's own: the attempts are seen below it."""
    monkeypatch.setenv("COSTSPAN_RAISE", "1")
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setattr(openai.OpenAI, "request", openai.OpenAI.request)
    server.answer(
        Json({}, status=500),
        Json(CHAT),
        chat_stream(),
        Json({"error": {}}, status=400),
        Json({"error": {}}, status=404),
    )
    hooks.instrument(meter)

    with openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", max_retries=1) as client:
        client.chat.completions.create(**CHAT_HELLO)
        list(client.chat.completions.create(**CHAT_HELLO, stream=True))
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**CHAT_HELLO)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(**CHAT_HELLO, stream=True)

    batches = [segment.read(0, 99) for segment in meter.journal.segments()]
    events = [event for batch in batches for event in batch.events]
    assert [event.status for event in events] == ["priced", "estimated"]
    assert [ending.reason for batch in batches for ending in batch.endings] == ["HTTP 500", "HTTP 400", "HTTP 404"]
    assert "stream_options" not in server.seen[2].body
    assert meter.journal.stats.open_intents == 0


@pytest.mark.parametrize("name", ["request", "_process_response", "_build_request"])
def test_wrapper_around_ours_outlives_it_and_is_not_doubled(server, gpt, meter, name):
    """A library that wraps our function keeps it: ours steps aside when unhooked, and meters once when hooked again."""
    server.otherwise = Json(CHAT)
    hooks.instrument(meter)
    owner = next(cls for cls in type(gpt).__mro__ if name in vars(cls))
    ours = vars(owner)[name]

    @wraps(ours)
    def theirs(self, *args, **kwargs):
        return ours(self, *args, **kwargs)

    setattr(owner, name, theirs)
    try:
        hooks.uninstrument()
        gpt.chat.completions.create(**CHAT_HELLO)
        after_off = meter.journal.stats.intents
        hooks.instrument(meter)
        gpt.chat.completions.create(**CHAT_HELLO)
        hooks.uninstrument()
    finally:
        assert vars(owner)[name] is theirs
        setattr(owner, name, ours)
        hooks.uninstrument()

    assert after_off == 0
    assert (meter.journal.stats.intents, meter.journal.stats.open_intents) == (1, 0)
    assert not hasattr(vars(owner)[name], "__costspan__")


def test_call_within_a_call_is_its_own(server, meter, monkeypatch):
    """A client that calls another one, or an unmetered API, while it prepares its request: each is what it is."""
    monkeypatch.setenv("COSTSPAN_RAISE", "1")
    server.otherwise = lambda seen: Json(MESSAGE if seen.path.endswith("messages") else CHAT)
    hooks.instrument(meter)
    helper = anthropic.Anthropic(api_key="none", base_url=server.url)

    class Preparing(openai.OpenAI):
        is_busy = False

        def _prepare_options(self, options):
            if not Preparing.is_busy:
                Preparing.is_busy = True
                helper.messages.create(**HELLO)
                helper.post("/v1/files", body={}, cast_to=object)
                self.post("/moderations", body={"input": "hi"}, cast_to=object)
            return super()._prepare_options(options)

    with helper, Preparing(api_key="none", base_url=f"{server.url}/v1") as client:
        client.chat.completions.create(**CHAT_HELLO)

    events = [event for segment in meter.journal.segments() for event in segment.read(0, 9).events]
    assert [(event.service, event.tokens_in) for event in events] == [("anthropic", 450), ("openai", 1000)]
    assert meter.journal.stats.intents == 2
    assert len(server.seen) == 4


def test_stand_ins_for_responses_go_through(gpt, kept):
    """Responses that tests make by hand, with no request or no extensions, pass untouched."""
    library = __import__("httpx2" if sdk_version(openai) >= (3, 0) else "httpx")

    class StandIn:
        pass

    built = gpt._process_response_data(data={"id": "x"}, cast_to=object, response=StandIn())
    retry = gpt._should_retry(library.Response(503))

    assert (built, retry) == ({"id": "x"}, True)
    assert kept.opened == 0
