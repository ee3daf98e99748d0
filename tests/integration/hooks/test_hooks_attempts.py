"""Attempts: one HTTP request is one row or one ending, whatever the SDK does between them."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest

from fix_sdk import CHAT, MESSAGE, MESSAGES, chat_stream, message_stream, sdk_version
from loopback import Json, Raw, Reset, Unanswered

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5"}
HELLO = {"messages": MESSAGES, "model": "claude-haiku-4-5", "max_tokens": 200}
SLOW_DOWN = Json({"error": {"message": "slow down"}}, status=429, headers={"retry-after-ms": "1", "retry-after": "0"})
FAILING = Json({"error": {"message": "it failed"}}, status=500, headers={"retry-after-ms": "1"})
HAS_MIDDLEWARE = hasattr(anthropic, "Middleware")
needs_middleware = pytest.mark.skipif(not HAS_MIDDLEWARE, reason="this anthropic has no middleware")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The SDKs do not wait before they try again."""
    for module in (openai, anthropic):
        for name in ("INITIAL_RETRY_DELAY", "MAX_RETRY_DELAY"):
            monkeypatch.setattr(f"{module.__name__}._base_client.{name}", 0.001)


def test_retries_of_the_sdk_are_an_ending_each(server, gpt, claude, kept):
    """Each refused attempt ends as failed with its status; the one that is answered is the row, and knows its place."""
    server.answer(SLOW_DOWN, FAILING, Json(CHAT), SLOW_DOWN, Json(MESSAGE))

    gpt.with_options(max_retries=2).chat.completions.create(**CHAT_HELLO)
    claude.with_options(max_retries=2).messages.create(**HELLO)

    assert [call.retry for call in kept.calls] == [2, 1]
    assert [(ending.outcome, ending.reason) for ending in kept.endings] == [
        ("failed", "HTTP 429"),
        ("failed", "HTTP 500"),
        ("failed", "HTTP 429"),
    ]
    assert kept.opened == len(server.sent) == 5


async def test_asynchronous_retries_are_an_ending_each(server, agpt, aclaude, kept):
    """Asynchronous ones too."""
    server.answer(SLOW_DOWN, Json(CHAT), Reset(), Json(MESSAGE))

    await agpt.with_options(max_retries=1).chat.completions.create(**CHAT_HELLO)
    await aclaude.with_options(max_retries=1).messages.create(**HELLO)

    assert [call.retry for call in kept.calls] == [1, 1]
    assert [ending.outcome for ending in kept.endings] == ["failed", "unanswered"]
    assert kept.opened == 4


def test_billed_attempts_are_the_answers_of_200(server, gpt, claude, kept):
    """Over a mixture of answers, rows are exactly the requests that the server answered with 200."""
    kinds = [Json(CHAT), FAILING, SLOW_DOWN, Reset(), chat_stream(), Raw(b"no", status=400), Json(CHAT), FAILING]
    server.answer(*kinds * 3)

    for number in range(12):
        try:
            answer = gpt.with_options(max_retries=2).chat.completions.create(**CHAT_HELLO, stream=number % 3 == 0)
            if number % 3 == 0:
                list(answer)
        except openai.APIError:
            pass

    assert len(kept.calls) == server.sent.count(200)
    assert kept.opened == len(server.seen)
    assert kept.is_settled


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 529])
def test_refusals_reach_the_application_and_are_no_row(server, gpt, claude, kept, status):
    """The SDK's own exception, and an attempt that failed."""
    server.otherwise = Json({"error": {"message": "no", "type": "x"}}, status=status)

    with pytest.raises(openai.APIStatusError) as from_openai:
        gpt.chat.completions.create(**CHAT_HELLO)
    with pytest.raises(anthropic.APIStatusError) as from_anthropic:
        claude.messages.with_raw_response.create(**HELLO)

    assert (from_openai.value.status_code, from_anthropic.value.status_code) == (status, status)
    assert [(ending.outcome, ending.reason) for ending in kept.endings] == [("failed", f"HTTP {status}")] * 2
    assert kept.calls == []


