"""Questions: to Prometheus by the metrics' names in code, to the ledger by the statements of `queries.sql`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["LEDGER", "METRICS", "NOW", "TODAY", "Target", "ledger", "metric", "since", "statement"]

Target = dict[str, Any]

#: The data sources by their fixed uids: `${DS_…}` is never resolved in provisioned files.
METRICS = {"type": "prometheus", "uid": "costspan-prometheus"}
LEDGER = {"type": "grafana-postgresql-datasource", "uid": "costspan-ledger"}

_STATEMENTS = {
    name.strip(): re.sub(r"\A(--.*\n)+", "", text.strip() + "\n").strip()
    for name, _, text in (
        part.partition("\n") for part in Path(__file__).with_name("queries.sql").read_text().split("-- name: ")[1:]
    )
}
#: Not a dollar before it: that is Grafana's.
_PLACE = re.compile(r"(?<!\$)\{(\w+)\}")
_TIME = " as time,"
_ZONE = "${zone:sqlstring}"
#: A period that began inside of a quarter of an hour would need calls that retention may have dropped.
_SINCE = "date_bin('15 minutes', $__timeFrom()::timestamptz, '2000-01-01 00:00+00')"
_UNTIL = "$__timeTo()::timestamptz"
NOW = "now()"
TODAY = f"date_trunc('day', now(), {_ZONE})"


def since(unit: str) -> str:
    """SQL for the beginning of this ``day`` or ``month``."""
    return f"date_trunc('{unit}', now(), {_ZONE})"


def statement(name: str, *, begin: str = _SINCE, end: str = _UNTIL) -> str:
    """Return a statement, complete but for what Grafana fills in.

    Over time it goes by hours for up to three days, and by days beyond. ``begin`` and ``end`` are SQL; when not given, the
    dashboard's period.
    """
    text = _STATEMENTS[name]
    kind = "over_time" if _TIME in text else "at_once"
    places = {
        **_STATEMENTS,
        "since": begin,
        "until": end,
        "bucket": _STATEMENTS[f"bucket_{kind}"],
        "boundaries": _STATEMENTS[f"boundaries_{kind}"],
    }
    while _PLACE.search(text):
        text = _PLACE.sub(lambda found: places[found[1]], text)
    return text


def ledger(name: str, *, begin: str = _SINCE, end: str = _UNTIL) -> Target:
    """A question to the ledger: a table, or series where it has a column ``time``."""
    text = statement(name, begin=begin, end=end)
    return {
        "datasource": LEDGER,
        "editorMode": "code",
        "format": "time_series" if _TIME in text else "table",
        "rawQuery": True,
        "rawSql": text,
    }


def metric(expression: str, legend: str = "", *, is_instant: bool = False, is_table: bool = False) -> Target:
    """A question to Prometheus: over time, or of now."""
    return {
        "datasource": METRICS,
        "editorMode": "code",
        "expr": expression,
        "format": "table" if is_table else "time_series",
        "instant": is_instant or is_table,
        "legendFormat": legend or "__auto",
        "range": not (is_instant or is_table),
    }
