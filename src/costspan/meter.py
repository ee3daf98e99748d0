"""The one path of an attempt: announced, priced, journalled, shown.

`Meter.open` journals the intent before the request leaves; `Meter.settle` prices the answer, journals it before the
application gets it, and only then shows it on the span and in the counters. Nothing here touches a network or a
database; the ledger's drain reads the journal on its own thread.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from costspan import attribution
from costspan.attribution import NO_TENANT, Attribution
from costspan.event import CacheUse, CallEvent, Ending, Intent, Outcome
from costspan.guard import guard
from costspan.pricing import Quote
from costspan.text import clean
from costspan.usage import INPUT_UNITS, MAX_COUNT, OUTPUT_UNITS, STANDARD, Reading, Status, Unit

if TYPE_CHECKING:
    from costspan.journal import Journal
    from costspan.pricing import PriceBook
    from costspan.sinks.otel_metrics import OtelMetrics
    from costspan.sinks.prometheus import PrometheusSink
    from costspan.sinks.spans import CallSpan

__all__ = ["Attempt", "Meter", "event_of"]

_EVIDENCE_LIMIT = 4096
_json = msgspec.json.Encoder()
_PRICING = guard("pricing")
# Asking a member of an enum for its value takes two calls, and a property's text is made anew each time.
_NAMES = {unit: unit.value for unit in Unit}
_STATUSES = {status: status.value for status in Status}
_STANDARD_KEY = STANDARD.key


class _AttemptIds:
    """16 bytes each: 8 random ones for the process, then a counter. A forked child draws its own random ones."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self._prefix = os.urandom(8)
        self._next = itertools.count(1).__next__

    def draw(self) -> bytes:
        return self._prefix + self._next().to_bytes(8, "big")


_ids = _AttemptIds()


class Attempt(msgspec.Struct, eq=False):
    """One HTTP request on its way. Ends once: whoever comes second changes nothing."""

    intent: Intent
    """As it was announced."""
    started_ns: int
    """Monotonic; durations are measured with it."""
    tags: Mapping[str, str]
    retry: int = 0
    span: CallSpan | None = None
    has_ended: bool = False

    @property
    def id(self) -> bytes:
        """What the journal knows it by."""
        return self.intent.attempt


