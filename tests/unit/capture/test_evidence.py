"""The usage object, kept within bounds."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given

from costspan.capture.evidence import evidence
from unit.capture.answers import PATIENT
from unit.capture.test_robustness import JSON


def test_a_usage_object_is_kept_as_it_came():
    """What providers send today is kept whole."""
    usage = {
        "input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        "service_tier": "standard",
        "inference_geo": None,
        "cost": 0.25,
        "is_byok": False,
        "iterations": [{"type": "message", "input_tokens": 3}],
    }

    kept = evidence(usage)

    assert kept == usage
    assert kept["cache_creation"] is not usage["cache_creation"]


def test_content_is_never_kept():
    """A text that is no short word leaves only its length."""
    usage = {"note": "The secret is forty-two, and nobody must ever know of it.", "x" * 500: 1}

    kept = evidence(usage)

    assert kept == {"note": "<text of 57>", "<text of 500>": 1}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, {}),
        ([1, "a"], {"usage": [1, "a"]}),
        ("word", {"usage": "word"}),
        (-5, {"usage": -5}),
        (float("nan"), {"usage": "nan"}),
        (b"bytes", {"usage": "<bytes>"}),
        ({1: 2}, {"<int>": 2}),
        ({"a\x00b": "\ud800"}, {"a\ufffdb": "\ufffd"}),
        pytest.param({"n": 10**5000}, {"n": "\u2026"}, id="more digits than Python prints"),
    ],
)
def test_anything_can_be_evidence(value, kept):
    """What is no object, or no number that JSON can hold, is kept in a form that it can."""
    copy = evidence(value)

    assert copy == kept


def test_depth_is_bounded():
    """A usage object without ground is kept so far."""
    deep = current = {}
    for _ in range(50):
        current["a"] = current = {}

    kept = evidence(deep)

    assert kept == {"a": {"a": {"a": {"a": {"a": "<dict>"}}}}}


def test_length_is_bounded():
    """A list or an object without end is kept so far, and shows that it was cut."""
    listed, named = evidence([7] * 5000), evidence({f"n{number}": 7 for number in range(5000)})

    assert listed["usage"][-1] == named["\u2026"] == "\u2026"
    assert len(msgspec.json.encode([listed, named])) < 2 * 4096


@given(JSON)
@PATIENT
def test_evidence_always_fits(value):
    """Whatever was sent, its evidence is JSON of at most 4 KB."""
    kept = evidence({"usage": value, "more": [value, value]})

    assert len(msgspec.json.encode(kept)) <= 4096
    assert json.loads(msgspec.json.encode(kept)) == kept


@pytest.mark.parametrize("letter", ["a", '"', "\\", "ü", "日", "😀"])
@pytest.mark.parametrize("size", [1, 5, 6, 7, 17, 18, 19, 500])
def test_evidence_of_long_names_fits(letter, size):
    """Names and words at their longest, in letters at their widest, stay within 4 KB."""
    names = [f"{number:03}" + letter * 45 for number in range(size)]
    inner = {f"{number:02}" + letter * 46: letter * 48 for number in range(11)}
    usage = dict.fromkeys(names, inner)

    kept = evidence(usage)
    flat = evidence(dict.fromkeys(names, letter * 48))

    assert len(msgspec.json.encode(kept)) <= 4096
    assert len(msgspec.json.encode(flat)) <= 4096
