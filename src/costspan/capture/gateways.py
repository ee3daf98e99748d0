"""What OpenAI-compatible servers add to OpenAI's usage object, known by name.

Only names: a field that is here is either another name for a count that is read, or a remark about money or speed that
nobody is billed by. A field that may be billed and is not understood (sources searched, citations read) is not here, so
that it is flagged.
"""

from __future__ import annotations

from costspan.capture.fields import Fields, number, strangers

__all__ = ["ALIASES", "REMARKS", "cached", "twins", "written_to_cache"]

#: Other names for the tokens read from a cache: Moonshot and Together, DeepSeek, LiteLLM, Mistral.
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "num_cached_tokens")
#: Another name for tokens written to a cache: LiteLLM's of Anthropic, whose default is five minutes.
_WRITTEN = "cache_creation_input_tokens"
ALIASES = frozenset({*_CACHED, _WRITTEN, "cached_tokens_details", "prompt_cache_miss_tokens", "reasoning_tokens"})
REMARKS = frozenset(
    {
        # OpenRouter, DeepInfra, xAI, Perplexity: what they think it cost
        "cost",
        "cost_details",
        "is_byok",
        "estimated_cost",
        "cost_in_usd_ticks",
        # Groq, SambaNova: how long it took
        "queue_time",
        "prompt_time",
        "completion_time",
        "total_time",
        "total_latency",
        "time_to_first_token",
        "time_to_first_token_ms",
        "acceptance_rate",
        "completion_tokens_per_sec",
        "completion_tokens_after_first_per_sec",
        "completion_tokens_after_first_per_sec_first_ten",
        "completion_tokens_after_first_per_sec_graph",
        "total_tokens_per_sec",
        "start_time",
        "end_time",
        "is_last_response",
        "stop_reason",
    }
)
_TWINS = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def cached(usage: Fields) -> int:
    """Tokens read from a cache, under the names of gateways."""
    return max(number(usage, name) for name in _CACHED)


def written_to_cache(usage: Fields) -> int:
    """Tokens written to Anthropic's five-minute cache through a gateway."""
    return number(usage, _WRITTEN)


def twins(usage: Fields) -> frozenset[str]:
    """Names of OpenAI's newer API beside those of the older: no news where they say nothing, or the same."""
    return frozenset(
        newer
        for newer, older in _TWINS.items()
        if older in usage
        and newer in usage
        and (usage[newer] == usage[older] or not strangers({newer: usage[newer]}, frozenset()))
    )
