"""Streams of what comes in parts: transcriptions, images, speech. The last event of each has the usage."""

from __future__ import annotations

from typing import Any

from costspan.capture.estimate import text_bytes
from costspan.capture.fields import is_nothing
from costspan.capture.stream_state import StreamState
from costspan.usage import Completeness

__all__ = ["PartsStream"]

_LAST = (".done", ".completed")


class PartsStream(StreamState):
    """Events such as ``transcript.text.delta``, ``image_generation.completed``, ``speech.audio.done``."""

    __slots__ = ("_has_finished", "_usages")

    def __init__(self, choices: int = 1) -> None:
        super().__init__(choices)
        self._has_finished = False
        self._usages = 0

    def feed(self, event: Any) -> None:
        """Take an event."""
        try:
            kind = event["type"]
            delta = event.get("delta")
            if type(delta) is str:
                self.written += text_bytes(delta)
            if event.get("usage") is not None:
                self.usage = event["usage"]
                self._usages += 1
            if kind.endswith(_LAST):
                self._has_finished = True
            elif kind == "error":
                self.has_failed = True
        except (AttributeError, KeyError, TypeError):
            return  # no event of this stream: nothing to learn from it

    @property
    def is_complete(self) -> bool:
        """Whether the last event was seen, and had the usage."""
        return self._has_finished and not is_nothing(self.usage)

    @property
    def has_finished(self) -> bool:
        """Whether an end was seen."""
        return self._has_finished

    def completeness(self, *, has_ended: bool) -> Completeness:
        """How far the usage can be trusted. Of several images the usage of one is a lower bound: no sum is promised."""
        return Completeness.CUT if self._usages > 1 else super().completeness(has_ended=has_ended)

    def body(self) -> dict[str, object]:
        """The answer in one piece, without its parts."""
        return {"usage": self.usage}
