"""Exact money: dollars as integers, and back to decimals that read well.

A rate is an integer of atto-dollars (10^-18) for one unit and an amount an integer of pico-dollars (10^-12): a cached
token at $0.0025 per million is 2.5 x 10^-9 dollars, so rates need more places than amounts do.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import overload

import msgspec

__all__ = ["ATTO", "ATTO_PER_PICO", "PICO", "atto", "half_even", "json_number", "pico", "plain", "usd"]

PICO = 10**12
ATTO = 10**18
ATTO_PER_PICO = ATTO // PICO
#: Powers of ten beyond which a decimal is a mistake, and expanding it would take for ever.
_FAR = 40


def usd(amount_pico: int) -> Decimal:
    """Return ``amount_pico`` pico-dollars as dollars, exactly and without trailing zeros: ``Decimal("0.00135")``."""
    sign, whole = ("-", -amount_pico) if amount_pico < 0 else ("", amount_pico)
    places = f"{whole % PICO:012d}".rstrip("0")
    return Decimal(f"{sign}{whole // PICO}.{places}" if places else f"{sign}{whole // PICO}")


def pico(amount_usd: Decimal) -> int:
    """Return ``amount_usd`` dollars as pico-dollars.

    Raises:
        ValueError: for an amount with more than 12 decimal places, or one that is not finite.
    """
    if not amount_usd.is_finite() or abs(amount_usd.adjusted()) > _FAR:
        raise ValueError(f"{amount_usd} is no amount of money")
    scaled = Fraction(amount_usd) * PICO
    if scaled.denominator != 1:
        raise ValueError(f"{amount_usd} has more than 12 decimal places")
    return scaled.numerator


def atto(dollars: Fraction) -> int:
    """Return ``dollars`` as atto-dollars, rounded half to even where they do not go in."""
    return half_even(dollars.numerator * ATTO, dollars.denominator)


def half_even(numerator: int, denominator: int) -> int:
    """Return ``numerator / denominator`` as a whole number, ties to the even one. The denominator is positive."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + 1 if twice > denominator or (twice == denominator and whole % 2) else whole


def plain(amount: Decimal) -> str:
    """Return ``amount`` in plain notation without trailing zeros: ``0.0000013``, never ``1.3E-6``."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@overload
def json_number(amount: Decimal | Fraction) -> msgspec.Raw: ...
@overload
def json_number(amount: None) -> None: ...
@overload
def json_number(amount: Decimal | Fraction | None) -> msgspec.Raw | None: ...
def json_number(amount: Decimal | Fraction | None) -> msgspec.Raw | None:
    """Return ``amount`` as a JSON number with all its decimals; no float comes near it.

    A fraction, such as the cost of a session, is rounded to a pico-dollar.
    """
    if amount is None:
        return None
    if isinstance(amount, Fraction):
        amount = Decimal(f"{half_even(amount.numerator * PICO, amount.denominator)}e-12")
    return msgspec.Raw(plain(amount).encode())
