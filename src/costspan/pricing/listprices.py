"""The base layer: genai-prices, read model by model into ladders of exact fractions.

Importing genai-prices takes a third of a second, so it happens at the first price that is asked for. Its own lookups
are not used: they keep every name they ever saw, and take an unknown relative of a model for that model
(`costspan.pricing.listnames`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from costspan.pricing.ladder import GROUND, Ladder
from costspan.pricing.listnames import Names, exact_names, spellings
from costspan.usage import Unit

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

__all__ = ["DAY_NS", "ListPrices", "Listed", "Variant"]

DAY_NS = 86_400 * 10**9
_MILLION = 10**6
_HOUR_MS = 3_600_000
#: The list's words for prices: which units they price, and for how many.
_KEYS: dict[str, tuple[tuple[Unit, ...], int]] = {
    "input_mtok": ((Unit.INPUT,), _MILLION),
    "output_mtok": ((Unit.OUTPUT,), _MILLION),
    "cache_read_mtok": ((Unit.CACHE_READ,), _MILLION),
    # Whichever lifetime is the provider's ordinary one: 5 minutes at Anthropic, 30 at OpenAI.
    "cache_write_mtok": ((Unit.CACHE_WRITE_5M, Unit.CACHE_WRITE_30M), _MILLION),
    "cache_write_5m_mtok": ((Unit.CACHE_WRITE_5M,), _MILLION),
    "cache_write_1h_mtok": ((Unit.CACHE_WRITE_1H,), _MILLION),
    "input_audio_mtok": ((Unit.INPUT_AUDIO,), _MILLION),
    "cache_audio_read_mtok": ((Unit.CACHE_READ_AUDIO,), _MILLION),
    "output_audio_mtok": ((Unit.OUTPUT_AUDIO,), _MILLION),
    "input_image_mtok": ((Unit.INPUT_IMAGE,), _MILLION),
    "cache_image_read_mtok": ((Unit.CACHE_READ_IMAGE,), _MILLION),
    "output_image_mtok": ((Unit.OUTPUT_IMAGE,), _MILLION),
    "audio_hours": ((Unit.AUDIO_MS,), _HOUR_MS),
    "input_audio_hours": ((Unit.AUDIO_MS,), _HOUR_MS),
    "input_mchars": ((Unit.CHARACTERS,), _MILLION),
    "web_searches_kcount": ((Unit.WEB_SEARCH,), 1000),
    "storage_searches_kcount": ((Unit.FILE_SEARCH,), 1000),
}
#: Prices of things that no usage here counts; a model that has one costs more than its lines say.
_UNCOUNTED = frozenset({"requests_kcount", "output_reasoning_mtok", "output_citation_mtok"})
#: Names of the semantic conventions whose list goes by another one.
_NAMES = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
}
#: OpenAI's addresses that keep inference in a region: ``eu.api.openai.com``.
_REGIONAL = re.compile(r"([a-z]{2})\.api\.openai\.com")
_CONTEXT = {"tier": "service_tier", "batch": "processing", "speed": "speed"}
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Variant:
    """What the list says of a term: prices, and the standard ones of the day they are to be compared with."""

    prices: Mapping[Unit, Ladder]
    standard: Mapping[Unit, Ladder]
    is_backdated: bool
    """Whether the call was made before the list's history of this term begins."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as the list has it."""

    provider: str
    """Whose list it was found in; another than asked for where a provider sells another's models."""
    family: str
    """The list's name of the model."""
    is_borrowed: bool
    info: ModelInfo

    @property
    def names(self) -> tuple[str, ...]:
        """The names that mean it exactly, in lower case."""
        return tuple(dict.fromkeys(name.lower() for name in exact_names(self.info)))

    def standard(self, at_ns: int) -> dict[Unit, Ladder]:
        """Return the prices on standard terms at a moment."""
        return _ladders(self.info.get_prices(_moment(at_ns)))

    def caveat(self, at_ns: int) -> str:
        """Return what the list charges for that no usage counts, or an empty text."""
        keys = sorted(_UNCOUNTED & self.info.get_prices(_moment(at_ns)).__dict__.keys())
        return f"the list also charges {', '.join(keys)}, which usage does not count" if keys else ""

    def variant(self, dimension: str, value: str, at_ns: int) -> Variant | None:
        """Return what the list says of one term, such as ``("tier", "priority")``; None where it says nothing.

        Before its history of the term begins, it is the first thing it says.
        """
        when = {_CONTEXT.get(dimension, dimension): "batch" if dimension == "batch" else value}
        named = [item for item in self.info.price_variants or () if item.when == when]
        starts = [_start_ns(item.constraint) for item in named]
        if not named:
            return None
        day_ns = max(at_ns, min(starts))
        prices: dict[Unit, Ladder] = {}
        for item, start in zip(named, starts, strict=True):
            if start <= day_ns:
                prices = {**_ladders(item.prices), **prices}  # of two that name a price, the first counts
        return Variant(prices, self.standard(day_ns), day_ns != at_ns)

    @property
    def days(self) -> frozenset[int]:
        """Moments at which a price may change."""
        found = {_start_ns(constraint) for constraint in self._constraints() if hasattr(constraint, "start_date")}
        return frozenset(found)

    @property
    def times_of_day(self) -> frozenset[int]:
        """Nanoseconds after midnight, UTC, at which a price may change each day (off-peak prices)."""
        return frozenset(
            _time_ns(time)
            for constraint in self._constraints()
            if hasattr(constraint, "start_time")
            for time in (constraint.start_time, constraint.end_time)
        )

    def _constraints(self) -> Iterator[Any]:
        if isinstance(self.info.prices, list):
            yield from (item.constraint for item in self.info.prices)
        yield from (item.constraint for item in self.info.price_variants or ())


