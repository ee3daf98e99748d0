"""Spans in, priced calls out, each once.

What may have counted a call before: the hooks (their mark is on the span, or their row is in the ledger under its ids), an
earlier export (the same span), another instrumentation of the same call (the same response, or a span inside of this one).

A span ends after those inside of it, so it often comes in a later export than they. Hence what is around a counted call is
marked in the ledger before it has come; and when it comes, whatever it is, the mark goes on to what is around it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec.structs import replace

from costspan.attribution import Attribution
from costspan.event import CallEvent, Intent
from costspan.exporter.otlp import attribution
from costspan.exporter.otlp.dialect import operation
from costspan.exporter.otlp.family import wrapped
from costspan.exporter.otlp.reading import asked_model, read
from costspan.exporter.otlp.span import Span
from costspan.ledger.spans import Mark, Place, around
from costspan.meter import Attempt, event_of
from costspan.sinks import names
from costspan.usage import Status

if TYPE_CHECKING:
    from costspan.ledger import Ledger
    from costspan.pricing import PriceBook

__all__ = ["Intake", "Outcome", "Taken"]

_TRACE, _SPAN = 16, 8
#: How old a span may be, and how far ahead its clock: each day gets tables of its own, and senders could ask for any.
_OLDEST, _NEWEST = timedelta(days=366), timedelta(days=1)
_SECOND = timedelta(seconds=1)
#: Ids of responses as long as this are nobody else's. Small servers count to a thousand: theirs hold within their trace.
_UNIQUE = 20
_MAX_MS = 2**31 - 1
#: Of two spans of one response the one that tells more is taken.
_RANK = {Status.PRICED: 0, Status.ESTIMATED: 1, Status.PARTIAL: 2}


class Outcome:
    """What became of a span, as the metric's label has it."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """It, or another span of its call, was stored before."""
    METERED = "metered"
    """costspan's hooks counted it."""
    FAILED = "failed"
    """The provider refused: nothing was billed."""
    OTHER = "other"
    """No inference."""
    UNKNOWN = "unknown"
    """It tells of tokens, under an operation that nobody knows. Not counted: it may repeat what others tell."""
    REJECTED = "rejected"
    """It cannot be a call: its ids, or when it began."""
    QUARANTINED = "quarantined"
    """Postgres refused it; the ledger keeps it aside."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an export."""

    outcomes: Counter[str]
    rejected: int
    message: str
    """Why some were rejected; empty where none was."""


