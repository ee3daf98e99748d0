"""Bytes on their way to an application, parsed beside it: server-sent events, and JSON bodies.

For answers that the application reads as bytes, lines or text, so that the SDK never parses them. Whatever the
boundaries of the chunks, the same events come out; what is larger than 16 MiB is let go and not kept.
"""

from __future__ import annotations

import json

__all__ = ["MAX_BYTES", "EventParser", "JsonBody"]

#: An event or a body that is kept at the most. Responses with generated images run to several of them.
MAX_BYTES = 16 << 20
_BOM = b"\xef\xbb\xbf"


class EventParser:
    """Turns chunks of a ``text/event-stream`` into the parsed JSON of its events' data.

    Names of events are ignored, since the providers repeat them inside the data.
    """

    __slots__ = ("_data", "_ends_in_cr", "_is_first", "_is_skipping", "_partial", "_size", "dropped", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        """Whether ``[DONE]`` was seen."""
        self.dropped = 0
        """Events that were too large, or no JSON."""
        self._data: list[bytes] = []
        self._partial: list[bytes] = []
        self._size = 0
        self._is_first = True
        self._is_skipping = False
        self._ends_in_cr = False

    def feed(self, chunk: bytes) -> list[object]:
        """Return the events that ``chunk`` completes."""
        if self._ends_in_cr and chunk[:1] == b"\n":  # the other half of a line end that was cut in two
            chunk = chunk[1:]
            self._ends_in_cr = False
        if not chunk:
            return []
        self._ends_in_cr = chunk.endswith(b"\r")
        events: list[object] = []
        for line in chunk.splitlines(keepends=True):
            if not line.endswith((b"\n", b"\r")):
                self._keep(self._partial, line)
            else:
                self._line(self._completed(line.rstrip(b"\r\n")), events)
        return events

    def close(self) -> list[object]:
        """Return the event that was under way: some servers end without the blank line that completes it."""
        events: list[object] = []
        self._line(self._completed(b""), events)
        self._line(b"", events)
        return events

    def _completed(self, rest: bytes) -> bytes:
        if not self._partial:
            return rest
        line = b"".join([*self._partial, rest])
        self._size -= sum(map(len, self._partial))
        self._partial.clear()
        return line

    def _line(self, line: bytes, events: list[object]) -> None:
        if self._is_first:
            line = line.removeprefix(_BOM)
            self._is_first = False
        if not line:
            self._dispatch(events)
        elif line.startswith(b"data:") and not self._is_skipping:
            self._keep(self._data, line[5:].removeprefix(b" "))

    def _keep(self, pieces: list[bytes], piece: bytes) -> None:
        """Keep ``piece``, unless the event has grown too large: then its rest only has to be told from a blank line."""
        self._size += len(piece)
        if self._size > MAX_BYTES or self._is_skipping:
            self._is_skipping = True
            self._data.clear()
            self._partial.clear()
            self._size = 0
            if pieces is self._partial:
                pieces.append(b":")
                self._size = 1
        else:
            pieces.append(piece)

    def _dispatch(self, events: list[object]) -> None:
        data, was_skipped = b"\n".join(self._data), self._is_skipping
        self._data.clear()
        self._size = 0
        self._is_skipping = False
        if was_skipped:
            self.dropped += 1
        elif data.startswith(b"[DONE]"):
            self.is_done = True
        elif data:
            try:
                events.append(_parsed(data))
            except (ValueError, RecursionError):
                self.dropped += 1


class JsonBody:
    """Collects the chunks of a JSON body."""

    __slots__ = ("_pieces", "_size", "is_too_large")

    def __init__(self) -> None:
        self.is_too_large = False
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Take a chunk."""
        self._size += len(chunk)
        if self._size > MAX_BYTES:
            self.is_too_large = True
            self._pieces.clear()
        else:
            self._pieces.append(chunk)

    def value(self) -> object:
        """Return the parsed body; None where it is too large, not whole, or no JSON."""
        try:
            return None if self.is_too_large else _parsed(b"".join(self._pieces))
        except (ValueError, RecursionError):
            return None


def _parsed(data: bytes) -> object:
    parsed: object = json.loads(data.decode("utf-8", "replace"))
    return parsed
