"""The dashboards as they are shipped, and what Grafana makes of the questions in them before it asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["BOARDS", "GRAFANA", "Expansion", "Question", "boards", "questions"]

GRAFANA = Path(__file__).resolve().parents[3] / "grafana"
BOARDS = GRAFANA / "dashboards"
ALL = "$__all"
_PLACE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")


def boards() -> dict[str, dict[str, Any]]:
    """Each dashboard by its uid."""
    found = [json.loads(file.read_text()) for file in sorted(BOARDS.glob("*.json"))]
    return {board["uid"]: board for board in found}


@dataclass(frozen=True)
class Question:
    """One target of a panel."""

    board: str
    panel: str
    ref: str
    target: dict[str, Any]

    @property
    def text(self) -> str:
        """As it is written."""
        return str(self.target.get("rawSql") or self.target["expr"])

    @property
    def is_sql(self) -> bool:
        """Whether it is asked of the ledger."""
        return "rawSql" in self.target

    def __str__(self) -> str:
        return f"{self.board.removeprefix('costspan-')}-{self.panel}-{self.ref}".replace(" ", "_")


def questions() -> Iterator[Question]:
    """Every target of every panel."""
    for uid, board in boards().items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield Question(uid, panel["title"], target["refId"], target)


@dataclass(frozen=True)
class Expansion:
    """What Grafana puts in: the period, and the values of variables; a list, a text, or `ALL`."""

    begin: datetime
    end: datetime
    values: Mapping[str, Sequence[str] | str]
    all_values: Mapping[str, str]

    def __call__(self, text: str) -> str:
        """Return ``text`` complete. A place that nobody fills is an error.

        The browser puts the values in, and the server replaces macros in what it gets: in values, too.
        """
        macros = {
            "$__timeFrom()": f"'{self._instant(self.begin)}'",
            "$__timeTo()": f"'{self._instant(self.end)}'",
            "$__rate_interval": "1m0s",
            "$__range": f"{(self.end - self.begin) // timedelta(seconds=1)}s",
        }
        unknown = _PLACE.sub("", text)
        text = _PLACE.sub(lambda place: self._value(place[1], place[2]), text)
        for macro, value in macros.items():
            text, unknown = text.replace(macro, value), unknown.replace(macro, "")
        assert not re.search(r"\$\w", unknown), unknown
        return text

    @staticmethod
    def _instant(at: datetime) -> str:
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _value(self, name: str, form: str | None) -> str:
        value = self.values[name]
        if value == ALL:
            return self.all_values[name]  # put in as it is, whatever the format
        texts = [value] if isinstance(value, str) else list(value)
        if form == "sqlstring":
            return ",".join("'" + text.replace("'", "''") + "'" for text in texts)
        assert form == "regex", form
        escaped = [re.sub(r"[\\^$*+?.()|[\]{}/]", lambda found: "\\\\" + found[0], text) for text in texts]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
