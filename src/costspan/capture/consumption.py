"""What a provider's reader makes of a usage object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from costspan.usage import Portion, Unit, Usage

__all__ = ["Consumption", "portion"]


class Consumption(NamedTuple):
    """Who consumed what, and which fields are not understood."""

    portions: tuple[Portion, ...]
    unknown: tuple[str, ...] = ()


def portion(model: str, quantities: Mapping[Unit, int], reasoning: int = 0) -> Portion:
    """Return what ``model`` consumed; quantities of zero are left out."""
    return Portion(model, Usage({unit: quantity for unit, quantity in quantities.items() if quantity}, reasoning))
