"""Where a page ends and the next one begins, as a text that an address can hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query

from costspan.exporter.problem import Problem, shown
from costspan.ledger import Place

__all__ = ["Cursor", "written"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Microseconds since the epoch, and the call's id.
_WRITTEN = re.compile(r"(\d{1,16})-(\d{1,18}|[1-8]\d{18})", re.ASCII)


def written(place: Place | None) -> str | None:
    """Return ``place`` as `Cursor` reads it."""
    return None if place is None else f"{(place.timestamp - _EPOCH) // _MICROSECOND}-{place.id}"


async def _cursor(
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before; the first page when not given.")
    ] = None,
) -> Place | None:
    if cursor is None:
        return None
    found = _WRITTEN.fullmatch(cursor)
    if not found:
        raise Problem(422, f"cursor is {shown(cursor)}: allowed is the next_cursor of an answer", parameter="cursor")
    return Place(_EPOCH + int(found[1]) * _MICROSECOND, int(found[2]))


#: The place before which a page goes on; None for the first one.
Cursor = Annotated[Place | None, Depends(_cursor)]
