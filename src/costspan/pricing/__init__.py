"""What a call cost: dated prices in three layers, exact to the last digit, with line items and a status."""

from __future__ import annotations

from costspan.pricing.book import PriceBook
from costspan.pricing.quote import Quote

__all__ = ["PriceBook", "Quote"]
