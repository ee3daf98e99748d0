"""Tokens told from the lengths of texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.capture import Shape
from costspan.capture.estimate import answer_bytes, prompt_tokens, structure_bytes, text_bytes, tokens
from unit.capture.answers import PATIENT


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 3), ("Привет", 3), ("😀", 1), ("\ud800", 1)],
)
def test_a_token_is_four_bytes(text, expected):
    """One rule holds for all scripts, and a part of a token is one."""
    estimated = tokens(text_bytes(text))

    assert estimated == expected


@given(st.text())
@PATIENT
def test_bytes_are_those_of_utf_8(text):
    """The length of any text is its length in UTF-8, lone surrogates included."""
    measured = text_bytes(text)

    assert measured == len(text.encode("utf-8", "surrogatepass"))


def test_files_and_names_are_not_text():
    """Images, audio and files do not follow from their bytes; roles, types and ids are not read."""
    parts = [
        {"type": "text", "text": "abcd"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}},
        {"type": "image", "source": {"type": "base64", "data": "A" * 5000}},
        {"type": "input_audio", "input_audio": {"data": "A" * 5000}},
        {"type": "input_image", "detail": "data:image/png;base64," + "A" * 5000},
    ]

    size = structure_bytes([{"role": "user", "content": parts, "id": "m" * 99}])

    assert size == 4


def test_messages_have_wrappings():
    """Each message of a prompt has tokens around it."""
    request = {"messages": [{"role": "user", "content": "abcd"}, {"role": "assistant", "content": "efgh"}]}

    estimated = prompt_tokens(Shape.CHAT, request)

    assert estimated == 2 + 2 * 4


def test_tools_are_read():
    """Definitions of tools are a part of the prompt."""
    tools = [{"type": "function", "function": {"name": "weather", "description": "d" * 40}}]

    estimated = prompt_tokens(Shape.CHAT, {"messages": [], "tools": tools})

    assert estimated >= 10


def test_an_applications_own_objects_are_left_alone():
    """An iterator is not consumed, and an object without a text form does not matter."""
    iterator = iter(["a", "b"])

    estimated = prompt_tokens(Shape.CHAT, {"messages": [iterator, object(), {"content": ("abcd",)}, b"bytes"]})

    assert estimated == 1
    assert list(iterator) == ["a", "b"]


def test_a_structure_without_end_is_measured_so_far():
    """A list that contains itself ends, and so does one of a million entries."""
    endless = []
    endless += [endless, "abcd"]

    measured = structure_bytes(endless)

    assert 0 < measured <= 4 * 100_000
    assert structure_bytes(["a"] * 1_000_000) == 99_999


@pytest.mark.parametrize("shape", list(Shape))
def test_every_shape_can_be_estimated(shape):
    """No shape of answer is without a rule, and a request that is not known has no tokens."""
    empty = prompt_tokens(shape, {})

    assert (empty, prompt_tokens(shape, None), answer_bytes(shape, {})) == (0, 0, 0)
