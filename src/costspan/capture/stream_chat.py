"""Streams of chat completions and of legacy completions.

Usage comes last, in a chunk without choices, where it was asked for. Other servers send it with the last choice, or
with every chunk and growing (vLLM), or in a field of their own (Groq): the latest that is not null is the one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costspan.capture.estimate import structure_bytes, text_bytes
from costspan.capture.fields import is_nothing
from costspan.capture.stream_state import StreamState
from costspan.usage import Completeness

__all__ = ["ChatStream"]

_NOTHING: dict[str, object] = {}
#: What a chunk says about the answer. Some servers say it in each chunk, some in the first, Azure not in the first.
_ABOUT = ("id", "model", "service_tier")


class ChatStream(StreamState):
    """Chunks of ``chat.completion.chunk`` and ``text_completion``."""

    __slots__ = ("_alone_after", "_finished", "_first", "_last", "_reason", "_usage_chunk")

    def __init__(self, choices: int = 1) -> None:
        super().__init__(choices)
        self._finished = 0
        self._reason: object = None
        self._alone_after: object = None
        """The last chunk with choices when usage came without any."""
        self._first: Mapping[str, object] = _NOTHING
        self._last: Mapping[str, object] = _NOTHING
        self._usage_chunk: Mapping[str, object] = _NOTHING

    def feed(self, event: Any) -> None:
        """Take a chunk."""
        try:
            choices = event["choices"]
            if not choices:
                self._without_choices(event)
                return
            if self._last is _NOTHING:
                self._first = event
            self._last = event
            for choice in choices:
                delta = choice.get("delta")
                if delta:
                    text = delta.get("content") or delta.get("reasoning_content")
                    if text:
                        self.written += len(text) if text.isascii() else text_bytes(text)
                    else:
                        self.written += _bytes_beside_content(delta)
                elif choice.get("text"):
                    self.written += text_bytes(choice["text"])
                if choice.get("finish_reason"):
                    self._finish(choice["finish_reason"], event)
            if event.get("usage") is not None:
                self._take(event, event["usage"])
        except (AttributeError, KeyError, TypeError):
            self._odd(event)

    @property
    def is_complete(self) -> bool:
        """Whether usage came after, or with, the end of every answer."""
        return not is_nothing(self.usage) and (self._alone_after is self._last or self.has_finished)

    @property
    def has_finished(self) -> bool:
        """Whether every answer asked for has a reason to have ended."""
        return self._finished >= self.choices

    def completeness(self, *, has_ended: bool) -> Completeness:
        """How far the usage can be trusted. Some servers end without a reason, and without usage."""
        if has_ended and not self.has_failed:
            return Completeness.ESTIMATED if is_nothing(self.usage) else Completeness.COMPLETE
        return super().completeness(has_ended=has_ended)

    def body(self) -> dict[str, object]:
        """The answer in one piece, without its texts."""
        sources = (self._last, self._usage_chunk, self._first)
        about = {name: next((source[name] for source in sources if source.get(name)), None) for name in _ABOUT}
        return {**about, "usage": self.usage, "choices": [{"finish_reason": self._reason}]}

    def _take(self, event: Mapping[str, object], usage: object) -> None:
        self.usage = usage
        self._usage_chunk = event

    def _without_choices(self, event: Mapping[str, object]) -> None:
        """The chunk that brings the usage; Azure's first one, which brings none; an error."""
        if event.get("usage") is not None:
            self._take(event, event["usage"])
            self._alone_after = self._last
        if event.get("error"):
            self.has_failed = True

    def _finish(self, reason: object, event: Mapping[str, object]) -> None:
        self._finished += 1
        self._reason = reason
        groq = event.get("x_groq")
        if isinstance(groq, Mapping) and groq.get("usage") is not None:
            self._take(event, groq["usage"])

    def _odd(self, event: object) -> None:
        """An error, or a chunk of another shape: whatever text it has is counted."""
        if not isinstance(event, Mapping):
            return
        choices = event.get("choices")
        if choices is None:
            self._without_choices(event)
        else:
            self.written += structure_bytes(choices)
            if event.get("usage") is not None:
                self._take(event, event["usage"])


def _bytes_beside_content(delta: Mapping[str, Any]) -> int:
    """Arguments of tools, the commonest output that is no content; and whatever else a delta may bring."""
    calls = delta.get("tool_calls")
    if not calls:
        return structure_bytes(delta)
    size = 0
    for call in calls:
        function = call["function"]
        size += text_bytes(function.get("arguments") or "") + text_bytes(function.get("name") or "")
    return size
