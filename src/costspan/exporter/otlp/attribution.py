"""Who a span's call was for: costspan's own attributes, on the span or on its process, else what others call the same."""

from __future__ import annotations

from costspan.attribution import NO_TENANT
from costspan.exporter.otlp.dialect import ASSOCIATIONS
from costspan.exporter.otlp.span import Span
from costspan.sinks import names
from costspan.text import clean

__all__ = ["named", "tenant"]

#: In the order in which they are believed; first the span's, then the process's.
_NAMES = {
    "session": (
        names.SESSION,
        "session.id",
        "gen_ai.conversation.id",
        f"{ASSOCIATIONS}session_id",
        f"{ASSOCIATIONS}thread_id",
    ),
    "user": (names.USER, "user.id", "enduser.id", "gen_ai.user", "llm.user", f"{ASSOCIATIONS}user_id"),
    "feature": (names.FEATURE, f"{ASSOCIATIONS}feature"),
}


def named(span: Span, what: str) -> str:
    """Return the session, user or feature of ``span``; empty where it names none."""
    known = _NAMES[what]
    return clean(_first(span, known))


def tenant(span: Span, forced: str | None, default: str, *, of_span: bool = True) -> str:
    """Return the tenant of ``span``.

    Args:
        span: where one may be named.
        forced: whom the sender's token is for; nothing that a span says counts against it.
        default: of spans that name none.
        of_span: whether the span itself is asked, or its process only.
    """
    if forced is not None:
        return forced
    said = span.attributes.get(names.TENANT) if of_span else None
    said = said if said not in (None, "") else span.resource.get(names.TENANT)
    return clean(said) if said not in (None, "") else clean(default) or NO_TENANT


def _first(span: Span, known: tuple[str, ...]) -> object:
    for attributes in (span.attributes, span.resource):
        for name in known:
            value = attributes.get(name)
            if value is not None and value != "":
                return value
    return ""
