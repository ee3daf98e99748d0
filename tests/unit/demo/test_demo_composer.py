"""The answers that the demo's models give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.demo import tokens
from costspan.demo.composer import compose

SAID = "We keep the lease. Priya asks on Monday! Is the budget enough? Nobody knows."


@given(st.text(max_size=2000))
def test_an_answer_has_the_length_of_a_summary(text):
    """An answer that nothing limits has 160 to 200 tokens, whatever was asked."""
    answer, is_cut = compose(text, limit=10_000)

    assert 160 <= tokens.count(answer) <= 200
    assert not is_cut


@given(st.text(max_size=500), st.integers(min_value=1, max_value=150))
def test_a_limit_is_kept_and_said(text, limit):
    """An answer that is longer than allowed is cut to the token."""
    answer, is_cut = compose(text, limit=limit)

    assert tokens.count(answer) == limit
    assert is_cut


def test_the_same_text_gets_the_same_answer():
    """Two runs of the demo bill the same tokens."""
    assert compose(SAID, limit=500) == compose(SAID, limit=500)


@pytest.mark.parametrize("word", ["lease", "Priya", "budget"])
def test_an_answer_is_about_what_was_said(word):
    """A summary holds the words of what it sums up, so that a search can find it."""
    answer, _ = compose(SAID, limit=500)

    assert word in answer
