"""What an OpenAI call read, taken apart: text, images and audio; fresh, from a cache, or written to one.

OpenAI counts each token once in the total and names it in as many details as apply. A bill needs each once, so tokens
are taken out of pools: first those read from a cache, then those written to one; what is left was read fresh.
"""

from __future__ import annotations

from typing import NamedTuple

from costspan.capture import gateways
from costspan.capture.fields import Fields, number, part, portion_of, share, strangers
from costspan.usage import Unit

__all__ = ["Prompt", "read"]

_DETAILS = frozenset(
    {
        "audio_tokens",
        "cache_creation_tokens",
        "cache_write_tokens",
        "cache_write_tokens_details",
        "cached_tokens",
        "cached_tokens_details",
        "image_tokens",
        "text_tokens",
    }
)
#: Details of the calls that are by far the most: text of which some came from a cache. They take a shorter way.
_COMMON = frozenset({"audio_tokens", "cached_tokens", "image_tokens", "text_tokens"})
_INPUT, _CACHE_READ = Unit.INPUT, Unit.CACHE_READ  # looking up a member of an enum costs more than the subtraction
_WRITES = frozenset({"ttl_30m_tokens", "ttl_12h_tokens"})
_CACHED_AS = {
    Unit.INPUT: Unit.CACHE_READ,
    Unit.INPUT_IMAGE: Unit.CACHE_READ_IMAGE,
    Unit.INPUT_AUDIO: Unit.CACHE_READ_AUDIO,
}
#: How the details of cached tokens are named, in the realtime API and in the image tool.
_CACHED_NAMES = {
    Unit.INPUT: ("text_tokens", "cached_text_tokens"),
    Unit.INPUT_IMAGE: ("image_tokens", "cached_image_tokens"),
    Unit.INPUT_AUDIO: ("audio_tokens", "cached_audio_tokens"),
}
_CACHED_DETAILS = frozenset(name for names in _CACHED_NAMES.values() for name in names)


class Prompt(NamedTuple):
    """Disjoint quantities, and which fields are not understood."""

    quantities: dict[Unit, int]
    unknown: tuple[str, ...] = ()


def read(usage: Fields, whole: int, *, whole_name: str, details_name: str, is_plain: bool, undetailed: Unit) -> Prompt:
    """Return the ``whole`` taken apart.

    Args:
        usage: the usage object.
        whole: every token read.
        whole_name: of the total, for messages.
        details_name: of the object with the parts.
        is_plain: whether the usage object has none of a gateway's fields.
        undetailed: what tokens are where there are no details.

    Raises:
        InvalidUsage: for parts that are larger than the whole.
    """
    details = part(usage, details_name)
    if not details and is_plain:
        return Prompt({undetailed: whole})
    where = f"{details_name}."
    audio = share(details, "audio_tokens", whole, whole_name, where)
    image = share(details, "image_tokens", whole, whole_name, where)
    cached = share(details, "cached_tokens", whole, whole_name, where)
    share(details, "text_tokens", whole, whole_name, where)
    if is_plain and not audio and not image and _COMMON.issuperset(details):
        return Prompt({_INPUT: whole - cached, _CACHE_READ: cached})

    portion_of(audio + image, whole, f"{where}audio_tokens with image_tokens", whole_name)
    pools = {_INPUT: whole - audio - image, Unit.INPUT_IMAGE: image, Unit.INPUT_AUDIO: audio}
    if not details and undetailed is not _INPUT:
        pools[_INPUT], pools[undetailed] = 0, whole
    if not is_plain:
        cached = portion_of(max(cached, gateways.cached(usage)), whole, "cached tokens", whole_name)
    kinds = part(details, "cached_tokens_details") or part(usage, "cached_tokens_details")
    quantities = _from_cache(pools, cached, kinds)

    writes, unknown = _writes(usage, details, where, is_plain=is_plain)
    written = portion_of(sum(writes.values()), whole, f"{where}cache_write_tokens", whole_name)
    if cached + written > whole:
        # a token that came from the cache is not written to it: which of the two numbers is wrong, nobody can tell
        unknown += (f"{where}cache_write_tokens",)
    for unit, quantity in writes.items():
        quantities[unit] = _take(pools, quantity)
    quantities.update(pools)
    unknown += strangers(details, _DETAILS, where) + strangers(kinds, _CACHED_DETAILS, "cached_tokens_details.")
    return Prompt(quantities, unknown)


def _from_cache(pools: dict[Unit, int], cached: int, kinds: Fields) -> dict[Unit, int]:
    """Move ``cached`` tokens out of the pools: of the kinds that are named, then text before images before audio."""
    quantities = dict.fromkeys(_CACHED_AS.values(), 0)
    wanted = {
        unit: max(number(kinds, name, "cached_tokens_details.") for name in names)
        for unit, names in _CACHED_NAMES.items()
        if kinds
    }
    for limits in (wanted, dict.fromkeys(pools, cached)):
        for unit, limit in limits.items():
            moved = min(limit, pools[unit], cached)
            pools[unit] -= moved
            quantities[_CACHED_AS[unit]] += moved
            cached -= moved
    return quantities


def _writes(usage: Fields, details: Fields, where: str, *, is_plain: bool) -> tuple[dict[Unit, int], tuple[str, ...]]:
    """Tokens written to a cache by time-to-live, the longest first. Without one they are 30-minute writes."""
    total = number(details, "cache_write_tokens", where)
    split = part(details, "cache_write_tokens_details")
    inside = f"{where}cache_write_tokens_details."
    half_day = number(split, "ttl_12h_tokens", inside)
    both = half_day + number(split, "ttl_30m_tokens", inside)
    if details.get("cache_write_tokens") is None:
        total = both
    portion_of(both, total, inside[:-1], f"{where}cache_write_tokens")
    writes = {Unit.CACHE_WRITE_12H: half_day, Unit.CACHE_WRITE_30M: total - half_day}
    five = number(details, "cache_creation_tokens", where)
    if not is_plain:
        five = max(five, gateways.written_to_cache(usage))
    if five and not total:
        writes[Unit.CACHE_WRITE_5M] = five
    unknown = strangers(split, _WRITES, inside)
    return writes, unknown + ((inside[:-1],) if split and both < total else ())


def _take(pools: dict[Unit, int], quantity: int) -> int:
    """Take up to ``quantity`` tokens out of the pools, text first, and return how many there were."""
    taken = 0
    for unit, available in pools.items():
        moved = min(available, quantity - taken)
        pools[unit] -= moved
        taken += moved
    return taken
