"""Recorded exchanges in the format of the golden ones."""

from __future__ import annotations

import pytest

from costspan.capture import from_exchange
from costspan.errors import ConfigurationError
from costspan.usage import Completeness
from unit.capture.answers import by_portion, chat, quantities

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
CASE = {"service": "openai", "endpoint": "/v1/chat/completions", "response": chat(USAGE)}


def test_an_answer_in_one_piece_is_read():
    """A body is read by the endpoint it came from."""
    reading = from_exchange({**CASE, "request": {"model": "asked"}, "provider": "groq"})

    assert by_portion(reading) == [("gpt-a", {"input_tokens": 3, "output_tokens": 4})]
    assert reading.provider == "groq"


def test_events_are_read_one_by_one():
    """A stream that breaks off in the recording is cut."""
    first = {"model": "gpt-a", "choices": [{"delta": {"content": "y" * 40}, "finish_reason": None}]}
    usage = {"model": "gpt-a", "choices": [], "usage": USAGE}
    case = {"service": "openai", "endpoint": "/v1/chat/completions"}

    whole = from_exchange({**case, "events": [first, usage]})
    broken = from_exchange({**case, "events": [first]})

    assert quantities(whole) == {"input_tokens": 3, "output_tokens": 4}
    assert broken.completeness is Completeness.CUT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"service": None}, "service is a NoneType: allowed is a text"),
        ({"service": "cohere"}, "is no metered endpoint"),
        ({"endpoint": 5}, "endpoint is a int: allowed is a text"),
        ({"endpoint": "/v1/models"}, "'/v1/models' of service 'openai' is no metered endpoint"),
        ({"method": "GET"}, "GET '/v1/chat/completions'"),
        ({"request": []}, "request is a list: allowed is an object"),
        ({"provider": 5}, "provider is a int: allowed is a text"),
    ],
)
def test_an_exchange_of_another_shape_is_explained(change, message):
    """What is wrong with a recording is said by name, with what is allowed."""
    with pytest.raises(ConfigurationError, match=message):
        from_exchange({**CASE, **change})


@pytest.mark.parametrize("rest", [{}, {"events": None}, {"events": {"a": 1}}])
def test_an_exchange_needs_an_answer(rest):
    """A recording without body and without events has nothing to read."""
    case = {"service": "openai", "endpoint": "/v1/chat/completions", **rest}

    with pytest.raises(ConfigurationError, match="neither response"):
        from_exchange(case)
