"""What a call consumed, in disjoint billable units, and the terms it was consumed on.

The units are disjoint so that a cost is a plain sum: cached tokens are never inside ``INPUT``, whatever the provider's
own field includes. Reasoning tokens are the exception by nature: providers bill them as output, so ``reasoning`` is
information about ``OUTPUT`` and not a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from costspan.errors import InvalidUsage

__all__ = ["MAX_COUNT", "Completeness", "Portion", "Reading", "Status", "Terms", "Unit", "Usage", "count"]

#: More than any provider can consume in one request (a context of a million tokens is 10**6); above it a number is
#: a mistake. Keeps every amount far inside a 64-bit integer of pico-dollars.
MAX_COUNT = 10**9
_SHOWN_BITS = 128


class Unit(StrEnum):
    """Billable units. Tokens of one kind are never counted in another."""

    INPUT = "input_tokens"
    CACHE_READ = "cache_read_tokens"
    CACHE_WRITE_5M = "cache_write_5m_tokens"
    CACHE_WRITE_30M = "cache_write_30m_tokens"
    CACHE_WRITE_1H = "cache_write_1h_tokens"
    CACHE_WRITE_12H = "cache_write_12h_tokens"
    OUTPUT = "output_tokens"
    INPUT_AUDIO = "input_audio_tokens"
    CACHE_READ_AUDIO = "cache_read_audio_tokens"
    OUTPUT_AUDIO = "output_audio_tokens"
    INPUT_IMAGE = "input_image_tokens"
    CACHE_READ_IMAGE = "cache_read_image_tokens"
    OUTPUT_IMAGE = "output_image_tokens"
    WEB_SEARCH = "web_searches"
    WEB_FETCH = "web_fetches"
    FILE_SEARCH = "file_searches"
    CODE_SESSION = "code_interpreter_sessions"
    AUDIO_MS = "audio_milliseconds"
    CHARACTERS = "characters"


#: Units whose sum is everything the model read, as ``gen_ai.usage.input_tokens`` counts it (caches included).
INPUT_UNITS = frozenset(
    {
        Unit.INPUT,
        Unit.CACHE_READ,
        Unit.CACHE_WRITE_5M,
        Unit.CACHE_WRITE_30M,
        Unit.CACHE_WRITE_1H,
        Unit.CACHE_WRITE_12H,
        Unit.INPUT_AUDIO,
        Unit.CACHE_READ_AUDIO,
        Unit.INPUT_IMAGE,
        Unit.CACHE_READ_IMAGE,
    }
)
#: Units whose sum is everything the model wrote (reasoning included).
OUTPUT_UNITS = frozenset({Unit.OUTPUT, Unit.OUTPUT_AUDIO, Unit.OUTPUT_IMAGE})


class Status(StrEnum):
    """How far a cost can be trusted. Unknown is not zero."""

    PRICED = "priced"
    """Usage was reported by the provider and every unit of it has a price."""
    ESTIMATED = "estimated"
    """The provider sent no usage, so tokens were estimated from the texts' lengths; or a span told of the call, whose terms
    were assumed."""
    PARTIAL = "partial"
    """A lower bound: the stream was cut, or the usage has a field that nobody knows, or a unit has no price."""
    UNPRICED = "unpriced"
    """No price is known for the model or the terms: the cost is null, not 0."""
    INVALID = "invalid"
    """Impossible numbers: kept aside as they came, never summed."""


class Completeness(StrEnum):
    """What is known of the usage itself, before any price."""

    COMPLETE = "complete"
    ESTIMATED = "estimated"
    CUT = "cut"
    """The answer was not read to its end, so the provider's last word on usage is missing."""
    ASSUMED = "assumed"
    """Somebody else's span told of it, and leaves out what a price may depend on: standard terms, and no tools."""


