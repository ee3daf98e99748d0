"""Servers that do not want to be asked for the usage of a stream."""

from __future__ import annotations

import openai
import pytest

from costspan import hooks
from costspan.hooks import call as calls
from costspan.hooks.injection import Asking
from fix_sdk import CHAT, MESSAGES, chat_chunks, chat_stream
from loopback import Json, Sse

STREAM = {"messages": MESSAGES, "model": "gpt-5", "stream": True}
UNKNOWN = Json({"error": {"message": "Unrecognized request argument supplied: stream_options"}}, status=400)
STRICT = Json({"detail": [{"loc": ["body", "stream_options"], "msg": "extra fields not permitted"}]}, status=422)
VAGUE = Json({"error": {"message": "bad request"}}, status=400)


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch):
    """Each test begins with servers that nobody knows."""
    monkeypatch.setattr(calls, "asking", Asking())


def refusing(refusal):
    """A server that answers ``refusal`` to whoever asks for usage."""
    return lambda seen: refusal if "stream_options" in seen.body else chat_stream(2)(seen)


@pytest.mark.parametrize("refusal", [UNKNOWN, STRICT, VAGUE])
def test_refused_question_is_taken_back(server, gpt, kept, refusal):
    """The application gets its stream, without an exception; the refused attempt failed, the other is an estimate."""
    server.otherwise = refusing(refusal)

    chunks = list(gpt.chat.completions.create(**STREAM))

    assert len(chunks) == 4
    assert [call.status for call in kept.calls] == ["estimated"]
    assert [ending.outcome for ending in kept.endings] == ["failed"]
    assert kept.calls[0].retry == 1


async def test_asynchronous_refused_question_is_taken_back(server, agpt, kept):
    """The same for an asynchronous client, and for a raw response."""
    server.otherwise = refusing(UNKNOWN)

    chunks = [chunk async for chunk in await agpt.chat.completions.create(**STREAM)]
    raw = await agpt.chat.completions.with_raw_response.create(**STREAM)
    async for _ in raw.parse():
        pass

    assert len(chunks) == 4
    assert [call.status for call in kept.calls] == ["estimated", "estimated"]


def test_refusing_server_is_asked_once(server, gpt, kept):
    """A server that refused by name is not asked again."""
    server.otherwise = refusing(UNKNOWN)

    for _ in range(3):
        list(gpt.chat.completions.create(**STREAM))

    assert ["stream_options" in seen.body for seen in server.seen] == [True, False, False, False]


def test_azure_deployment_of_an_old_version_is_not_asked(server, kept):
    """Azure's older versions refuse what they do not know; newer ones are asked."""
    server.otherwise = chat_stream(1)

    for version in ("2023-05-15", "2024-10-21"):
        with openai.AzureOpenAI(api_key="none", azure_endpoint=server.url, api_version=version) as client:
            list(client.chat.completions.create(**STREAM))

    assert ["stream_options" in seen.body for seen in server.seen] == [False, True]
    assert [call.status for call in kept.calls] == ["estimated", "priced"]


def test_azure_refusal_is_taken_back(server, kept):
    """An Azure client survives a refusal as well, though its path names the deployment only once."""
    server.otherwise = refusing(UNKNOWN)

    with openai.AzureOpenAI(api_key="none", azure_endpoint=server.url, api_version="2024-10-21") as client:
        chunks = list(client.chat.completions.create(**STREAM))

    assert len(chunks) == 4
    assert {seen.path for seen in server.seen} == {"/openai/deployments/gpt-5/chat/completions?api-version=2024-10-21"}


def test_own_mistake_is_not_repeated_once_the_server_is_known(server, gpt, kept):
    """After a server has answered, a bad request is the application's own: one request, one exception."""
    server.answer(chat_stream(1), VAGUE)

    list(gpt.chat.completions.create(**STREAM))
    with pytest.raises(openai.BadRequestError, match="bad request"):
        gpt.chat.completions.create(**STREAM)

    assert len(server.seen) == 2


def test_own_mistake_at_an_unknown_server_raises_the_plain_answer(server, gpt, kept):
    """At a server that was never asked before, the exception is the one of the plain request, with no context of ours."""
    server.otherwise = lambda seen: (
        VAGUE if "stream_options" in seen.body else Json({"error": {"message": "plain"}}, status=404)
    )

    with pytest.raises(openai.NotFoundError) as caught:
        gpt.chat.completions.create(**STREAM)

    contexts, error = [], caught.value
    while (error := error.__context__) is not None:
        contexts.append(type(error).__name__)
    assert contexts in ([], ["HTTPStatusError"])
    assert kept.outcomes == ["failed", "failed"]


def test_usage_that_comes_unasked_is_used_and_shown(server, gpt, kept):
    """A server that sends usage with its last choice is priced by it, and the application sees it as ever."""
    chunks = list(chat_chunks(1, has_usage=False))
    chunks[-1]["usage"] = CHAT["usage"]
    server.otherwise = Sse(chunks)

    seen = list(gpt.chat.completions.create(**STREAM))

    assert seen[-1].usage.prompt_tokens == 1000
    assert kept.call().status == "priced"


def test_server_that_sends_usage_unasked_is_not_asked_again(server, gpt, kept):
    """It needs no question, and then its chunks stay as they are."""
    chunks = [{**chunk, "usage": None} for chunk in chat_chunks(1, has_usage=False)]
    chunks[-1]["usage"] = CHAT["usage"]
    server.otherwise = Sse(chunks)

    list(gpt.chat.completions.create(**STREAM))
    second = list(gpt.chat.completions.create(**STREAM))

    assert ["stream_options" in seen.body for seen in server.seen] == [True, False]
    assert all("usage" in chunk.model_fields_set for chunk in second)
    assert [call.status for call in kept.calls] == ["priced", "priced"]


def test_setting_never_asks(server, gpt, meter):
    """`include_usage="never"` sends what the application sends."""
    server.otherwise = chat_stream(1)
    hooks.instrument(meter, include_usage="never")

    list(gpt.chat.completions.create(**STREAM))

    events = [event for segment in meter.journal.segments() for event in segment.read(0, 9).events]
    assert "stream_options" not in server.seen[0].body
    assert [event.status for event in events] == ["estimated"]


def test_question_is_asked_at_each_retry(server, gpt, kept, monkeypatch):
    """Retried requests ask as the first did, and the options of the application stay as they are."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    server.answer(Json({}, status=500), chat_stream(1))

    chunks = list(gpt.with_options(max_retries=1).chat.completions.create(**STREAM))

    assert ["stream_options" in seen.body for seen in server.seen] == [True, True]
    assert len(chunks) == 3
    assert [call.status for call in kept.calls] == ["priced"]
