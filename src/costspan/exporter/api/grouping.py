"""What an answer is broken down by, from words a user typed; and parts of a whole in it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import overload

import msgspec

from costspan.exporter.problem import Problem, shown
from costspan.ledger.summary import Dimension
from costspan.pricing.money import json_number

__all__ = ["dimensions_of", "part"]


def dimensions_of(text: str, allowed: Sequence[Dimension]) -> tuple[Dimension, ...]:
    """Return the dimensions that ``text``, the parameter group_by, names with commas between them; each once.

    Raises:
        Problem: 422 for any that is not ``allowed``.
    """
    names = dict.fromkeys(name.strip() for name in text.split(","))
    if not set(names) <= set(allowed):
        told = f"group_by is {shown(text)}: allowed are {', '.join(allowed)}, with commas"
        raise Problem(422, told, parameter="group_by")
    return tuple(map(Dimension, names))


@overload
def part(value: Fraction) -> msgspec.Raw: ...
@overload
def part(value: Fraction | None) -> msgspec.Raw | None: ...
def part(value: Fraction | None) -> msgspec.Raw | None:
    """Return a part or a multiple as a JSON number, to the millionth: it is no amount."""
    return json_number(None if value is None else Decimal(round(value * 10**6)).scaleb(-6))
