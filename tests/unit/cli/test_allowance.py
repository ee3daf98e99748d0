"""Budgets and what is spent of them, on terminals of any width."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from rich.console import Console

from costspan.cli.allowance import print_allowances
from costspan.ledger.allowance import Allowance
from costspan.ledger.budget import Window

TENANT = "a-tenant-with-a-name-that-is-longer-than-most"
ALLOWANCES = [
    Allowance(TENANT, Window.DAY, Decimal("1234567.25"), "settings", Decimal("0.00264325"), 0),
    Allowance("acme", Window.MONTH, Decimal(250), "own", Decimal("221.33"), 3),
]


def printed(width: int) -> str:
    """The lines as a terminal of so many columns shows them."""
    written = io.StringIO()
    print_allowances(ALLOWANCES, Console(file=written, width=width, force_terminal=True, color_system=None))
    return written.getvalue()


@pytest.mark.parametrize("width", [72, 80, 100, 160])
def test_no_amount_is_broken(width):
    """However narrow the terminal is, each amount, window and source stands on one line; the tenant's name gives way."""
    text = printed(width)

    for whole in ("$1,234,567.25", "$0.00264325", "$221.33", "settings", "month", "88.5 %"):
        assert whole in text, whole
    assert max(map(len, text.splitlines())) <= width


def test_the_bar_needs_room():
    """It is the first to go."""
    assert "█" in printed(160)
    assert "█" not in printed(80)
