"""One call as the application makes it: one `request` of the SDK, with its retries and the stream it returns.

Its HTTP attempts are `Exchange`s. The call knows who it is for, carries its span, and decides at its end what became of
the attempts that were never answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from opentelemetry import baggage, context

from costspan import attribution, capture
from costspan.capture import Endpoint
from costspan.event import Outcome
from costspan.guard import guard
from costspan.hooks import active, provider
from costspan.hooks.active import Metering
from costspan.hooks.injection import Asking, ask, is_about_us
from costspan.sinks import spans

if TYPE_CHECKING:
    from costspan.hooks.exchange import Exchange

__all__ = ["MARK", "Call", "asking", "current", "place", "whole"]

#: The call that this task or thread is inside of.
current: ContextVar[Call | None] = ContextVar("costspan_call", default=None)
asking = Asking()

#: Errors of httpx, httpx2 and httpcore that say that no request reached a provider.
_NEVER_LEFT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
        "InvalidURL",
    }
)
#: An attribute of the functions that stand in place of an SDK's.
MARK = "__costspan__"
_SPAN = guard("hooks.span")
_REFUSALS = frozenset({400, 422})


def place(client: Any, service: str, options: Any, *, is_whole: bool) -> Call | None:
    """Return the call that ``options`` describe, or None where nothing is metered.

    Args:
        client: the SDK's.
        service: openai or anthropic.
        options: the SDK's ``FinalRequestOptions``.
        is_whole: whether the call's begin and end are seen. They are not where another library kept the SDK's unpatched
            ``request``, or where a middleware goes on after the call has returned.
    """
    probe = active.probe.get()
    meter = probe or active.meter
    if meter is None:
        return None
    endpoint = capture.endpoint(service, options.method, options.url)
    if endpoint is None:
        return None
    return Call(meter, endpoint, client, options, is_whole=is_whole, with_spans=active.with_spans and probe is None)


class Call:
    """One call; ``exchanges`` are its attempts until it returns."""

    __slots__ = (
        "_attached",
        "_token",
        "attempts",
        "endpoint",
        "exchanges",
        "has_cost",
        "has_returned",
        "is_plain",
        "is_whole",
        "meter",
        "model",
        "server",
        "span",
        "stream_class",
        "url",
        "who",
        "with_spans",
    )

    def __init__(
        self, meter: Metering, endpoint: Endpoint, client: Any, options: Any, *, is_whole: bool, with_spans: bool
    ) -> None:
        self.meter = meter
        self.endpoint = endpoint
        self.server = provider.server(endpoint.service, client)
        body = options.json_data
        model = body.get("model") if type(body) is dict or isinstance(body, Mapping) else None
        self.model = model if type(model) is str else ""
        #: Taken before the span's context strips our baggage from the request's headers.
        self.who = attribution.current()
        self.span: spans.CallSpan | None = None
        self._attached: spans.CallSpan | None = None
        self._token: Token[context.Context] | None = None
        self.has_cost = False
        """Whether ``span`` carries the cost of an attempt."""
        self.with_spans = with_spans
        self.is_whole = is_whole
        self.has_returned = not is_whole
        self.exchanges: list[Exchange] = []
        self.attempts = 0
        self.stream_class: Any = None
        """What the SDK was told to make of a stream; None where that is not known, or its own."""
        self.is_plain = False
        """Whether nothing is to be added to the request, because it was refused with what we added."""
        self.url = b""
        """The base URL that was asked for its usage."""

    def enter(self, client: Any, *, is_stream: bool, stream_class: Any) -> None:
        """The call begins. Its span begins here, around everything, unless the SDK begins one of its own further in."""
        self.stream_class = stream_class
        if getattr(client, "_tracer", None) is None:
            self._show(is_stream=is_stream)
        elif self.with_spans:  # the SDK's own may be one that records nothing, and hides this one
            self.span = spans.enclosing()
        if self.span is not None:
            self.span.attach()
            self._attached = self.span
        elif baggage.get_all():
            self._token = context.attach(attribution.without_baggage(context.get_current()))

    def show_attempt(self, *, is_stream: bool) -> None:
        """The next attempt is about to leave: its cost needs a span that carries none yet."""
        if self.span is None or self.has_cost:
            if self.span is not None:
                self.span.finish()
            self._show(is_stream=is_stream)
            self.has_cost = False

    def _show(self, *, is_stream: bool) -> None:
        if self.with_spans:
            self.span = spans.begin(
                provider=self.server.provider,
                operation=self.endpoint.operation,
                model=self.model or self.endpoint.model,
                stream=is_stream,
                address=self.server.address,
                port=self.server.port,
            )

    def question(self, client: Any, options: Any) -> Mapping[str, object] | None:
        """What to send besides, so that a stream's usage comes; None where it comes anyway, or nobody is to be asked."""
        if self.endpoint.service != "openai" or self.is_plain or not active.with_usage:
            return None
        asked = whole(options)
        if asked is None or asked.get("stream") is not True or _has_its_own_iteration(self.stream_class):
            return None
        url = provider.base_url(client)
        self.url = url.netloc + url.raw_path
        if not asking.may_ask(self.url):
            return None
        if not self.is_whole and not asking.accepts(self.url, self.server.address):
            return None
        version = getattr(client, "_api_version", "") or ""
        path = f"{url.path}{options.url}{'?api-version=' if version else ''}{version}"
        where = capture.endpoint("openai", "POST", path) or self.endpoint
        return ask(where, asked, options.headers)

    def was_accepted(self) -> None:
        """A server that was asked gave an answer of 2xx."""
        asking.accepted(self.url)

    def was_answered(self, *, is_extra: bool) -> None:
        """The extra chunk came, or the stream came to its end without it."""
        if is_extra:
            asking.answered(self.url)
        else:
            asking.ignored(self.url, self.server.address)

    def was_refused(self, error: BaseException) -> bool:
        """Whether ``error`` may be owed to what we added, so that the call is to be made again without it."""
        if self.is_plain or not any(exchange.is_asked for exchange in self.exchanges):
            return False
        if getattr(error, "status_code", None) not in _REFUSALS:
            return False
        if is_about_us(error):
            asking.refused(self.url)
        elif asking.accepts(self.url, self.server.address):
            return False
        self.is_plain = True
        return True

    def failed(self, error: BaseException) -> None:
        """The call raised: nothing that is still unanswered will be answered."""
        self.unanswered(error)
        if self.span is not None:
            self.span.fail(error)

    def unanswered(self, error: BaseException | None) -> None:
        """End what was sent and not answered, by what ``error`` says of it."""
        for exchange in self.exchanges:
            if exchange.is_open and not exchange.is_streaming:
                exchange.end(*_verdict(error))

    def refused(self, reason: str) -> None:
        """End what was sent and not billed."""
        for exchange in self.exchanges:
            if not exchange.is_streaming:
                exchange.end(Outcome.FAILED, reason)

    def returned(self) -> None:
        """The application has the call's result, or its exception."""
        if self._attached is not None:  # first: whatever fails after it, the context is the application's own again
            self._attached.detach()
        if self._token is not None:
            context.detach(self._token)
        is_over = True
        for exchange in self.exchanges:
            if exchange.is_open:
                self.unanswered(None)
                is_over = is_over and not exchange.is_open
        self.has_returned = True
        self.exchanges.clear()
        if self.span is not None and is_over:
            self.span.finish()

    def settled(self) -> None:
        """An attempt has ended; the span ends with the last one."""
        if self.has_returned and self.span is not None:
            with _SPAN:
                self.span.finish()