class Intake:
    """Prices spans and writes them.

    Args:
        book: of prices.
        default_tenant: of spans that name none.
    """

    def __init__(self, book: PriceBook, default_tenant: str) -> None:
        self._book = book
        self._default_tenant = default_tenant

    def take(self, spans: Sequence[Span], ledger: Ledger, *, tenant: str | None, now: datetime) -> Taken:
        """Write the calls that ``spans`` tell of. When this returns they are committed.

        Args:
            spans: an export.
            ledger: where they go.
            tenant: whom the sender's token is for; None for an administrator, whose spans name theirs.
            now: the present instant.

        Raises:
            LedgerError: nothing can be said of what was written; to send all of it again counts nothing twice.
        """
        outcomes: Counter[str] = Counter()
        problems: Counter[str] = Counter()
        marks: list[Mark] = []
        found: list[tuple[Span, str]] = []
        metered: list[Span] = []
        for span in spans:
            kind = operation(span)
            if not kind:
                outcomes[Outcome.OTHER if kind is not None else Outcome.UNKNOWN] += 1
            elif problem := _problem(span, now):
                problems[problem] += 1
            elif names.STATUS in span.attributes:
                metered.append(span)
                marks += self._marks(span, tenant)
            else:
                found.append((span, kind))
        outcomes[Outcome.METERED] = len(metered)
        outcomes[Outcome.REJECTED] = problems.total()
        calls = self._calls(found, tenant, outcomes)
        # Whose marks these are: of the sender, since a span and the one around it may name two tenants.
        sender = tenant if tenant is not None else self._default_tenant
        known = ledger.spans_around({_place(span) for span in spans}, sender)
        # One without usage is no reason to leave out the span around it, which may have some.
        counted = [*metered, *(span for span, event in calls if event.quantities)]
        outer = known | wrapped(spans, [*counted, *(span for span in spans if _place(span) in known)])
        events = _inner(calls, metered, outer)
        outcomes[Outcome.DUPLICATE] += len(calls) - len(events)
        marks += [around(place, sender, _present_ns(now)) for place in outer - known]
        written = ledger.write_spans(events, marks, tenant=tenant)
        outcomes[Outcome.STORED] += written.calls
        outcomes[Outcome.DUPLICATE] += written.duplicates
        outcomes[Outcome.QUARANTINED] += written.quarantined
        return Taken(+outcomes, problems.total(), _told(problems))

    def _calls(
        self, found: Sequence[tuple[Span, str]], tenant: str | None, outcomes: Counter[str]
    ) -> list[tuple[Span, CallEvent]]:
        calls: list[tuple[Span, CallEvent]] = []
        for span, kind in found:
            event = self._event(span, kind, tenant)
            if event is None:
                outcomes[Outcome.FAILED] += 1
            else:
                calls.append((span, event))
        return calls

    def _event(self, span: Span, kind: str, tenant: str | None) -> CallEvent | None:
        reading = read(span, kind, self._book)
        if reading is None:
            return None
        who = Attribution(
            attribution.tenant(span, tenant, self._default_tenant),
            attribution.named(span, "session"),
            attribution.named(span, "user"),
            attribution.named(span, "feature"),
        )
        intent = Intent(
            blake2b(span.trace_id + span.span_id, digest_size=16).digest(),
            span.start_ns,
            reading.service,
            reading.provider,
            reading.operation,
            asked_model(span),
            who.tenant,
            who.session,
            who.user,
            who.feature,
        )
        quote = self._book.quote(reading, span.start_ns)
        event = event_of(Attempt(intent, time.monotonic_ns(), who.tags), reading, quote)
        return replace(
            event,
            duration_ms=min(max(0, span.end_ns - span.start_ns) // 1_000_000, _MAX_MS),
            trace_id=span.trace_id,
            span_id=span.span_id,
            natural_key=_key(span, event.response_id),
        )

    def _marks(self, span: Span, tenant: str | None) -> Iterator[Mark]:
        """What keeps another span of a call that the hooks counted from counting it once more.

        That other span does not know the hooks' tenant, so it is looked for under the one it would get as well.
        """
        response = span.text(names.RESPONSE_ID)
        if response:
            key = _key(span, response)
            owners = {attribution.tenant(span, tenant, self._default_tenant, of_span=own) for own in (True, False)}
            yield from (Mark(owner, key, span.start_ns) for owner in owners)


def _inner(calls: Sequence[tuple[Span, CallEvent]], metered: Sequence[Span], outer: set[Place]) -> list[CallEvent]:
    """The calls that are not around another, nor inside of one that the hooks counted; those that tell more first."""
    ours = {_place(span) for span in metered}
    inner = [
        event for span, event in calls if _place(span) not in outer and (span.trace_id, span.parent_id) not in ours
    ]
    return sorted(inner, key=lambda event: _RANK.get(Status(event.status), len(_RANK)))


def _place(span: Span) -> Place:
    return span.trace_id, span.span_id


def _key(span: Span, response_id: str) -> str:
    if len(response_id) >= _UNIQUE:
        return f"response:{response_id}"
    trace = span.trace_id.hex()
    return f"response:{trace}:{response_id}" if response_id else f"span:{trace}:{span.span_id.hex()}"


def _problem(span: Span, now: datetime) -> str:
    """Why ``span`` cannot be a call; empty where it can."""
    if len(span.trace_id) != _TRACE or not any(span.trace_id) or len(span.span_id) != _SPAN or not any(span.span_id):
        return "a trace id needs 16 bytes and a span id 8, not all zero"
    present = _present_ns(now)
    if not present - _ns(_OLDEST) <= span.start_ns <= present + _ns(_NEWEST):
        return f"a span's start must lie within the last {_OLDEST.days} days, and at most a day ahead"
    return ""


def _present_ns(now: datetime) -> int:
    return int(now.timestamp()) * 10**9


def _ns(span: timedelta) -> int:
    return span // _SECOND * 10**9


def _told(problems: Counter[str]) -> str:
    return "; ".join(f"{number} rejected: {problem}" for problem, number in problems.items())
