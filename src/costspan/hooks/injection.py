"""Asking an OpenAI stream for its usage where the application did not, so that nobody but the ledger notices.

OpenAI sends a stream's usage only where ``stream_options.include_usage`` asks for it, in one extra chunk without
choices, and then every other chunk has ``usage: null``. We ask, and take both away again before the application looks.
A server that refuses the question, or that sends usage unasked, is not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costspan import capture
from costspan.capture import Endpoint

__all__ = ["HIDDEN", "Asking", "ask", "is_about_us", "is_extra", "without_ours"]

#: Stands for the extra chunk between the two places where it is known and where it is dropped.
HIDDEN = object()
_RAW_RESPONSE = "x-stainless-raw-response"
_LIMIT = 1024
#: They answer, or refuse by name. Of any other server a refusal may look like anything, and silence is an answer.
_KNOWN = (".openai.com", ".azure.com")


class Asking:
    """Which servers are asked, by base URL. One for the process; forgotten at its end."""

    def __init__(self) -> None:
        self._accepting: set[bytes] = set()
        self._answering: set[bytes] = set()
        self._silent: set[bytes] = set()

    def may_ask(self, url: bytes) -> bool:
        """Whether ``url`` has not made clear that asking is no use."""
        return url not in self._silent

    def accepts(self, url: bytes, host: str) -> bool:
        """Whether ``url`` is known to take the question."""
        return host.endswith(_KNOWN) or url in self._accepting

    def accepted(self, url: bytes) -> None:
        """``url`` took a request that had the question in it."""
        _remember(self._accepting, url)

    def answered(self, url: bytes) -> None:
        """``url`` sent the extra chunk."""
        _remember(self._answering, url)

    def ignored(self, url: bytes, host: str) -> None:
        """A stream of ``url`` came to its end without it: its usage comes unasked, or never."""
        if url not in self._answering and not host.endswith(_KNOWN):
            self.refused(url)

    def refused(self, url: bytes) -> None:
        """Ask ``url`` no more."""
        _remember(self._silent, url)


def _remember(urls: set[bytes], url: bytes) -> None:
    if len(urls) < _LIMIT:
        urls.add(url)


def ask(endpoint: Endpoint, asked: Mapping[str, object], headers: Any) -> Mapping[str, object] | None:
    """Return the question to add to the body ``asked``, or None where it is not needed or nothing could be hidden."""
    if not capture.wants_usage_chunk(endpoint, asked) or _is_raw_stream(headers):
        return None
    options = asked.get("stream_options")
    return {"stream_options": {**(options if isinstance(options, Mapping) else {}), "include_usage": True}}


def without_ours(chunk: Any) -> Any:
    """Return ``chunk`` as it would have come unasked; `HIDDEN` where it would not have come. Cannot fail."""
    if type(chunk) is dict and "usage" in chunk:
        if chunk["usage"] is None:
            del chunk["usage"]
        elif chunk.get("choices") == []:
            return HIDDEN
    return chunk


def is_extra(item: Any) -> bool:
    """Whether a chunk that the SDK has parsed already is the extra one."""
    return getattr(item, "choices", None) == [] and getattr(item, "usage", None) is not None


def is_about_us(error: Any) -> bool:
    """Whether a refusal names what we added."""
    said = f"{getattr(error, 'message', '')} {getattr(error, 'body', '')}"
    return "stream_options" in said or "include_usage" in said


def _is_raw_stream(headers: Any) -> bool:
    """Whether the application will read the bytes, in which nothing can be hidden."""
    if not isinstance(headers, Mapping):
        return False
    return any(name.lower() == _RAW_RESPONSE and value == "stream" for name, value in headers.items())
