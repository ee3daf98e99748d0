"""Reading fields."""

from __future__ import annotations

import pytest

from costspan.capture.fields import is_nothing, strangers, word


class Unprintable:
    """A value whose text form fails, as an application's own may."""

    def __str__(self):
        raise RuntimeError("no text form")

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (" Priority ", "priority"),
        ("x" * 100, "x" * 64),
        ("a\nb", "a\ufffdb"),
        (3, "3"),
        (True, "true"),
        ([], "<list>"),
        (Unprintable(), "<unprintable>"),
        pytest.param(10**5000, "<a number of 16610 bits>", id="more digits than Python prints"),
    ],
)
def test_a_word_is_short_and_safe(value, expected):
    """A provider's word is small letters of bounded length; what is no word shows as what it is."""
    found = word(value)

    assert found.lower() == expected


def test_strangers_are_listed_up_to_a_limit():
    """A usage object with a thousand unknown numbers lists some of them."""
    found = strangers({f"f{number}": 1 for number in range(1000)}, frozenset())

    assert len(found) == 32


def test_strangers_are_looked_for_as_deep_as_reasonable():
    """What is too deep to look at is listed, since it may be a number."""
    fields = {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}

    found = strangers(fields, frozenset())

    assert found == ("a.b.c.d.e.f.g",)


def test_strangers_have_safe_names():
    """A name of a megabyte or with control characters is cut and cleaned, and one that is no text is no obstacle."""
    found = strangers({"a" * 10**6: 1, "b\x00": 2, 5: 3, Unprintable: 4}, frozenset({"c"}))

    assert set(found) == {"a" * 64, "b\ufffd", "5", "<type>"}


@pytest.mark.parametrize("value", [True, None, "500", Unprintable(), {}, [], 0, 0.0, {"a": [0, {}]}])
def test_what_is_no_number_is_no_stranger(value):
    """Flags, texts, zeros and empty things are no consumption."""
    found = strangers({"a": value}, frozenset())

    assert found == ()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [(None, True), ({}, True), ({"a": None}, True), ({"a": 0}, False), (0, False), ("", False), ([], False)],
)
def test_nothing_is_null_through_and_through(usage, expected):
    """A usage that is there but of another shape is not missing."""
    found = is_nothing(usage)

    assert found is expected
