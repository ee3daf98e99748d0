"""Pipeline: whether the numbers can be believed, from the journal to the ledger and to the gauges."""

from __future__ import annotations

from typing import Any

from costspan.sinks import names
from source.ask import ledger, metric
from source.dashboard import dashboard
from source.panel import lines, stat, table

__all__ = ["pipeline"]

#: Where nothing has overflowed there is no series to say so.
_NONE = 'label_replace(vector(0), "label", "nothing", "", "")'
_LOST = f'{names.EVENTS}_total{{state=~"dropped|quarantined"}}'


def _increase(metric_name: str, by: str) -> str:
    return f"sum by ({by}) (increase({metric_name}_total[$__rate_interval]))"


def pipeline() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "pipeline",
        "costspan: Pipeline",
        "Whether the numbers can be believed: from the journal to the ledger, and from there to the gauges.",
        panels=[
            stat(
                "Ledger last answered",
                "How long ago did the ledger answer every question? Beyond five minutes budget alerts are blind.",
                [metric(f"time() - max({names.LEDGER_LAST_SUCCESS})", "ago", is_instant=True)],
                unit="s",
                red=300,
            ),
            stat(
                "Oldest call that waits",
                "How long has a call been waiting to be written to the ledger? What waits is not yet in any sum.",
                [metric(f"max({names.JOURNAL_AGE})", "age", is_instant=True)],
                unit="s",
                red=300,
            ),
            stat(
                "Attempts on their way",
                "How many calls to a provider are under way?",
                [metric(f"sum({names.ATTEMPTS_OPEN})", "open", is_instant=True)],
                unit="short",
            ),
            stat(
                "Lost in the time chosen",
                "How many events were dropped for want of room, or quarantined? Any of them makes what is shown too low.",
                [metric(f"sum(increase({_LOST}[$__range]))", "events", is_instant=True)],
                unit="short",
                red=1,
            ),
            lines(
                "Events",
                "Does what is metered land? Attempts by what became of them: settled ones should land about a second later.",
                [metric(f"sum by (state) (rate({names.EVENTS}_total[$__rate_interval]))", "{{state}}")],
                unit="cps",
            ),
            lines(
                "Journals on disk",
                "Do the journals grow, because nobody drains them or the ledger is away?",
                [metric(f"max by (job, instance) ({names.JOURNAL_BYTES})", "{{job}} {{instance}}")],
                unit="bytes",
            ),
            lines(
                "How long calls wait",
                "Where do calls wait for the ledger?",
                [metric(f"max by (job, instance) ({names.JOURNAL_AGE})", "{{job}} {{instance}}")],
                unit="s",
            ),
            lines(
                "How long questions to the ledger take",
                "Is the ledger slow, and at which question?",
                [metric(f"max by (query) ({names.LEDGER_QUERY_DURATION})", "{{query}}")],
                unit="s",
            ),
            table(
                "Questions to the ledger",
                "Which question failed the last time, so that its gauges are missing, and how long did each take?",
                [
                    metric(f"max by (query) ({names.LEDGER_QUERY_FAILED})", is_table=True),
                    metric(f"max by (query) ({names.LEDGER_QUERY_DURATION})", is_table=True),
                ],
                transformations=[
                    {"id": "merge", "options": {}},
                    {
                        "id": "organize",
                        "options": {
                            "excludeByName": {"Time": True},
                            "indexByName": {"query": 0, "Value #A": 1, "Value #B": 2},
                            "renameByName": {"query": "Question", "Value #A": "Failed", "Value #B": "Took"},
                        },
                    },
                ],
            ),
            lines(
                "Failures of costspan itself",
                "Does anything in costspan fail, and where? None of it reached a caller.",
                [metric(_increase(names.INTERNAL_ERRORS, "where"), "{{where}}")],
                unit="short",
            ),
            lines(
                "Spans sent to the OTLP intake",
                "What becomes of spans that collectors and applications send: how many are calls, how many are refused?",
                [metric(_increase(names.OTLP_SPANS, "outcome"), "{{outcome}}")],
                unit="short",
            ),
            lines(
                "What counters could not keep apart",
                "Are there too many tenants, models or features for labels, or look-ups in caches that found no room? The "
                "ledger knows the former all the same.",
                [
                    metric(
                        f"{_increase(names.LABELS_OVERFLOWED, 'label')} or on () {_NONE}",
                        "overflow of {{label}}",
                    ),
                    metric(
                        f"sum(increase({names.CACHE_DROPPED}_total[$__rate_interval]))", "look-ups in caches dropped"
                    ),
                ],
                unit="short",
            ),
            table(
                "Audit",
                "What became of every attempt that was ever journalled? Attempts are what was billed, failed, nobody knows of, "
                "was read twice or was quarantined.",
                [ledger("audit")],
                width=24,
                height=4,
            ),
        ],
        period="now-6h",
    )
