"""The call's span: cost goes on the GenAI span that is already there, else on one of our own. Never on two.

The anthropic SDK, the official GenAI instrumentations, OpenInference and others make a span per inference. A second one
would count the call twice in every backend that sums spans, so ours is started only where there is none.
"""

from __future__ import annotations

from contextvars import Token
from typing import TYPE_CHECKING

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from costspan._version import __version__
from costspan.attribution import without_baggage
from costspan.sinks import names

if TYPE_CHECKING:
    from costspan.event import CallEvent
    from costspan.pricing import Quote
    from costspan.usage import Reading

__all__ = ["CallSpan", "begin", "enclosing"]

Attributes = dict[str, str | int | float | list[str]]

#: Operations of one model call. A cost on `invoke_agent` or `execute_tool` would be counted again by its children.
_INFERENCE = frozenset({"chat", "text_completion", "generate_content", "embeddings", "completion", "embedding"})
#: Scopes that make one span per model call, some of which set their attributes only at its end.
_SCOPES = (
    "com.anthropic.sdk.python",
    "opentelemetry.instrumentation.genai",
    "opentelemetry.instrumentation.openai",
    "opentelemetry.instrumentation.anthropic",
    "openinference.instrumentation.openai",
    "openinference.instrumentation.anthropic",
)
_INTERNAL_OPERATIONS = ("invoke_agent", "execute_tool", "create_agent", "invoke_workflow", "plan")

# Suppression keys of OpenTelemetry: `suppress_instrumentation()` sets them. They stop the span, never the metering.
_SUPPRESS = ("suppress_instrumentation", "suppress_language_model_instrumentation")

_PICO = 10**12
_tracer = trace.get_tracer("costspan", __version__)


class CallSpan:
    """One call's span. ``is_own`` tells whether it was started here, and so is attached and ended here."""

    __slots__ = ("_token", "ids", "is_own", "span")

    def __init__(self, span: Span, *, is_own: bool) -> None:
        self.span = span
        self.is_own = is_own
        self._token: Token[context.Context] | None = None
        where = span.get_span_context()
        #: (16 bytes, 8 bytes), or two empty ones where no tracing is set up.
        self.ids = (
            (where.trace_id.to_bytes(16, "big"), where.span_id.to_bytes(8, "big")) if where.is_valid else (b"", b"")
        )

    @property
    def exemplar(self) -> dict[str, str] | None:
        """Trace and span id for a Prometheus exemplar; None for a span that nobody will find."""
        if not self.span.get_span_context().trace_flags.sampled:
            return None
        return {"trace_id": self.ids[0].hex(), "span_id": self.ids[1].hex()}

    def attach(self) -> None:
        """Make our own span current, and keep our baggage out of the provider's request headers."""
        if self._token is None:
            carrier = without_baggage(context.get_current())
            self._token = context.attach(trace.set_span_in_context(self.span, carrier) if self.is_own else carrier)

    def detach(self) -> None:
        """Undo `attach`, in the same thread or task."""
        if self._token is not None:
            token, self._token = self._token, None
            context.detach(token)

    def settle(self, event: CallEvent, reading: Reading, quote: Quote) -> None:
        """Put the cost on the span; the usage too where the span is ours. A span that has ended stays as it is."""
        if not self.span.is_recording():
            return
        attributes: Attributes = {
            names.STATUS: event.status,
            names.PRICE_VERSION: event.price_version,
            names.TENANT: event.tenant,
        }
        pico = event.cost_pico
        if pico is not None and not quote.is_cut:
            attributes[names.COST_AMOUNT] = pico / _PICO
            attributes[names.COST_CURRENCY] = "USD"
            attributes[names.COST_SOURCE] = "local"
            attributes[names.EXACT_COST] = _exact(pico)
        if event.session:
            attributes[names.SESSION] = event.session
        if event.user:
            attributes[names.USER] = event.user
        if event.feature:
            attributes[names.FEATURE] = event.feature
        if event.problem:
            attributes[names.PROBLEM] = event.problem
        if self.is_own:
            _describe(attributes, event, reading)
        self.span.set_attributes(attributes)  # at once: each call takes a lock, and checks whether the span has ended

    def fail(self, error: BaseException) -> None:
        """Mark our own span as failed. The error's text may hold content, so only its type is kept."""
        if self.is_own and self.span.is_recording():
            self.span.set_attribute(names.ERROR_TYPE, type(error).__qualname__)
            self.span.set_status(Status(StatusCode.ERROR))

    def finish(self) -> None:
        """End our own span; a second time does nothing."""
        if self.is_own and self.span.is_recording():
            self.span.end()


