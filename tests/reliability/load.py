"""A load that is killed: forks one process after another that call both providers until SIGKILL ends them.

Run by `test_kill.py` as ``python load.py OPENAI_URL ANTHROPIC_URL KILLS SEED``. Each call has a session of its own; its
id is written to standard output (one `write` a line, so a kill cannot cut it) after the SDK returned to the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
import time

import anthropic
import openai

import costspan

THREADS = 3
TASKS = 2


is_calling, has_called = os.pipe()


def told(session: str) -> None:
    """Say that the call of ``session`` returned to the application."""
    os.write(1, f"{session}\n".encode())
    os.write(has_called, b".")


def call_openai(client: openai.OpenAI, session: str, number: int) -> None:
    """Embed, or chat with and without a stream, in turn."""
    with costspan.attribute(tenant="killed", session=session):
        if number % 3 == 0:
            client.embeddings.create(model="text-embedding-3-large", input="some text " * 5, dimensions=16)
        elif number % 3 == 1:
            client.chat.completions.create(model="gpt-4.1-nano", messages=[{"role": "user", "content": "hello"}])
        else:
            chat = client.chat.completions.create(
                model="gpt-4.1-nano", messages=[{"role": "user", "content": "hello"}], stream=True
            )
            for _ in chat:
                pass
    told(session)


async def call_anthropic(client: anthropic.AsyncAnthropic, session: str) -> None:
    """Send one message."""
    with costspan.attribute(tenant="killed", session=session):
        await client.messages.create(
            model="claude-haiku-4-5", max_tokens=50, messages=[{"role": "user", "content": "hello"}]
        )
    told(session)


def run(openai_url: str, anthropic_url: str, name: str) -> None:
    """Call from threads and tasks until killed."""
    costspan.instrument()
    client = openai.OpenAI(api_key="none", base_url=openai_url)

    def thread(number: int) -> None:
        for turn in range(100_000):
            call_openai(client, f"{name}-t{number}-{turn}", turn)

    for number in range(THREADS):
        threading.Thread(target=thread, args=(number,), daemon=True).start()

    async def task(asynchronous: anthropic.AsyncAnthropic, number: int) -> None:
        for turn in range(100_000):
            await call_anthropic(asynchronous, f"{name}-a{number}-{turn}")

    async def tasks() -> None:
        async with anthropic.AsyncAnthropic(api_key="none", base_url=anthropic_url) as asynchronous:
            await asyncio.gather(*(task(asynchronous, number) for number in range(TASKS)))

    asyncio.run(tasks())


def main() -> None:
    """Fork, wait a random moment, kill; as often as asked for."""
    openai_url, anthropic_url, kills, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    for kill in range(int(kills)):
        child = os.fork()
        if child == 0:
            signal.alarm(120)  # should nobody kill it
            run(openai_url, anthropic_url, f"k{kill}")
        os.read(is_calling, 1)
        time.sleep(chance.random() * 0.5)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.set_blocking(is_calling, False)
        with contextlib.suppress(BlockingIOError):
            os.read(is_calling, 1 << 16)
        os.set_blocking(is_calling, True)


if __name__ == "__main__":
    main()
