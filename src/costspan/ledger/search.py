"""Calls by what they have in common, page by page; and the life of a session."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from costspan.ledger.asking import asking
from costspan.ledger.database import Database
from costspan.ledger.drilldown import Call, Place, call_of, page_of, range_of, trace_of
from costspan.ledger.queries import queries
from costspan.text import clean

__all__ = ["LOOKED_AT", "Life", "Page", "Search", "Wanted"]

#: Calls that one page looks at, at the most, for those that are wanted: some 50 ms.
LOOKED_AT = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What calls must have; None is anything. An empty session, feature or user is none given."""

    start: datetime | None = None
    end: datetime | None = None
    session: str | None = None
    trace: str | None = None
    """32 hexadecimal digits, with or without dashes."""
    service: str | None = None
    model: str | None = None
    operation: str | None = None
    status: str | None = None
    feature: str | None = None
    user: str | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether calls are left out that lie between others."""
        return any((self.service, self.model, self.operation, self.status, self.feature, self.user)) or "" in (
            self.feature,
            self.user,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the calls that are wanted, the newest first."""

    calls: tuple[Call, ...]
    next: Place | None
    """Where to go on; None at the end. There may be more also where this page has no call."""


@dataclass(frozen=True, slots=True)
class Life:
    """From when to when a session's calls were made, in UTC."""

    first: datetime
    last: datetime
    kept_since: date | None
    """The day (UTC) before which calls were dropped, and it may have had some; None where none ever were."""


class Search:
    """Finds calls; raises as `costspan.ledger.drilldown.Drilldown` does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("drill")

    def find(self, wanted: Wanted, *, tenant: str | None = None, limit: int = 100, before: Place | None = None) -> Page:
        """The newest calls that are ``wanted``, at most ``limit``, before the place where the last page ended.

        At most `LOOKED_AT` calls are looked at; what is rare is found by going on, or within a range.
        """
        values = {**asdict(wanted), **range_of(wanted.start, wanted.end), **page_of(limit, before)}
        values["trace"] = None if wanted.trace is None else trace_of(wanted.trace)
        for name in ("session", "service", "model", "operation", "status", "feature", "user"):
            values[name] = None if values[name] is None else clean(values[name])
        # One more than is shown tells whether there are more.
        values["looked_at"] = LOOKED_AT if wanted.is_narrow else limit + 1
        values["limit"] = limit + 1
        with asking(self._database, tenant) as cursor:
            rows = cursor.execute(self._sql["wanted"], values).fetchall()
        calls = tuple(call_of(rest) for _, _, _, *rest in rows if rest[0] is not None)
        if len(calls) > limit:
            return Page(calls[:limit], calls[limit - 1].place)
        if rows and rows[0][2]:
            return Page(calls, Place(rows[0][0].astimezone(UTC), rows[0][1]))
        return Page(calls, None)

    def life(self, session: str, *, tenant: str | None = None) -> Life | None:
        """When ``session`` was alive; None where no call of it is kept."""
        with asking(self._database, tenant) as cursor:
            rows = cursor.execute(self._sql["session_life"], {"session": clean(session)}).fetchall()
        first, last, kept_since = rows[0]
        return None if first is None else Life(first.astimezone(UTC), last.astimezone(UTC), kept_since)
