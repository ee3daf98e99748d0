"""One metered attempt, as the journal, the sinks and the ledger know it.

An attempt is one HTTP request to a provider. It is announced by an `Intent` before it leaves and ends as exactly one of
`CallEvent` (it was answered, and here is what it cost) or `Ending` (it was not billed, or nobody can know). Beside them
stands `CacheUse`: a call that an application's own cache made needless, or did not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Union

import msgspec

__all__ = ["CacheUse", "CallEvent", "Ending", "Intent", "Line", "Outcome", "Record", "decode", "encode"]


class Outcome(StrEnum):
    """How an attempt ended that has no usage."""

    FAILED = "failed"
    """The provider refused it (HTTP 4xx or 5xx) or it never left: nothing was billed."""
    UNANSWERED = "unanswered"
    """It left and no answer came (timeout, reset): the provider may have billed it. Counted and shown, never summed."""
    OPEN = "open"
    """The process was gone before the attempt ended. Written by whoever adopts its journal."""


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of a bill: a quantity of one unit of one model at one rate."""

    model: str
    unit: str
    quantity: int
    rate_atto: int | None
    """Dollars x 10^-18 for one unit; None where no layer has a price for it."""
    amount_pico: int | None
    """Dollars x 10^-12."""
    layer: str
    """Which layer of the price book said so: list (genai-prices), overlay or contract."""


class Intent(msgspec.Struct, frozen=True, array_like=True, tag="i", gc=False):
    """An attempt that is about to leave. Whatever is known before the answer, so that an open one explains itself."""

    attempt: bytes
    """16 bytes: unique for ever, and ordered within a process."""
    at_ns: int
    """Nanoseconds since the epoch, UTC, when the request left. A call is priced and booked at this moment."""
    service: str
    provider: str
    operation: str
    model: str
    tenant: str
    session: str
    user: str
    feature: str


class CallEvent(msgspec.Struct, frozen=True, array_like=True, tag="e", gc=False, kw_only=True):
    """A billed attempt. Complete in itself: the ledger needs no other record for its row."""

    attempt: bytes
    at_ns: int
    duration_ms: int
    service: str
    provider: str
    operation: str
    model: str
    request_model: str
    status: str
    """A `costspan.usage.Status`."""
    cost_pico: int | None
    """Dollars x 10^-12. For ``partial`` the part that is certain, a lower bound; None for unpriced and invalid."""
    tokens_in: int
    """Every token read, caches included."""
    tokens_out: int
    """Every token written, reasoning included."""
    quantities: dict[str, int]
    """Per `costspan.usage.Unit`, disjoint, summed over the portions; zeros left out."""
    reasoning: int
    terms: str
    """`costspan.usage.Terms.key`."""
    price_version: str
    lines: list[Line]
    tenant: str
    session: str = ""
    user: str = ""
    feature: str = ""
    tags: dict[str, str] = {}
    trace_id: bytes = b""
    """16 bytes, or none."""
    span_id: bytes = b""
    """8 bytes, or none."""
    response_id: str = ""
    natural_key: str = ""
    """What identifies the call across reads (a batch id and custom id, a background response); usually none."""
    retry: int = 0
    """How many attempts of the same logical call came before this one."""
    dimensions: int = 0
    problem: str = ""
    """Why the status is not ``priced``, in a sentence."""
    evidence: str = ""
    """JSON of the usage object as the provider sent it, where the status is not ``priced``; at most 4 KB."""


class Ending(msgspec.Struct, frozen=True, array_like=True, tag="x", gc=False):
    """An attempt that ended without usage."""

    attempt: bytes
    outcome: str
    """An `Outcome`."""
    reason: str


class CacheUse(msgspec.Struct, frozen=True, array_like=True, tag="c", gc=False):
    """A look-up in a cache of the application. It is no attempt: it costs nothing and is summed, never a row of its own."""

    at_ns: int
    """Nanoseconds since the epoch, UTC."""
    cache: str
    is_hit: bool
    tokens: int
    """What the model did not have to read; 0 for a miss, and where the application does not say."""
    avoided_pico: int | None
    """Dollars x 10^-12 that the hit did not cost; None where that is not known, and for a miss."""
    model: str
    tenant: str
    feature: str


Record = Union[Intent, CallEvent, Ending, CacheUse]  # noqa: UP007  # msgspec reads the union at run time

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Return ``record`` as MessagePack. Its strings must be clean (`costspan.text.clean`)."""
    return _encoder.encode(record)


def decode(payload: bytes | memoryview) -> Record:
    """Return the record of ``payload``.

    Raises:
        msgspec.DecodeError: when it is no record of this version or an earlier one.
    """
    return _decoder.decode(payload)