class Meter:
    """Turns attempts into journalled, priced, shown events.

    Args:
        journal: keeps intents and events until the ledger has them.
        book: prices readings.
        counters: the process's metrics.
        tenant: of calls that name none.
        clock: nanoseconds since the epoch; a simulation brings its own.
        otel: OpenTelemetry metrics besides, where asked for.
    """

    def __init__(
        self,
        journal: Journal,
        book: PriceBook,
        counters: PrometheusSink,
        *,
        tenant: str = "",
        clock: Callable[[], int] = time.time_ns,
        otel: OtelMetrics | None = None,
    ) -> None:
        self.journal = journal
        self.book = book
        self.counters = counters
        self.clock = clock
        self.otel = otel
        #: Called after each settled attempt: a forked child starts its drain with its first one.
        self.wake: Callable[[], None] = _nothing
        self._tenant = clean(tenant) or NO_TENANT

    def open(
        self,
        *,
        service: str,
        provider: str,
        operation: str,
        model: object,
        retry: int = 0,
        who: Attribution | None = None,
        span: CallSpan | None = None,
        at_ns: int | None = None,
    ) -> Attempt:
        """Journal the intent of an attempt that is about to leave, attributed to this context (or to ``who``).

        ``at_ns`` books a call that was made earlier; otherwise it is made now.
        """
        if who is None:
            who = attribution.current()
        intent = Intent(
            _ids.draw(),
            self.clock() if at_ns is None else at_ns,
            service,
            clean(provider),
            operation,
            clean(model or ""),
            who.tenant or self._tenant,
            who.session,
            who.user,
            who.feature,
        )
        self.journal.open(intent)
        return Attempt(intent, time.monotonic_ns(), who.tags, retry, span)

    def settle(self, attempt: Attempt, reading: Reading, *, natural_key: str = "") -> Quote | None:
        """Price ``reading``, journal it, then show it. None when the attempt had already ended."""
        if attempt.has_ended:
            return None
        attempt.has_ended = True
        span = attempt.span
        quote = self._quoted(reading, attempt.intent.at_ns)
        event = event_of(attempt, reading, quote, natural_key)
        self.journal.close_attempt(event)
        self.counters.record(event, span)
        if self.otel is not None:
            self.otel.record(event)
        if span is not None:
            span.settle(event, reading, quote)
        self.wake()
        return quote

    def end(self, attempt: Attempt, outcome: Outcome, reason: str) -> None:
        """Journal that the attempt ended without usage. Nothing when it had already ended."""
        if attempt.has_ended:
            return
        attempt.has_ended = True
        intent = attempt.intent
        self.journal.close_attempt(Ending(intent.attempt, outcome.value, clean(reason)))
        self.counters.ended(intent, outcome)

    def look_up(
        self, cache: object, *, is_hit: bool, model: object = "", tokens: int = 0, avoided_pico: int | None = None
    ) -> None:
        """Journal and count a look-up in a cache of the application, attributed to this context.

        Args:
            cache: which one.
            is_hit: whether it spared a call.
            model: whose.
            tokens: that the model did not have to read; a number that cannot be is none.
            avoided_pico: what these would have cost; None where that is not known.
        """
        who = attribution.current()
        name = clean(cache)
        if type(tokens) is not int or not 0 <= tokens <= MAX_COUNT:
            tokens = 0  # a look-up all the same
        self.journal.note(
            CacheUse(
                self.clock(),
                name,
                is_hit,
                tokens,
                avoided_pico,
                clean(model or ""),
                who.tenant or self._tenant,
                who.feature,
            )
        )
        self.counters.cache(name, "hit" if is_hit else "miss", avoided_pico or 0)
        self.wake()

    def _quoted(self, reading: Reading, at_ns: int) -> Quote:
        """The price of ``reading``; unpriced where pricing itself fails, since it was billed and must be a row."""
        try:
            return self.book.quote(reading, at_ns)
        except Exception:
            with _PRICING:
                raise
        status = Status.INVALID if reading.problem else Status.UNPRICED
        return Quote(status, (), 0, "", reading.problem or "costspan failed to price this call")


def event_of(attempt: Attempt, reading: Reading, quote: Quote, natural_key: str = "") -> CallEvent:
    """Return what is journalled of an attempt that was answered and priced."""
    intent, span, terms = attempt.intent, attempt.span, reading.terms
    quantities: dict[str, int] = {}
    reasoning = tokens_in = tokens_out = 0
    for portion in reading.portions:
        reasoning += portion.usage.reasoning
        for unit, quantity in portion.usage.quantities.items():
            name = _NAMES[unit]
            quantities[name] = quantities.get(name, 0) + quantity
            if unit in INPUT_UNITS:
                tokens_in += quantity
            elif unit in OUTPUT_UNITS:
                tokens_out += quantity
    is_plain = quote.status is Status.PRICED
    trace_id, span_id = span.ids if span is not None else (b"", b"")
    return CallEvent(
        attempt=intent.attempt,
        at_ns=intent.at_ns,
        duration_ms=(time.monotonic_ns() - attempt.started_ns) // 1_000_000,
        service=reading.service,
        provider=clean(reading.provider),
        operation=reading.operation,
        model=clean(reading.model),
        request_model=intent.model,
        status=_STATUSES[quote.status],
        cost_pico=quote.cost_pico,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        quantities=quantities,
        reasoning=reasoning,
        terms=_STANDARD_KEY if terms is STANDARD else clean(terms.key),
        price_version=quote.price_version,
        lines=list(quote.lines),
        tenant=intent.tenant,
        session=intent.session,
        user=intent.user,
        feature=intent.feature,
        tags=dict(attempt.tags),
        trace_id=trace_id,
        span_id=span_id,
        response_id=clean(reading.response_id),
        natural_key=clean(natural_key),
        retry=attempt.retry,
        dimensions=reading.dimensions,
        problem="" if is_plain else clean(quote.reason),
        evidence="" if is_plain else _evidence(reading),
    )


def _nothing() -> None:
    """Nobody waits for events."""


def _evidence(reading: Reading) -> str:
    text = _json.encode(reading.evidence).decode()
    return text if len(text) <= _EVIDENCE_LIMIT else ""
