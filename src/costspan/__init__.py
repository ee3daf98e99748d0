"""costspan: every call to Anthropic or OpenAI priced exactly, the moment it happens.

Two lines meter an application::

    import costspan
    costspan.instrument()
"""

from __future__ import annotations

from costspan._version import __version__
from costspan.attribution import attribute
from costspan.costs import check_daily_threshold, get_daily_costs, get_monthly_costs, get_service_breakdown
from costspan.errors import CostspanError
from costspan.instrumentation import flush, instrument, start_metrics_server, uninstrument
from costspan.tracking import cache_hit, cache_miss, calculate_cost, quote, track, track_compression, track_embedding

__all__ = [
    "CostspanError",
    "__version__",
    "attribute",
    "cache_hit",
    "cache_miss",
    "calculate_cost",
    "check_daily_threshold",
    "flush",
    "get_daily_costs",
    "get_monthly_costs",
    "get_service_breakdown",
    "instrument",
    "quote",
    "start_metrics_server",
    "track",
    "track_compression",
    "track_embedding",
    "uninstrument",
]