def enclosing(carrier: context.Context | None = None) -> CallSpan | None:
    """Return the span of ``carrier`` (this context's own), where it is an inference span that carries no cost yet."""
    current = trace.get_current_span(carrier)
    return CallSpan(current, is_own=False) if current.is_recording() and _is_inference(current) else None


def begin(
    *, provider: str, operation: str, model: str, stream: bool, address: str = "", port: int | None = None
) -> CallSpan | None:
    """Return the span this call's cost belongs on: the current inference span, else a new ``{operation} {model}``."""
    carrier = context.get_current()  # once, and handed on: the SDK alone would look it up four times
    if carrier:  # empty, it has no span and suppresses nothing
        for key in _SUPPRESS:
            if carrier.get(key):
                return None
        current = enclosing(carrier)
        if current is not None:
            return current
    attributes: dict[str, str | int | bool] = {
        names.OPERATION: operation,
        names.PROVIDER: provider,
        names.REQUEST_MODEL: model,
    }
    if stream:
        attributes[names.REQUEST_STREAM] = True
    if address:
        attributes[names.SERVER_ADDRESS] = address
        if port is not None:
            attributes[names.SERVER_PORT] = port
    span = _tracer.start_span(f"{operation} {model}", context=carrier, kind=SpanKind.CLIENT, attributes=attributes)
    return CallSpan(span, is_own=True)


def _exact(pico: int) -> str:
    """Dollars in full, as ``format(quote.cost_usd, "f")`` has them. Without a Decimal, whose code nothing else keeps warm."""
    whole, places = divmod(pico, _PICO)
    return f"{whole}.{places:012d}".rstrip("0") if places else str(whole)


def _is_inference(span: Span) -> bool:
    attributes = getattr(span, "attributes", None) or {}
    if names.STATUS in attributes:  # it carries another call's cost already
        return False
    operation = attributes.get(names.OPERATION) or attributes.get("llm.request.type")
    if operation is not None:
        return operation in _INFERENCE
    if attributes.get("openinference.span.kind") in ("LLM", "EMBEDDING"):
        return True
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", "")
    name = getattr(span, "name", "")
    return scope.startswith(_SCOPES) and not name.startswith(_INTERNAL_OPERATIONS)


def _describe(attributes: Attributes, event: CallEvent, reading: Reading) -> None:
    attributes[names.RESPONSE_MODEL] = event.model
    attributes[names.INPUT_TOKENS] = event.tokens_in
    attributes[names.OUTPUT_TOKENS] = event.tokens_out
    written = 0
    for unit, quantity in event.quantities.items():
        if unit == "cache_read_tokens":
            attributes[names.CACHE_READ_TOKENS] = quantity
        elif unit.startswith("cache_write"):
            written += quantity
    if written:
        attributes[names.CACHE_WRITE_TOKENS] = written
    if event.reasoning:
        attributes[names.REASONING_TOKENS] = event.reasoning
    if event.dimensions:
        attributes[names.DIMENSIONS] = event.dimensions
    if event.response_id:
        attributes[names.RESPONSE_ID] = event.response_id
    if reading.finish_reason:
        # A list, of which OpenTelemetry makes a tuple: its check of a tuple goes through an abstract class's slow way.
        attributes[names.FINISH_REASONS] = [reading.finish_reason]
