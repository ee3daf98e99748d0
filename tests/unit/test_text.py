"""Names from outside are safe for every sink."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.text import MAX_NAME, clean


@given(st.text(alphabet=st.characters(), max_size=600))
def test_any_text_becomes_encodable_bounded_and_printable(text):
    """Whatever an application passes, Postgres, Prometheus and a terminal can take the result."""
    name = clean(text)

    assert len(name) <= MAX_NAME
    name.encode("utf-8")
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in name)


@given(st.text(max_size=600))
def test_cleaning_is_stable(text):
    """A name that was cleaned once is not changed by cleaning it again."""
    once = clean(text)

    assert clean(once) == once


@pytest.mark.parametrize("hostile", ["a\x00b", "a\nb", "a\ud800b", "a\u202eb", "a\x1b[2Jb"])
def test_hostile_characters_are_replaced_not_dropped(hostile):
    """A NUL, a newline, a lone surrogate, a direction mark or an escape shows as a replacement character."""
    assert clean(hostile).startswith("a\ufffd")


def test_two_long_names_that_differ_at_the_end_stay_two_names():
    """Cutting a megabyte never merges two tenants into one."""
    first, second = clean("t" * 1_000_000 + "1"), clean("t" * 1_000_000 + "2")

    assert first != second
    assert len(first) == len(second) == MAX_NAME


def test_ids_of_other_types_are_their_text():
    """A UUID or a number is as good an id as a string."""
    assert clean(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"
    assert clean(42) == "42"


def test_an_object_whose_text_raises_is_named_by_its_type():
    """An application's broken __str__ does not break its call."""

    class Broken:
        def __str__(self):
            raise RuntimeError("no text today")

    assert clean(Broken()) == "<Broken>"
