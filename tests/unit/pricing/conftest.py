"""The price book that readings are priced with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from costspan.pricing import PriceBook, userfile
from unit.pricing.readings import ns


@pytest.fixture(scope="session")
def book() -> PriceBook:
    """The book without a user's file."""
    return PriceBook.load()


@pytest.fixture
def now() -> int:
    """A moment after every change of the list's prices."""
    return ns("2026-11-20T12:00:00")


@pytest.fixture
def contract() -> Callable[[str], PriceBook]:
    """A book with a price file of this text on top."""
    return lambda text: PriceBook(userfile.parse(text.encode(), "prices.toml"))
