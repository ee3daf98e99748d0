"""Keeps the ledger small: what is over, what is too old, and how large it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from costspan.errors import InvalidQuestion
from costspan.ledger.compaction import Compacted, compact
from costspan.ledger.database import Database
from costspan.ledger.retention import Retained, droppable, retain
from costspan.ledger.size import Size, measure

__all__ = ["Compacted", "Keeper", "Retained", "Size"]

#: A day's last calls come out of journals some seconds after it, and out of those of killed processes a little later.
_GRACE = timedelta(hours=1)
_Progress = Callable[[int, int], None]


class Keeper:
    """Compacts and retains. Two processes do not disturb each other: one of them leaves.

    Args:
        now: the present instant.
        after_days: how many days a day must have been over before it is compacted.
        retention_days: how many days before today keep their calls one by one; None for all.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime], *, after_days: int = 1, retention_days: int | None = None
    ) -> None:
        self._database = database
        self._now = now
        self._after_days = after_days
        self._retention_days = retention_days

    def compact(
        self, before: date | None = None, *, progress: _Progress | None = None, limit: int | None = None
    ) -> Compacted:
        """Move the calls of days that are over from rows into slices, and drop the partitions that this leaves empty.

        Args:
            before: the first day (UTC) that stays as it is; by the settings when not given.
            progress: told how many calls of how many are done.
            limit: stop when about so many calls are moved.

        Raises:
            LedgerError: as `Database.transaction`. What was moved before stays moved.
        """
        return compact(
            self._database,
            self.due_before(self._after_days) if before is None else before,
            progress=progress,
            limit=limit,
        )

    def due_before(self, after_days: int) -> date:
        """The first day (UTC) that has not been over for ``after_days`` days and an hour's grace."""
        return _before((self._now() - _GRACE).astimezone(UTC).date(), after_days)

    def kept_since(self, days: int) -> date:
        """The first day (UTC) that keeps its calls when ``days`` before today do.

        Raises:
            InvalidQuestion: for less than one day.
        """
        if days < 1:
            raise InvalidQuestion(f"{days} days are to be kept: allowed are whole numbers above 0")
        return _before(self._now().astimezone(UTC).date(), days)

    def retain(
        self, kept_since: date | None = None, *, progress: _Progress | None = None, limit: int | None = None
    ) -> Retained | None:
        """Drop the calls of days before ``kept_since`` (UTC), for good. Their sums stay.

        Args:
            kept_since: by the settings when not given; None is returned when these keep everything.
            progress: told how many calls of how many are dropped.
            limit: stop when about so many calls are moved or dropped.

        Raises:
            InvalidQuestion: ``kept_since`` is not over yet.
            LedgerError: as `Database.transaction`. What was dropped before stays dropped.
        """
        if kept_since is None:
            if self._retention_days is None:
                return None
            kept_since = self.kept_since(self._retention_days)
        self._check(kept_since)
        return retain(self._database, kept_since, progress=progress, limit=limit)

    def droppable(self, kept_since: date) -> Retained:
        """What `retain` would drop. Errors as there."""
        self._check(kept_since)
        return droppable(self._database, kept_since)

    def size(self) -> Size:
        """How large the ledger is. Errors as `Database.transaction`."""
        return measure(self._database)

    def _check(self, kept_since: date) -> None:
        today = self._now().astimezone(UTC).date()
        if kept_since > today:
            raise InvalidQuestion(f"calls are to be kept since {kept_since}, which is after today, {today}")


def _before(day: date, days: int) -> date:
    try:
        return day - timedelta(days=days)
    except OverflowError:  # longer than there are dates
        return date.min
