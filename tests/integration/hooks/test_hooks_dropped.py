"""Asynchronous streams that nobody reads on: closed by the collector and the event loop, as without costspan.

The event loop closes each generator that the collector finds in a task of its own. Where the collector runs in another
thread it is not done when the first of them is closed; a generator that closes the next one then collides with it, and
the application's log shows an ignored "ValueError: async generator already executing". httpx2's own generators do that,
with costspan and without, about once in a hundred such streams. Costspan once had one more, which closed the SDK's.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from costspan import hooks
from fix_sdk import MESSAGES, chat_chunks, chat_stream, message_stream
from loopback import Sse

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5", "stream": True}
HELLO = {"messages": MESSAGES, "model": "claude-haiku-4-5", "max_tokens": 200, "stream": True}
DROPS = 6
HTTP = {"httpx", "httpx2", "httpcore", "httpcore2", "anyio"}


@pytest.fixture
def found():
    """Called in a loop: the asynchronous generators that are left to it to close, from then on."""

    def watch():
        generators = []
        first, finalize = sys.get_asyncgen_hooks()

        def note(generator):
            generators.append(generator)
            finalize(generator)

        sys.set_asyncgen_hooks(first, note)
        return generators

    return watch


@pytest.fixture
def ignored(monkeypatch):
    """Errors that Python could only print, but for those of the HTTP library's generators."""
    errors = []

    def note(error):
        code = getattr(error.object, "ag_code", None) or getattr(error.object, "cr_code", None)
        folders = Path(code.co_filename).parents if code is not None else ()
        if not any(folder.name in HTTP and folder.parent.name == "site-packages" for folder in folders):
            errors.append(repr(error))

    monkeypatch.setattr(sys, "unraisablehook", note)
    return errors


@pytest.fixture
def clients(agpt, aclaude):
    """The asynchronous clients."""
    return SimpleNamespace(gpt=agpt, claude=aclaude)


async def chat(clients):
    """A stream that the SDK parses, begun."""
    stream = await clients.gpt.chat.completions.create(**CHAT_HELLO)
    await stream.__anext__()
    return stream


async def messages(clients):
    """One of the other SDK."""
    stream = await clients.claude.messages.create(**HELLO)
    await stream.__anext__()
    return stream


async def lines(clients):
    """One whose bytes the application reads."""
    manager = clients.gpt.chat.completions.with_streaming_response.create(**CHAT_HELLO)
    response = await manager.__aenter__()
    read = response.iter_lines()
    await read.__anext__()
    return manager, response, read


@pytest.mark.parametrize("begin", [chat, messages, lines])
async def test_dropped_stream_leaves_the_generators_of_the_sdk(server, clients, meter, found, begin):
    """A stream that is dropped leaves the same generators to the collector and the event loop as without costspan."""
    server.answer(*[message_stream(50) if begin is messages else chat_stream(50) for _ in range(2)])
    generators = found()

    bare = await _left(begin, clients, generators)
    hooks.instrument(meter)
    metered = await _left(begin, clients, generators)

    assert bare["Response.aiter_bytes"] == 1
    assert metered == bare


@pytest.mark.parametrize("begin", [chat, lines])
async def test_streams_collected_by_another_thread_are_partial(server, clients, kept, ignored, begin):
    """Streams that a thread other than the loop's collects are one partial row each, and nothing of ours trips over it."""
    server.answer(*[chat_stream(50) for _ in range(DROPS)])

    for _ in range(DROPS):
        dropped = await begin(clients)
        del dropped
        await asyncio.to_thread(gc.collect)
        await asyncio.sleep(0.01)
    await asyncio.to_thread(kept.wait)

    assert [call.status for call in kept.calls] == ["partial"] * DROPS
    assert ignored == []


async def test_closed_bytes_leave_the_generators_of_the_sdk(server, clients, meter, found):
    """Bytes that the application stops reading and closes leave what they leave without costspan."""
    server.answer(chat_stream(50), chat_stream(50))
    generators = found()

    async def close(clients):
        manager, _, read = await lines(clients)
        await read.aclose()
        await manager.__aexit__(None, None, None)

    bare = await _left(close, clients, generators)
    hooks.instrument(meter)
    metered = await _left(close, clients, generators)

    assert bare["Response.aiter_lines"] == 1
    assert metered == bare


async def test_second_reader_is_refused_and_the_first_goes_on(server, clients, kept):
    """Two tasks that read a stream at once: the second gets the error of Python, the row is that of the first."""
    gate = threading.Semaphore(1)
    server.answer(chat_stream(3, gate=gate))

    stream = await chat(clients)
    first = asyncio.ensure_future(stream.__anext__())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already running"):
        await stream.__anext__()
    gate.release(100)
    await first
    async for _ in stream:
        pass

    assert (kept.call().status, kept.call().tokens_out) == ("priced", 100)


async def test_broken_stream_that_is_read_again_has_not_ended(server, clients, kept):
    """After its error a stream is over, but did not come to its end: its server is asked for the usage again."""
    server.answer(Sse(list(chat_chunks(3, has_usage=True))[:2], is_cut=True), chat_stream())

    stream = await chat(clients)
    with pytest.raises(Exception, match=r"."):  # of httpx, httpx2 or the SDK, by its version
        async for _ in stream:
            pass
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()
    async for _ in await clients.gpt.chat.completions.create(**CHAT_HELLO):
        pass

    assert [call.status for call in kept.calls] == ["partial", "priced"]
    assert all("stream_options" in seen.body for seen in server.seen)


async def test_reader_that_is_closed_is_partial(server, clients, kept, ignored):
    """A coroutine that is closed while it waits for the next item leaves a partial row once the stream is dropped."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the HTTP libraries cannot bear it on their own
    server.answer(chat_stream(50, gate=threading.Semaphore(1)))

    stream = await chat(clients)
    reading = stream.__anext__()
    reading.send(None)
    reading.close()
    del reading, stream
    await asyncio.to_thread(kept.wait)

    assert kept.call().status == "partial"
    assert ignored == []


async def _left(begin, clients, generators):
    """Begin a stream, drop it in the loop's own thread, and return what was left to close, once that is closed."""
    generators.clear()
    dropped = await begin(clients)
    del dropped
    gc.collect()
    while any(generator.ag_frame is not None for generator in generators):  # noqa: ASYNC110  # the loop tells nobody
        await asyncio.sleep(0.001)
    return Counter(generator.__qualname__ for generator in generators)
