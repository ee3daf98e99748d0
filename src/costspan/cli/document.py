"""A statement for programs: JSON with exact numbers, CSV that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from costspan.cli.statement import Statement, known_cost
from costspan.cli.target import Comparison, Projection
from costspan.ledger import SummaryRow
from costspan.pricing.money import json_number, plain

__all__ = ["as_csv", "as_json", "cell"]

_FIGURES = (
    "calls", "tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd",
    "not_priced",
)  # fmt: skip
#: What makes a spreadsheet take a text for a formula; the last two only hide such a beginning.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(statement: Statement, comparison: Comparison | None = None, projection: Projection | None = None) -> bytes:
    """Return ``statement`` as indented JSON in UTF-8, with a last newline."""
    question = statement.question
    document: dict[str, object] = {
        "period": question.name,
        "start": question.period.start.astimezone(question.zone).isoformat(),
        "end": question.period.end.astimezone(question.zone).isoformat(),
        "timezone": question.zone.key,
        "tenant": question.tenant,
        "service": question.service,
        "by": question.by,
        "rows": [
            {
                **{name: value or None for name, value in zip(question.by, entry.key, strict=True)},
                **_figures(entry.sums),
            }
            for entry in statement.entries
        ],
        "total": _figures(statement.total),
        "status": {
            status: {"calls": standing.calls, "cost_usd": json_number(known_cost(standing))}
            for status, standing in statement.standings.items()
        },
        "unpriced_models": statement.unpriced_models,
        "unsettled": statement.unsettled,
        "is_behind": statement.is_behind,
    }
    if comparison is not None:
        document["target"] = _target(comparison, projection)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def as_csv(statement: Statement) -> bytes:
    """Return the entries of ``statement`` as RFC 4180 has it, in UTF-8. No total: a sum over the column is one."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((*statement.question.by, *_FIGURES))
    for entry in statement.entries:
        *counts, cost, not_priced = _values(entry.sums)
        writer.writerow((*map(cell, entry.key), *counts, "" if cost is None else plain(cost), not_priced))
    return text.getvalue().encode()


def cell(text: str) -> str:
    """Return ``text`` for a cell of CSV: what a spreadsheet would run gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _values(sums: SummaryRow) -> tuple[int, int, int, int, int, int, Decimal | None, int]:
    counts = (sums.calls, sums.tokens_in, sums.tokens_out, sums.cache_read, sums.cache_write, sums.reasoning)
    return (*counts, known_cost(sums), sums.not_priced)


def _figures(sums: SummaryRow) -> Mapping[str, object]:
    *counts, cost, not_priced = _values(sums)
    return dict(zip(_FIGURES, (*counts, json_number(cost), not_priced), strict=True))


def _target(comparison: Comparison, projection: Projection | None) -> Mapping[str, object]:
    target = comparison.target
    difference = comparison.difference
    return {
        "target_usd": json_number(target.usd),
        "target_sessions": target.sessions,
        "sessions": comparison.sessions,
        "cost_usd": json_number(comparison.cost),
        "cost_per_session_usd": json_number(comparison.per_session),
        "cost_per_100_sessions_usd": json_number(
            None if comparison.per_session is None else comparison.per_session * 100
        ),
        "difference_per_session_usd": json_number(difference),
        "difference_percent": json_number(None if difference is None else difference / target.per_session * 100),
        "is_over": comparison.is_over,
        "calls_without_known_cost": comparison.unknown,
        "calls_without_session": comparison.other_calls,
        "cost_without_session_usd": json_number(comparison.other_cost),
        "projected_month": None
        if projection is None
        else {
            "method": "straight line",
            "basis_seconds": int(projection.basis.total_seconds()),
            "month_seconds": int(projection.month.total_seconds()),
            "sessions": round(projection.sessions),
            "cost_usd": json_number(projection.cost),
        },
    }
