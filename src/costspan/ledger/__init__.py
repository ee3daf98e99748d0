"""The ledger: every call once, in Postgres, and what it says.

`Ledger` writes and answers, `Drainer` moves the journal into it on a thread of its own. Names are loaded at their first
use: who only meters never imports the database driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costspan.ledger.caches import CacheDimension, CacheRow, CacheSummary
    from costspan.ledger.drain import Drainer, DrainStats, NoJournal
    from costspan.ledger.drilldown import Call, CallLine, Place
    from costspan.ledger.ledger import Ledger
    from costspan.ledger.summary import Dimension, Summary, SummaryRow
    from costspan.ledger.writer import Written

__all__ = [
    "CacheDimension",
    "CacheRow",
    "CacheSummary",
    "Call",
    "CallLine",
    "Dimension",
    "DrainStats",
    "Drainer",
    "Ledger",
    "NoJournal",
    "Place",
    "Summary",
    "SummaryRow",
    "Written",
]

_HOMES = {
    "CacheDimension": "caches",
    "CacheRow": "caches",
    "CacheSummary": "caches",
    "Call": "drilldown",
    "CallLine": "drilldown",
    "Dimension": "summary",
    "DrainStats": "drain",
    "Drainer": "drain",
    "Ledger": "ledger",
    "NoJournal": "drain",
    "Place": "drilldown",
    "Summary": "summary",
    "SummaryRow": "summary",
    "Written": "writer",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  # as late as what it imports

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