def whole(options: Any) -> Mapping[str, object] | None:
    """Return the JSON body that ``options`` describe."""
    sent, extra = options.json_data, options.extra_json
    if type(sent) is dict and extra is None:  # nearly always; it spares an abstract class's checks
        return sent
    if not isinstance(sent, Mapping):
        return extra if isinstance(extra, Mapping) else None
    return {**sent, **extra} if isinstance(extra, Mapping) else sent


def _verdict(error: BaseException | None) -> tuple[Outcome, str]:
    """What became of an attempt that ended in ``error``. Names of types only: a message may hold content or a key."""
    names: list[str] = []
    seen = error
    while seen is not None and len(names) < 8:  # noqa: PLR2004  # longer than any SDK's chain of causes
        kinds = [cls.__name__ for cls in type(seen).__mro__]
        names.append(kinds[0])
        if not _NEVER_LEFT.isdisjoint(kinds):
            return Outcome.FAILED, f"never left: {' from '.join(names)}"
        seen = seen.__cause__
    return Outcome.UNANSWERED, " from ".join(names) or "the answer never came"


def _has_its_own_iteration(stream_class: Any) -> bool:
    """Whether items would reach the application by a class that knows nothing of what is hidden."""
    iteration = getattr(getattr(stream_class, "__origin__", stream_class), "__stream__", None)
    return iteration is not None and not hasattr(iteration, MARK)
