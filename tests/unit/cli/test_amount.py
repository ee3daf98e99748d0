"""Amounts are shown to the last digit, and one below the other."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.cli.amount import align, approximate, change, dollars, rounded, share

amounts = st.integers(-(10**24), 10**24).map(lambda pico: Decimal(f"{pico}e-12"))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.00135", "$0.00135"),
        ("0.331874", "$0.331874"),
        ("1E-12", "$0.000000000001"),
        ("1.30E-6", "$0.0000013"),
        ("1234.5", "$1,234.50"),
        ("12", "$12.00"),
        ("-0.000002", "-$0.000002"),
    ],
)
def test_an_amount_has_all_its_decimals_and_two_at_the_least(amount, text):
    """Dollars are exact, never in exponents, and look like dollars."""
    shown = dollars(Decimal(amount))

    assert shown == text


@given(amounts)
def test_an_amount_can_be_read_back(amount):
    """Nothing is lost between the ledger and the screen."""
    shown = dollars(amount)

    assert Decimal(shown.replace("$", "").replace(",", "")) == amount


@given(st.lists(amounts.map(dollars), min_size=1))
def test_decimal_points_are_in_one_column(texts):
    """Aligned amounts have one width and one place for their points, and are otherwise unchanged."""
    aligned = align(texts)

    assert len({len(text) for text in aligned}) == 1
    assert len({text.index(".") for text in aligned}) == 1
    assert [text.strip() for text in aligned] == texts


def test_a_word_among_amounts_ends_where_they_end():
    """A cost that is not known does not move the points of those that are."""
    aligned = align(["$0.00135", "unknown", "$12.50"])

    assert aligned == [" $0.00135", "  unknown", "$12.50   "]


@given(st.fractions())
def test_rounding_is_never_off_by_more_than_half_a_place(value):
    """A fraction is at most half a pico-dollar away from what is written for it."""
    written = rounded(value)

    assert abs(Fraction(written) - value) <= Fraction(1, 2 * 10**12)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(331874, 10**8), "$0.00331874"),
        (Fraction(1, 3), "about $0.333333"),
        (Fraction(200, 3), "about $66.6667"),
        (Fraction(2, 3 * 10**6), "about $0.000000666667"),
        (Fraction(1, 3 * 10**12), "about $0.00"),
        (Fraction(10**10, 3), "about $3,333,333,333.33"),
    ],
)
def test_what_does_not_divide_is_about(value, text):
    """Only an amount that is exact is written without a warning."""
    shown = approximate(value)

    assert shown == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (589, 600, "98.2 %"),
        (600, 600, "100 %"),
        (0, 600, "0 %"),
        (1, 10**6, "under 0.1 %"),
        (10**6 - 1, 10**6, "over 99.9 %"),
    ],
)
def test_nearly_all_is_not_all(part, whole, text):
    """One unpriced call in a million still shows."""
    shown = share(part, whole)

    assert shown == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(57, 10**4), "+0.6 %"),
        (Fraction(-1, 3), "-33.3 %"),
        (Fraction(0), "+0.0 %"),
        (Fraction(3, 10**6), "+0.0003 %"),
    ],
)
def test_a_difference_has_its_sign(value, text):
    """Over and under differ in their sign; a small difference is not nothing."""
    shown = change(value)

    assert shown == text