def test_timeout_is_unanswered(server, gpt, claude, kept):
    """The provider may have billed what it was too slow to answer."""
    server.otherwise = Unanswered()

    with pytest.raises(openai.APITimeoutError):
        gpt.with_options(timeout=0.2).chat.completions.create(**CHAT_HELLO)
    with pytest.raises(anthropic.APITimeoutError):
        claude.with_options(timeout=0.2).messages.create(**HELLO)

    assert kept.outcomes == ["unanswered", "unanswered"]
    assert all(ending.reason.startswith("APITimeoutError from ReadTimeout") for ending in kept.endings)


def test_reset_is_unanswered(server, gpt, kept):
    """So may what was reset."""
    server.answer(Reset())

    with pytest.raises(openai.APIConnectionError):
        gpt.chat.completions.create(**CHAT_HELLO)

    assert kept.outcomes == ["unanswered"]


def test_connection_that_was_never_made_has_failed(kept):
    """What reached nobody was billed by nobody, on the last attempt and on those before."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody can connect
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with (
            openai.OpenAI(api_key="none", base_url=url, max_retries=1) as client,
            pytest.raises(openai.APIConnectionError),
        ):
            client.chat.completions.create(**CHAT_HELLO)
        with (
            anthropic.Anthropic(api_key="none", base_url=url, max_retries=1) as other,
            pytest.raises(anthropic.APIConnectionError),
        ):
            other.messages.create(**HELLO)

    assert kept.outcomes == ["failed"] * 4
    assert all(ending.reason.startswith("never left:") for ending in kept.endings)


async def test_cancelled_call_is_unanswered(server, agpt, kept):
    """A task that is cancelled while it waits leaves an attempt that nobody knows the end of."""
    server.otherwise = Unanswered()

    task = asyncio.ensure_future(agpt.chat.completions.create(**CHAT_HELLO))
    await asyncio.to_thread(server.has_asked.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [(ending.outcome, ending.reason) for ending in kept.endings] == [("unanswered", "CancelledError")]


def test_interrupt_passes_through(server, kept):
    """Ctrl-C in the middle of a call is the application's; the attempt is unanswered."""

    def interrupt(_request):
        raise KeyboardInterrupt

    library = __import__("httpx2" if sdk_version(openai) >= (3, 0) else "httpx")
    http_client = library.Client(event_hooks={"request": [interrupt]})

    with (
        openai.OpenAI(api_key="none", base_url=server.url, http_client=http_client) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.chat.completions.create(**CHAT_HELLO)

    assert [(ending.outcome, ending.reason) for ending in kept.endings] == [("unanswered", "KeyboardInterrupt")]


def test_request_that_cannot_be_built_is_no_attempt(gpt, kept):
    """A request that fails before it exists was never announced."""
    with pytest.raises(TypeError):
        gpt.chat.completions.create(messages=MESSAGES, model="gpt-5", extra_body={"x": object()})

    assert (kept.opened, kept.endings) == (0, [])


@needs_middleware
def test_each_billed_hop_of_a_middleware_is_a_row(server, kept):
    """A middleware that asks twice is billed twice; what it makes up itself is no row."""
    server.answer(Json(MESSAGE), Json({**MESSAGE, "id": "msg_2"}), Json({"error": {}}, status=503), Json(MESSAGE))

    def twice(request, call_next):
        call_next(request)
        return call_next(request)

    with anthropic.Anthropic(api_key="none", base_url=server.url, middleware=[twice], max_retries=0) as client:
        answer = client.messages.create(**HELLO)
        client.messages.create(**HELLO)

    assert answer.id == "msg_2"
    assert [call.response_id for call in kept.calls] == ["msg_1", "msg_2", "msg_1"]
    assert [ending.reason for ending in kept.endings] == ["HTTP 503"]
    assert kept.is_settled


@needs_middleware
async def test_stream_through_a_middleware_is_one_row(server, kept):
    """A stream that passes a middleware is metered as it is read; so are bytes that a middleware reads itself."""
    server.answer(message_stream(), message_stream())

    async def passing(request, call_next):
        return await call_next(request)

    def reading(request, call_next):
        response = call_next(request)
        for _ in anthropic.Stream.raw_events(response.http_response):
            pass
        return "what a middleware returns is what the application gets"

    async with anthropic.AsyncAnthropic(api_key="none", base_url=server.url, middleware=[passing]) as client:
        events = [event async for event in await client.messages.create(**HELLO, stream=True)]
    with anthropic.Anthropic(api_key="none", base_url=server.url, middleware=[reading]) as client:
        client.messages.create(**HELLO, stream=True)

    assert events[-1].type == "message_stop"
    assert [(call.tokens_out, call.status) for call in kept.calls] == [(180, "priced"), (180, "priced")]
    assert kept.is_settled


@needs_middleware
def test_hop_that_a_middleware_makes_while_its_stream_is_read_is_a_row(server, kept):
    """A middleware that splices a second stream behind the first one, as the SDK's own fallbacks do, is billed twice."""
    server.answer(message_stream(2), message_stream(3))
    library = (
        anthropic._base_client.httpx2 if hasattr(anthropic._base_client, "httpx2") else anthropic._base_client.httpx
    )

    def splicing(request, call_next):
        first = call_next(request)

        class Spliced(library.SyncByteStream):
            def __iter__(self):
                yield from first.http_response.iter_bytes()
                yield from call_next(request).http_response.iter_bytes()

        headers = {"content-type": "text/event-stream"}
        raw = library.Response(200, headers=headers, stream=Spliced(), request=first.http_request)
        kept_of_first = {"cast_to": first._cast_to, "client": first._client, "options": first._options}
        return type(first)(raw=raw, stream=True, stream_cls=first._stream_cls, **kept_of_first)

    with anthropic.Anthropic(api_key="none", base_url=server.url, middleware=[splicing]) as client:
        events = list(client.messages.create(**HELLO, stream=True))

    assert [event.type for event in events].count("message_stop") == 2
    assert [(call.tokens_out, call.status) for call in kept.calls] == [(180, "priced"), (180, "priced")]
    assert kept.is_settled


def test_refusal_within_a_redirect_is_one_attempt(server, gpt, kept):
    """A redirect that the HTTP client follows is part of the same attempt."""
    server.answer(Raw(status=307, headers={"location": f"{server.url}/v1/chat/completions"}), Json(CHAT))

    gpt.chat.completions.create(**CHAT_HELLO)

    assert len(server.seen) == 2
    assert kept.call().tokens_in == 1000


def test_coroutine_carried_on_in_another_context_is_one_row(kept):
    """A coroutine that some framework steps through several contexts ends as it would without costspan."""

    class Pause:
        def __await__(self):
            yield

    library = __import__("httpx2" if sdk_version(openai) >= (3, 0) else "httpx")

    class Slow(library.AsyncClient):
        async def send(self, request, **_options):
            await Pause()
            return library.Response(200, json=CHAT, request=request)

    client = openai.AsyncOpenAI(api_key="none", http_client=Slow(transport=library.AsyncBaseTransport()))
    client._platform = "Other:test"

    running = client.chat.completions.create(**CHAT_HELLO)
    contextvars.copy_context().run(running.send, None)
    with pytest.raises(StopIteration) as finished:
        contextvars.copy_context().run(running.send, None)

    abandoned = client.chat.completions.create(**CHAT_HELLO)
    contextvars.copy_context().run(abandoned.send, None)
    abandoned.close()

    assert finished.value.value.id == "chatcmpl-1"
    assert (len(kept.calls), kept.outcomes, kept.is_settled) == (1, ["unanswered"], True)


def test_threads_meter_their_own_calls(server, gpt, kept):
    """Many threads on one client: as many rows as answers."""
    server.otherwise = Json(CHAT)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: gpt.chat.completions.create(**CHAT_HELLO), range(40)))

    assert len(kept.calls) == 40
    assert kept.is_settled
