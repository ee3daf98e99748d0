"""Recorded answers with their usage changed: nothing fails, and nothing that is not zero goes unnoticed."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping

import pytest

from costspan.capture import StreamReader, read_body
from costspan.usage import Completeness
from unit.capture.answers import events, exchanges, quantities

IMPOSSIBLE = [-7, 2.5, True, "9", float("nan"), 10**10, [3], {"a": 3}]


@pytest.fixture(scope="module")
def answers(shared):
    """One recorded exchange for each shape of usage, as its documents, with a function that reads them."""
    found = {}
    for exchange, called in exchanges(shared):
        is_stream = "event-stream" in exchange["content_type"]
        documents = events(exchange["body"]) if is_stream else [json.loads(exchange["body"])]
        shape = (called.path, is_stream, *(tuple(sorted(usage)) for usage in usages(documents)))
        found.setdefault(shape, (documents, called, exchange["request"], is_stream))
    assert len(found) > 15
    return list(found.values())


def usages(documents):
    """The usage objects of these documents, in place."""
    holders = [
        holder
        for document in documents
        for holder in (document, document.get("message"), document.get("response"))
        if isinstance(holder, dict)
    ]
    return [holder["usage"] for holder in holders if isinstance(holder.get("usage"), dict)]


def read(documents, called, request, *, is_stream):
    """Read documents as a hook would."""
    if not is_stream:
        return read_body(called, documents[0], request=request)
    reader = StreamReader(called, request=request)
    for document in documents:
        reader.feed(document)
    return reader.reading()


def objects(usage):
    """The usage object and every object inside."""
    return [usage, *(inner for value in usage.values() if isinstance(value, dict) for inner in objects(value))]


def variants(documents):
    """Copies of the documents in each of which one object of the last usage is handed out to be changed."""
    for number in range(len(objects(usages(documents)[-1])) if usages(documents) else 0):
        changed = copy.deepcopy(documents)
        yield changed, objects(usages(changed)[-1])[number]


def test_a_new_field_is_noticed_wherever_it_stands(answers):
    """A number under a new name, at the top or nested, plain or in a list, is listed as unknown."""
    for documents, called, request, is_stream in answers:
        for changed, place in variants(documents):
            place["hologram_tokens"] = 5
            place["holograms"] = [{"count": 2, "zero": 0}]

            reading = read(changed, called, request, is_stream=is_stream)

            assert {path.split(".")[-1] for path in reading.unknown} >= {"hologram_tokens", "count"}
            assert "zero" not in str(reading.unknown)


def test_a_renamed_field_is_noticed(answers):
    """A count that goes by a new name is not lost: it is unknown, or what was left is flagged or refused."""
    for documents, called, request, is_stream in answers:
        for changed, place in variants(documents):
            for name in [name for name, value in place.items() if type(value) is int and value]:
                value = place.pop(name)
                place[f"new_{name}"] = value

                reading = read(changed, called, request, is_stream=is_stream)

                assert f"new_{name}" in str(reading.unknown) or reading.problem
                place[name] = place.pop(f"new_{name}")


def test_a_dropped_field_is_noticed_where_it_is_required(answers):
    """A required count that is missing is flagged, estimated or refused; no other count changes for it."""
    for documents, called, request, is_stream in answers:
        whole = quantities(read(documents, called, request, is_stream=is_stream))
        for changed, place in variants(documents):
            for name in [name for name, value in place.items() if type(value) is int]:
                value = place.pop(name)

                reading = read(changed, called, request, is_stream=is_stream)

                lost = sum(whole.values()) - sum(quantities(reading).values())
                is_flagged = reading.unknown or reading.problem or reading.completeness is not Completeness.COMPLETE
                assert lost <= 0 or is_flagged or name in OPTIONAL
                place[name] = value


@pytest.mark.parametrize("value", IMPOSSIBLE, ids=repr)
def test_an_impossible_count_is_refused_wherever_it_stands(answers, value):
    """Each known count is checked, and none of the rest is summed when one is impossible."""
    for documents, called, request, is_stream in answers:
        for changed, place in variants(documents):
            for name in [name for name, count in place.items() if type(count) is int]:
                if called.service == "anthropic" and name not in KNOWN_TO_ANTHROPIC:
                    continue
                before = place[name]
                place[name] = value

                reading = read(changed, called, request, is_stream=is_stream)

                assert name in reading.problem or name == "prompt_cache_miss_tokens"
                assert bool(reading.problem) != bool(reading.portions)
                place[name] = before


#: Counts that an answer need not have.
OPTIONAL = {"cache_read_input_tokens", "cache_creation_input_tokens"}
KNOWN_TO_ANTHROPIC = {
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
}


def test_a_nested_usage_is_noticed(answers):
    """Counts that a provider moves one level deeper are unknown, not gone."""
    for documents, called, request, is_stream in answers:
        if not usages(documents):
            continue
        changed = copy.deepcopy(documents)
        for usage in usages(changed):
            inner = dict(usage)
            usage.clear()
            usage["details"] = inner

        reading = read(changed, called, request, is_stream=is_stream)

        assert any(path.startswith("details.") for path in reading.unknown)


def test_replayed_events_change_nothing(answers):
    """A stream whose last events come twice has the same counts."""
    for documents, called, request, is_stream in answers:
        if is_stream and usages(documents):
            once = read(documents, called, request, is_stream=True)

            twice = read(documents + documents[-2:], called, request, is_stream=True)

            assert quantities(once) == quantities(twice)


def test_readings_leave_the_answer_alone(answers):
    """An answer is the application's: reading it changes nothing in it."""
    for documents, called, request, is_stream in answers:
        before = copy.deepcopy((documents, request))

        reading = read(documents, called, request, is_stream=is_stream)

        assert (documents, request) == before
        assert isinstance(reading.evidence, Mapping)
