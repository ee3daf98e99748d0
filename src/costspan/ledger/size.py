"""How large the ledger is, and what of it takes the room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from costspan.ledger.database import Database
from costspan.ledger.queries import queries

__all__ = ["Size", "measure"]

_PARTS = {
    "call_slice": "slices",
    "usage_hour": "sums",
    "usage_day": "sums",
    "usage_day_detail": "sums",
    "usage_correction": "sums",
    "cache_usage": "sums",
    "tenant": "dictionaries",
    "call_kind": "dictionaries",
    "kind_rate": "dictionaries",
    "call_context": "dictionaries",
    "cache_kind": "dictionaries",
    "call_detail": "details",
    "correction": "details",
}


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes and calls."""

    parts: dict[str, int]
    """Bytes by what they are for: rows, row_indexes, slices, sums, dictionaries, details, other."""
    database: int
    """Bytes of the whole database, its catalogue (7 MB when empty) and tables of others included."""
    calls_hot: int
    """Calls that are rows."""
    calls_cold: int
    """Calls in slices."""
    days_hot: int
    """Days with calls that are rows."""
    days_cold: int
    """Days with slices."""
    kept_since: date | None
    """The first day that has kept its calls; None when none were ever dropped."""

    @property
    def total(self) -> int:
        """Bytes of the ledger."""
        return sum(self.parts.values())

    @property
    def calls(self) -> int:
        """Calls that are there one by one."""
        return self.calls_hot + self.calls_cold

    @property
    def megabytes_per_million(self) -> float | None:
        """Megabytes (10^6 bytes) a million calls; None without a call."""
        return self.total / self.calls if self.calls else None


def measure(database: Database) -> Size:
    """Measure.

    Raises:
        LedgerError: as `Database.transaction`.
    """
    sql = queries("keep")
    parts = dict.fromkeys(("rows", "row_indexes", "slices", "sums", "dictionaries", "details", "other"), 0)
    with database.transaction() as cursor:
        cursor.execute(sql["become"])
        for table, of_table, of_indexes in cursor.execute(sql["sizes"]).fetchall():
            if table == "call":
                parts["rows"] += of_table
                parts["row_indexes"] += of_indexes
            else:
                parts[_PARTS.get(table, "other")] += of_table + of_indexes
        hot, cold, days_hot, days_cold, kept_since, whole = cursor.execute(sql["counts"]).fetchall()[0]
    return Size(parts, whole, hot, cold, days_hot, days_cold, kept_since)
