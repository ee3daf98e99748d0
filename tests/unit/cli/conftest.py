"""Answers of a ledger, made by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from costspan.cli.question import Question, ask
from costspan.cli.statement import Statement, state
from costspan.ledger import Dimension, Summary, SummaryRow
from costspan.ledger.summary import total

_KNOWN = ("priced", "estimated", "partial")


@pytest.fixture
def november() -> Question:
    """November 2026 in Berlin, by day and service."""
    return ask("month", date(2026, 11, 18), ZoneInfo("Europe/Berlin"), by=("day", "service"))


@pytest.fixture
def row() -> Callable[..., SummaryRow]:
    """Makes the sums of calls of one status; keys that are not given are left out."""

    def make(status: str = "priced", cost: str = "0", calls: int = 1, **changes) -> SummaryRow:
        keys = {Dimension(name): changes.pop(name) for name in tuple(changes) if name in set(Dimension)}
        known = Decimal(cost) if status in _KNOWN else Decimal(0)
        doubtful = Decimal(0) if status == "priced" else known
        counts = {"calls": calls, status: calls, "cost": known, "cost_not_priced": doubtful, **changes}
        return SummaryRow(keys={**keys, Dimension.STATUS: status}, **counts)

    return make


@pytest.fixture
def stated() -> Callable[..., Statement]:
    """Makes the statement of a question from rows."""

    def make(question: Question, *rows: SummaryRow, unsettled: dict[str, int] | None = None, **others) -> Statement:
        period = question.period
        return state(question, Summary(period.start, period.end, rows, total(rows), unsettled or {}), **others)

    return make
