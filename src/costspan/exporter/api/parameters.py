"""What routes have in common: where ledgers are lent, who asks, for which tenant, in which time zone, and now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant

from costspan.exporter import access
from costspan.exporter.access import Caller
from costspan.exporter.pool import Pool
from costspan.exporter.problem import Problem, shown
from costspan.settings import Settings
from costspan.text import clean
from costspan.zone import zone_named

__all__ = ["Administrator", "Asker", "Chosen", "Ledgers", "Now", "Whose", "Zone", "only_known", "tenant_of"]


# All but what looks something up are coroutines: a function would take a turn on a thread each.
async def _pool(request: Request) -> Pool:
    pool: Pool = request.app.state.pool
    return pool


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _now(request: Request) -> datetime:
    now: datetime = request.app.state.now()
    return now


#: Where a route borrows: ``with ledgers.ledger() as ledger``.
Ledgers = Annotated[Pool, Depends(_pool)]
#: The server's settings.
Chosen = Annotated[Settings, Depends(_settings)]
#: The present instant, aware.
Now = Annotated[datetime, Depends(_now)]
#: Who asks; a request without a token that counts never comes so far.
Asker = Annotated[Caller, Depends(access.known)]
#: As `Asker`, and no tenant.
Administrator = Annotated[Caller, Depends(access.admin)]


def tenant_of(text: str) -> str:
    """Return the tenant's id as the ledger has it.

    Raises:
        Problem: 422 for an empty one, which is more often a mistake than a wish to see everyone.
    """
    if not text.strip():
        raise Problem(422, f"tenant is {text!r}: allowed is the id of a tenant", parameter="tenant")
    return clean(text)


async def whose(
    caller: Asker,
    tenant: Annotated[
        str | None,
        Query(
            description="Whose calls; everybody's when not given. A tenant's token sees that tenant and no other.",
            examples=["acme"],
        ),
    ] = None,
) -> str | None:
    """Return the tenant that the answer is limited to; None, which is everybody, for an administrator who names none.

    Raises:
        Problem: 422 as `tenant_of`, 403 for a tenant that names another.
    """
    named = None if tenant is None else tenant_of(tenant)
    if caller.tenant is None:
        return named
    if named is not None and named != caller.tenant:
        told = f"tenant is {shown(named)}: this token sees {shown(caller.tenant)} only"
        raise Problem(403, told, parameter="tenant")
    return caller.tenant


#: The tenant to give to `Ledger`'s methods.
Whose = Annotated[str | None, Depends(whose)]


async def _zone(
    settings: Chosen,
    tz: Annotated[
        str | None,
        Query(
            description="An IANA time zone: where days begin. COSTSPAN_TIMEZONE when not given.",
            examples=["Europe/Berlin"],
        ),
    ] = None,
) -> ZoneInfo:
    if tz is None:
        return settings.timezone
    try:
        return zone_named(tz)
    except ValueError as error:
        allowed = "allowed are IANA time zones such as UTC or Asia/Kolkata"
        raise Problem(422, f"tz is {shown(tz)}: {allowed}", parameter="tz") from error


#: Where days begin.
Zone = Annotated[ZoneInfo, Depends(_zone)]


async def only_known(request: Request) -> None:
    """Refuse query parameters that the route does not have, and those that are given twice.

    Raises:
        Problem: 422; it names the parameter and what is allowed.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    if not given:
        return
    known = set(_names(request.scope["route"].dependant))
    for name, times in given.items():
        if name not in known:
            allowed = f"allowed are {', '.join(sorted(known))}" if known else "none is allowed"
            raise Problem(422, f"there is no parameter {shown(name)}: {allowed}", parameter=clean(name))
        if times > 1:
            raise Problem(422, f"{name} is given {times} times: once is allowed", parameter=name)


def _names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for dependency in dependant.dependencies:
        yield from _names(dependency)
