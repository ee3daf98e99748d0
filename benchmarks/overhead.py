"""What costspan adds to a call, against the bare SDK in the same process, and against the floor.

    python benchmarks/overhead.py [--pairs 40] [--calls 20] [--only chat,stream] [--json]

Blocks of bare and instrumented calls alternate (the order flips each pair); the figures are medians over pairs of the
difference and of the ratio of block medians, so a machine that changes speed changes both sides. The floor is what any
library must do to say the same: one OTel span with 15 attributes, six cached counter increments, two journal writes. It
is measured the same way, between bare chat calls: in a loop of its own it would find every cache warm and look four times
cheaper. Spans go through a batch processor to an exporter that drops them. The drain to Postgres is off, as it is on no caller's
path; ``--drain`` turns it on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"  # else the bare side pays for the SDK's own span

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry, Counter

sys.path.insert(0, str(Path(__file__).parent))
import transport

import costspan
from costspan import hooks, runtime
from costspan.event import Ending, Intent
from costspan.settings import Settings

THREADS = 8
_CHAT = {"model": "gpt-5", "messages": [{"role": "user", "content": "a question of some length " * 20}]}
_MESSAGE = {"model": "claude-haiku-4-5", "max_tokens": 1000, "messages": _CHAT["messages"]}
Block = Callable[[int], list[int]]


class _Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002  # dropping them is its purpose
        return SpanExportResult.SUCCESS


def _clients() -> tuple[Any, Any, Any, Any]:
    made = []
    for sdk, plain, asynchronous in (
        ("openai", openai.OpenAI, openai.AsyncOpenAI),
        ("anthropic", anthropic.Anthropic, anthropic.AsyncAnthropic),
    ):
        library = transport.http_library(sdk)
        sync, async_ = transport.transports(library)
        made.append(plain(api_key="none", max_retries=0, http_client=library.Client(transport=sync)))
        made.append(asynchronous(api_key="none", max_retries=0, http_client=library.AsyncClient(transport=async_)))
    return tuple(made)  # type: ignore[return-value]


def _repeat(call: Callable[[], object]) -> Block:
    def block(calls: int) -> list[int]:
        times = []
        for _ in range(calls):
            begin = perf_counter_ns()
            call()
            times.append(perf_counter_ns() - begin)
        return times

    return block


def _in_threads(call: Callable[[], object]) -> Block:
    """Wall time per call of all threads together: what the GIL makes of it."""

    def block(calls: int) -> list[int]:
        each = max(1, calls // 2)
        workers = [threading.Thread(target=lambda: [call() for _ in range(each)]) for _ in range(THREADS)]
        begin = perf_counter_ns()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return [(perf_counter_ns() - begin) // (each * THREADS)]

    return block


def _blocks() -> dict[str, tuple[Block, str]]:
    """Return each kind of call, and for a stream the kind that is the same call without one."""
    oai, aoai, ant, _ = _clients()
    loop = asyncio.new_event_loop()

    def stream(**options: Any) -> None:
        for _ in oai.chat.completions.create(**_CHAT, stream=True, **options):
            pass

    def message_stream() -> None:
        for _ in ant.messages.create(**_MESSAGE, stream=True):
            pass

    def in_loop(calls: int) -> list[int]:
        async def go() -> list[int]:
            times = []
            for _ in range(calls):
                begin = perf_counter_ns()
                await aoai.chat.completions.create(**_CHAT)
                times.append(perf_counter_ns() - begin)
            return times

        return loop.run_until_complete(go())

    def chat() -> object:
        return oai.chat.completions.create(**_CHAT)

    text = _CHAT["messages"][0]["content"]  # type: ignore[index]
    return {
        "chat": (_repeat(chat), ""),
        "messages": (_repeat(lambda: ant.messages.create(**_MESSAGE)), ""),
        "embeddings": (
            _repeat(lambda: oai.embeddings.create(model="text-embedding-3-large", input=text, dimensions=1024)),
            "",
        ),
        "chat async": (in_loop, ""),
        "chat, 8 threads": (_in_threads(chat), ""),
        "stream": (_repeat(lambda: stream(stream_options={"include_usage": True})), "chat"),
        "stream, usage asked for us": (_repeat(stream), "chat"),
        "messages stream": (_repeat(message_stream), "messages"),
    }


def _floor(meter: Any) -> Callable[[], None]:
    tracer = trace.get_tracer("floor")
    attributes = {f"gen_ai.attribute.{number}": "a value" if number % 2 else number for number in range(15)}
    counters = [
        Counter(f"floor_{number}", "floor", ["a", "b"], registry=CollectorRegistry()).labels("x", "y")
        for number in range(6)
    ]
    journal = meter.journal
    intent = Intent(b"0" * 16, 1, "openai", "openai", "chat", "gpt-5", "tenant", "session", "user", "feature")

    def once() -> None:
        span = tracer.start_span("chat gpt-5", attributes=attributes)
        journal.open(intent)
        journal.close_attempt(Ending(b"0" * 16, "failed", "x" * 250))
        for counter in counters:
            counter.inc(1)
        span.end()

    return once


def measure(arm: Callable[[bool, int], list[int]], options: argparse.Namespace) -> dict[str, float]:
    """Return medians over pairs: microseconds of the bare call, the difference and the ratio.

    ``arm(is_laden, calls)`` times a block of calls, with or without what is measured.
    """
    differences, ratios, bares = [], [], []
    for pair in range(options.pairs):
        times = {
            is_laden: statistics.median(arm(is_laden, options.calls)) for is_laden in (pair % 2 == 0, pair % 2 == 1)
        }
        differences.append((times[True] - times[False]) / 1000)
        ratios.append(times[True] / times[False])
        bares.append(times[False] / 1000)
    return {
        "bare_us": statistics.median(bares),
        "added_us": statistics.median(differences),
        "ratio": statistics.median(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--only", default="", help="kinds of call, comma-separated")
    parser.add_argument("--drain", action="store_true", help="drain to Postgres meanwhile")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    trace.set_tracer_provider(provider)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(state_dir=Path(folder), drain="thread" if options.drain else "off")
        meter = runtime.start(settings, registry=CollectorRegistry()).meter
        _report(meter, options)
        runtime.stop()
    provider.shutdown()


def _instrumented(block: Block, meter: Any) -> Callable[[bool, int], list[int]]:
    def arm(is_laden: bool, calls: int) -> list[int]:  # noqa: FBT001  # the two sides of a pair
        if is_laden:
            hooks.instrument(meter)
        block(2)
        times = block(calls)
        if is_laden:
            hooks.uninstrument()
        return times

    return arm


def _between_calls(once: Callable[[], None], block: Block) -> Callable[[bool, int], list[int]]:
    """Do ``once`` after each bare call, and count it to the call."""

    def arm(is_laden: bool, calls: int) -> list[int]:  # noqa: FBT001  # the two sides of a pair
        times = []
        for _ in range(calls):
            (time,) = block(1)
            begin = perf_counter_ns()
            if is_laden:
                once()
            times.append(time + perf_counter_ns() - begin)
        return times

    return arm


def _report(meter: Any, options: argparse.Namespace) -> None:
    blocks = _blocks()
    floor = measure(_between_calls(_floor(meter), blocks["chat"][0]), options)["added_us"]
    wanted = [word.strip() for word in options.only.split(",") if word.strip()]
    results: dict[str, dict[str, float]] = {}
    if not options.json:
        print(f"costspan {costspan.__version__}, openai {openai.__version__}, anthropic {anthropic.__version__}")
        print(f"floor: {floor:.1f} us (span of 15 attributes, 6 counters, 2 journal writes)\n")
        print(f"{'call':28}{'bare us':>10}{'added us':>10}{'ratio':>8}{'x floor':>9}{'us/chunk':>10}")
    for name, (block, without_stream) in blocks.items():
        if wanted and name not in wanted:
            continue
        result = results[name] = measure(_instrumented(block, meter), options)
        result["floors"] = result["added_us"] / floor
        per_chunk = ""
        if without_stream in results:
            result["us_per_chunk"] = (result["added_us"] - results[without_stream]["added_us"]) / transport.CHUNKS
            per_chunk = f"{result['us_per_chunk']:10.2f}"
        if not options.json:
            print(
                f"{name:28}{result['bare_us']:10.0f}{result['added_us']:10.1f}{result['ratio']:8.3f}"
                f"{result['floors']:9.2f}{per_chunk}"
            )
    if options.json:
        print(json.dumps({"floor_us": floor, "calls": results}, indent=2))


if __name__ == "__main__":
    main()
