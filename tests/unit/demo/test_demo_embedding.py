"""The demo's vectors."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.demo.embedding import as_base64, vector


def likeness(one, other):
    """The cosine of two texts' vectors."""
    return sum(a * b for a, b in zip(vector(one, 1024), vector(other, 1024), strict=True))


@given(st.text(max_size=300), st.sampled_from([1, 8, 1024]))
def test_a_vector_has_the_dimensions_asked_for_and_length_one(text, dimensions):
    """Any text gets a vector; nothing divides by zero."""
    values = vector(text, dimensions)

    assert len(values) == dimensions
    length = sum(value * value for value in values)
    assert length == pytest.approx(1, abs=1e-5) or not any(values)


def test_texts_that_share_words_are_nearer_than_texts_that_do_not():
    """This is what makes the search of the demo find something."""
    question = "What did we decide about the parking permits?"

    near = likeness(question, "Jonas decides about the parking permits before Friday.")
    far = likeness(question, "Lucia sends a newer version of her video tomorrow.")

    assert near > far + 0.2


def test_base64_is_little_endian_float32():
    """The form that OpenAI's SDK decodes."""
    values = vector("one two three", 16)

    decoded = struct.unpack("<16f", base64.b64decode(as_base64(values)))

    assert list(decoded) == values.tolist()
