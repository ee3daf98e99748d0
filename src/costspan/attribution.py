"""Who a call is for: tenant, session, user, feature and tags of the current context.

Values given by `attribute` live in a context variable, so they follow ``await`` and tasks. They are written to OTel
baggage too: a service that receives it, or a thread that was given the OTel context, finds them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from opentelemetry import baggage, context

from costspan.text import clean

__all__ = ["NO_TENANT", "Attribution", "attribute", "current", "without_baggage"]

#: The tenant of a call that names none.
NO_TENANT = "00000000-0000-0000-0000-000000000000"
_MAX_TAGS = 16
_PREFIX = "costspan."
_FIELDS = ("tenant", "session", "user", "feature")


@dataclass(frozen=True, slots=True)
class Attribution:
    """Clean identifiers; an empty string is 'not given'."""

    tenant: str = ""
    session: str = ""
    user: str = ""
    feature: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


_NOBODY = Attribution()
_current: ContextVar[Attribution] = ContextVar("costspan_attribution", default=_NOBODY)


@contextmanager
def attribute(
    *,
    tenant: object = None,
    session: object = None,
    user: object = None,
    feature: object = None,
    tags: Mapping[str, object] | None = None,
) -> Iterator[Attribution]:
    """Attribute every call made inside to these ids. Nests: what is not given is inherited.

    Ids may be of any type with a text form (a UUID, an integer). They are cut to 256 characters and cleaned of control
    characters; a cleaned value is logged once. Usable as a decorator as well.
    """
    outer = current()
    given = {"tenant": tenant, "session": session, "user": user, "feature": feature}
    named: dict[str, Any] = {name: clean(value) for name, value in given.items() if value is not None}
    merged = {**outer.tags, **{clean(key): clean(value) for key, value in (tags or {}).items()}}
    inner = replace(outer, tags=dict(islice(merged.items(), _MAX_TAGS)), **named)
    carrier = context.get_current()
    for name, value in named.items():
        carrier = baggage.set_baggage(_PREFIX + name, value, carrier)
    token = _current.set(inner)
    otel = context.attach(carrier) if named else None
    try:
        yield inner
    finally:
        _current.reset(token)
        if otel is not None:
            context.detach(otel)


def current() -> Attribution:
    """The attribution of this context: given here, else received as baggage, else empty."""
    here = _current.get()
    if here.tenant and here.session and here.user and here.feature:
        return here
    carrier = context.get_current()
    received = baggage.get_all(carrier) if carrier else None
    if not received:
        return here
    found: dict[str, Any] = {
        name: clean(received[_PREFIX + name])
        for name in _FIELDS
        if not getattr(here, name) and _PREFIX + name in received
    }
    return replace(here, **found) if found else here


def without_baggage(carrier: context.Context) -> context.Context:
    """``carrier`` less our baggage, so that ids are not sent to the AI provider with its request's headers."""
    for name in baggage.get_all(carrier) if carrier else ():
        if name.startswith(_PREFIX):
            carrier = baggage.remove_baggage(name, carrier)
    return carrier
