"""A streamed answer, read event by event as it passes: constant memory, and less than a microsecond an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from costspan.capture.body import read
from costspan.capture.endpoint import Endpoint, Shape
from costspan.capture.stream_chat import ChatStream
from costspan.capture.stream_messages import MessagesStream
from costspan.capture.stream_parts import PartsStream
from costspan.capture.stream_responses import ResponsesStream
from costspan.capture.stream_state import StreamState
from costspan.usage import Reading

__all__ = ["StreamReader"]

_STATES: dict[Shape, type[StreamState]] = {
    Shape.CHAT: ChatStream,
    Shape.COMPLETION: ChatStream,
    Shape.MESSAGES: MessagesStream,
    Shape.RESPONSES: ResponsesStream,
}


class StreamReader:
    """Reads one streamed answer. Not for use from several threads at once, as a stream is not either.

    Args:
        endpoint: that was called.
        request: the JSON that was sent; estimates of a cut stream rest on it.
        provider: ``gen_ai.provider.name``; the service's own where empty.
    """

    __slots__ = ("_endpoint", "_provider", "_request", "_state", "feed")

    feed: Callable[[object], None]
    """Take one event, the parsed JSON of its data. Never raises; what is no event of this stream changes nothing."""

    def __init__(self, endpoint: Endpoint, *, request: Mapping[str, object] | None = None, provider: str = "") -> None:
        self._endpoint = endpoint
        self._request = request
        self._provider = provider
        asked = request.get("n") if request is not None else 1
        choices = asked if type(asked) is int and asked > 0 else 1
        self._state = _STATES.get(endpoint.shape, PartsStream)(choices)
        self.feed = self._state.feed  # bound once: a method around a method would double the cost of an event

    @property
    def is_complete(self) -> bool:
        """Whether the provider's last word on usage was seen: nothing that may follow changes the reading."""
        return self._state.is_complete

    @property
    def has_text(self) -> bool:
        """Whether a first token was seen."""
        return self._state.written > 0

    def reading(self, *, has_ended: bool = False) -> Reading:
        """Return what is known now; may be called at any time, and again.

        It is complete with the provider's last word on usage; estimated where the answer came to its end without one;
        cut otherwise: then the input is the provider's, and the output at least what was seen.

        Args:
            has_ended: whether the stream was read to its end. Matters only to servers that do not mark the end of an
                answer; a stream that was closed early, or broke, has not ended.
        """
        state = self._state
        return read(
            self._endpoint,
            state.body(),
            request=self._request,
            provider=self._provider,
            completeness=state.completeness(has_ended=has_ended),
            written=state.written,
            tally=state.tally,
        )
