"""Streams: one answered request is one row, however the stream is read, and however it ends."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import anthropic
import openai
import pytest

from costspan.hooks.call import Call
from costspan.hooks.exchange import Exchange
from costspan.meter import Meter
from fix_sdk import (
    CHAT,
    MESSAGES,
    chat_chunks,
    chat_stream,
    completion_stream,
    message_stream,
    response_stream,
    sdk_version,
)
from loopback import Json, Sse

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5", "stream": True}
HELLO = {"messages": MESSAGES, "model": "claude-haiku-4-5", "max_tokens": 200}
needs_responses = pytest.mark.skipif(sdk_version(openai) < (1, 66), reason="this openai has no responses API")


def test_chat_stream_is_one_row_before_it_ends(server, gpt, kept):
    """A chat stream that did not ask for usage is priced by it, before the application learns that it is over."""
    server.answer(chat_stream())

    stream = iter(gpt.chat.completions.create(**CHAT_HELLO))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    call = kept.call()
    assert text == "word 0 word 1 word 2 "
    assert (call.tokens_in, call.tokens_out, call.status, call.model) == (1000, 100, "priced", "gpt-5-2025-08-07")
    assert server.seen[0].body["stream_options"] == {"include_usage": True}


async def test_asynchronous_chat_stream_is_one_row(server, agpt, kept):
    """The asynchronous one too."""
    server.answer(chat_stream())

    stream = await agpt.chat.completions.create(**CHAT_HELLO)
    chunks = [chunk async for chunk in stream]

    assert all(chunk.choices for chunk in chunks)
    assert (kept.call().tokens_in, kept.call().status) == (1000, "priced")


def test_message_stream_is_one_row(server, claude, kept):
    """A message stream merges what its first and its last events say."""
    server.answer(message_stream())

    events = list(claude.messages.create(**HELLO, stream=True))

    call = kept.call()
    assert events[-1].type == "message_stop"
    assert (call.tokens_in, call.tokens_out, call.cost_pico) == (450, 180, 1_350_000_000)


def test_message_helper_is_one_row(server, claude, kept):
    """The helper `messages.stream()` is one row, and so is the beta one."""
    server.answer(message_stream(), message_stream())

    with claude.messages.stream(**HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    beta = getattr(claude.beta.messages, "stream", None)
    if beta is not None:
        with beta(**HELLO) as stream:
            stream.until_done()

    assert text == "word 0 word 1 word 2 "
    assert final.usage.output_tokens == 180
    assert [call.tokens_out for call in kept.calls] == [180] * (2 if beta is not None else 1)
    assert kept.is_settled


async def test_asynchronous_message_helper_is_one_row(server, aclaude, kept):
    """The asynchronous helper too."""
    server.answer(message_stream())

    async with aclaude.messages.stream(**HELLO) as stream:
        final = await stream.get_final_message()

    assert final.usage.output_tokens == 180
    assert kept.call().tokens_out == 180


def test_chat_helper_is_one_row(server, gpt, kept):
    """The helper `chat.completions.stream()` is one row."""
    if not hasattr(gpt.chat.completions, "stream"):
        pytest.skip("this openai has no chat.completions.stream()")
    server.answer(chat_stream())

    with gpt.chat.completions.stream(messages=MESSAGES, model="gpt-5") as stream:
        final = stream.get_final_completion()

    assert final.usage is None
    assert kept.call().tokens_in == 1000


@needs_responses
def test_response_stream_and_its_helper_are_one_row_each(server, gpt, kept):
    """Streams of the responses API, raw and by the helper."""
    server.answer(response_stream(), response_stream())

    list(gpt.responses.create(model="gpt-5", input="Say hello.", stream=True))
    with gpt.responses.stream(model="gpt-5", input="Say hello.") as stream:
        stream.until_done()

    assert [(call.tokens_in, call.status) for call in kept.calls] == [(1000, "priced")] * 2
    assert kept.is_settled


def test_legacy_completion_stream_is_one_row(server, gpt, kept):
    """A stream of legacy completions is asked for its usage as well."""
    server.answer(completion_stream)

    chunks = list(gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt="Say hello.", stream=True))

    assert [chunk.choices[0].text for chunk in chunks] == ["one ", "two "]
    assert (kept.call().tokens_in, kept.call().status) == (1000, "priced")


def test_raw_response_of_a_stream_is_one_row(server, gpt, claude, kept):
    """`with_raw_response` of a stream, parsed into a stream, is one row."""
    server.answer(chat_stream(), message_stream())

    raw = gpt.chat.completions.with_raw_response.create(**CHAT_HELLO)
    chunks = list(raw.parse())
    events = list(claude.messages.with_raw_response.create(**HELLO, stream=True).parse())

    assert all(chunk.choices for chunk in chunks)
    assert len(events) == 8
    assert [call.status for call in kept.calls] == ["priced", "priced"]
    assert kept.is_settled


@pytest.mark.parametrize("is_gzipped", [False, True])
@pytest.mark.parametrize("way", ["iter_lines", "iter_text", "iter_bytes", "read", "text", "parse"])
def test_streaming_response_of_a_stream_is_one_row(server, claude, kept, way, is_gzipped):
    """`with_streaming_response` of a stream is metered whichever way it is read."""
    server.answer(message_stream(is_gzipped=is_gzipped))

    with claude.messages.with_streaming_response.create(**HELLO, stream=True) as response:
        read = getattr(response, way)()
        read if way in ("read", "text") else list(read)

    call = kept.call()
    assert (call.tokens_in, call.tokens_out, call.status) == (450, 180, "priced")


@pytest.mark.parametrize("way", ["iter_lines", "iter_text", "iter_bytes", "read", "text", "parse"])
async def test_asynchronous_streaming_response_of_a_stream_is_one_row(server, aclaude, kept, way):
    """The asynchronous one too."""
    server.answer(message_stream())

    async with aclaude.messages.with_streaming_response.create(**HELLO, stream=True) as response:
        read = getattr(response, way)()
        if way in ("read", "text"):
            await read
        else:
            async for _ in await read if way == "parse" else read:
                pass

    assert (kept.call().tokens_out, kept.call().status) == (180, "priced")


@pytest.mark.parametrize("way", ["iter_lines", "read", "parse"])
def test_bytes_of_a_chat_stream_are_as_they_would_be(server, gpt, kept, way):
    """Where the application reads bytes nothing could be hidden, so nothing is asked: the row is an estimate."""
    server.answer(chat_stream())

    with gpt.chat.completions.with_streaming_response.create(**CHAT_HELLO) as response:
        read = getattr(response, way)()
        read if way == "read" else list(read)

    call = kept.call()
    assert "stream_options" not in server.seen[0].body
    assert call.status == "estimated"
    assert call.tokens_out == 6


def test_stream_is_not_buffered(server, gpt, kept):
    """A chunk reaches the application before the server has sent the next."""
    gate = threading.Semaphore(0)
    server.answer(chat_stream(2, gate=gate))

    stream = gpt.chat.completions.create(**CHAT_HELLO)
    texts = []
    for _ in range(3):
        gate.release()
        texts.append(next(stream).choices[0].delta.content)
    gate.release(4)
    list(stream)

    assert texts == ["", "word 0 ", "word 1 "]
    assert kept.call().status == "priced"


async def test_asynchronous_stream_is_not_buffered(server, aclaude, kept):
    """Neither is an asynchronous one."""
    gate = threading.Semaphore(0)
    server.answer(message_stream(1, gate=gate))

    stream = await aclaude.messages.create(**HELLO, stream=True)
    kinds = []
    for _ in range(2):
        gate.release()
        kinds.append((await stream.__anext__()).type)
    gate.release(10)
    kinds.extend([event.type async for event in stream])

    assert kinds[:3] == ["message_start", "content_block_start", "content_block_delta"]
    assert kept.call().status == "priced"


def test_bytes_are_not_buffered(server, claude, kept):
    """Nor are bytes that are looked at on their way."""
    gate = threading.Semaphore(0)
    server.answer(message_stream(1, gate=gate))

    with claude.messages.with_streaming_response.create(**HELLO, stream=True) as response:
        pieces = response.iter_bytes()
        gate.release()
        first = next(pieces)
        gate.release(10)
        rest = b"".join(pieces)

    assert first.count(b"\n\n") == 1
    assert b"message_stop" in rest
    assert kept.call().status == "priced"


def test_break_and_close_is_partial(server, gpt, claude, kept):
    """A stream that is closed early is a lower bound: what was read of it, and the input."""
    gate = threading.Semaphore(3)
    server.answer(chat_stream(50, gate=gate), message_stream(50, gate=threading.Semaphore(4)))

    for stream in (gpt.chat.completions.create(**CHAT_HELLO), claude.messages.create(**HELLO, stream=True)):
        with stream:
            for number, _ in enumerate(stream):
                if number == 2:
                    break

    openai_call, anthropic_call = kept.calls
    assert [openai_call.status, anthropic_call.status] == ["partial", "partial"]
    assert anthropic_call.tokens_in == 450
    assert 0 < openai_call.tokens_out < 10
    assert kept.is_settled


async def test_asynchronous_break_and_close_is_partial(server, agpt, aclaude, kept):
    """The asynchronous one too."""
    server.answer(chat_stream(50, gate=threading.Semaphore(3)), message_stream(50, gate=threading.Semaphore(4)))

    for create in (agpt.chat.completions.create(**CHAT_HELLO), aclaude.messages.create(**HELLO, stream=True)):
        stream = await create
        async for _ in stream:
            break
        await stream.close()

    assert [call.status for call in kept.calls] == ["partial", "partial"]
    assert kept.is_settled


def test_close_after_the_last_word_is_priced(server, claude, kept):
    """A stream that is left at its last event was read to the end."""
    server.answer(message_stream())

    stream = claude.messages.create(**HELLO, stream=True)
    for event in stream:
        if event.type == "message_stop":
            break
    before_close = [call.status for call in kept.calls]
    stream.close()

    assert before_close == ["priced"]
    assert kept.call().tokens_out == 180


def test_exception_of_the_consumer_is_partial(server, gpt, kept):
    """What the application raises while it reads is its own, and the row is partial."""
    server.answer(chat_stream(50, gate=threading.Semaphore(3)))

    with pytest.raises(ZeroDivisionError), gpt.chat.completions.create(**CHAT_HELLO) as stream:
        for _ in stream:
            1 / 0  # noqa: B018  # the consumer's mistake

    assert kept.call().status == "partial"


async def test_cancelled_reader_is_partial(server, agpt, kept):
    """A task that is cancelled in the middle of a stream leaves a partial row."""
    gate = threading.Semaphore(2)
    server.answer(chat_stream(50, gate=gate))
    has_begun = asyncio.Event()

    async def read() -> None:
        async with await agpt.chat.completions.create(**CHAT_HELLO) as stream:
            async for _ in stream:
                has_begun.set()

    task = asyncio.ensure_future(read())
    await has_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.release(100)

    assert kept.call().status == "partial"


@pytest.mark.parametrize("is_begun", [False, True])
def test_dropped_stream_is_partial(server, gpt, claude, kept, is_begun):
    """A stream that is dropped without being closed, read or not, becomes a partial row by itself."""
    server.answer(chat_stream(50), message_stream(50))

    for stream in (gpt.chat.completions.create(**CHAT_HELLO), claude.messages.create(**HELLO, stream=True)):
        if is_begun:
            next(stream)
    del stream
    kept.wait()

    assert [call.status for call in kept.calls] == ["partial", "partial"]


async def test_dropped_asynchronous_stream_is_partial(server, agpt, kept):
    """An asynchronous one too."""
    server.answer(chat_stream(50))

    stream = await agpt.chat.completions.create(**CHAT_HELLO)
    await stream.__anext__()
    del stream
    gc.collect()  # in the thread of the loop, which is the one that closes its generators
    await asyncio.sleep(0.05)
    await asyncio.to_thread(kept.wait)

    assert kept.call().status == "partial"


def test_collector_settles_nothing_itself(server, gpt, kept, monkeypatch):
    """What the collector finalizes is settled by another thread.

    Streams were settled inside of the collector once: in the middle of an import, whose module was not whole yet.
    """
    settled_in = []
    settle = Meter.settle
    monkeypatch.setattr(
        Meter,
        "settle",
        lambda *args, **options: (settled_in.append(threading.get_ident()), settle(*args, **options))[1],
    )
    server.answer(chat_stream(50))
    gc.disable()
    try:
        stream = gpt.chat.completions.create(**CHAT_HELLO)
        next(stream)
        del stream
    finally:
        gc.enable()
    kept.wait()

    assert kept.call().status == "partial"
    assert len(settled_in) == 1
    assert settled_in != [threading.get_ident()]


def test_dropped_raw_response_is_partial(server, gpt, kept):
    """A raw streaming response that nobody parsed is a partial row."""
    server.answer(chat_stream(5))

    gpt.chat.completions.with_raw_response.create(**CHAT_HELLO)
    kept.wait()

    assert kept.call().status == "partial"


def test_broken_stream_is_partial_and_raises_the_same(server, gpt, claude, kept):
    """A connection that ends in the middle raises what it raises without costspan, and leaves a partial row."""
    server.answer(
        chat_stream(3, is_cut=True),
        Sse(list(message_stream(3).events)[:4], is_named=True, is_cut=True),
    )

    errors = []
    for stream in (gpt.chat.completions.create(**CHAT_HELLO), claude.messages.create(**HELLO, stream=True)):
        with pytest.raises(Exception) as caught:  # noqa: PT011  # httpx's, httpx2's or the SDK's, by its version
            list(stream)
        errors.append(type(caught.value).__name__)

    assert set(errors) <= {"RemoteProtocolError", "APIConnectionError", "ReadError"}
    assert [call.status for call in kept.calls] == ["priced", "partial"]
    assert kept.is_settled


def test_error_event_is_partial_and_raises_the_sdks_error(server, gpt, claude, kept):
    """An error inside of a stream reaches the application as ever."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    server.answer(
        Sse([{"error": {"message": "The server had an error", "type": "server_error"}}]),
        Sse([*list(message_stream(1).events)[:3], error], is_named=True),
    )

    with pytest.raises(openai.APIError, match="The server had an error"):
        list(gpt.chat.completions.create(**CHAT_HELLO))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(claude.messages.create(**HELLO, stream=True))

    assert [call.status for call in kept.calls] == ["partial", "partial"]
    assert kept.is_settled


