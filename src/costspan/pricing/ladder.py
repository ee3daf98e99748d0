"""One price by length of prompt: a cliff, where the whole request is charged at the step that its prompt reaches."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["GROUND", "Ladder", "flat"]

#: The first step: every prompt is longer than this.
GROUND = -1


@dataclass(frozen=True, slots=True)
class Ladder:
    """Dollars for one unit, in steps ``(above, dollars)``: the last step whose ``above`` the prompt exceeds counts."""

    steps: tuple[tuple[int, Fraction], ...]

    def at(self, prompt: int) -> Fraction:
        """Return the price where the prompt has ``prompt`` tokens, caches included."""
        return next(price for above, price in reversed(self.steps) if prompt > above)

    @property
    def starts(self) -> tuple[int, ...]:
        """The prompt lengths above which the price changes."""
        return tuple(above for above, _ in self.steps[1:])

    def times(self, factor: Ladder) -> Ladder:
        """Return each step multiplied by the factor that holds there."""
        starts = sorted({above for above, _ in (*self.steps, *factor.steps)})
        return Ladder(tuple((above, self.at(above + 1) * factor.at(above + 1)) for above in starts))

    def over(self, base: Ladder) -> Ladder:
        """Return the ratio to ``base``, step by step. Where ``base`` is free it stays free: the ratio is 1 there."""
        starts = sorted({above for above, _ in (*self.steps, *base.steps)})
        return Ladder(tuple((above, _ratio(self.at(above + 1), base.at(above + 1))) for above in starts))

    def onto(self, below: Ladder) -> Ladder:
        """Return this ladder's first step and above, standing on the steps of ``below`` that start lower."""
        first = self.steps[0][0]
        return Ladder((*(step for step in below.steps if step[0] < first), *self.steps))


def flat(price: Fraction) -> Ladder:
    """Return a ladder of one step."""
    return Ladder(((GROUND, price),))


def _ratio(price: Fraction, base: Fraction) -> Fraction:
    return price / base if base else Fraction(1)
