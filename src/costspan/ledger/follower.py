"""The calls that are written, while they are written: what `costspan tail` shows.

A call's id has the millisecond of its writing, so what is new is what has a larger id. Two drains may commit the other way
round than they took their numbers: for a moment an id may still come before one that was seen.
"""

from __future__ import annotations

from datetime import timedelta

from costspan.ledger.asking import asking
from costspan.ledger.database import Database
from costspan.ledger.drilldown import Call, call_of
from costspan.ledger.queries import queries

__all__ = ["MADE_WITHIN", "Follower"]

#: Of a call that was made earlier nothing is told: it came out of the journal of a process that was gone.
MADE_WITHIN = timedelta(minutes=30)
#: For so long a transaction may take to commit that took its number before another.
_OVERTAKING_MS = 15_000
_ID_BITS = 22
_PAGE = 2000


class Follower:
    """Tells each call once that is written after this was made. Not for several threads.

    Args:
        tenant: whose calls; None for everybody's, as admin.
    """

    def __init__(self, database: Database, tenant: str | None) -> None:
        self._database = database
        self._tenant = tenant
        self._sql = queries("follow")
        self._seen: set[int] = set()
        self._since = self._now()
        self.written()  # what is there already is no news, but a transaction under way is

    def written(self) -> tuple[Call, ...]:
        """Return the calls that were written since this was last asked, in the order of their writing.

        Raises:
            LedgerError: as `Database.transaction`. What was not told is told the next time.
        """
        now, found = self._now(), []
        after = (self._since - _OVERTAKING_MS) << _ID_BITS
        while True:
            page = self._page(after)
            found += [call for call in page if call.id not in self._seen]
            if len(page) < _PAGE:
                break
            after = page[-1].id
        oldest = (now - _OVERTAKING_MS) << _ID_BITS
        self._seen = {number for number in (*self._seen, *(call.id for call in found)) if number > oldest}
        self._since = now
        return tuple(found)

    def _now(self) -> int:
        with self._database.transaction() as cursor:
            return int(cursor.execute(self._sql["now"]).fetchall()[0][0])

    def _page(self, after: int) -> tuple[Call, ...]:
        values = {"made_within": MADE_WITHIN, "after": after, "limit": _PAGE}
        with asking(self._database, self._tenant) as cursor:
            return tuple(map(call_of, cursor.execute(self._sql["written"], values).fetchall()))
