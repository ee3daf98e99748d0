"""Records out of a journal file's bytes, whatever happened to them.

Nothing here raises for what a file contains. A record is either returned as it was written, or its bytes are reported.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from costspan.event import CacheUse, CallEvent, Ending, Intent, Outcome, Record, decode
from costspan.journal.frame import CARRIED, HEADER, MAX_PAYLOAD, ROTATED, WITHDRAWN, is_torn, read_header, scan
from costspan.journal.segment import Batch, Unsettled

__all__ = ["Gathered", "Reader", "record"]

#: Read at once. Any frame that begins in a window ends in it, or in the next one that begins with it.
_WINDOW = 2 * MAX_PAYLOAD
_PEEK = 1 << 14
_PAGE = 1 << 12
#: Damage is handed on in pieces that any database takes.
_PIECE = 1 << 16
_NO_LIMIT = 1 << 62
_GONE = "the process was gone before the answer came"


def record(payload: bytes) -> Record | None:
    """Return the record of ``payload``, or None where it is none of this version."""
    try:
        return decode(payload)
    except Exception:  # the checksum is right, so any version or program may have written it: msgspec has many errors
        return None


@dataclass(slots=True)
class Gathered:
    """What a walk over a file has found; ``open`` and ``is_rotated`` are its memory across batches."""

    open: dict[bytes, Intent] = field(default_factory=dict)
    is_rotated: bool = False
    events: list[CallEvent] = field(default_factory=list)
    endings: list[Unsettled] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)
    cache_uses: list[CacheUse] = field(default_factory=list)
    torn: int = 0
    intents: int = 0
    carried: set[bytes] = field(default_factory=set)
    """Attempts announced in an earlier file only."""
    strays: set[bytes] = field(default_factory=set)
    """Attempts that ended here and were not announced here."""

    @property
    def weight(self) -> int:
        """What counts against a batch's limit."""
        return len(self.events) + len(self.endings) + len(self.damaged) + len(self.cache_uses)

    def take(self, payload: bytes) -> None:
        """Take in one frame's payload."""
        found = record(payload)
        if isinstance(found, CallEvent):
            self._end(found.attempt)
            self.events.append(found)
        elif isinstance(found, Intent):
            self.open[found.attempt] = found
            self.carried.discard(found.attempt)
            self.intents += 1
        elif isinstance(found, Ending):
            self.endings.append(Unsettled(found.attempt, self._end(found.attempt), found.outcome, found.reason))
        elif isinstance(found, CacheUse):
            self.cache_uses.append(found)
        elif not self._obey(payload):
            self.damage(payload)

    def _end(self, attempt: bytes) -> Intent | None:
        intent = self.open.pop(attempt, None)
        if intent is None:
            self.strays.add(attempt)
        return intent

    def _obey(self, payload: bytes) -> bool:
        word, rest = payload[:2], payload[2:]
        if word == CARRIED and isinstance(intent := record(rest), Intent):
            if intent.attempt not in self.open:
                self.open[intent.attempt] = intent
                self.carried.add(intent.attempt)
        elif word == WITHDRAWN:
            self.open.pop(rest, None)
        elif word == ROTATED:
            self.is_rotated = True
        else:
            return False
        return True

    def damage(self, data: bytes) -> None:
        """Keep bytes that are no frame; of zeros only the count."""
        kept = data.strip(b"\0")
        self.torn += len(data) - len(kept)
        self.damaged += [kept[at : at + _PIECE] for at in range(0, len(kept), _PIECE)]


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a reader knows at a position."""

    position: int
    open: dict[bytes, Intent]
    is_rotated: bool


class Reader:
    """Reads one file in batches and knows which intents are open, also when it starts in the middle."""

    def __init__(self, read: Callable[[int, int], bytes], seed: int) -> None:
        self._read = read
        self._seed = seed
        # Before and after the last batch: whether its commit succeeded shows in the position of the next call.
        self._memories = [_Memory(0, {}, is_rotated=False)]

    def batch(
        self,
        position: int,
        size: int,
        limit: int,
        *,
        is_finished: bool,
        carried_later: Callable[[], set[bytes]] | None = None,
    ) -> Batch:
        """Return the records between ``position`` and ``size``, the known end of whole frames.

        With ``carried_later`` the file is an orphan: its last batch ends one behind the file's last byte and has every
        intent that nobody ended, less those that a later file took over before its writer died. So a position says
        whether these are committed, too.
        """
        known = self._memory(position)
        found = Gathered(dict(known.open), known.is_rotated)
        end = self._walk(found, position, size, limit)
        is_last = is_finished and end >= size
        if carried_later is not None and end == size:
            end = size + 1
            if found.open and not found.is_rotated:
                later = carried_later()
                still_open = [intent for intent in found.open.values() if intent.attempt not in later]
                found.endings += [Unsettled(intent.attempt, intent, Outcome.OPEN, _GONE) for intent in still_open]
        if not (is_last or found.intents or found.weight or found.torn):
            end = position  # header and control words only: not worth a transaction
        self._memories = [known]
        if end != position:
            self._memories.append(_Memory(end, found.open, found.is_rotated))
        return Batch(
            position,
            end,
            found.events,
            found.endings,
            found.damaged,
            found.torn,
            found.intents,
            is_last=is_last,
            cache_uses=found.cache_uses,
        )

    def everything(self, size: int) -> Gathered:
        """Return all that the file's first ``size`` bytes hold, at once."""
        found = Gathered()
        self._walk(found, 0, size, _NO_LIMIT)
        return found

    def first_ns(self, position: int, size: int) -> int:
        """Return the time of the first record at or after ``position``, or 0 where none is near."""
        for _, _, payload in scan(self._bytes(min(_PEEK, size - position), position), self._seed, 0, at_end=False):
            found = record(payload or b"")
            if isinstance(found, CallEvent | Intent | CacheUse):
                return found.at_ns
        return 0

    def _bytes(self, count: int, at: int) -> bytes:
        try:
            return self._read(count, at) if count > 0 else b""
        except OSError as error:
            if error.errno != errno.EIO or count <= 0:
                return b""  # closed meanwhile, or not readable for a while: the drainer comes again
        # A bad sector must not hide what lies behind it.
        return b"".join(self._page(min(_PAGE, at + count - start), start) for start in range(at, at + count, _PAGE))

    def _page(self, count: int, at: int) -> bytes:
        try:
            return self._read(count, at)
        except OSError:
            return bytes(count)

    def _memory(self, position: int) -> _Memory:
        for memory in self._memories:
            if memory.position == position:
                return memory
        past = self.everything(position)
        return _Memory(position, past.open, past.is_rotated)

    def _walk(self, found: Gathered, at: int, size: int, limit: int) -> int:
        """Take in frames from ``at`` up to ``size`` or the limit; return where it stopped."""
        while at < size and found.weight < limit:
            data = self._bytes(min(_WINDOW, size - at), at)
            stop = self._window(found, data, at, limit, at_end=at + len(data) >= size)
            if stop == at:
                return at
            at = stop
        return at

    def _window(self, found: Gathered, data: bytes, at: int, limit: int, *, at_end: bool) -> int:
        begin = HEADER if at == 0 and read_header(data) else 0
        stop = at + begin
        for start, end, payload in scan(data, self._seed, begin, at_end=at_end):
            if payload is not None:
                found.take(payload)
            elif at_end and end == len(data) and is_torn(data[start:]):
                found.torn += end - start
            else:
                found.damage(data[start:end])
            stop = at + end
            if found.weight >= limit:
                break
        return stop
