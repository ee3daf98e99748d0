"""Efficiency: what caches spare, how long answers are, what fails, and which terms calls are billed at."""

from __future__ import annotations

from typing import Any

from costspan.sinks import names
from source.ask import ledger, metric
from source.dashboard import dashboard
from source.panel import bars, lines, table
from source.variables import SPEND

__all__ = ["efficiency"]

_UNBILLED = 'status=~"failed|unanswered",tenant=~"${tenant:regex}"'


def efficiency() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "efficiency",
        "costspan: Efficiency",
        "What caches spare, how long answers are, what fails, and at which terms calls are billed.",
        variables=SPEND,
        panels=[
            bars(
                "Tokens by what they are billed as",
                "How much of the input comes from the provider's prompt cache, and how much is written to it?",
                [ledger("tokens_over_time")],
                unit="short",
            ),
            lines(
                "Hit rate of your own caches",
                "Of the look-ups that `cache_hit` and `cache_miss` told of, which share spared a call? "
                "Service does not change it.",
                [ledger("cache_rate")],
                unit="percentunit",
            ),
            table(
                "Prompt cache, by model",
                "Where does the prompt cache pay? Each token written should be read more than once (`Reads a write`), as writing costs more than plain "
                "input. Reads saved is at the rates of the calls' kind; `GET /api/savings` is exact and knows the net.",
                [ledger("prompt_cache")],
                width=14,
            ),
            table(
                "What your own caches spared",
                "Which cache spared how many tokens and dollars?",
                [ledger("cache_use")],
                width=10,
            ),
            table(
                "How long answers are",
                "Which feature and model write long answers, how much of that is reasoning, and what does a call cost there? "
                "Output is what a chat costs most by.",
                [ledger("output_length")],
                width=13,
                bar="Cost",
            ),
            table(
                "By terms",
                "What is billed as batch, at which service tier, where? A batch costs half, priority more.",
                [ledger("by_terms")],
                width=11,
                bar="Cost",
            ),
            bars(
                "Attempts without an answer",
                "How many attempts failed or were never answered, and so were retried or lost? Told by the applications' own "
                "counters; model, service and feature do not change it.",
                [
                    metric(
                        f"sum by (service, model, status) (increase({names.CALLS}_total{{{_UNBILLED}}}[$__rate_interval]))",
                        "{{status}}: {{service}} {{model}}",
                    )
                ],
                unit="short",
                width=24,
            ),
        ],
    )
