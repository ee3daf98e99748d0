"""What a call cost, line by line, and how far the figure can be trusted."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from costspan.event import Line
from costspan.pricing import money
from costspan.usage import Status

__all__ = ["Quote"]

_UNKNOWN = frozenset({Status.UNPRICED, Status.INVALID})


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The bill of one call. Its total is the sum of its lines, exactly."""

    status: Status
    lines: tuple[Line, ...]
    known_pico: int
    """Sum of the lines that have a price, in pico-dollars."""
    price_version: str
    """Which prices these are; the same for the same prices."""
    reason: str = ""
    """Why the status is not ``priced``, in a sentence."""
    is_cut: bool = False
    """Whether the answer was not read to its end, so that even the known part is not the last word."""

    @property
    def cost_usd(self) -> Decimal | None:
        """Dollars; None where no final figure can be named: unpriced, invalid, and answers that were cut."""
        return None if self.is_cut or self.status in _UNKNOWN else money.usd(self.known_pico)

    @property
    def at_least_usd(self) -> Decimal:
        """Dollars of the lines that have a price: a lower bound where the status is not ``priced``."""
        return money.usd(self.known_pico)

    @property
    def cost_pico(self) -> int | None:
        """What the ledger stores: the known part in pico-dollars; None for unpriced and invalid."""
        return None if self.status in _UNKNOWN else self.known_pico