def test_stream_without_usage_is_estimated(server, gpt, kept):
    """A server that sends no usage though it was asked: the row is an estimate."""
    server.answer(Sse(list(chat_chunks(3, has_usage=False))))

    list(gpt.chat.completions.create(**CHAT_HELLO))

    assert kept.call().status == "estimated"


def test_response_is_free_once_it_was_read(server, gpt, kept):
    """Nothing of costspan keeps a response, its request or its stream alive."""
    server.answer(chat_stream())

    stream = gpt.chat.completions.create(**CHAT_HELLO)
    response = weakref.ref(stream.response)
    list(stream)
    del stream
    gc.collect()

    assert response() is None


def test_nothing_of_ours_outlives_its_call(server, gpt, claude, kept):
    """After calls, streams and failures there is no exchange and no call of costspan left in memory."""

    def ours() -> set[int]:
        return {id(each) for each in gc.get_objects() if type(each) in (Call, Exchange)}

    before = ours()
    server.answer(Json(CHAT), chat_stream(), message_stream(), Json({"error": {}}, status=400), message_stream(9))

    gpt.chat.completions.create(messages=MESSAGES, model="gpt-5")
    list(gpt.chat.completions.create(**CHAT_HELLO))
    list(claude.messages.create(**HELLO, stream=True))
    with pytest.raises(openai.BadRequestError):
        gpt.chat.completions.create(messages=MESSAGES, model="gpt-5")
    with claude.messages.create(**HELLO, stream=True) as stream:
        next(stream)
    del stream
    gc.collect()

    assert kept.is_settled
    assert ours() <= before


