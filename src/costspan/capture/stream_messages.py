"""Streams of Anthropic messages.

``message_start`` brings the input, the terms and a placeholder for the output; each ``message_delta`` brings cumulative
counts without the terms. Merged field by field, the last value that is not null is the one, and an explicit zero is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costspan.capture.estimate import text_bytes
from costspan.capture.stream_state import StreamState

__all__ = ["MessagesStream"]


class MessagesStream(StreamState):
    """Events from ``message_start`` to ``message_stop``."""

    __slots__ = ("_has_counts", "_has_stopped", "_id", "_model", "_reason")

    def __init__(self, choices: int = 1) -> None:
        super().__init__(choices)
        self._id: object = None
        self._model: object = None
        self._reason: object = None
        self._has_counts = False
        self._has_stopped = False

    def feed(self, event: Any) -> None:
        """Take an event."""
        try:
            kind = event["type"]
            if kind == "content_block_delta":
                delta = event["delta"]
                text = delta.get("text") or delta.get("partial_json") or delta.get("thinking")
                if text:
                    self.written += len(text) if text.isascii() else text_bytes(text)
            elif kind == "message_delta":
                self._delta(event)
            elif kind == "message_start":
                self._start(event["message"])
            elif kind == "content_block_start":
                self._block(event["content_block"])
            elif kind == "message_stop":
                self._has_stopped = True
            elif kind == "error":
                self.has_failed = True
        except (AttributeError, KeyError, TypeError):
            return  # no event of this stream: nothing to learn from it

    @property
    def is_complete(self) -> bool:
        """Whether the final counts were seen: those that came with a reason to stop, or before the stop."""
        return self._has_counts and self.has_finished

    @property
    def has_finished(self) -> bool:
        """Whether the model stopped."""
        return self._has_stopped or self._reason is not None

    def body(self) -> dict[str, object]:
        """The message in one piece, without its content."""
        return {"id": self._id, "model": self._model, "stop_reason": self._reason, "usage": self.usage}

    def _start(self, message: Mapping[str, object]) -> None:
        self._id = message.get("id")
        self._model = message.get("model")
        self.usage = _merged(self.usage, message.get("usage"))

    def _delta(self, event: Mapping[str, object]) -> None:
        usage = event.get("usage")
        self.usage = _merged(self.usage, usage)
        if usage is not None and (not isinstance(usage, Mapping) or usage.get("output_tokens") is not None):
            self._has_counts = True
        delta = event.get("delta")
        if isinstance(delta, Mapping) and delta.get("stop_reason") is not None:
            self._reason = delta["stop_reason"]

    def _block(self, block: Mapping[str, Any]) -> None:
        """A fallback block says which model goes on from here."""
        if block.get("type") == "fallback":
            self._model = block["to"]["model"]


def _merged(older: object, newer: object) -> object:
    """``older`` with what ``newer`` says anew. Another shape replaces it, to be refused when it is read."""
    if newer is None:
        return older
    if not isinstance(older, Mapping) or not isinstance(newer, Mapping):
        return newer
    told = {name: value for name, value in newer.items() if value is not None}
    return {**older, **{name: _merged(older.get(name), value) for name, value in told.items()}}
