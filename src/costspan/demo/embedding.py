"""Vectors for texts: words hashed to directions, so texts that share words lie near each other and a search finds them."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import sys
from array import array
from functools import lru_cache

__all__ = ["as_base64", "vector"]

_WORD = re.compile(r"\w+")


def vector(text: str, dimensions: int) -> array[float]:
    """Return the unit vector of ``text``: float32, the same for the same text on every machine."""
    sums = array("f", bytes(4 * dimensions))
    for word in _WORD.findall(text.lower()) or [text]:
        digest = _digest(word)
        sums[digest % dimensions] += 1.0 if digest & (1 << 63) else -1.0
    length = math.sqrt(math.fsum(value * value for value in sums)) or 1.0
    return array("f", (value / length for value in sums))


def as_base64(values: array[float]) -> str:
    """Return ``values`` as the API sends them with ``encoding_format: base64``: little-endian float32."""
    if sys.byteorder == "big":
        values = array("f", values)
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode("ascii")


@lru_cache(maxsize=10_000)
def _digest(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
