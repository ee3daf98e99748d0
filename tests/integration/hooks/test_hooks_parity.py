"""An application cannot tell whether it is metered: same results, same chunks, same exceptions, same objects."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import openai
import pytest

from costspan import hooks
from fix_sdk import (
    CHAT,
    EMBEDDINGS,
    MESSAGE,
    MESSAGES,
    RESPONSE,
    chat_chunks,
    chat_stream,
    completion_stream,
    message_stream,
    response_stream,
    sdk_version,
)
from loopback import Json, Raw, Sse

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5"}
HELLO = {"messages": MESSAGES, "model": "claude-haiku-4-5", "max_tokens": 200}
#: Bodies that a provider, or a proxy in front of it, may send with 200.
HOSTILE = {
    "usage is a list": Json({**CHAT, "usage": [1, 2]}),
    "usage is a text": Json({**CHAT, "usage": "many"}),
    "usage is null": Json({**CHAT, "usage": None}),
    "counts are huge": Json({**CHAT, "usage": {"prompt_tokens": 2**70, "completion_tokens": 10**400}}),
    "counts are negative": Json({**CHAT, "usage": {"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6}}),
    "counts are no numbers": Json(
        {**CHAT, "usage": {"prompt_tokens": float("nan"), "completion_tokens": float("inf")}}
    ),
    "counts are true": Json({**CHAT, "usage": {"prompt_tokens": True, "completion_tokens": False}}),
    "body is a list": Json([CHAT]),
    "body is a text": Json("hello"),
    "body is null": Json(None),
    "body is a number": Json(12),
    "names are hostile": Json({**CHAT, "model": "gpt-5\x00\ud800" + "x" * 10_000, "id": "\u202e", "service_tier": 7}),
    "not the JSON it says": Raw(b"{not json", "application/json"),
    "not even UTF-8": Raw(b'{"id": "\xff\xfe"}', "application/json"),
    "deeply nested": Raw(b"[" * 5000 + b"]" * 5000, "application/json"),
    "empty": Raw(b"", "application/json"),
    "no content": Raw(status=204),
    "a proxy's page": Raw(b"<html>Sign in to the WLAN</html>", "text/html"),
    "text": Raw(b"ok", "text/plain"),
}


def attempt(function):
    """Return what an application can know of a call: its result, or its exception."""
    try:
        result = function()
    except Exception as error:  # whatever it is
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if "costspan/hooks" not in frame.filename
        ]
        names = [type(each).__name__ for each in (error, error.__cause__, error.__context__)]
        return [*names, str(error), [(frame.filename, frame.name) for frame in frames]]
    if hasattr(result, "model_dump"):
        return [type(result).__name__, result.model_dump(warnings=False), sorted(result.model_fields_set)]
    return [type(result).__name__, result]


def both_ways(meter, function):
    """Return what ``function`` gives without costspan and with it."""
    bare = attempt(function)
    hooks.instrument(meter)
    try:
        return bare, attempt(function)
    finally:
        hooks.uninstrument()


def seen_of(stream):
    """Return all that an application can see of the items of a stream."""
    return [
        (
            type(item).__name__,
            json.dumps(item.model_dump(), default=repr),
            sorted(item.model_fields_set),
            item.to_json(),
        )
        for item in stream
    ]


@pytest.mark.parametrize("words", [0, 1, 40])
def test_chunks_are_the_same_byte_for_byte(server, gpt, meter, words):
    """A chat stream that is asked for its usage behind the application's back shows the same chunks as without."""
    server.otherwise = chat_stream(words)

    bare, metered = both_ways(meter, lambda: seen_of(gpt.chat.completions.create(**CHAT_HELLO, stream=True)))

    assert bare == metered
    assert len(metered[1]) == words + 2
    assert ["stream_options" in seen.body for seen in server.seen] == [False, True]


@pytest.mark.parametrize(
    "options", [{"include_usage": True}, {"include_usage": False}, {"include_obfuscation": False}, None, {}]
)
def test_chunks_are_the_same_whatever_was_asked(server, gpt, meter, options):
    """An application's own stream options keep their meaning: its usage chunk is shown where it asked for it."""
    server.otherwise = chat_stream(2)
    extra = {"extra_body": {"stream_options": options}}

    bare, metered = both_ways(meter, lambda: seen_of(gpt.chat.completions.create(**CHAT_HELLO, stream=True, **extra)))

    asked = bool(options and options.get("include_usage"))
    assert bare == metered
    assert len(metered[1]) == (5 if asked else 4)
    assert server.seen[1].body["stream_options"] == {**(options or {}), "include_usage": True}


