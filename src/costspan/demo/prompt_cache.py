"""Anthropic's prompt cache: prefixes that a request marks with ``cache_control``, kept for five minutes or an hour.

As documented by Anthropic: what is cached is everything up to and with the marked block; a shorter prefix than the
model's minimum is silently not cached; reading a prefix renews it; up to twenty blocks before a mark are searched for
one that an earlier request wrote.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["FIVE_MINUTES", "ONE_HOUR", "Block", "CacheUse", "PromptCache"]

FIVE_MINUTES = 300
ONE_HOUR = 3600
_LOOK_BACK = 20
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a prompt, in the order the model reads them."""

    text: str
    tokens: int
    ttl_s: int = 0
    """How long its prefix is to be kept; 0 where the block is not marked."""


@dataclass(frozen=True, slots=True)
class CacheUse:
    """How the tokens of one prompt divide. Disjoint: their sum is the prompt."""

    fresh: int
    read: int
    written_5m: int
    written_1h: int


class PromptCache:
    """Prefixes by digest, with the moment they expire on the simulation's clock."""

    def __init__(self, clock: Callable[[], int], *, minimum_tokens: int) -> None:
        self._clock = clock
        self._minimum = minimum_tokens
        self._lock = threading.Lock()
        self._expiry: dict[bytes, tuple[int, int]] = {}

    def use(self, model: str, blocks: Sequence[Block]) -> CacheUse:
        """Read the longest known prefix of ``blocks``, write what is marked after it, and say what was what."""
        digests, lengths = _prefixes(model, blocks)
        marks = [place for place, block in enumerate(blocks) if block.ttl_s and lengths[place] >= self._minimum]
        with self._lock:
            now = self._clock()
            found = self._longest(digests, marks, now)
            read = lengths[found] if found is not None else 0
            covered, written = read, {FIVE_MINUTES: 0, ONE_HOUR: 0}
            for place in marks:
                if found is not None and place <= found:
                    continue
                written[blocks[place].ttl_s] += lengths[place] - covered
                covered = lengths[place]
                self._expiry[digests[place]] = (now + blocks[place].ttl_s * _NS, blocks[place].ttl_s)
        fresh = (lengths[-1] if lengths else 0) - covered
        return CacheUse(fresh, read, written[FIVE_MINUTES], written[ONE_HOUR])

    def _longest(self, digests: Sequence[bytes], marks: Sequence[int], now: int) -> int | None:
        for mark in reversed(marks):
            for place in range(mark, max(-1, mark - _LOOK_BACK), -1):
                expires, ttl_s = self._expiry.get(digests[place], (0, 0))
                if expires > now:
                    self._expiry[digests[place]] = (now + ttl_s * _NS, ttl_s)
                    return place
        return None


def _prefixes(model: str, blocks: Sequence[Block]) -> tuple[list[bytes], list[int]]:
    running, total = hashlib.sha256(model.encode()), 0
    digests: list[bytes] = []
    lengths: list[int] = []
    for block in blocks:
        running.update(b"\0" + block.text.encode("utf-8", "surrogatepass"))
        total += block.tokens
        digests.append(running.digest())
        lengths.append(total)
    return digests, lengths
