"""Anthropic's usage object, read: ``input_tokens`` excludes the caches, and every iteration is a bill of its own.

Rules beyond the plain fields, each from Anthropic's documentation:

- Cache writes without their split by time-to-live are 5-minute writes. A split that comes to less than the total leaves
  the rest as 5-minute writes and is flagged; one that comes to more is impossible.
- ``iterations`` is the record of what is billed: each attempt at its own model. The top level describes only the
  attempts of the answer that was returned, never compactions and advisors. Should the iterations not account for all
  of the top level, the rest is added at the answer's model, and flagged where they claimed to.
- What declined before it wrote anything is not billed.
- A redeemed fallback credit reprices the call in a way that its usage does not show: flagged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from costspan.capture.consumption import Consumption, portion
from costspan.capture.fields import Fields, number, part, portion_of, share, strangers, word
from costspan.errors import InvalidUsage
from costspan.text import clean
from costspan.usage import STANDARD, Portion, Terms, Unit

__all__ = ["consumption", "terms"]

_SPLIT = frozenset({"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"})
_ITERATION = frozenset(
    {
        "type",
        "model",
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
    }
)
_USAGE = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "output_tokens_details",
        "server_tool_use",
        "service_tier",
        "inference_geo",
        "speed",
        "iterations",
        "fallback_credit",
        "total_tokens",  # of gateways that speak Anthropic's language
    }
)
#: Searching among tools has no fee, unlike searching the web.
_SERVER_TOOLS = frozenset({"web_search_requests", "web_fetch_requests", "tool_search_requests"})
#: Iterations that the top level may include, and those that it never does.
_ANSWERING = frozenset({"message", "fallback_message"})
_BESIDE = frozenset({"compaction", "advisor_message"})
_MAX_ITERATIONS = 1000
_STANDARD_TIERS = frozenset({"", "standard", "default", "auto", "standard_only"})
_MAX_UNKNOWN = 32
_DETAILS = frozenset({"thinking_tokens"})
_NOT_PINNED = frozenset({"", "global", "not_available"})
# Looking up a member of an enum costs more than what is done with it.
_INPUT, _OUTPUT = Unit.INPUT, Unit.OUTPUT
_CACHE_READ, _CACHE_WRITE_5M, _CACHE_WRITE_1H = Unit.CACHE_READ, Unit.CACHE_WRITE_5M, Unit.CACHE_WRITE_1H
_WEB_SEARCH, _WEB_FETCH = Unit.WEB_SEARCH, Unit.WEB_FETCH


def terms(usage: Fields) -> Terms:
    """Return the terms that the usage object states: tier, batch, speed and geography."""
    tier, speed, geo = word(usage.get("service_tier")), word(usage.get("speed")), word(usage.get("inference_geo"))
    is_batch = tier == "batch"
    if is_batch or tier in _STANDARD_TIERS:
        tier = "standard"
    if not is_batch and tier == "standard" and speed in ("", "standard") and geo in _NOT_PINNED:
        return STANDARD
    return Terms(tier, is_batch, speed or "standard", "" if geo in _NOT_PINNED else geo)


def consumption(
    usage: Fields, *, model: str, asked: str = "", stop_reason: object = None, is_whole: bool = True
) -> Consumption:
    """Return what was billed, portion by portion.

    Args:
        usage: the usage object.
        model: that served the answer.
        asked: the model asked for: a fallback chain begins with it.
        stop_reason: of the answer; a refusal that wrote nothing is not billed.
        is_whole: whether the object must have both of its required fields.

    Raises:
        InvalidUsage: for numbers that cannot be.
    """
    top, unknown = _tokens(usage, "")
    declined = stop_reason == "refusal" and not top.written
    if usage.get("iterations"):
        bill = _itemised(usage["iterations"], top, model=model, asked=asked, declined=declined)
        unknown += bill.unknown
    else:
        bill = _Bill([] if declined else [_Item(model, top)])
        if is_whole:
            unknown += tuple(name for name in ("input_tokens", "output_tokens") if usage.get(name) is None)
    details, tools = part(usage, "output_tokens_details"), part(usage, "server_tool_use")
    thinking = share(details, "thinking_tokens", top.written, "output_tokens", "output_tokens_details.")
    fees = {
        _WEB_SEARCH: number(tools, "web_search_requests", "server_tool_use."),
        _WEB_FETCH: number(tools, "web_fetch_requests", "server_tool_use."),
    }
    unknown += strangers(usage, _USAGE) + _credit(usage)
    unknown += strangers(details, _DETAILS, "output_tokens_details.")
    unknown += strangers(tools, _SERVER_TOOLS, "server_tool_use.")
    return Consumption(bill.portions(model, fees, thinking), unknown)


class _Tokens(NamedTuple):
    """The counts of a usage object or of one iteration."""

    read: int
    cache_read: int
    cache_5m: int
    cache_1h: int
    written: int

    def quantities(self) -> dict[Unit, int]:
        return {
            _INPUT: self.read,
            _CACHE_READ: self.cache_read,
            _CACHE_WRITE_5M: self.cache_5m,
            _CACHE_WRITE_1H: self.cache_1h,
            _OUTPUT: self.written,
        }

    def less(self, others: list[_Tokens]) -> _Tokens:
        """What of these the others do not account for. Cache writes count as one, since only their sum is comparable."""
        writes = max(0, self.cache_5m + self.cache_1h - sum(other.cache_5m + other.cache_1h for other in others))
        return _Tokens(
            max(0, self.read - sum(other.read for other in others)),
            max(0, self.cache_read - sum(other.cache_read for other in others)),
            writes,
            0,
            max(0, self.written - sum(other.written for other in others)),
        )


class _Item(NamedTuple):
    model: str
    tokens: _Tokens
    is_answer: bool = True


class _Bill(NamedTuple):
    items: list[_Item]
    unknown: tuple[str, ...] = ()

    def portions(self, model: str, fees: dict[Unit, int], thinking: int) -> tuple[Portion, ...]:
        """The items as portions. Fees of server tools and the thinking go with the last attempt at the answer."""
        items = self.items
        last = max((index for index, item in enumerate(items) if item.is_answer), default=len(items))
        if last == len(items):
            items = [*items, _Item(model, _Tokens(0, 0, 0, 0, 0))]
        return tuple(
            portion(item.model, {**item.tokens.quantities(), **fees}, thinking)
            if index == last
            else portion(item.model, item.tokens.quantities())
            for index, item in enumerate(items)
        )


def _tokens(fields: Fields, prefix: str) -> tuple[_Tokens, tuple[str, ...]]:
    total = number(fields, "cache_creation_input_tokens", prefix)
    hour = 0
    unknown: tuple[str, ...] = ()
    split = part(fields, "cache_creation")
    if split:
        where = f"{prefix}cache_creation."
        hour = number(split, "ephemeral_1h_input_tokens", where)
        both = hour + number(split, "ephemeral_5m_input_tokens", where)
        if fields.get("cache_creation_input_tokens") is None:
            total = both
        portion_of(both, total, f"{prefix}cache_creation", f"{prefix}cache_creation_input_tokens")
        unknown = strangers(split, _SPLIT, where)
        if both < total:
            unknown += (f"{prefix}cache_creation",)
    return (
        _Tokens(
            number(fields, "input_tokens", prefix),
            number(fields, "cache_read_input_tokens", prefix),
            total - hour,
            hour,
            number(fields, "output_tokens", prefix),
        ),
        unknown,
    )


def _itemised(items: object, top: _Tokens, *, model: str, asked: str, declined: bool) -> _Bill:
    billed: list[_Item] = []
    answering: list[_Tokens] = []
    unknown: tuple[str, ...] = ()
    iterations = _checked(items)
    fell_back = any(word(item.get("type")) == "fallback_message" for item in iterations)
    for index, item in enumerate(iterations):
        where = f"iterations.{index}."
        kind = word(item.get("type")) or "message"
        if kind not in _ANSWERING and kind not in _BESIDE:
            unknown += strangers(item, frozenset({"type"}), where)
            continue
        tokens, more = _tokens(item, where)
        unknown += more + strangers(item, _ITERATION, where)
        if kind in _ANSWERING:
            answering.append(tokens)
            if not tokens.written and (fell_back or declined):
                continue
        own = item.get("model")
        chain = asked if fell_back and asked and kind == "message" else model
        billed.append(_Item(clean(own) if type(own) is str and own else chain, tokens, kind in _ANSWERING))
    rest = top.less(answering)
    if any(rest) and not declined:
        billed.append(_Item(model, rest))
        if answering:
            unknown += ("iterations",)
    return _Bill(billed, unknown[:_MAX_UNKNOWN])


def _checked(items: object) -> list[Mapping[str, object]]:
    if type(items) is not list or not all(isinstance(item, Mapping) for item in items):
        raise InvalidUsage("iterations is of another shape: allowed is a list of objects")
    if len(items) > _MAX_ITERATIONS:
        raise InvalidUsage(f"iterations has {len(items):,} entries: allowed are {_MAX_ITERATIONS:,}")
    return items


def _credit(usage: Fields) -> tuple[str, ...]:
    credit = part(usage, "fallback_credit")
    if not credit:
        return ()
    redeemed = ("fallback_credit.status",) if word(part(credit, "status").get("type")) == "redeemed" else ()
    return redeemed + strangers(credit, frozenset(), "fallback_credit.")