@pytest.mark.parametrize("first", [[], [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]])
def test_chunk_without_choices_of_azure_is_shown(server, gpt, meter, first):
    """A chunk without choices that was not asked for, as Azure sends first, is the application's."""
    filtered = {"id": "", "object": "", "created": 0, "model": "", "choices": first, "prompt_filter_results": [{}]}
    server.otherwise = lambda seen: Sse([filtered, *chat_stream(1)(seen).events])

    bare, metered = both_ways(meter, lambda: seen_of(gpt.chat.completions.create(**CHAT_HELLO, stream=True)))

    assert bare == metered
    assert len(metered[1]) == 4


def test_chunks_of_other_streams_are_the_same(server, gpt, claude, meter):
    """Legacy completions, responses and messages."""

    def answer(seen):
        if seen.path.endswith("/messages"):
            return message_stream(3)
        return completion_stream(seen) if seen.path.endswith("/completions") else response_stream()

    server.otherwise = answer

    def run():
        completions = gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi", stream=True)
        found = [*seen_of(completions), *seen_of(claude.messages.create(**HELLO, stream=True))]
        if sdk_version(openai) >= (1, 66):
            found.extend(seen_of(gpt.responses.create(model="gpt-5", input="hi", stream=True)))
        return found

    bare, metered = both_ways(meter, run)

    assert bare == metered


async def test_chunks_of_asynchronous_streams_are_the_same(server, agpt, meter):
    """An asynchronous stream, and one that is parsed from a raw response."""
    server.otherwise = chat_stream(3)

    async def run():
        stream = await agpt.chat.completions.create(**CHAT_HELLO, stream=True)
        raw = await agpt.chat.completions.with_raw_response.create(**CHAT_HELLO, stream=True)
        return [seen_of([chunk async for chunk in each]) for each in (stream, raw.parse())]

    bare = await run()
    hooks.instrument(meter)
    metered = await run()
    hooks.uninstrument()

    assert bare == metered


def test_own_stream_class_is_not_asked_for_usage(server, gpt, meter):
    """A stream class that iterates by itself would show the extra chunk, so it is not asked."""
    server.otherwise = chat_stream(1)

    class Own(openai.Stream[object]):
        def __stream__(self):
            for event in self._iter_events():
                if not event.data.startswith("[DONE]"):
                    yield self._client._process_response_data(
                        data=event.json(), cast_to=self._cast_to, response=self.response
                    )

    def run():
        body = {**CHAT_HELLO, "stream": True}
        return list(gpt.post("/chat/completions", body=body, cast_to=object, stream=True, stream_cls=Own))

    bare, metered = both_ways(meter, run)

    assert bare == metered
    assert "stream_options" not in server.seen[1].body
    assert meter.journal.stats.open_intents == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_are_the_same_and_one_row(server, gpt, meter, name):
    """Whatever a provider or a proxy sends with 200, the application sees what it would see, and it is one row."""
    server.otherwise = HOSTILE[name]

    bare, metered = both_ways(meter, lambda: gpt.chat.completions.create(**CHAT_HELLO))
    raw = both_ways(meter, lambda: gpt.chat.completions.with_raw_response.create(**CHAT_HELLO).http_response.content)

    assert repr(bare) == repr(metered)
    assert raw[0] == raw[1]
    stats = meter.journal.stats
    assert (stats.intents, stats.open_intents, stats.dropped) == (2, 0, 0)
    events = [event for segment in meter.journal.segments() for event in segment.read(0, 100).events]
    assert len(events) == 2
    assert {event.status for event in events} <= {"invalid", "estimated", "partial", "unpriced"}


