"""One HTTP attempt, from the request that is about to leave to what was read of its answer.

It rides on the extensions of the HTTP request and response, so it lives exactly as long as they do and needs no table.
Whatever fails in here, the application's request and answer go on: each use of a collaborator is guarded on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from costspan import capture
from costspan.capture import Endpoint, StreamReader
from costspan.capture.sse import JsonBody
from costspan.event import Outcome
from costspan.guard import guard
from costspan.hooks import abandoned, active
from costspan.hooks.call import Call
from costspan.hooks.injection import HIDDEN, without_ours
from costspan.meter import Attempt
from costspan.usage import Reading

__all__ = ["KEY", "Exchange", "of", "of_request"]

#: Under which an exchange stands in the extensions of a request and of its response.
KEY = "costspan"
#: Events after which an application may stop reading.
_LAST = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed"})
# Guards have no state, so one serves all. Those on the way of every call are entered only where something failed.
_BROKE = guard("hooks.broke")
_END = guard("hooks.end")
_FEED = guard("hooks.feed")
_FINISH = guard("hooks.finish")
_PARSE = guard("hooks.parse")
_READ = guard("hooks.read")
_SETTLE = guard("hooks.settle")


def of(carrier: Any) -> Exchange | None:
    """Return the exchange of an HTTP request or response; None where it is not metered, or is a stand-in."""
    extensions = getattr(carrier, "extensions", None)
    found = extensions.get(KEY) if type(extensions) is dict else None
    return found if type(found) is Exchange else None


def of_request(response: Any) -> Exchange | None:
    """Return the exchange of the request that ``response`` answers."""
    try:
        return of(response.request)
    except (AttributeError, RuntimeError):  # a response that somebody made by hand has no request
        return None


class Exchange:
    """One attempt of ``call``."""

    __slots__ = (
        "__weakref__",
        "_answer",
        "_generation",
        "_pending",
        "_reader",
        "_request",
        "by_events",
        "call",
        "endpoint",
        "has_extra",
        "is_advancing",
        "is_asked",
        "is_filtering",
        "is_streaming",
        "is_teed",
    )

    def __init__(self, call: Call, endpoint: Endpoint, request: Mapping[str, object] | None, *, is_asked: bool) -> None:
        self.call = call
        self.endpoint = endpoint
        self.is_asked = is_asked
        """Whether we asked for the stream's usage, and so hide it."""
        self.has_extra = False
        """Whether it came."""
        self.is_streaming = False
        """Whether the answer is the application's to read."""
        self.is_advancing = False
        """Whether the application waits for the next item: what is closed meanwhile was read to its end, or broke."""
        self.is_filtering = False
        """Whether somebody drops what `take` hides."""
        self.by_events = False
        """Whether the SDK parses the stream now, and shows each event to `take`."""
        self.is_teed = False
        """Whether its bytes are looked at instead."""
        self._request = request
        self._answer: object = None
        self._reader: StreamReader | None = None
        self._generation = active.generation
        self._pending: list[Attempt] = []  # popped once, by whoever comes first in whichever thread

    @property
    def is_open(self) -> bool:
        """Whether it has yet to become a row or an ending."""
        return bool(self._pending)

    def open(self, retry: int) -> None:
        """Journal the intent: the request is about to leave, after ``retry`` others of the same call."""
        call = self.call
        self._pending.append(
            call.meter.open(
                service=self.endpoint.service,
                provider=call.server.provider,
                operation=self.endpoint.operation,
                model=self._model(),
                retry=retry,
                who=call.who,
                span=call.span,
            )
        )

    def stream(self) -> None:
        """The answer has begun, and the application will read it."""
        self.is_streaming = True
        self._reader = StreamReader(self.endpoint, request=self._request, provider=self.call.server.provider)

    def take(self, data: Any) -> Any:
        """Look at a parsed body, or at one event of a stream. Return what the SDK is to make of it."""
        seen = without_ours(data) if self.is_asked else data
        if self._reader is None:
            if not self.is_streaming and self._pending:
                self._answer = data
        elif not self.is_teed:
            self.feed(data["data"] if type(data) is dict and "data" in data and "event" in data else data)
        if seen is HIDDEN:
            self.has_extra = True
            return HIDDEN if self.is_filtering else data
        return seen

    def feed(self, event: Any) -> None:
        """Count one event. Settles with the provider's last word: the SDK ends a span of its own when it has seen it."""
        reader = self._reader
        if reader is None:
            return
        try:
            reader.feed(event)
            if type(event) is dict and event.get("type") in _LAST and reader.is_complete:
                self._conclude(has_ended=True)
        except Exception:
            self._reader = None  # what failed once is not asked again
            with _FEED:  # entered only where something failed: this runs for each chunk
                raise

    def finish(self, *, has_ended: bool = False) -> None:
        """The stream is over: settle what was seen of it. Left to the reading of the next item where that is under way."""
        if self.is_advancing:
            return
        with _FINISH:
            self._conclude(has_ended=has_ended)
            if has_ended and self.is_asked:
                self.call.was_answered(is_extra=self.has_extra)

    def drop(self) -> None:
        """The stream was closed or dropped, and nobody knows by whom: if by the collector, under any lock of this thread."""
        if self._pending and not self.is_advancing:
            abandoned.leave(self)

    def broke(self, error: Exception) -> None:
        """Reading the stream raised: our own span says so."""
        span = self.call.span
        if span is not None:
            with _BROKE:
                span.fail(error)

    def settle_body(self, body: object) -> None:
        """The answer was read to its end."""
        attempt = self._pop()
        if attempt is not None:
            reading = None
            try:
                reading = capture.read_body(
                    self.endpoint, body, request=self._request, provider=self.call.server.provider
                )
            except Exception:
                with _READ:
                    raise
            self._settle(attempt, reading)

    def settle_response(self, response: Any) -> None:
        """The answer was read before the SDK returns: settle by what the SDK parsed of it, else by its bytes."""
        if self._pending:
            body = self._answer
            if body is None:
                with _PARSE:
                    body = parsed(response.content)
            self.settle_body(body)

    def end(self, outcome: Outcome, reason: str) -> None:
        """The attempt has no usage."""
        attempt = self._pop()
        if attempt is not None:
            with _END:
                self.call.meter.end(attempt, outcome, reason)
            self._let_go()

    def _conclude(self, *, has_ended: bool) -> None:
        attempt = self._pop()
        if attempt is not None:
            reading, reader = None, self._reader
            with _READ:
                reading = reader.reading(has_ended=has_ended) if reader is not None else None
            self._settle(attempt, reading)

    def _settle(self, attempt: Attempt, reading: Reading | None) -> None:
        call = self.call
        try:
            call.meter.settle(attempt, reading if reading is not None else self._unread())
            call.has_cost = True
        except Exception:
            with _SETTLE:
                raise
        self._let_go()

    def _unread(self) -> Reading:
        """It was answered and so billed, and that must show even where costspan itself could not read it."""
        return Reading(
            service=self.endpoint.service,
            provider=self.call.server.provider,
            operation=self.endpoint.operation,
            model=self._model(),
            portions=(),
            problem="costspan could not read this answer",
        )

    def _model(self) -> str:
        asked = self._request.get("model") if self._request is not None else None
        return asked if type(asked) is str else self.call.model or self.endpoint.model

    def _pop(self) -> Attempt | None:
        try:
            attempt = self._pending.pop()
        except IndexError:
            return None
        return attempt if self._generation == active.generation else None

    def _let_go(self) -> None:
        self._reader = self._answer = self._request = None
        self.call.settled()

    def __del__(self) -> None:
        # Nobody holds the answer any more. The collector may run anywhere, under any lock: settle elsewhere.
        if getattr(self, "_pending", None):
            abandoned.leave(self)


def parsed(content: bytes) -> object:
    """Return ``content`` as JSON; None where it is none."""
    try:
        return msgspec.json.decode(content) if content else None
    except msgspec.DecodeError:
        body = JsonBody()  # takes NaN, and what is not quite UTF-8
        body.feed(content)
        return body.value()
