"""Names with stars."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.pricing.pattern import Pattern, matches_any

WORDS = st.text("ab*", max_size=8)
NAMES = st.text("ab", max_size=10)


@given(WORDS, NAMES)
def test_stars_match_as_a_regular_expression_would(pattern, name):
    """One pass over the name finds what trying every split would find."""
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))

    assert Pattern.parse(pattern).matches(name) == bool(re.fullmatch(expression, name))


@pytest.mark.parametrize("name", ["gpt-5[mini]", "ft:gpt-4o:acme::id", "a?b", "a.b"])
def test_every_other_character_is_itself(name):
    """Brackets, question marks and dots are names, not patterns, unlike in a shell."""
    assert Pattern.parse(name).matches(name)
    assert not Pattern.parse(name).matches(name.replace("5", "6").replace("f", "g").replace("a", "b"))


def test_case_does_not_matter_and_the_text_survives():
    """A pattern is kept in lower case, and can be printed as it stands."""
    pattern = Pattern.parse("GPT-5*")

    assert pattern.matches("gpt-5-mini")
    assert (pattern.text, pattern.is_exact) == ("gpt-5*", False)
    assert Pattern.parse("gpt-5").is_exact


def test_a_hundred_stars_take_no_time_to_speak_of():
    """A pattern that would send a backtracking matcher away for years answers at once."""
    assert not Pattern.parse("*a" * 100 + "b").matches("a" * 256)


def test_any_of_several_is_enough():
    """An entry with several names is about each of them."""
    patterns = (Pattern.parse("gpt-5"), Pattern.parse("gpt-5-20*"))

    assert matches_any(patterns, "gpt-5-2025-08-07")
    assert not matches_any(patterns, "gpt-5-mini")
    assert not matches_any((), "gpt-5")
