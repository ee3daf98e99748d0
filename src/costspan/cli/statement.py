"""What a period cost, as values: entries, their total, and how far the total can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from costspan.cli.question import Question
from costspan.cli.target import SessionCost
from costspan.ledger import Ledger, Summary, SummaryRow
from costspan.ledger.summary import Dimension, total
from costspan.usage import Status

__all__ = ["Entry", "Key", "Statement", "answer", "key_of", "known_cost", "session_costs", "state"]

Key = tuple[str, ...]
"""The values of the asked dimensions; '' where a call names none."""

_TIMES = (Dimension.HOUR, Dimension.DAY, Dimension.WEEK, Dimension.MONTH)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a statement."""

    key: Key
    sums: SummaryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The answer to a question."""

    question: Question
    entries: tuple[Entry, ...]
    total: SummaryRow
    standings: Mapping[str, SummaryRow]
    """The sums of each `costspan.usage.Status`, in its order; those without calls are left out."""
    unsettled: Mapping[str, int]
    """Attempts per `costspan.event.Outcome` of which nobody can know whether they were billed."""
    unpriced_models: tuple[str, ...] = ()
    is_behind: bool = False
    """Whether journalled calls were still on their way to the ledger when it was asked."""


def answer(question: Question, ledger: Ledger, *, is_behind: bool = False) -> Statement:
    """Ask ``ledger``.

    Raises:
        LedgerError: when it cannot be read.
    """
    # By status as well, so that table and trust come from one moment of a ledger that others are writing to.
    summary = _summary(question, ledger, {*question.by, Dimension.STATUS})
    models: set[str] = set()
    if summary.total.unpriced:
        found = _summary(question, ledger, {Dimension.MODEL, Dimension.STATUS}).rows
        models = {str(row.keys[Dimension.MODEL]) for row in found if row.unpriced}
    return state(question, summary, unpriced_models=models, is_behind=is_behind)


def session_costs(question: Question, ledger: Ledger) -> list[SessionCost]:
    """Ask ``ledger`` for the sessions of the period. A session belongs to its tenant: the same name at two is two.

    Raises:
        LedgerError: when it cannot be read.
    """
    rows = _summary(question, ledger, {Dimension.TENANT, Dimension.SESSION}).rows
    return [
        SessionCost(str(row.keys[Dimension.SESSION]), row.calls, row.calls - row.priced - row.estimated, row.cost)
        for row in rows
    ]


def state(
    question: Question, summary: Summary, *, unpriced_models: Iterable[str] = (), is_behind: bool = False
) -> Statement:
    """Order and total ``summary``, which is by the asked dimensions and by status.

    Times come in their order; where the first dimension is none, the most expensive entry comes first.
    """
    groups: dict[Key, list[SummaryRow]] = {}
    for row in sorted(summary.rows, key=lambda row: [_rank(row.keys[name]) for name in question.by]):
        groups.setdefault(key_of(row, question.by), []).append(row)
    entries = [Entry(key, total(rows)) for key, rows in groups.items()]
    if question.by[0] not in _TIMES:
        entries.sort(key=lambda entry: entry.sums.cost, reverse=True)
    by_status = {
        status.value: [row for row in summary.rows if row.keys[Dimension.STATUS] == status] for status in Status
    }
    return Statement(
        question=question,
        entries=tuple(entries),
        total=summary.total,
        standings={status: total(rows) for status, rows in by_status.items() if rows},
        unsettled=summary.unsettled,
        unpriced_models=tuple(sorted(unpriced_models)),
        is_behind=is_behind,
    )


def key_of(row: SummaryRow, by: Iterable[Dimension]) -> Key:
    """Return which entry ``row`` belongs to, where a statement is by ``by``."""
    return tuple(_text(row.keys[name]) for name in by)


def known_cost(sums: SummaryRow) -> Decimal | None:
    """Return dollars, as far as known; None where of no call anything is known, which is not 0."""
    return None if sums.calls and sums.calls == sums.unpriced + sums.invalid else sums.cost


def _summary(question: Question, ledger: Ledger, by: set[Dimension]) -> Summary:
    return ledger.summary(
        question.period.start,
        question.period.end,
        by=by,
        tenant=question.tenant,
        services=None if question.service is None else (question.service,),
        zone=question.zone,
    )


def _rank(value: str | date | datetime) -> str:
    # In UTC: of an hour that clocks show twice, both would be the same in its own zone.
    return _text(value.astimezone(UTC) if isinstance(value, datetime) else value)


def _text(value: str | date | datetime) -> str:
    return value.isoformat() if isinstance(value, date) else value
