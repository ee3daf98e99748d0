"""Which model of the price list a name means, and which names only look like it.

genai-prices matches by prefix, which makes an unknown relative of a model that model. Here a prefix counts only when
what follows it is a date or a version. A dated name that the list does not mean (``gpt-5-2099-01-01``) is a model of its
own and unknown: snapshots of one name have been sold at different prices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

__all__ = ["Names", "exact_names", "spellings"]

#: What may follow a model's name without making it another model: dates, versions, ``-latest``, ``-preview``. Names
#: come from outside: without the possessive groups, one of many digits would be tried in every way it can be cut.
_VERSION = re.compile(r"(?>[-@.:_]?(?:\d{2,8}|v\d++|latest|preview|default)|:\d++)*+")
_TUNED = re.compile(r"[\d-]*(?::.*)?", re.DOTALL)
#: What may precede it: a path or a region, as in ``us.anthropic.`` or ``publishers/anthropic/models/``.
_QUALIFIER = re.compile(r".*[./:]|", re.DOTALL)


def exact_names(info: ModelInfo) -> Iterator[str]:
    """Yield the names that the list knows a model by exactly."""
    yield info.id
    yield from (clause.equals for clause in _clauses(info.match) if hasattr(clause, "equals"))


class Names:
    """Which model of a list a name means. The first that matches counts, as in the list itself."""

    __slots__ = ("_exact", "_loose")

    def __init__(self, models: list[ModelInfo]) -> None:
        self._exact: dict[str, tuple[int, ModelInfo]] = {}
        self._loose: list[tuple[int, ModelInfo, Any]] = []
        for place, info in enumerate(models):
            for name in exact_names(info):
                self._exact.setdefault(name.lower(), (place, info))
            for clause in getattr(info.match, "or_", (info.match,)):
                if not hasattr(clause, "equals"):
                    self._loose.append((place, info, clause))

    def find(self, name: str) -> ModelInfo | None:
        """Return the model that ``name``, in lower case, means, and not some relative of it."""
        end, exact = self._exact.get(name, (0, None))
        # A fine-tuned model has its own price or none. The list files some under their base model's.
        is_tuned = name.startswith("ft:")
        for place, info, clause in self._loose:
            if exact is not None and place >= end:
                break
            if _is_tuned(clause, name) and info.id.startswith("ft:") if is_tuned else _matches(clause, name):
                return info
        return exact


def _is_tuned(clause: Any, name: str) -> bool:
    prefix = getattr(clause, "starts_with", "\0")
    return name.startswith(prefix) and _TUNED.fullmatch(name, len(prefix)) is not None


def _matches(clause: Any, name: str) -> bool:
    """Whether a clause of the list means this very name, and not merely something that begins alike."""
    if hasattr(clause, "or_"):
        return any(_matches(part, name) for part in clause.or_)
    if hasattr(clause, "and_"):
        return all(_matches(part, name) for part in clause.and_)
    if hasattr(clause, "starts_with"):
        prefix = clause.starts_with.lower()
        return name.startswith(prefix) and (prefix.endswith(".ft-") or _follows(prefix, name))
    part = getattr(clause, "contains", None) or getattr(clause, "ends_with", None)
    if part is None:
        return bool(clause.is_match(name))
    before, found, after = name.rpartition(part.lower())
    return bool(
        found
        and _QUALIFIER.fullmatch(before)
        and (_VERSION.fullmatch(after) if hasattr(clause, "contains") else not after)
    )


def _follows(prefix: str, name: str) -> bool:
    return name.startswith(prefix) and _VERSION.fullmatch(name, len(prefix)) is not None


def _clauses(clause: Any) -> Iterator[Any]:
    yield clause
    for part in getattr(clause, "or_", ()):
        yield from _clauses(part)


def spellings(name: str) -> tuple[str, ...]:
    """Return ``name``, and as OpenAI writes it with a compact date: ``gpt-5.2-20251211`` is ``gpt-5.2-2025-12-11``."""
    dashed = re.sub(r"-(20\d\d)(\d\d)(\d\d)(?=$|[-:])", r"-\1-\2-\3", name)
    return (name,) if dashed == name else (name, dashed)
