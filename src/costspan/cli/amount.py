"""Amounts as text: exact, never in exponents, with their decimal points in one column.

A call can cost a millionth of a cent, so no fixed number of decimals is right; cutting one would be a silent rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from costspan.pricing.money import plain

__all__ = ["align", "approximate", "change", "dollars", "rounded", "share"]

#: Decimals of a pico-dollar, the ledger's own unit.
_PICO_PLACES = 12
_SIGNIFICANT = 6


def dollars(amount: Decimal) -> str:
    """Return ``amount`` as exact dollars with two decimals at the least: ``$1,234.50``, ``-$0.00135``."""
    whole, _, decimals = plain(amount.copy_abs()).partition(".")
    return f"{'-' if amount < 0 else ''}${int(whole):,}.{decimals:0<2}"


def rounded(value: Fraction, places: int = _PICO_PLACES) -> Decimal:
    """Return ``value`` at ``places`` decimals, half to even."""
    return Decimal(f"{round(value * 10**places)}e-{places}")


def approximate(value: Fraction) -> str:
    """Return ``value`` as dollars: exact where pico-dollars can say it, else with six digits and ``about``."""
    exact = rounded(value)
    if exact == value:
        return dollars(exact)
    places = min(_PICO_PLACES, max(2, _SIGNIFICANT - 1 - exact.adjusted()))
    return f"about {dollars(rounded(value, places))}"


def share(part: int, whole: int) -> str:
    """Return a part of a whole as ``98.2 %``. Not quite all is never shown as 100 %, nor a little as nothing."""
    shown = rounded(Fraction(100 * part, whole), 1)
    if part and not shown:
        return "under 0.1 %"
    if part < whole and shown == 100:  # noqa: PLR2004  # per cent
        return "over 99.9 %"
    return f"{plain(shown)} %"


def change(value: Fraction) -> str:
    """Return a relative difference as ``+0.6 %``; the smallest ones with as many decimals as they need."""
    exact = rounded(value * 100)
    return f"{rounded(value * 100, max(1, -exact.adjusted()) if exact else 1):+f} %"


def align(amounts: Sequence[str]) -> list[str]:
    """Return ``amounts`` padded to one width, with their decimal points in one column."""
    decimals = max((len(amount.partition(".")[2]) for amount in amounts), default=0)
    padded = [
        amount + " " * (decimals - len(amount.partition(".")[2])) if "." in amount else amount for amount in amounts
    ]
    width = max(map(len, padded), default=0)
    return [amount.rjust(width) for amount in padded]
