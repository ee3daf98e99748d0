"""A bounded place to keep things."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from costspan.pricing.shelf import Shelf


@given(st.lists(st.integers(0, 20)), st.integers(1, 5))
def test_it_never_keeps_more_than_its_limit(keys, limit):
    """However many keys come, in whatever order, no more than the limit stay, the last one among them."""
    shelf: Shelf[int, int] = Shelf(limit)

    for key in keys:
        shelf.put(key, key)
        assert len(shelf) <= limit
        assert shelf.get(key) == key


def test_the_oldest_leaves_first():
    """First in, first out."""
    shelf: Shelf[str, int] = Shelf(2)

    for value, key in enumerate("abc"):
        shelf.put(key, value)

    assert (shelf.get("a"), shelf.get("b"), shelf.get("c")) == (None, 1, 2)
