"""Panels: each has a title, a question that it answers, a unit, and what it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from source.ask import Target

__all__ = ["DOLLARS", "Panel", "bars", "histogram", "lines", "link", "stat", "table"]

Panel = dict[str, Any]
DOLLARS = "currencyUSD"
#: Columns whose texts are all about as long, in pixels.
_WIDTHS = {"Time": 155, "Model": 180, "Tokens in": 72, "Tokens out": 72, "Duration": 75, "Status": 80}
_BAR_WIDTH = 130
#: Without one, Grafana gives every other column 150 pixels and puts those that no longer fit out of sight.
_MIN_WIDTH = 85
_SUMS = {"Cost", "Spent", "Budget", "Heading for"}
#: Columns of amounts and of shares, by the name they have in every table.
_UNITS = {
    "Cost": DOLLARS,
    "A call": DOLLARS,
    "Spent": DOLLARS,
    "Budget": DOLLARS,
    "Heading for": DOLLARS,
    "Median": DOLLARS,
    "95 of 100 cost at most": DOLLARS,
    "Dearest": DOLLARS,
    "Reads saved": DOLLARS,
    "Avoided": DOLLARS,
    "Of the budget": "percentunit",
    "Share read": "percentunit",
    "Hit rate": "percentunit",
    "Reasoning": "percentunit",
    "Priced exactly": "percentunit",
    "Duration": "ms",
    "Took": "s",
    "Time": "dateTimeAsIso",
}
#: A large number alone is rounded to three digits otherwise; and a small project's day costs less than a cent.
_DECIMALS = 4
_RED, _YELLOW, _GREEN = "red", "yellow", "green"
#: An amount beside the others of its column; and a share, which is bad from all of it on.
_AMOUNT: dict[str, Any] = {"color": {"mode": "fixed", "fixedColor": "blue"}}
_SHARE: dict[str, Any] = {
    "max": 1,
    "color": {"mode": "thresholds"},
    "thresholds": {
        "mode": "absolute",
        "steps": [{"color": _GREEN, "value": None}, {"color": _YELLOW, "value": 0.8}, {"color": _RED, "value": 1}],
    },
}
_PLAIN = {"mode": "absolute", "steps": [{"color": _GREEN, "value": None}]}


def stat(
    title: str, says: str, targets: Sequence[Target], *, unit: str, width: int = 6, red: float | None = None
) -> Panel:
    """Numbers of now; ``red`` is from where on they are bad, and half of it is worth a look."""
    steps: list[dict[str, Any]] = [{"color": _GREEN, "value": None}]
    if red is not None:
        steps += [{"color": _YELLOW, "value": red / 2}, {"color": _RED, "value": red}]
    return _panel(
        "stat", title, says, targets, unit=unit, width=width, height=4,
        options={
            "colorMode": "value" if red is not None else "none",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        },
        thresholds={"mode": "absolute", "steps": steps},
        overrides=_units(targets),
        looks={"decimals": _DECIMALS} if unit == DOLLARS else None,
    )  # fmt: skip


def lines(title: str, says: str, targets: Sequence[Target], *, unit: str, width: int = 12) -> Panel:
    """Series over time, as lines."""
    return _over_time(title, says, targets, unit=unit, width=width, is_stacked=False)


def bars(title: str, says: str, targets: Sequence[Target], *, unit: str, width: int = 12) -> Panel:
    """Series over time, as bars on top of each other: together they are the sum."""
    return _over_time(title, says, targets, unit=unit, width=width, is_stacked=True)


def histogram(title: str, says: str, targets: Sequence[Target], *, unit: str, width: int = 12) -> Panel:
    """How values are spread."""
    return _panel(
        "histogram", title, says, targets, unit=unit, width=width, height=8,
        options={
            "bucketCount": 30,
            "combine": False,
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        custom={"fillOpacity": 80, "lineWidth": 1},
    )  # fmt: skip


def table(
    title: str,
    says: str,
    targets: Sequence[Target],
    *,
    width: int = 12,
    height: int = 8,
    links: Mapping[str, Mapping[str, Any]] | None = None,
    transformations: Sequence[Mapping[str, Any]] = (),
    bar: str = "",
) -> Panel:
    """Rows and columns. ``bar`` is the column that is drawn as one, ``links`` are by column."""
    overrides = _units(targets, transformations)
    if bar:
        cell = {"mode": "basic", "type": "gauge", "valueDisplayMode": "text"}
        is_share = _UNITS[bar] == "percentunit"
        overrides += [
            _override(
                bar,
                {"custom.cellOptions": cell, "custom.width": _BAR_WIDTH, "min": 0, **(_SHARE if is_share else _AMOUNT)},
            )
        ]
    overrides += [_override(name, {"links": [dict(found)]}) for name, found in (links or {}).items()]
    return _panel(
        "table", title, says, targets, unit="short", width=width, height=height,
        options={"cellHeight": "sm", "frameIndex": 0, "showHeader": True},
        custom={
            "align": "auto",
            "cellOptions": {"type": "auto"},
            "filterable": True,
            "inspect": False,
            "minWidth": _MIN_WIDTH,
            "wrapHeaderText": True,
        },
        overrides=overrides,
        transformations=transformations,
    )  # fmt: skip


def link(title: str, url: str, *, opens_tab: bool = False, **variables: str) -> dict[str, Any]:
    """A link of a cell; ``variables`` are of the dashboard it leads to."""
    query = "&".join(f"var-{name}={value}" for name, value in variables.items())
    return {"title": title, "url": f"{url}?{query}" if query else url, "targetBlank": opens_tab}


def _over_time(title: str, says: str, targets: Sequence[Target], *, unit: str, width: int, is_stacked: bool) -> Panel:
    return _panel(
        "timeseries", title, says, targets, unit=unit, width=width, height=8,
        options={
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        custom={
            "drawStyle": "bars" if is_stacked else "line",
            "fillOpacity": 80 if is_stacked else 10,
            "lineWidth": 1,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if is_stacked else "none"},
        },
        looks={"min": 0},  # else an axis begins at the lowest bar, and a bar is as long as it likes
    )  # fmt: skip


def _panel(
    kind: str,
    title: str,
    says: str,
    targets: Sequence[Target],
    *,
    unit: str,
    width: int,
    height: int,
    options: Mapping[str, Any],
    custom: Mapping[str, Any] | None = None,
    thresholds: Mapping[str, Any] = _PLAIN,
    overrides: Sequence[Mapping[str, Any]] = (),
    transformations: Sequence[Mapping[str, Any]] = (),
    looks: Mapping[str, Any] | None = None,
) -> Panel:
    sources = {target["datasource"]["uid"]: target["datasource"] for target in targets}
    return {
        "type": kind,
        "title": title,
        "description": says,
        "datasource": next(iter(sources.values())),
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": dict(custom or {}), "thresholds": dict(thresholds), **(looks or {})},
            "overrides": list(overrides),
        },
        "options": dict(options),
        "targets": [{"refId": chr(ord("A") + place), **target} for place, target in enumerate(targets)],
        "transformations": list(transformations),
    }


def _units(targets: Sequence[Target], transformations: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Units of the columns that are there, whether SQL names them or a transformation does."""
    text = " ".join([target.get("rawSql", "") for target in targets] + [quote(str(transformations), safe="' :")])
    units = [(name, unit) for name, unit in _UNITS.items() if f'as "{name}"' in text or f": '{name}'" in text]
    return [_override(name, _looks(name, unit)) for name, unit in units] + [
        _override(name, {"custom.width": width}) for name, width in _WIDTHS.items() if f'as "{name}"' in text
    ]


def _looks(name: str, unit: str) -> dict[str, Any]:
    """A unit; of an amount also how it is said that nobody knows it, which is not 0."""
    return {
        "unit": unit,
        **({"noValue": "unknown"} if unit == DOLLARS else {}),
        **({"decimals": _DECIMALS} if name in _SUMS else {}),
    }


def _override(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }
