"""Prices calls again that are in the ledger, at their own dates and with today's price book.

Nothing that was written is changed: a call that would cost something else gets a correction, and its last correction is
what counts. Calls are read day by day, each day in one snapshot, whether they are rows or slices.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import NamedTuple

from costspan.errors import LedgerError
from costspan.ledger.correction import Corrections, PricedAgain
from costspan.ledger.database import Cursor, Database
from costspan.ledger.derivation import StoredCall, StoredKind, lines_of, nanoseconds, reading_of
from costspan.ledger.difference import Difference, Scope, Tally
from costspan.ledger.queries import queries
from costspan.pricing import PriceBook, Quote
from costspan.pricing.card import Card
from costspan.pricing.listprices import DAY_NS
from costspan.usage import Status

__all__ = ["Repricer"]

#: Rows that are fetched at a time.
_FETCHED = 5000
#: Corrections of one transaction.
_BATCH = 2000
#: Statuses of calls whose usage is whole, so that prices alone decide.
_PLAIN = frozenset({Status.PRICED.value, Status.ESTIMATED.value})
_Progress = Callable[[int, int], None]


class _Row(NamedTuple):
    """A call of the stream, in the order of the query."""

    id: int
    at: datetime
    tenant_key: int
    context_id: int
    kind_id: int
    kind_now: int
    cost_now: int | None
    revision: int | None
    duration_ms: int
    tokens_in: int
    tokens_out: int
    cache_read: int | None
    cache_write_5m: int | None
    cache_write_1h: int | None
    cache_write_30m: int | None
    cache_write_12h: int | None
    reasoning: int | None
    lines: str | None
    quantities: str | None
    problem: str | None
    lines_now: str | None

    @property
    def call(self) -> StoredCall:
        """What says how much was consumed."""
        return StoredCall(*self[9:20])


@dataclass(slots=True)
class _Found:
    """What is known before the first call is read."""

    kept_since: date | None
    days: list[tuple[date, int]]
    kinds: Mapping[int, StoredKind]
    wanted: list[int]
    """Kinds that a call must have now."""


class Repricer:
    """Compares what calls cost with today's prices, and corrects them.

    Args:
        reading: a connection for the calls.
        writing: another one for the corrections, which are committed while calls are still being read.
        book: today's prices.
    """

    def __init__(self, reading: Database, writing: Database, book: PriceBook) -> None:
        self._reading = reading
        self._writing = writing
        self._book = book
        self._sql = queries("reprice")

    def compare(self, scope: Scope, *, progress: _Progress | None = None) -> Difference:
        """Return what the calls of ``scope`` would cost. Nothing is written.

        Args:
            scope: which calls.
            progress: told how many days of how many are done.

        Raises:
            LedgerError: as `Database.transaction`.
        """
        return self._walk(scope, None, progress)

    def reprice(self, scope: Scope, *, reason: str = "", progress: _Progress | None = None) -> Difference:
        """Append a correction for each call of ``scope`` that would have another cost or status.

        Each batch is a transaction; what was committed before an error or a kill stays, and the next run goes on.

        Args:
            scope: which calls.
            reason: for the audit trail.
            progress: told how many days of how many are done.

        Raises:
            LedgerError: as `Database.transaction`.
        """
        why = f"{reason} ({scope})" if str(scope) else reason
        corrections = Corrections(self._writing, scope, self._book.price_version, why.strip())
        found = self._walk(scope, corrections, progress)
        return replace(
            found,
            corrections=corrections.appended,
            overtaken=corrections.overtaken,
            reprice_id=corrections.reprice_id,
        )

    def _walk(self, scope: Scope, corrections: Corrections | None, progress: _Progress | None) -> Difference:
        tally = Tally()
        with self._snapshot() as cursor:
            found = self._look(cursor, scope)
        for number, (day, _) in enumerate(found.days, 1):
            with closing(self._day(day, scope, found, tally)) as batches:
                for batch in batches:
                    if corrections is not None:
                        corrections.append(batch)
            if progress is not None:
                progress(number, len(found.days))
        return tally.difference(scope, self._book.price_version, found.kept_since)

    def _look(self, cursor: Cursor, scope: Scope) -> _Found:
        kept_since: date | None = cursor.execute(self._sql["kept_since"]).fetchall()[0][0]
        span = {"since": scope.since, "until": scope.until}
        days = cursor.execute(self._sql["days"], span).fetchall()
        kinds = stored_kinds(cursor, tenant=scope.tenant, model=scope.model)
        return _Found(
            kept_since,
            [(day, calls) for day, calls in days if kept_since is None or day >= kept_since],
            kinds,
            [number for number, kind in kinds.items() if not scope.only_unpriced or kind.status == Status.UNPRICED],
        )

    def _steady(self, kinds: Mapping[int, StoredKind], day: date) -> dict[int, str]:
        """Kinds whose calls of a day stay as they are where they have no lines of their own; why, where they have no price."""
        since_ns = nanoseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
        found: dict[int, str] = {}
        for number, kind in kinds.items():
            card = partial(
                self._book.steady_card,
                kind.provider,
                terms=kind.parsed_terms,
                since_ns=since_ns,
                until_ns=since_ns + DAY_NS,
            )
            if kind.status in _PLAIN:
                if all(_is_same(card(model), unit, atto) for unit, (model, atto, _) in kind.rates.items()):
                    found[number] = ""
            elif kind.status == Status.UNPRICED and not kind.rates:
                own = card(kind.model)
                if own is not None and own.reason:
                    found[number] = own.reason
        return found

    def _day(self, day: date, scope: Scope, found: _Found, tally: Tally) -> Generator[Sequence[PricedAgain]]:
        """Yield the calls of a day that differ, in batches."""
        steady = self._steady(found.kinds, day)
        values = {
            "day": day,
            "since": scope.since,
            "until": scope.until,
            "known": [number for number, kind in found.kinds.items() if kind.status != Status.INVALID],
            "wanted": found.wanted,
            "steady": list(steady),
        }
        batch: list[PricedAgain] = []
        with self._snapshot() as cursor:
            for number, calls, cost_pico in cursor.execute(self._sql["steady"], values).fetchall():
                tally.same(found.kinds[number], calls, int(cost_pico or 0))
                if steady[number]:
                    tally.stays_unpriced(found.kinds[number], steady[number], calls)
            with cursor.connection.cursor("costspan_calls", binary=True) as stream:
                stream.itersize = _FETCHED
                stream.execute(self._sql["calls"], values)
                for record in stream:
                    changed = self._again(_Row(*record), found.kinds, tally)
                    if changed is not None:
                        batch.append(changed)
                        if len(batch) == _BATCH:
                            yield batch
                            batch = []
        if batch:
            yield batch

    def _again(self, row: _Row, kinds: Mapping[int, StoredKind], tally: Tally) -> PricedAgain | None:
        """Price a call again; None where it stays as it is."""
        kind, kind_now, call = kinds[row.kind_id], kinds[row.kind_now], row.call
        try:
            quote = self._book.quote(reading_of(call, kind), nanoseconds(row.at))
        except ValueError as error:
            raise LedgerError(f"call {row.id} cannot be priced again: {error}") from error
        status, cost_pico = quote.status.value, quote.cost_pico
        is_impossible = row.cost_now is None and quote.status is Status.INVALID
        if is_impossible or (status == kind_now.status and cost_pico == row.cost_now):
            if kind_now.status == Status.UNPRICED:
                tally.stays_unpriced(kind_now, quote.reason)
        elif _loses(call, row, kind_now, quote):
            tally.keeps(kind_now, quote.reason)
        else:
            tally.changed(kind_now, row.cost_now, cost_pico)
            revision, before = row.revision or 0, (row.kind_now, row.cost_now)
            return PricedAgain(
                row.id, row.at, row.tenant_key, row.context_id, revision, kind, *before, row.duration_ms, call, quote
            )
        tally.same(kind_now, 1, row.cost_now or 0)
        return None

    @contextmanager
    def _snapshot(self) -> Iterator[Cursor]:
        with self._reading.transaction() as cursor:
            cursor.execute(self._sql["read"])
            yield cursor


def stored_kinds(cursor: Cursor, *, tenant: str | None = None, model: str | None = None) -> dict[int, StoredKind]:
    """Return the kinds of a tenant and a model (None: of all) by their numbers, with their rates."""
    sql = queries("reprice")
    rows = cursor.execute(sql["kinds"], {"tenant": tenant, "model": model}).fetchall()
    kinds = {row[0]: StoredKind(*row) for row in rows}
    for number, unit, named, atto, layer in cursor.execute(sql["rates"], {"kinds": list(kinds)}).fetchall():
        kinds[number].rates[unit] = (named, int(atto), layer)
    return kinds


def _is_same(card: Card | None, unit: str, atto: int) -> bool:
    """Whether a unit costs so much, whenever it was consumed and however long the prompt was."""
    if card is None or card.reason or card.caveat or card.starts:
        return False
    rate = card.steps[0].get(unit)
    return rate is not None and rate.atto == atto


def _loses(call: StoredCall, row: _Row, kind_now: StoredKind, quote: Quote) -> bool:
    """Whether today's book does not know a price that the call has: a price file that is missing must not take it away."""
    if quote.status is Status.INVALID:
        return True
    gaps = {(line.model, line.unit) for line in quote.lines if line.rate_atto is None}
    if not gaps:
        return quote.cost_pico is None and row.cost_now is not None
    bill = lines_of(call, kind_now, row.lines_now)
    return any(line.rate_atto is not None and (line.model, line.unit) in gaps for line in bill)
