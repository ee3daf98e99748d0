"""An answer whose bytes the application reads itself: parsed beside it, so that it is metered all the same.

Looks at raw bytes and undoes their compression on its own. That costs a second decompression, and works whether the
application asks for bytes, text, lines or raw bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from costspan.capture.sse import EventParser, JsonBody
from costspan.guard import guard
from costspan.hooks.exchange import Exchange

__all__ = ["Tee"]

_TEE = guard("hooks.tee")  # shared: it has no state


class Tee:
    """What ``exchange`` learns from the bytes of an answer with these ``headers``.

    ``family`` is the HTTP library whose decoders undo their compression; empty where they come decoded.
    """

    def __init__(self, exchange: Exchange, headers: Any, family: str = "") -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._exchange = exchange
        self._encoding = headers.get("content-encoding", "").strip().lower() if family else ""
        self._family = family
        self._decoder: Any = None
        self._events = EventParser() if kind == "text/event-stream" else None
        self._body = JsonBody() if kind.endswith("json") else None
        self._is_blind = False

    def feed(self, chunk: bytes) -> None:
        """Look at a chunk as it came."""
        if not self._is_blind:
            self._is_blind = True  # what failed once is not tried again
            with _TEE:
                for piece in self._decoded(chunk):
                    self._look(piece)
                self._is_blind = False

    def end(self) -> None:
        """The body was read to its end."""
        with _TEE:
            if not self._is_blind:
                self._end()
        self._exchange.finish(has_ended=True)

    def _look(self, piece: bytes) -> None:
        if self._events is not None:
            for event in self._events.feed(piece):
                self._exchange.is_teed = True
                self._exchange.feed(event)
        elif self._body is not None:
            self._body.feed(piece)

    def _end(self) -> None:
        if self._decoder is not None:
            for piece in _pieces(self._decoder.flush()):
                self._look(piece)
        if self._events is not None:
            for event in self._events.close():
                self._exchange.feed(event)
        else:
            self._exchange.settle_body(self._body.value() if self._body is not None else None)

    def _decoded(self, chunk: bytes) -> Iterable[bytes]:
        if self._encoding in ("", "identity"):
            return (chunk,)
        if self._decoder is None:
            decoders = sys.modules[f"{self._family}._decoders"]
            self._decoder = decoders.SUPPORTED_DECODERS[self._encoding]()
        return _pieces(self._decoder.decode(chunk))


def _pieces(decoded: Any) -> Iterable[bytes]:
    """What a decoder gives: bytes in httpx, pieces in httpx2."""
    return (decoded,) if isinstance(decoded, bytes) else decoded
