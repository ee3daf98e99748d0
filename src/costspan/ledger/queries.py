"""Every statement of the ledger, read from ``sql/*.sql`` by its name. No SQL is put together anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import LiteralString

__all__ = ["queries", "text"]

_NAME = "-- name: "


def text(*path: str) -> LiteralString:
    """Return a file of this package. What is shipped with the code is as literal as the code."""
    return resources.files("costspan.ledger").joinpath(*path).read_text(encoding="utf-8")


@cache
def queries(file: str) -> Mapping[str, LiteralString]:
    """Return the statements of ``sql/<file>.sql`` by the name in the comment above each."""
    found: dict[str, LiteralString] = {}
    for part in text("sql", f"{file}.sql").split(_NAME)[1:]:
        name, _, statement = part.partition("\n")
        found[name.strip()] = statement.strip()
    return found
