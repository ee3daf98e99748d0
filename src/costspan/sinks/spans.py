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
        attributes: dict[str, str | int | float | tuple[str, ...]] = {
            names.STATUS: event.status,
            names.PRICE_VERSION: event.price_version,
            names.TENANT: event.tenant,
        }
        cost = quote.cost_usd
        if cost is not None:
            attributes[names.COST_AMOUNT] = float(cost)
            attributes[names.COST_CURRENCY] = "USD"
            attributes[names.COST_SOURCE] = "local"
            attributes[names.EXACT_COST] = format(cost, "f")
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
        self.span.set_attributes(attributes)

    def fail(self, error: BaseException) -> None:
        """Mark our own span as failed. The error's text may hold content, so only its type is kept."""
        if self.is_own and self.span.is_recording():
            self.span.set_attribute(names.ERROR_TYPE, type(error).__qualname__)
            self.span.set_status(Status(StatusCode.ERROR))

    def finish(self) -> None:
        """End our own span; a second time does nothing."""
        if self.is_own and self.span.is_recording():
            self.span.end()


def enclosing() -> CallSpan | None:
    """Return the current span, where it is an inference span that carries no cost yet."""
    current = trace.get_current_span()
    return CallSpan(current, is_own=False) if current.is_recording() and _is_inference(current) else None


def begin(
    *, provider: str, operation: str, model: str, stream: bool, address: str = "", port: int | None = None
) -> CallSpan | None:
    """Return the span this call's cost belongs on: the current inference span, else a new ``{operation} {model}``."""
    if any(context.get_value(key) for key in _SUPPRESS):
        return None
    current = enclosing()
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
    span = _tracer.start_span(f"{operation} {model}", kind=SpanKind.CLIENT, attributes=attributes)
    return CallSpan(span, is_own=True)


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


def _describe(attributes: dict[str, str | int | float | tuple[str, ...]], event: CallEvent, reading: Reading) -> None:
    attributes[names.RESPONSE_MODEL] = event.model
    attributes[names.INPUT_TOKENS] = event.tokens_in
    attributes[names.OUTPUT_TOKENS] = event.tokens_out
    quantities = event.quantities
    read = quantities.get("cache_read_tokens", 0)
    written = sum(quantity for unit, quantity in quantities.items() if unit.startswith("cache_write"))
    optional = {
        names.CACHE_READ_TOKENS: read,
        names.CACHE_WRITE_TOKENS: written,
        names.REASONING_TOKENS: event.reasoning,
        names.DIMENSIONS: event.dimensions,
    }
    attributes.update((name, number) for name, number in optional.items() if number)
    if event.response_id:
        attributes[names.RESPONSE_ID] = event.response_id
    if reading.finish_reason:
        attributes[names.FINISH_REASONS] = (reading.finish_reason,)