def count(value: object, name: str) -> int:
    """Return ``value`` as a count, or 0 for None.

    Raises:
        InvalidUsage: for anything but a whole number from 0 to ``MAX_COUNT``; booleans and floats included.
    """
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    is_huge = isinstance(value, int) and value.bit_length() > _SHOWN_BITS  # Python refuses to print what is huger still
    shown = "a number of very many digits" if is_huge else repr(str(value)[:40])
    raise InvalidUsage(f"{name} is {shown}: allowed are whole numbers from 0 to {MAX_COUNT:,}")


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Quantities per disjoint unit; units that are zero are left out."""

    quantities: Mapping[Unit, int]
    reasoning: int = 0
    """Tokens of ``OUTPUT`` that the model spent on reasoning."""

    @property
    def tokens_in(self) -> int:
        """Every token read, caches included (``gen_ai.usage.input_tokens``)."""
        return sum(quantity for unit, quantity in self.quantities.items() if unit in INPUT_UNITS)

    @property
    def tokens_out(self) -> int:
        """Every token written, reasoning included (``gen_ai.usage.output_tokens``)."""
        return sum(quantity for unit, quantity in self.quantities.items() if unit in OUTPUT_UNITS)


class Portion(msgspec.Struct, frozen=True, gc=False):
    """The part of a call that one model consumed; a call has several where a provider iterates (advisor, fallback)."""

    model: str
    usage: Usage


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What besides model and date decides a price. The served values, not the asked ones."""

    tier: str = "standard"
    """standard, flex, priority, scale, ultrafast, … as the provider served it; an unknown word stays as it is."""
    batch: bool = False
    speed: str = "standard"
    geo: str = ""
    """Where inference was pinned to, such as ``us``; empty where it was not."""

    @property
    def key(self) -> str:
        """One stable word for a dictionary, a label or a column: ``standard``, ``batch``, ``priority+geo=us``."""
        words = [_word_of_tier(self.tier)] if self.tier != "standard" or not self.batch else []
        if self.batch:
            words.append("batch")
        if self.speed != "standard":
            words.append(f"speed={_quoted(self.speed)}")
        if self.geo:
            words.append(f"geo={_quoted(self.geo)}")
        return "+".join(words)

    @classmethod
    def parse(cls, key: str) -> Terms:
        """Return the terms that have this `key`."""
        first, *others = key.split("+")
        tier = "standard" if first == "batch" else _unquoted(first.removeprefix("tier="))
        named = {name: _unquoted(value) for name, _, value in (word.partition("=") for word in others)}
        return cls(tier, first == "batch" or "batch" in named, named.get("speed", "standard"), named.get("geo", ""))


def _word_of_tier(tier: str) -> str:
    if tier.isalpha() and tier != "batch":  # nearly every tier there is
        return tier
    quoted = _quoted(tier)
    return f"tier={quoted}" if tier == "batch" or "=" in tier else quoted


def _quoted(value: str) -> str:
    return value.replace("%", "%25").replace("+", "%2B")


def _unquoted(value: str) -> str:
    return value.replace("%2B", "+").replace("%25", "%")


#: Shared by every call on standard terms: the common case makes no object.
STANDARD = Terms()


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A provider's answer, read: what was consumed, by which models, on which terms."""

    service: str
    """The API family: anthropic or openai."""
    provider: str
    """``gen_ai.provider.name``: anthropic, openai, azure.ai.openai, aws.bedrock, gcp.vertex_ai, or a host."""
    operation: str
    """``gen_ai.operation.name``: chat, text_completion, embeddings, transcription, …"""
    model: str
    """The model that served the call; the asked one where the provider does not say."""
    portions: tuple[Portion, ...]
    terms: Terms = STANDARD
    completeness: Completeness = Completeness.COMPLETE
    unknown: tuple[str, ...] = ()
    """Non-zero usage fields that nobody knows, as dotted paths."""
    problem: str = ""
    """Why the usage is impossible; empty where it is not. A reading with a problem has no portions."""
    response_id: str = ""
    finish_reason: str = ""
    dimensions: int = 0
    """Of an embedding vector; 0 where it does not apply."""
    evidence: Mapping[str, object] = {}
    """The usage object as the provider sent it (numbers and short words, never content)."""
