"""Prices by length of prompt: one step counts for the whole request."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from costspan.pricing.ladder import GROUND, Ladder, flat

PRICES = st.fractions(min_value=0, max_value=100)
STEPS = st.dictionaries(st.integers(0, 1000), PRICES, max_size=4)
LADDERS = st.builds(lambda base, steps: Ladder(((GROUND, base), *sorted(steps.items()))), PRICES, STEPS)
PROMPTS = st.integers(0, 1200)


def test_a_step_begins_above_its_length():
    """A prompt of exactly the threshold still has the lower price, the next token changes all of it."""
    ladder = Ladder(((GROUND, Fraction(1)), (100_000, Fraction(5))))

    assert (ladder.at(0), ladder.at(100_000), ladder.at(100_001)) == (1, 1, 5)
    assert ladder.starts == (100_000,)


@given(LADDERS, LADDERS, PROMPTS)
def test_multiplying_holds_at_every_length(one, other, prompt):
    """The product of two ladders is the product of their prices, whichever steps they have."""
    assert one.times(other).at(prompt) == one.at(prompt) * other.at(prompt)


@given(LADDERS, LADDERS, PROMPTS)
def test_a_ratio_gives_the_price_back(price, base, prompt):
    """Base times ratio is the price again, except over a free base, which stays free."""
    again = base.times(price.over(base)).at(prompt)

    assert again == (price.at(prompt) if base.at(prompt) else 0)


@given(LADDERS, st.integers(0, 1000), PRICES, PROMPTS)
def test_a_step_put_on_a_ladder_counts_from_its_length_on(ladder, above, price, prompt):
    """Shorter prompts keep their price, longer ones get the new one."""
    combined = Ladder(((above, price),)).onto(ladder)

    assert combined.at(prompt) == (price if prompt > above else ladder.at(prompt))


def test_a_flat_price_holds_for_every_prompt():
    """One step, no thresholds."""
    assert flat(Fraction(3)).at(0) == flat(Fraction(3)).at(10**9) == 3
    assert flat(Fraction(3)).starts == ()