@pytest.mark.parametrize(
    "event",
    [
        {**next(chat_chunks(0, has_usage=False)), "usage": [1]},
        {**next(chat_chunks(0, has_usage=False)), "usage": {"prompt_tokens": -1}},
        {"choices": None},
        {"choices": "none", "usage": 3},
        [1, 2],
        "data: \n\n",
        "event: odd\ndata: {}\n\n",
        ": a comment\n\n",
        "data: 7\n\n",
    ],
)
def test_hostile_events_are_the_same_and_one_row(server, gpt, meter, event):
    """Nor does it tell by any event of a stream."""
    server.otherwise = Sse([*chat_chunks(2, has_usage=False), event, *chat_chunks(1, has_usage=False)])

    def run():
        return [repr(item) for item in gpt.chat.completions.create(**CHAT_HELLO, stream=True)]

    bare, metered = both_ways(meter, run)

    assert bare == metered
    assert (meter.journal.stats.intents, meter.journal.stats.open_intents) == (1, 0)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_exceptions_are_the_same(server, gpt, claude, meter, status):
    """Type, text, cause, context and the SDK's own frames of an exception."""
    server.otherwise = Json({"error": {"message": "no", "code": 7}}, status=status)

    from_openai = both_ways(meter, lambda: gpt.chat.completions.create(**CHAT_HELLO))
    from_anthropic = both_ways(meter, lambda: claude.messages.create(**HELLO))

    assert from_openai[0] == from_openai[1]
    assert from_anthropic[0] == from_anthropic[1]


def test_exception_passes_one_frame_of_ours(server, gpt, meter):
    """A refused call's traceback is one frame longer, not more."""
    server.otherwise = Json({"error": {"message": "no"}}, status=400)
    hooks.instrument(meter)

    with pytest.raises(openai.BadRequestError) as caught:
        gpt.chat.completions.create(**CHAT_HELLO)

    hooks.uninstrument()
    assert sum("costspan/hooks" in str(entry.path) for entry in caught.traceback) == 1


def test_results_are_the_same(server, gpt, claude, meter):
    """Plain results of every API."""
    bodies = {"chat/completions": CHAT, "embeddings": EMBEDDINGS, "messages": MESSAGE, "responses": RESPONSE}
    server.otherwise = lambda seen: Json(next(body for end, body in bodies.items() if seen.path.endswith(end)))
    calls = [
        lambda: gpt.chat.completions.create(**CHAT_HELLO),
        lambda: gpt.embeddings.create(model="text-embedding-3-large", input="hi"),
        lambda: claude.messages.create(**HELLO),
    ]
    if sdk_version(openai) >= (1, 66):
        calls.append(lambda: gpt.responses.create(model="gpt-5", input="hi"))

    pairs = [both_ways(meter, call) for call in calls]

    assert all(bare == metered for bare, metered in pairs)


def test_caller_keeps_its_own_objects(server, gpt, meter):
    """Nothing that the caller passed in is changed."""
    server.otherwise = chat_stream(1)
    body = {"messages": copy.deepcopy(MESSAGES), "model": "gpt-5", "stream": True}
    extra = {"stream_options": {"include_obfuscation": False}}
    before = copy.deepcopy((body, extra))
    hooks.instrument(meter)

    list(gpt.post("/chat/completions", body=body, cast_to=object, stream=True, stream_cls=openai.Stream[object]))
    list(gpt.chat.completions.create(**body, extra_body=extra))

    hooks.uninstrument()
    assert (body, extra) == before


def test_clients_and_responses_can_be_copied_and_pickled(server, gpt, meter):
    """Clients copy as before, and an HTTP response pickles as before, streamed or not."""
    server.otherwise = lambda seen: chat_stream(1)(seen) if seen.body.get("stream") else Json(CHAT)
    hooks.instrument(meter)

    copied = copy.copy(gpt)
    answer = copied.chat.completions.create(**CHAT_HELLO)
    raw = gpt.chat.completions.with_raw_response.create(**CHAT_HELLO).http_response
    with gpt.chat.completions.with_streaming_response.create(**CHAT_HELLO) as response:
        response.read()
        streamed = pickle.loads(pickle.dumps(response.http_response))

    hooks.uninstrument()
    assert answer.id == CHAT["id"]
    assert pickle.loads(pickle.dumps(raw)).json() == CHAT
    assert streamed.json() == CHAT


def test_elapsed_time_of_a_streamed_response_is_known(server, gpt, meter):
    """What the HTTP library notes on a body is still found on it."""
    server.otherwise = Json(CHAT)
    hooks.instrument(meter)

    with gpt.chat.completions.with_streaming_response.create(**CHAT_HELLO) as response:
        response.read()

    hooks.uninstrument()
    assert response.elapsed.total_seconds() > 0
