"""The plain functions: price a usage, track a call that no hook sees, count a cache's hits.

Pricing functions raise for what they cannot price. Tracking functions never do: they run inside an application's
request, so what cannot be priced becomes a counted event that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from msgspec.structs import replace

from costspan import attribution, capture
from costspan.attribution import Attribution
from costspan.errors import InvalidUsage, UnknownModel
from costspan.guard import guard
from costspan.meter import Meter
from costspan.pricing import Quote
from costspan.runtime import running
from costspan.text import clean
from costspan.usage import Reading, Status

__all__ = [
    "cache_hit",
    "cache_miss",
    "calculate_cost",
    "quote",
    "track",
    "track_compression",
    "track_embedding",
]

#: When a call can have been made; the ledger has no days outside of it.
_FIRST_YEAR, _LAST_YEAR = 2015, 2099


def calculate_cost(
    usage: object, model: str, *, service: str | None = None, operation: str = "chat", at: datetime | None = None
) -> Decimal:
    """Return the exact dollars of ``usage``, a provider's usage object or a mapping of its fields.

    Args:
        usage: such as ``{"input_tokens": 450, "output_tokens": 180}``.
        model: the model that served the call.
        service: ``anthropic`` or ``openai``; told from the model's name when not given.
        operation: ``chat``, ``embeddings``, …
        at: when the call was made; now when not given. A call is priced at its own date.

    Raises:
        InvalidUsage: for counts that no call can have consumed.
        UnknownModel: when no price is known for the model, or for a unit it consumed.
    """
    reading = capture.from_usage(usage, model, service=service or _service(model), operation=operation)
    priced = running().meter.book.quote(reading, _nanoseconds(at))
    if priced.status is Status.INVALID:
        raise InvalidUsage(priced.reason)
    if priced.cost_usd is None or priced.status is not Status.PRICED:
        raise UnknownModel(priced.reason)
    return priced.cost_usd


def quote(response: object, *, service: str | None = None, model: str = "", at: datetime | None = None) -> Quote:
    """Return the quote of a provider's whole answer: lines, status, price version. Never raises for its content.

    ``model`` is needed only where the answer does not name one (a transcription).
    """
    asked = model or str(_field(response, "model") or "")
    reading = capture.from_usage(response, model or None, service=service or _service(asked))
    return running().meter.book.quote(reading, _nanoseconds(at))


def track(
    usage: object,
    model: str,
    *,
    service: str | None = None,
    operation: str = "chat",
    tenant: object = None,
    session: object = None,
    user: object = None,
    feature: object = None,
    tags: Mapping[str, object] | None = None,
    at: datetime | None = None,
) -> Quote | None:
    """Meter a call made where no hook reaches. Ids that are not given come from `attribute`.

    Returns its quote, or None if costspan itself failed (counted, and logged).
    """
    with guard("track"):
        service = service or _service(model)
        reading = capture.from_usage(usage, model, service=service, operation=operation)
        if at is not None and not (isinstance(at, datetime) and _FIRST_YEAR <= at.year <= _LAST_YEAR):
            problem = f"at is {str(at)[:40]}: allowed is a datetime of the years {_FIRST_YEAR} to {_LAST_YEAR}"
            reading, at = replace(reading, portions=(), problem=reading.problem or problem), None
        with attribution.attribute(tenant=tenant, session=session, user=user, feature=feature, tags=tags) as who:
            return _record(reading, who, at)
    return None


def track_compression(usage: object, model: str, session_id: object, tenant_id: object) -> Quote | None:
    """Meter a conversation's compression: `track` with the feature ``compression``."""
    return track(usage, model, session=session_id, tenant=tenant_id, feature="compression")


def track_embedding(tokens: int, model: str, session_id: object, tenant_id: object) -> Quote | None:
    """Meter an embedding of ``tokens`` tokens: `track` with the feature ``embedding``."""
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return track(
        usage,
        model,
        service="openai",
        operation="embeddings",
        session=session_id,
        tenant=tenant_id,
        feature="embedding",
    )


def cache_hit(cache: str, *, tokens: int = 0, model: str = "") -> None:
    """Count a hit of the application's own cache, and what it saved: ``tokens`` that ``model`` did not have to read.

    For tenant and feature of the context. Never a row, never a cost. What it saved is unknown, and not 0, where tokens or
    model are not given, or nobody knows the price.
    """
    with guard("cache_hit"):
        meter = running().meter
        saved = None
        if tokens and model:
            with guard("pricing"):  # else what cannot be priced would not be counted either
                saved = _saved(meter, tokens, model)
        meter.look_up(cache, is_hit=True, model=model, tokens=tokens, avoided_pico=saved)


def cache_miss(cache: str, *, model: str = "") -> None:
    """Count a miss of the application's own cache. The call that follows is metered like any other.

    Args:
        cache: which one.
        model: that is called now, so that a hit rate can be told by model.
    """
    with guard("cache_miss"):
        running().meter.look_up(cache, is_hit=False, model=model)


def _saved(meter: Meter, tokens: int, model: str) -> int | None:
    """The pico-dollars that so many tokens would cost; None where nobody knows."""
    service = _service(model)
    usage = {"prompt_tokens": tokens} if service == "openai" else {"input_tokens": tokens}
    operation = "embeddings" if "embedding" in clean(model) else "chat"
    reading = capture.from_usage(usage, model, service=service, operation=operation)
    return None if reading.problem else meter.book.quote(reading, meter.clock()).cost_pico


def _record(reading: Reading, who: Attribution, at: datetime | None) -> Quote | None:
    meter = running().meter
    attempt = meter.open(
        service=reading.service,
        provider=reading.provider,
        operation=reading.operation,
        model=reading.model,
        who=who,
        at_ns=None if at is None else _nanoseconds(at),
    )
    return meter.settle(attempt, reading)


def _service(model: str) -> str:
    return "anthropic" if "claude" in clean(model).lower() else "openai"


def _nanoseconds(at: datetime | None) -> int:
    if at is None:
        return running().meter.clock()
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return int(aware.timestamp()) * 1_000_000_000 + aware.microsecond * 1000


def _field(response: object, name: str) -> object:
    return response.get(name) if isinstance(response, Mapping) else getattr(response, name, None)
