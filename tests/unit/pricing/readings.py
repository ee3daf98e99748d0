"""Readings by hand."""

from __future__ import annotations

import datetime as dt

from costspan.usage import STANDARD, Portion, Reading, Terms, Unit, Usage


def ns(when: str) -> int:
    """Return a date or time as nanoseconds since the epoch."""
    moment = dt.datetime.fromisoformat(when)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()) * 10**9


def read(provider: str, model: str, terms: Terms = STANDARD, /, **quantities: int) -> Reading:
    """Return a reading of one portion; units go by their names in lower case, such as ``input=1000``."""
    usage = Usage({Unit[name.upper()]: quantity for name, quantity in quantities.items()})
    return Reading(provider, provider, "chat", model, (Portion(model, usage),), terms)