class ListPrices:
    """The list that comes with the installed genai-prices; the same for one version, whatever else updates it."""

    def __init__(self) -> None:
        self._indexes: dict[str, Names] = {}

    @cached_property
    def name(self) -> str:
        """What the price version calls this layer."""
        return f"genai-prices {version('genai-prices')}"

    @cached_property
    def _providers(self) -> dict[str, Provider]:
        from genai_prices.data import providers  # noqa: PLC0415  # a third of a second, see above

        return {provider.id: provider for provider in providers}

    def provider(self, name: str) -> tuple[str, str]:
        """Return the list's name of a provider or host, and the region that its address pins inference to.

        Both are empty where there is nothing to say.
        """
        name = name.lower()
        regional = _REGIONAL.fullmatch(name)
        if regional:
            return "openai", regional[1]
        name = _NAMES.get(name, name)
        if name in self._providers:
            return name, ""
        return (self._by_host(name) if "." in name else ""), ""

    def _by_host(self, host: str) -> str:
        url = f"https://{host}"
        for name, provider in self._providers.items():
            found = re.match(provider.api_pattern, url)
            # The list's patterns are prefixes; a host that only begins like one is somebody else's.
            if found and (url[found.end() :][:1] in ("", ":", "/") or provider.api_pattern.endswith(r"\.")):
                return name
        return ""

    def find(self, provider: str, model: str) -> Listed | None:
        """Return what the list knows of ``model`` at ``provider`` (both in lower case), or None."""
        home = self._providers.get(provider)
        if home is None:
            return None
        for name in spellings(model):
            for seller in (provider, *(home.fallback_model_providers or ())):
                info = self._index(seller).find(name)
                if info is not None:
                    return Listed(seller, info.id.lower(), seller != provider, info)
        return None

    def _index(self, provider: str) -> Names:
        index = self._indexes.get(provider)
        if index is None:
            index = self._indexes[provider] = Names(self._providers[provider].models)
        return index

    def models(self, provider: str) -> list[Listed]:
        """Return every model of a provider's own list."""
        home = self._providers.get(provider)
        return [Listed(home.id, info.id.lower(), False, info) for info in home.models] if home else []

    @property
    def providers(self) -> list[str]:
        """Every provider of the list."""
        return sorted(self._providers)


def _ladders(prices: ModelPrice) -> dict[Unit, Ladder]:
    named = prices.__dict__
    # In the order of _KEYS: what names one lifetime of a cache comes after what names them all.
    return {
        unit: _ladder(named[key], per)
        for key, (units, per) in _KEYS.items()
        if named.get(key) is not None
        for unit in units
    }


def _ladder(price: Any, per: int) -> Ladder:
    tiers = [(tier.start, Fraction(tier.price) / per) for tier in getattr(price, "tiers", ())]
    return Ladder(((GROUND, Fraction(getattr(price, "base", price)) / per), *tiers))


def _start_ns(constraint: Any) -> int:
    start = getattr(constraint, "start_date", _EPOCH)
    return (start - _EPOCH).days * DAY_NS


def _time_ns(time: dt.time) -> int:
    utc = dt.datetime.combine(_EPOCH, time if time.tzinfo else time.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    return ((utc.hour * 60 + utc.minute) * 60 + utc.second) * 10**9 + utc.microsecond * 1000


def _moment(at_ns: int) -> dt.datetime:
    """Return ``at_ns`` as a date, as far as dates go."""
    seconds = min(max(at_ns // 10**9, 0), _LAST_SECOND)
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC)


_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
