"""Exchanges asked for again through the real SDKs, under the instrumentations that people use, and the spans they make."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from wrapt import FunctionWrapper

from loopback import Json, Loopback, Sse

__all__ = ["NAMES", "Player", "at", "instrumented", "playing"]

#: Modules with an instrumentor for each SDK; the anthropic SDK makes spans by itself.
_MODULES = {
    "official": "opentelemetry.instrumentation.genai.{}",
    "openinference": "openinference.instrumentation.{}",
    "openllmetry": "opentelemetry.instrumentation.{}",
}
_CLIENTS = (openai.OpenAI, openai.AsyncOpenAI, anthropic.Anthropic, anthropic.AsyncAnthropic)
NAMES = (*_MODULES, "native")
HELLO = [{"role": "user", "content": "hi"}]


class Player:
    """Both SDKs, pointed at a server that answers as told, and the spans of what was asked."""

    def __init__(self, server: Loopback, spans: InMemorySpanExporter, provider: TracerProvider, tracing: Any) -> None:
        self.server = server
        self.provider = provider
        self._spans = spans
        self._numbers = 0
        self.openai = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key="none", base_url=server.url, max_retries=0, open_telemetry=tracing)

    def play(self, case: dict[str, Any]) -> Sequence[ReadableSpan]:
        """Ask for an exchange once more; return the spans that were made of it."""
        self._spans.clear()
        self.server.script.clear()
        answer, events = self._named(case)
        self.server.answer(Sse(events, is_named=case["service"] == "anthropic") if events else Json(answer))
        model = case["request"].get("model") or (events[0].get("message") or events[0] if events else answer)["model"]
        try:
            for _ in self._ask(case, model, is_stream=bool(events)) if events else [self._ask(case, model)]:
                pass
        except (anthropic.AnthropicError, openai.OpenAIError):
            if "fails" not in case and case["name"] != "interrupted stream":
                raise
        return self._spans.get_finished_spans()

    def close(self) -> None:
        """Close the clients."""
        self.openai.close()
        self.anthropic.close()

    def _named(self, case: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The answer with an id that no other has, as providers give them."""
        self._numbers += 1
        answer, events = deepcopy(case.get("response", {})), deepcopy(case.get("events", []))
        for body in (answer, *(event.get("message", event) for event in events)):
            if "id" in body:
                body["id"] = f"{body['id']}_{id(self):015x}{self._numbers:015x}"
        return answer, events

    def _ask(self, case: dict[str, Any], model: str, *, is_stream: bool = False) -> Any:
        endpoint, stream = case["endpoint"], {"stream": True} if is_stream else {}
        if case["service"] == "anthropic":
            return self.anthropic.messages.create(model=model, max_tokens=9, messages=HELLO, **stream)
        if endpoint.endswith("/chat/completions"):
            tier = {name: case["request"][name] for name in ("service_tier",) if name in case["request"]}
            if is_stream:
                stream["stream_options"] = {"include_usage": True}
            return self.openai.chat.completions.create(model=model, messages=HELLO, **tier, **stream)
        if endpoint.endswith("/responses"):
            return self.openai.responses.create(model=model, input="hi")
        if endpoint.endswith("/embeddings"):
            return self.openai.embeddings.create(model=model, input="hi")
        return self.openai.audio.transcriptions.create(model=model, file=("a.wav", b"x"))


@contextmanager
def instrumented(name: str, provider: TracerProvider) -> Iterator[Any]:
    """Let one of `NAMES` make the spans; gives the anthropic SDK's own option. Skips where it is not installed."""
    if name == "native":
        if not hasattr(anthropic, "Anthropic") or "open_telemetry" not in anthropic.Anthropic.__init__.__annotations__:
            pytest.skip("this anthropic SDK makes no spans")
        yield {"tracer_provider": provider}
        return
    instrumentors = []
    for sdk, instrumentor in (("openai", "OpenAIInstrumentor"), ("anthropic", "AnthropicInstrumentor")):
        module = pytest.importorskip(_MODULES[name].format(sdk), reason="not installed here")
        instrumentors.append(getattr(module, instrumentor)())
    before, own = _wrappers(), {cls: frozenset(vars(cls)) for cls in _CLIENTS}
    for each in instrumentors:
        each.instrument(tracer_provider=provider)
    try:
        yield False
    finally:
        for each in instrumentors:
            each.uninstrument()
        # OpenLLMetry's leaves most of its wrappers behind, and with them its spans on every later test's calls;
        # OpenInference's the SDK's own `request` where it was inherited before, which hides what is patched above it.
        for place, wrapper in _wrappers().items():
            if before.get(place) is not wrapper:
                setattr(*place, wrapper.__wrapped__)
        for cls, names in own.items():
            for added in frozenset(vars(cls)) - names:
                delattr(cls, added)


def _wrappers() -> dict[tuple[type, str], FunctionWrapper]:
    """What is wrapped of the SDK's resources, by class and name."""
    modules = [module for name, module in tuple(sys.modules.items()) if name.startswith("openai.resources")]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {
        (cls, name): value
        for cls in classes
        for name, value in tuple(vars(cls).items())
        if isinstance(value, FunctionWrapper)
    }


@contextmanager
def playing(*names: str) -> Iterator[Player]:
    """A player under instrumentations, the first of them around the second."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracing: Any = False
    with Loopback() as server:
        entered = [instrumented(name, provider) for name in reversed(names)]
        for each in entered:
            tracing = each.__enter__() or tracing
        player = Player(server, spans, provider, tracing)
        try:
            yield player
        finally:
            player.close()
            for each in reversed(entered):
                each.__exit__(None, None, None)
            provider.shutdown()


def at(span: ReadableSpan, moment: datetime) -> ReadableSpan:
    """``span`` as it would have been at another moment."""
    start = int(moment.timestamp() * 10**9)
    assert span.start_time is not None
    assert span.end_time is not None
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        kind=span.kind,
        status=span.status,
        start_time=start,
        end_time=start + span.end_time - span.start_time,
        instrumentation_scope=span.instrumentation_scope,
    )
