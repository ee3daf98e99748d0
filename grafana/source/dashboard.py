"""A dashboard: its variables, and its panels placed one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from source.ask import LEDGER, statement
from source.panel import Panel

__all__ = ["Variable", "chosen", "dashboard", "text"]

Variable = dict[str, Any]
_WIDTH = 24
_TAG = "costspan"
#: The version of the model that is written: Grafana 12's. Older ones read it, newer ones carry it over.
_SCHEMA = 41
_ON_TIME_RANGE_CHANGE = 2
#: What stands for all values of a variable. Grafana puts it into a question as it is, whatever the format: to SQL it is a
#: list of two texts, one of which is the star that statements look for, and to PromQL a pattern that anything matches.
_ALL = "'*','|.*|'"


def dashboard(
    name: str,
    title: str,
    says: str,
    *,
    panels: Sequence[Panel],
    variables: Sequence[Variable] = (),
    period: str = "now-30d",
) -> dict[str, Any]:
    """Return the dashboard with the uid ``costspan-<name>``: alerts and other dashboards link to it by that."""
    return {
        "id": None,
        "uid": f"{_TAG}-{name}",
        "title": title,
        "description": says,
        "tags": [_TAG],
        "editable": True,
        "graphTooltip": 1,
        "links": [
            {
                "type": "dashboards",
                "title": _TAG,
                "icon": "external link",
                "tooltip": "",
                "url": "",
                "tags": [_TAG],
                "asDropdown": False,
                "targetBlank": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "annotations": {"list": []},
        "panels": _placed(panels),
        "refresh": "1m",
        "schemaVersion": _SCHEMA,
        "templating": {"list": list(variables)},
        "time": {"from": period, "to": "now"},
        "timezone": "utc",
        "version": 1,
        "weekStart": "",
    }


def chosen(name: str, label: str, says: str, query: str) -> Variable:
    """A variable whose values are asked of the ledger, any of them or all; new ones count at once."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": says,
        "datasource": LEDGER,
        "query": statement(query),
        "regex": "",
        "multi": True,
        "includeAll": True,
        "allValue": _ALL,
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
        "refresh": _ON_TIME_RANGE_CHANGE,
        "sort": 0,
        "hide": 0,
        "skipUrlSync": False,
    }


def text(name: str, label: str, says: str, value: str) -> Variable:
    """A variable that is typed in."""
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "description": says,
        "query": value,
        "current": {"text": value, "value": value},
        "options": [{"selected": True, "text": value, "value": value}],
        "hide": 0,
        "skipUrlSync": False,
    }


def _placed(panels: Sequence[Panel]) -> list[Panel]:
    """Side by side while there is room, then below; neighbours are equally high."""
    placed: list[Panel] = []
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        size = panel["gridPos"]
        if x + size["w"] > _WIDTH:
            x, y, height = 0, y + height, 0
        placed.append({"id": number, **panel, "gridPos": {**size, "x": x, "y": y}})
        x, height = x + size["w"], max(height, size["h"])
    return placed
