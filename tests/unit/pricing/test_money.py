"""Money is exact, from fractions to integers to decimals that a person reads."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.pricing import money

AMOUNTS = st.integers(min_value=-(10**24), max_value=10**24)


@given(AMOUNTS)
def test_pico_dollars_survive_the_way_to_decimals_and_back(amount):
    """Nothing is lost between the integer and the decimal, either way."""
    assert money.pico(money.usd(amount)) == amount


@given(AMOUNTS)
def test_decimals_have_no_trailing_zeros_and_no_exponent(amount):
    """An amount reads as a person would write it, and means the same number."""
    text = money.plain(money.usd(amount))

    assert "E" not in text
    assert not ("." in text and text.endswith(("0", ".")))
    assert Decimal(text) * money.PICO == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [(1_350_000_000, "0.00135"), (1_300_000, "0.0000013"), (0, "0"), (10**14, "100"), (-5 * 10**11, "-0.5")],
)
def test_known_amounts_read_as_written(amount, text):
    """The amounts of the issue print as they stand there."""
    assert money.plain(money.usd(amount)) == text


@pytest.mark.parametrize("amount", ["0.0000000000001", "NaN", "Infinity", "1E+999999999", "1E-999999999"])
def test_what_is_no_amount_of_pico_dollars_is_refused(amount):
    """More than 12 places, and what is no number, raise instead of being rounded or expanded for ever."""
    with pytest.raises(ValueError, match=r"amount|decimal places"):
        money.pico(Decimal(amount))


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"), [(1, 2, 0), (3, 2, 2), (5, 2, 2), (7, 3, 2), (8, 3, 3), (4, 2, 2)]
)
def test_halves_go_to_the_even_number(numerator, denominator, rounded):
    """Ties go to the even neighbour, everything else to the nearest."""
    assert money.half_even(numerator, denominator) == rounded


@given(st.fractions(min_value=0, max_value=1))
def test_rates_are_rounded_by_half_an_atto_dollar_at_most(dollars):
    """A rate that does not go into atto-dollars is off by no more than half of one."""
    assert abs(Fraction(money.atto(dollars), money.ATTO) - dollars) <= Fraction(1, 2 * money.ATTO)


@given(AMOUNTS)
def test_a_json_number_has_every_digit(pico):
    """No float, no exponent, no zeros that say nothing."""
    amount = Decimal(f"{pico}e-12")

    text = bytes(money.json_number(amount)).decode()

    assert Decimal(text) == amount
    assert json.loads(text, parse_float=Decimal) == amount
    assert "e" not in text.lower()
    assert not (text.endswith("0") and "." in text)


def test_a_fraction_is_rounded_to_a_pico_dollar():
    """A third of a dollar cannot be written, and is not written longer than the ledger counts."""
    assert bytes(money.json_number(Fraction(1, 3))) == b"0.333333333333"
    assert money.json_number(None) is None