def test_bytes_behind_a_stream_are_metered(server, claude, kept):
    """An application that takes the response out of a stream and reads its lines itself is metered by its bytes."""
    server.answer(message_stream())

    stream = claude.messages.create(**HELLO, stream=True)
    lines = list(stream.response.iter_lines())

    assert any("message_stop" in line for line in lines)
    assert (kept.call().tokens_out, kept.call().status) == (180, "priced")


def test_dropped_anthropic_stream_is_free_without_the_collector(server, claude, kept):
    """The newest anthropic frees a dropped stream at once; so it does with costspan."""
    if sdk_version(anthropic) < (2, 0):
        pytest.skip("this anthropic's streams wait for the collector")
    server.answer(message_stream(20))
    gc.disable()
    try:
        stream = claude.messages.create(**HELLO, stream=True)
        next(stream)
        response = weakref.ref(stream.response)
        del stream

        assert response() is None
    finally:
        gc.enable()


def test_stream_in_memory_is_one_row(kept):
    """A stream whose events are all in memory is metered from there, once."""
    client_type = type(openai.OpenAI(api_key="none")._client).__mro__[-2]
    library = __import__(client_type.__module__.partition(".")[0])
    content = b"".join(chat_stream()(_Asking()).frames())
    headers = {"content-type": "text/event-stream"}
    transport = library.MockTransport(lambda _request: library.Response(200, headers=headers, content=content))

    with openai.OpenAI(api_key="none", http_client=library.Client(transport=transport)) as client:
        chunks = list(client.chat.completions.create(**CHAT_HELLO))

    assert len(chunks) == 5
    assert all(chunk.choices for chunk in chunks)
    assert (kept.call().tokens_in, kept.call().tokens_out) == (1000, CHAT["usage"]["completion_tokens"])


class _Asking:
    body = {"stream_options": {"include_usage": True}}  # noqa: RUF012  # never changed
