"""How a cost went: a row of bars, one for each day or hour, as wide as there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from costspan.cli.question import Question
from costspan.cli.statement import Key, key_of
from costspan.ledger import Ledger
from costspan.ledger.summary import Dimension

__all__ = ["Trends", "bars", "trends"]

_BARS = "▁▂▃▄▅▆▇█"
_TIMES = frozenset({Dimension.HOUR, Dimension.DAY, Dimension.WEEK, Dimension.MONTH})
#: Fewer bars than this show nothing.
_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Trends:
    """What each entry of a statement cost day by day, or hour by hour."""

    unit: Dimension
    """Day or hour."""
    costs: Mapping[Key, tuple[Decimal, ...]]
    """Dollars by the entry's key: one for each day or hour of the period that has begun."""

    @property
    def length(self) -> int:
        """How many days or hours there are."""
        return max(map(len, self.costs.values()), default=0)

    def drawn(self, key: Key, room: int) -> str:
        """Return the bars of an entry in at most ``room`` cells; neighbours share one where there is no room for each."""
        return bars(_folded(self.costs.get(key, ()), room))


def trends(question: Question, ledger: Ledger, now: datetime) -> Trends | None:
    """Ask what each entry cost over time; None where the entries are times themselves, or there are too few of them.

    Raises:
        LedgerError: when it cannot be read.
    """
    period = question.period
    if _TIMES & set(question.by):
        return None
    unit = Dimension.HOUR if len(period.days()) == 1 else Dimension.DAY
    begins = [begin for begin, _ in (period.hours() if unit is Dimension.HOUR else period.days()) if begin <= now]
    if len(begins) < _FEWEST:
        return None
    found = ledger.summary(
        period.start,
        period.end,
        by={*question.by, unit},
        tenant=question.tenant,
        services=None if question.service is None else (question.service,),
        zone=question.zone,
    )
    places = {name: place for place, (_, name) in enumerate(_named(question, unit))}
    costs: dict[Key, list[Decimal]] = {}
    for row in found.rows:
        place = places[_instant(row.keys[unit])]
        if place < len(begins):  # a clock that is ahead of this one wrote the others
            costs.setdefault(key_of(row, question.by), [Decimal()] * len(begins))[place] += row.cost
    return Trends(unit, {key: tuple(amounts) for key, amounts in costs.items()})


def _named(question: Question, unit: Dimension) -> Iterable[tuple[datetime, object]]:
    parts = question.period.hours() if unit is Dimension.HOUR else question.period.days()
    return [(begin, _instant(name)) for begin, name in parts]


def _instant(name: str | date | datetime) -> object:
    # In UTC: of an hour that clocks show twice, both are equal in their own zone.
    return name.astimezone(UTC) if isinstance(name, datetime) else name


def bars(costs: Sequence[Decimal]) -> str:
    """Return a bar for each of ``costs``, the highest as high as there is; a blank where there was none."""
    highest = max(costs, default=Decimal())
    return "".join(_bar(cost, highest) for cost in costs)


def _bar(cost: Decimal, highest: Decimal) -> str:
    return _BARS[min(len(_BARS) - 1, int(cost * len(_BARS) / highest))] if cost > 0 else " "


def _folded(costs: Sequence[Decimal], room: int) -> list[Decimal]:
    """Add neighbours up until there are at most ``room``: each sum of as many, but for the last, which may have fewer."""
    size = -(-len(costs) // max(1, room))
    return [sum(costs[at : at + size], Decimal()) for at in range(0, len(costs), max(1, size))]
