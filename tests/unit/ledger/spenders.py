"""Made-up tenants, as spend goes: hour by hour, with noise, the same each time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from costspan.ledger.forecast import Today

_SATURDAY = 5
_HOURS = 24


def _office(hour: int, weekday: int) -> float:
    if weekday >= _SATURDAY:
        return 0.1
    return 10.0 if 9 <= hour < 18 else 0.2


def _nightly(hour: int, _: int) -> float:
    return 80.0 if hour == 2 else 1.0


#: Dollars of an hour of a day of the week, before noise; and by which factor a week differs from the one before.
PROFILES = {
    "flat": (lambda hour, weekday: 5.0, 1.0),
    "office": (_office, 1.0),
    "nightly": (_nightly, 1.0),
    "growing": (_office, 1.08),
}


@dataclass(frozen=True)
class Spender:
    """Hours of many days, the first of which is a Monday."""

    hours: Sequence[Sequence[Decimal]]

    @classmethod
    def make(cls, profile: str, seed: int, days: int, noise: float = 0.35) -> Spender:
        """Noise of each hour as `facts` has it: the pace of one hour of a flat day is off by a quarter of the day."""
        rate, growth = PROFILES[profile]
        chance = random.Random(f"{profile} {seed}")
        return cls(
            [
                [
                    Decimal(str(round(rate(hour, day % 7) * growth ** (day / 7) * chance.lognormvariate(-(noise**2) / 2, noise), 6)))
                    for hour in range(_HOURS)
                ]
                for day in range(days)
            ]
        )  # fmt: skip

    def day(self, number: int) -> Decimal:
        """Dollars of a whole day."""
        return sum(self.hours[number], Decimal(0))

    def until(self, number: int, hour: int) -> Decimal:
        """Dollars of a day up to an hour."""
        return sum(self.hours[number][:hour], Decimal(0))

    def same_weekdays(self, number: int, hour: int) -> list[tuple[Decimal, Decimal]]:
        """What `project_day` and `Today` look back at."""
        earlier = [number - 7 * week for week in range(1, 5) if number >= 7 * week]
        return [(self.until(day, hour), self.day(day)) for day in earlier]

    def today(self, number: int, hour: int) -> Today:
        """The day as it is at an hour."""
        spent = self.until(number, hour)
        return Today(spent, spent, self.same_weekdays(number, hour), Decimal(hour) / _HOURS)
