"""Terms as prices see them: only what differs from the standard, in one spelling."""

from __future__ import annotations

from costspan.pricing.rule import Conditions
from costspan.usage import Terms

__all__ = ["NOWHERE", "conditions", "of", "text"]

_STANDARD_TIERS = frozenset({"", "standard", "default"})
_STANDARD_SPEEDS = frozenset({"", "standard"})
#: ``inference_geo`` of a call that was not pinned to a place.
NOWHERE = frozenset({"", "global", "not_available"})


def of(terms: Terms, region: str = "") -> Conditions:
    """Return the conditions of ``terms``; ``region`` is where the provider's address itself pins inference to."""
    return conditions(
        tier=terms.tier, batch=terms.batch, speed=terms.speed, geo=region if terms.geo in NOWHERE else terms.geo
    )


def conditions(*, tier: str = "", batch: bool = False, speed: str = "", geo: str = "") -> Conditions:
    """Return what is not standard, as a set of (dimension, value)."""
    tier, speed, geo = tier.lower(), speed.lower(), geo.lower()
    if tier == "batch":  # Anthropic serves batches as a service tier
        tier, batch = "", True
    given = {
        "tier": "" if tier in _STANDARD_TIERS else tier,
        "batch": "true" if batch else "",
        "speed": "" if speed in _STANDARD_SPEEDS else speed,
        "geo": "" if geo in NOWHERE else geo,
    }
    return frozenset((dimension, value) for dimension, value in given.items() if value)


def text(terms: Conditions) -> str:
    """Return ``terms`` for a person: ``batch``, ``tier priority and geo us``."""
    words = ["batch" if dimension == "batch" else f"{dimension} {value[:40]}" for dimension, value in sorted(terms)]
    return " and ".join(words) or "standard terms"
