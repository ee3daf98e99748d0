"""Corrections: what a call costs by another price list than the one it was written with.

Appended in batches, each in a transaction that keeps the sums of corrections equal to them. A call's corrections are
numbered, so whoever comes second with the same number adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from costspan.event import CallEvent
from costspan.ledger.database import Database
from costspan.ledger.derivation import StoredCall, StoredKind, nanoseconds, quantities_of
from costspan.ledger.dictionary import Dictionary, Kind, as_json
from costspan.ledger.difference import Scope
from costspan.ledger.queries import queries
from costspan.ledger.row import detail_of
from costspan.pricing import Quote
from costspan.text import clean
from costspan.usage import Status

__all__ = ["Corrections", "PricedAgain"]


class PricedAgain(NamedTuple):
    """A call whose cost or status is another by today's prices."""

    call_id: int
    at: datetime
    tenant_key: int
    context_id: int
    revision: int
    """Of its last correction; 0 where it has none."""
    kind: StoredKind
    """That it was written with."""
    kind_before: int
    cost_before: int | None
    duration_ms: int
    call: StoredCall
    quote: Quote


class Corrections:
    """Appends the corrections of one run, and the run to the audit trail with the first of them."""

    def __init__(self, database: Database, scope: Scope, price_version: str, reason: str) -> None:
        self.appended = self.overtaken = 0
        self.reprice_id: int | None = None
        self._database = database
        self._dictionary = Dictionary()
        self._sql = queries("reprice")
        self._run = {"since": scope.since, "until": scope.until, "price_version": price_version, "reason": reason}

    def append(self, batch: Sequence[PricedAgain]) -> None:
        """Append a correction of each call, in one transaction.

        Raises:
            LedgerError: as `Database.transaction`.
        """
        events = [_event(item) for item in batch]
        try:
            with self._database.transaction() as cursor:
                cursor.execute(self._sql["become"])
                cursor.execute(self._sql["hold_retention"])
                run = self.reprice_id
                if run is None:
                    run = cursor.execute(self._sql["begin_run"], self._run).fetchall()[0][0]
                kinds = self._dictionary.learn_kinds(cursor, events)
                self._dictionary.learn_rates(cursor, list(zip(events, kinds, strict=True)))
                rows = list(map(_row, batch, events, kinds))
                values = {"reprice_id": run, "corrections": as_json(rows)}
                appended = cursor.execute(self._sql["add_corrections"], values).rowcount
        except BaseException:
            self._dictionary.clear()
            raise
        self.reprice_id = run
        self.appended += appended
        self.overtaken += len(batch) - appended


def _event(item: PricedAgain) -> CallEvent:
    """The call as the meter would settle it today."""
    kind, quote, call = item.kind, item.quote, item.call
    is_plain = quote.status is Status.PRICED
    return CallEvent(
        attempt=b"",
        at_ns=nanoseconds(item.at),
        duration_ms=item.duration_ms,
        service=kind.service,
        provider=kind.provider,
        operation=kind.operation,
        model=kind.model,
        request_model=kind.request_model,
        status=quote.status.value,
        cost_pico=quote.cost_pico,
        tokens_in=call.tokens_in,
        tokens_out=call.tokens_out,
        quantities=quantities_of(call),
        reasoning=call.reasoning or 0,
        terms=kind.terms,
        price_version=quote.price_version,
        lines=list(quote.lines),
        tenant=kind.tenant,
        dimensions=kind.dimensions,
        problem="" if is_plain else clean(quote.reason),
    )


def _row(item: PricedAgain, event: CallEvent, kind: Kind) -> dict[str, object]:
    detail = detail_of(item.call_id, event, kind)
    return {
        "call_id": item.call_id,
        "revision": item.revision + 1,
        "at": item.at,
        "tenant_key": item.tenant_key,
        "context_id": item.context_id,
        "kind_before": item.kind_before,
        "kind_after": kind.kind_id,
        "cost_before": item.cost_before,
        "cost_after": event.cost_pico,
        "tokens_in": event.tokens_in,
        "tokens_out": event.tokens_out,
        "cache_read": item.call.cache_read or 0,
        "cache_write": _cache_write(item.call),
        "reasoning": event.reasoning,
        "duration_ms": event.duration_ms,
        "lines": detail.lines,
        "problem": detail.problem,
    }


def _cache_write(call: StoredCall) -> int:
    writes = (call.cache_write_5m, call.cache_write_1h, call.cache_write_30m, call.cache_write_12h)
    return sum(write or 0 for write in writes)
