"""The one path of an attempt: announced, priced, journalled, shown.

`Meter.open` journals the intent before the request leaves; `Meter.settle` prices the answer, journals it before the
application gets it, and only then shows it on the span and in the counters. Nothing here touches a network or a
database; the ledger's drain reads the journal on its own thread.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from costspan import attribution
from costspan.attribution import NO_TENANT, Attribution
from costspan.event import CallEvent, Ending, Intent, Outcome
from costspan.text import clean
from costspan.usage import Reading, Status

if TYPE_CHECKING:
    from costspan.journal import Journal
    from costspan.pricing import PriceBook, Quote
    from costspan.sinks.otel_metrics import OtelMetrics
    from costspan.sinks.prometheus import PrometheusSink
    from costspan.sinks.spans import CallSpan

__all__ = ["Attempt", "Meter"]

_EVIDENCE_LIMIT = 4096
_json = msgspec.json.Encoder()


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


@dataclass(slots=True, eq=False)
class Attempt:
    """One HTTP request on its way. Ends once: whoever comes second changes nothing."""

    id: bytes
    at_ns: int
    started_ns: int
    """Monotonic; durations are measured with it."""
    service: str
    provider: str
    operation: str
    request_model: str
    attribution: Attribution
    retry: int = 0
    span: CallSpan | None = None
    has_ended: bool = False


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
        who = self._tenanted(who if who is not None else attribution.current())
        attempt = Attempt(
            _ids.draw(),
            self.clock() if at_ns is None else at_ns,
            time.monotonic_ns(),
            service,
            clean(provider),
            operation,
            clean(model or ""),
            who,
            retry,
            span,
        )
        self.journal.open(
            Intent(
                attempt.id,
                attempt.at_ns,
                service,
                attempt.provider,
                operation,
                attempt.request_model,
                who.tenant,
                who.session,
                who.user,
                who.feature,
            )
        )
        return attempt

    def settle(self, attempt: Attempt, reading: Reading, *, natural_key: str = "") -> Quote | None:
        """Price ``reading``, journal it, then show it. None when the attempt had already ended."""
        if attempt.has_ended:
            return None
        attempt.has_ended = True
        quote = self.book.quote(reading, attempt.at_ns)
        event = self._event(attempt, reading, quote, natural_key)
        self.journal.close_attempt(event)
        self.counters.record(event, attempt.span.exemplar if attempt.span is not None else None)
        if self.otel is not None:
            self.otel.record(event)
        if attempt.span is not None:
            attempt.span.settle(event, reading, quote)
        self.wake()
        return quote

    def end(self, attempt: Attempt, outcome: Outcome, reason: str) -> None:
        """Journal that the attempt ended without usage. Nothing when it had already ended."""
        if attempt.has_ended:
            return
        attempt.has_ended = True
        self.journal.close_attempt(Ending(attempt.id, outcome.value, clean(reason)))
        self.counters.ended(attempt.service, attempt.request_model, attempt.operation, attempt.attribution, outcome)

    def _tenanted(self, who: Attribution) -> Attribution:
        if who.tenant:
            return who
        return Attribution(self._tenant, who.session, who.user, who.feature, who.tags)

    def _event(self, attempt: Attempt, reading: Reading, quote: Quote, natural_key: str) -> CallEvent:
        quantities: dict[str, int] = {}
        reasoning = tokens_in = tokens_out = 0
        for portion in reading.portions:
            usage = portion.usage
            reasoning += usage.reasoning
            tokens_in += usage.tokens_in
            tokens_out += usage.tokens_out
            for unit, quantity in usage.quantities.items():
                quantities[unit.value] = quantities.get(unit.value, 0) + quantity
        who = attempt.attribution
        is_plain = quote.status is Status.PRICED
        trace_id, span_id = attempt.span.ids if attempt.span is not None else (b"", b"")
        return CallEvent(
            attempt=attempt.id,
            at_ns=attempt.at_ns,
            duration_ms=max(0, (time.monotonic_ns() - attempt.started_ns) // 1_000_000),
            service=reading.service,
            provider=clean(reading.provider),
            operation=reading.operation,
            model=clean(reading.model),
            request_model=attempt.request_model,
            status=quote.status.value,
            cost_pico=quote.cost_pico,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            quantities=quantities,
            reasoning=reasoning,
            terms=clean(reading.terms.key),
            price_version=quote.price_version,
            lines=list(quote.lines),
            tenant=who.tenant,
            session=who.session,
            user=who.user,
            feature=who.feature,
            tags=dict(who.tags),
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
