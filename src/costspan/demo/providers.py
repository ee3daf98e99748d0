"""Both providers at once, on loopback, with one bill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from costspan.demo.anthropic_provider import AnthropicProvider
from costspan.demo.bill import Bill
from costspan.demo.faults import ANTHROPIC_FAULTS, OPENAI_FAULTS, Faults
from costspan.demo.loopback import serve
from costspan.demo.openai_provider import OpenAIProvider
from costspan.demo.prompt_cache import PromptCache

__all__ = ["MINIMUM_CACHED_TOKENS", "Providers", "providers"]

#: The shortest prefix that Claude Haiku caches.
MINIMUM_CACHED_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Providers:
    """Where the two providers are, and what they have billed."""

    anthropic_url: str
    openai_url: str
    """With the ``/v1`` that OpenAI's SDK expects in a base URL."""
    bill: Bill


@contextmanager
def providers(clock: Callable[[], int], *, fault_every: int = 0) -> Iterator[Providers]:
    """Serve both providers until the block ends.

    Args:
        clock: nanoseconds since the epoch, for bills and caches.
        fault_every: each provider refuses every so many requests in a way that is worth a retry; 0 refuses none.
    """
    bill = Bill(clock)
    cache = PromptCache(clock, minimum_tokens=MINIMUM_CACHED_TOKENS)
    claude = AnthropicProvider(bill, cache, Faults(ANTHROPIC_FAULTS, every=fault_every))
    gpt = OpenAIProvider(bill, Faults(OPENAI_FAULTS, every=fault_every))
    with serve(claude) as anthropic_url, serve(gpt) as openai_url:
        yield Providers(anthropic_url, f"{openai_url}/v1", bill)
