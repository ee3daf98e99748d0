"""Time zones by their IANA names: one rule for settings, commands and questions over HTTP."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

__all__ = ["zone_named"]

#: Files of a system's time zones that are none themselves: what this machine was set to, and a reminder to set it.
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})


def zone_named(name: str) -> ZoneInfo:
    """Return the IANA time zone ``name``.

    Raises:
        ValueError: where there is none. Copies of zones (``right/…`` counts leap seconds, so that its days begin
            half a minute late) and what only this machine has under a name of its own are none.
    """
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(name) from error
    if name not in _names():
        raise ValueError(name)
    return zone


@cache
def _names() -> frozenset[str]:
    # Reads the system's whole folder, which takes a tenth of a second.
    return frozenset(available_timezones()) - _NO_ZONES
