"""`GET /api/pipeline`: what waits on its way into the ledger, what was put aside, and what went wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from prometheus_client.core import Metric

from costspan.exporter.api.parameters import Administrator, Ledgers
from costspan.exporter.exact import Exact, Number, answers
from costspan.pricing.money import json_number
from costspan.sinks import names

__all__ = ["router"]

router = APIRouter(tags=["health"])
_MILLISECOND = Decimal("0.001")


class Intents(msgspec.Struct, kw_only=True, frozen=True):
    """What became of every attempt that any journal announced, ever."""

    announced: int
    calls: Annotated[int, msgspec.Meta(description="In the ledger.")]
    duplicates: Annotated[int, msgspec.Meta(description="Of a call that was in the ledger before.")]
    failed: Annotated[int, msgspec.Meta(description="Not billed.")]
    unsettled: Annotated[int, msgspec.Meta(description="Nobody can know whether they were billed.")]
    quarantined: Annotated[int, msgspec.Meta(description="Could not be stored, and are kept aside with the reason.")]


class Pipeline(msgspec.Struct, kw_only=True, frozen=True):
    """The way of calls into the ledger, as it is now."""

    at: Annotated[str, msgspec.Meta(description="When this was so. UTC.")]
    journal_bytes: Annotated[
        int | None, msgspec.Meta(description="Of all journals of this host; null where the server has none to tell of.")
    ]
    journal_oldest_age_s: Annotated[
        Number | None, msgspec.Meta(description="Seconds; of what waits to be moved into the ledger.")
    ]
    moved: Annotated[
        dict[str, int], msgspec.Meta(description="What this server moved into the ledger since it began, by its state.")
    ]
    internal_errors: Annotated[
        dict[str, int], msgspec.Meta(description="Failures of costspan itself since the server began, by where.")
    ]
    ledger_last_success: Annotated[
        str | None, msgspec.Meta(description="When every question of `/metrics` was last answered. UTC.")
    ]
    failed_questions: Annotated[list[str], msgspec.Meta(description="Those of `/metrics` whose last try failed.")]
    intents: Intents


_EXAMPLE = {
    "at": "2026-11-21T12:00:05+00:00",
    "journal_bytes": 4096,
    "journal_oldest_age_s": 0.25,
    "moved": {"landed": 600, "duplicate": 0, "unsettled": 2, "quarantined": 0},
    "internal_errors": {"drain": 0},
    "ledger_last_success": "2026-11-21T12:00:00+00:00",
    "failed_questions": [],
    "intents": {
        "announced": 605, "calls": 600, "duplicates": 1, "failed": 2, "unsettled": 2, "quarantined": 0,
    },
}  # fmt: skip


@router.get(
    "/api/pipeline",
    summary="What is on its way into the ledger, and what went wrong",
    response_model=None,
    responses=answers(Pipeline, _EXAMPLE),
)
def pipeline(_: Administrator, ledgers: Ledgers, request: Request) -> Exact:
    """For administrators. Of this server's host; `intents` is of all hosts that share the ledger."""
    told = _Told(request.app.state.registry.collect())
    with ledgers.ledger() as ledger:
        audit = ledger.audit()
    age, last = told.one(names.JOURNAL_AGE), told.one(names.LEDGER_LAST_SUCCESS)
    waiting = told.one(names.JOURNAL_BYTES)
    return Exact(
        Pipeline(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            journal_bytes=None if waiting is None else int(waiting),
            journal_oldest_age_s=None if age is None else json_number(Decimal(age).quantize(_MILLISECOND)),
            moved=told.by("state", names.EVENTS),
            internal_errors=told.by("where", names.INTERNAL_ERRORS),
            ledger_last_success=None if not last else datetime.fromtimestamp(int(last), UTC).isoformat(),
            failed_questions=sorted(
                name for name, is_so in told.by("query", names.LEDGER_QUERY_FAILED).items() if is_so
            ),
            intents=Intents(
                announced=audit.intents,
                calls=audit.calls,
                duplicates=audit.duplicates,
                failed=audit.failed,
                unsettled=audit.unsettled,
                quarantined=audit.quarantined,
            ),
        )
    )


class _Told:
    """What the server tells Prometheus of itself: here and there it is the same."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._samples: defaultdict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for metric in metrics:
            if metric.name in _WANTED:
                samples = ((sample.labels, sample.value) for sample in metric.samples)
                self._samples[metric.name].extend(samples)

    def one(self, name: str) -> float | None:
        """The value of a metric without labels; None where there is none."""
        return next((value for _, value in self._samples[name]), None)

    def by(self, label: str, name: str) -> dict[str, int]:
        """The values of a metric by those of its label."""
        return {labels[label]: int(value) for labels, value in self._samples[name] if label in labels}


_WANTED = frozenset(
    {
        names.EVENTS,
        names.INTERNAL_ERRORS,
        names.JOURNAL_AGE,
        names.JOURNAL_BYTES,
        names.LEDGER_LAST_SUCCESS,
        names.LEDGER_QUERY_FAILED,
    }
)
