"""The month that the demo plays."""

from __future__ import annotations

from datetime import date

import pytest

from costspan.demo import conversation, tokens
from costspan.demo.conversation import month
from costspan.demo.phrases import GUIDE
from costspan.demo.providers import MINIMUM_CACHED_TOKENS

FIRST = date(2026, 2, 1)


def test_the_same_seed_makes_the_same_month():
    """A run can be repeated to the digit; another seed is another month."""
    assert month(sessions=20, seed=1, first_day=FIRST) == month(sessions=20, seed=1, first_day=FIRST)
    assert month(sessions=20, seed=1, first_day=FIRST) != month(sessions=20, seed=2, first_day=FIRST)


@pytest.mark.parametrize("sessions", [1, 100, 300])
def test_a_month_has_the_sessions_asked_for_inside_its_days(sessions):
    """No turn falls before the first day or after the last."""
    made = month(sessions=sessions, seed=5, first_day=FIRST)

    assert len({session.id for session in made}) == sessions
    days = {turn.at.date() for session in made for turn in session.turns}
    assert min(days) >= FIRST
    assert max(days) <= date(2026, 2, 28)


def test_turns_alternate_and_only_users_ask():
    """A conversation begins with a question of its user."""
    for session in month(sessions=30, seed=3, first_day=FIRST):
        speakers = [turn.speaker for turn in session.turns]

        assert speakers == (["user", "assistant"] * len(speakers))[: len(speakers)]
        assert session.turns[0].is_question
        assert all(turn.speaker == "user" for turn in session.turns if turn.is_question)
        assert "{" not in "".join(turn.text for turn in session.turns)


def test_three_tenants_have_unequal_shares():
    """The tables of the demo have a large, a middle and a small tenant."""
    made = month(sessions=300, seed=1, first_day=FIRST)

    counts = [sum(session.tenant == tenant for session in made) for tenant, _, _ in conversation._TENANTS]

    assert counts[0] > counts[1] > counts[2] > 0


def test_the_guide_is_long_enough_to_be_cached():
    """Claude Haiku caches prefixes from 2,048 tokens on; a shorter guide would show no caching."""
    assert MINIMUM_CACHED_TOKENS <= tokens.count(GUIDE) < MINIMUM_CACHED_TOKENS * 1.1
