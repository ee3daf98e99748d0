"""What each tenant spent between two instants, asked once for everybody who wants to know.

Several gauges need the same sums, and what past weekdays cost is read over and over; a round of questions asks for each
sum once, and for what is long over once a quarter of an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from datetime import datetime
from decimal import Decimal

from costspan.exporter.pool import Pool
from costspan.ledger import Dimension

__all__ = ["Spend", "Sums"]

#: Dollars by tenant.
Spend = Mapping[str, Decimal]
#: Which round, or which quarter of an hour, an answer belongs to.
Turn = int | datetime


class Sums:
    """Remembers sums of the ledger for a turn. Threads that ask for one that is being asked wait for it.

    Args:
        pool: where ledgers are lent.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._asked: dict[tuple[datetime, datetime, Turn], Future[Spend]] = {}

    def by_tenant(self, start: datetime, end: datetime, turn: Turn) -> Spend:
        """What each tenant spent in [start, end), as it was when somebody first asked in this ``turn``.

        Raises:
            LedgerError: as `Ledger.summary`. That is not remembered: who asks next, asks anew.
        """
        key = (start, end, turn)
        with self._lock:
            known = self._asked.get(key)
            if known is None:
                answer = self._asked[key] = Future[Spend]()
        if known is not None:
            return known.result()
        try:
            with self._pool.ledger() as ledger:
                rows = ledger.summary(start, end, by=(Dimension.TENANT,)).rows
        except BaseException as error:
            with self._lock:
                self._asked.pop(key, None)
            answer.set_exception(error)
            raise
        spend = {str(row.keys[Dimension.TENANT]): row.cost for row in rows}
        answer.set_result(spend)
        return spend

    def keep(self, turns: Collection[Turn]) -> None:
        """Forget the sums of all turns but these."""
        with self._lock:
            self._asked = {key: answer for key, answer in self._asked.items() if key[2] in turns}
