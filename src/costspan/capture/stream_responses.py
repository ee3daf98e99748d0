"""Streams of OpenAI responses: the last event has the whole response, its usage included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costspan.capture.estimate import text_bytes
from costspan.capture.fields import is_nothing
from costspan.capture.openai_tools import ToolTally
from costspan.capture.stream_state import StreamState

__all__ = ["ResponsesStream"]

_FINISHED = frozenset({"response.completed", "response.incomplete"})
_FAILED = frozenset({"response.failed", "response.cancelled", "error"})
#: Deltas that are a file in base64, not a text.
_AUDIO = "response.audio.delta"


class ResponsesStream(StreamState):
    """Events from ``response.created`` to ``response.completed``, ``.incomplete`` or ``.failed``."""

    __slots__ = ("_has_finished", "_items", "_response")

    def __init__(self, choices: int = 1) -> None:
        super().__init__(choices)
        self._response: Mapping[str, object] = {}
        self._has_finished = False
        self._items = self.tally = ToolTally()

    def feed(self, event: Any) -> None:
        """Take an event."""
        try:
            delta = event.get("delta")
            if delta is not None:
                if type(delta) is str and event["type"] != _AUDIO:
                    self.written += len(delta) if delta.isascii() else text_bytes(delta)
                return
            kind = event["type"]
            response = event.get("response")
            if isinstance(response, Mapping):
                self._response = response
                self.usage = response.get("usage")
            if kind == "response.output_item.done":
                self._items.add(event["item"])
            elif kind in _FINISHED:
                self._has_finished = True
            elif kind in _FAILED:
                self.has_failed = True
        except (AttributeError, KeyError, TypeError):
            return  # no event of this stream: nothing to learn from it

    @property
    def is_complete(self) -> bool:
        """Whether the last event was seen, and had the usage."""
        return (self._has_finished or self.has_failed) and not is_nothing(self.usage)

    @property
    def has_finished(self) -> bool:
        """Whether the response was completed, or ended before it was."""
        return self._has_finished

    def body(self) -> dict[str, object]:
        """The response as it was last seen. Items that it does not have (yet) are in the tally."""
        self.tally = None if self._response.get("output") else self._items
        return dict(self._response)
