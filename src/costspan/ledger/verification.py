"""Whether the ledger holds together: sums are those of calls, bills follow from what is stored, every number is somebody's.

All of it is read in one snapshot as the role that may read everything and write nothing, so it can be asked at any moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import LiteralString

from costspan.ledger.database import Cursor, Database
from costspan.ledger.derivation import StoredCall, StoredKind, cost_of, lines_of, quantities_of
from costspan.ledger.queries import queries
from costspan.ledger.repricing import stored_kinds
from costspan.usage import INPUT_UNITS, OUTPUT_UNITS, Status

__all__ = ["Check", "Verification", "Verifier"]

#: Calls whose bill is derived again where not all are asked for.
SAMPLE = 50_000
#: Of what differs, how many are named.
_NAMED = 5
_FETCHED = 5000
_INPUTS = frozenset(unit.value for unit in INPUT_UNITS)
_OUTPUTS = frozenset(unit.value for unit in OUTPUT_UNITS)
_ABOUT = {
    "hours": "sums per hour are those of the calls that are rows",
    "fine_sums": "sums per quarter of an hour and per context are those of the calls in slices",
    "days_sums": "sums per day are those per quarter of an hour",
    "corrected_sums": "sums of corrections are those of the corrections",
    "chains": "each correction begins with what counted before it",
    "slices": "what slices say of their calls is true",
    "places": "each call is in one place, and what is stored beside it is of a call",
    "bills": "each bill that is derived from what is stored is the cost that is stored",
    "references": "each tenant, kind and context is in its dictionary",
    "writers": "writers counted what is stored",
}
_OF_EVERY_DAY = ("hours", "slices", "places", "days_sums")
#: Where the calls were dropped there is nothing to compare these sums with.
_OF_KEPT_DAYS = ("fine_sums", "corrected_sums", "chains")
_OF_ALL = ("references", "writers")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so."""

    name: str
    about: str
    """What must be so, in a sentence."""
    compared: int = 0
    wrong: int = 0
    offenders: tuple[str, ...] = ()
    """The first few that are wrong."""

    def plus(self, compared: int, wrong: int, offenders: tuple[str, ...]) -> Check:
        """The check with more of what it is about."""
        named = (*self.offenders, *offenders)[:_NAMED]
        return Check(self.name, self.about, self.compared + compared, self.wrong + wrong, named)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what was found."""

    checks: tuple[Check, ...]
    kept_since: date | None
    """Of earlier days only the sums are left, and compared with each other; None where all calls are kept."""
    calls: int
    """In the ledger, by its sums."""

    @property
    def wrong(self) -> int:
        """How much differs; 0 where the ledger holds together."""
        return sum(check.wrong for check in self.checks)


class Verifier:
    """Checks a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("verify")

    def verify(self, *, is_whole: bool = False, progress: Callable[[int, int], None] | None = None) -> Verification:
        """Check everything there is.

        Args:
            is_whole: derive every bill again; a sample of about `SAMPLE` otherwise.
            progress: told how many days of how many are done.

        Raises:
            LedgerError: as `Database.transaction`.
        """
        checks = {name: Check(name, about) for name, about in _ABOUT.items()}
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["read"])
            kept_since: date | None = cursor.execute(self._sql["kept_since"]).fetchall()[0][0]
            days: list[tuple[date, int]] = cursor.execute(self._sql["days"]).fetchall()
            kinds = stored_kinds(cursor)
            calls = sum(number for _, number in days)
            sample = {"seed": random.getrandbits(63), "one_of": 1 if is_whole else max(1, calls // SAMPLE)}
            for done, (day, _) in enumerate(days, 1):
                is_kept = kept_since is None or day >= kept_since
                for name in (*_OF_EVERY_DAY, *(_OF_KEPT_DAYS if is_kept else ())):
                    checks[name] = checks[name].plus(*self._ask(cursor, name, day))
                if is_kept:
                    found = _bills(cursor, self._sql["calls"], {"day": day, **sample}, kinds)
                    checks["bills"] = checks["bills"].plus(*found)
                if progress is not None:
                    progress(done, len(days))
            for name in _OF_ALL:
                checks[name] = checks[name].plus(*self._ask(cursor, name, date.min))
        return Verification(tuple(checks.values()), kept_since, calls)

    def _ask(self, cursor: Cursor, name: str, day: date) -> tuple[int, int, tuple[str, ...]]:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        values = {"day": day, "start": start, "end": start + timedelta(days=1)}
        compared, wrong, offenders = cursor.execute(self._sql[name], values).fetchall()[0]
        return int(compared), int(wrong), tuple(offenders or ())


def _bills(
    cursor: Cursor, query: LiteralString, values: Mapping[str, object], kinds: Mapping[int, StoredKind]
) -> tuple[int, int, tuple[str, ...]]:
    """Derive bills again; return how many, how many are not what is stored, and the first few of these."""
    derived, wrong = 0, 0
    offenders: list[str] = []
    with cursor.connection.cursor("costspan_bills", binary=True) as stream:
        stream.itersize = _FETCHED
        stream.execute(query, values)
        for number, kind_id, kind_now, cost, cost_now, revision, *stored, lines_now in stream:
            call = StoredCall(*stored)
            misfit = _misfit(call, kinds.get(kind_id), call.lines, cost)
            if not misfit and revision is not None:
                misfit = _misfit(call, kinds.get(kind_now), lines_now, cost_now)
            derived += 1
            if misfit:
                wrong += 1
                if wrong <= _NAMED:
                    offenders.append(f"call {number}{f', revision {revision}' if revision else ''}: {misfit}")
    return derived, wrong, tuple(offenders)


def _misfit(call: StoredCall, kind: StoredKind | None, lines: str | None, cost_pico: int | None) -> str:
    if kind is None:
        return "its kind is in no dictionary"
    derived = cost_of(lines_of(call, kind, lines), kind.status)
    if derived != cost_pico:
        return f"its bill is {derived} pico-dollars, stored are {cost_pico}"
    if kind.status == Status.INVALID:
        return ""
    quantities = quantities_of(call)
    read = sum(quantity for unit, quantity in quantities.items() if unit in _INPUTS)
    written = sum(quantity for unit, quantity in quantities.items() if unit in _OUTPUTS)
    if (read, written) != (call.tokens_in, call.tokens_out) or min(quantities.values(), default=0) < 0:
        return f"its units have {read} tokens in and {written} out, stored are {call.tokens_in} and {call.tokens_out}"
    return ""
