"""The usage object as the provider sent it, kept for whoever doubts a figure: numbers and short words, never content.

Bounded so that its JSON stays under the 4 KB that an event keeps, whatever was sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeGuard

from costspan.text import clean

__all__ = ["evidence"]

#: Bytes of names, words and numbers. Escapes may double them, and the JSON is still below 4 KB.
_BUDGET = 1600
_LONGEST_WORD = 48
_MAX_DEPTH = 5
_MAX_INT = 1 << 63
_SMALL_INT = 10**7
#: Names in a usage object and the objects in it that are copied without accounting: so few are always under 4 KB.
_FEW = 18
_CUT = "\u2026"


def evidence(usage: object) -> dict[str, object]:
    """Return a copy of ``usage`` of at most 4 KB as JSON. What is no object stands under ``usage``."""
    if type(usage) is not dict and not isinstance(usage, Mapping):
        return {} if usage is None else {"usage": _Copy().value(usage, 0)}
    if len(usage) <= _FEW:
        kept = _few(usage)
        if kept is not None:
            return kept
    return _Copy().mapping(usage, 0)


def _few(fields: Mapping[object, object], room: int = _FEW) -> dict[str, object] | None:
    """A copy of a usage object such as all providers send: a few short names of counts. None where it is not one."""
    kept: dict[str, object] = {}
    for name, value in fields.items():
        if not _is_word(name):
            return None
        if (type(value) is int and -_SMALL_INT < value < _SMALL_INT) or value is None:
            kept[name] = value
        elif type(value) is dict and len(value) <= room - len(fields):
            inner = _few(value, 0)
            if inner is None:
                return None
            kept[name] = inner
            room -= len(value)
        elif _is_word(value):
            kept[name] = value
        else:
            return None
    return kept


def _is_word(value: object) -> TypeGuard[str]:
    return type(value) is str and len(value) <= _LONGEST_WORD and value.isascii() and value.isprintable()


class _Copy:
    """A copy under way, and what may still be added to it."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _BUDGET

    def mapping(self, fields: Mapping[object, object], depth: int) -> dict[str, object]:
        kept: dict[str, object] = {}
        for name, value in fields.items():
            if self.left <= 0:
                kept[_CUT] = _CUT
                break
            kept[self.word(name)] = self.value(value, depth + 1)
        return kept

    def sequence(self, items: list[object], depth: int) -> list[object]:
        kept: list[object] = []
        for item in items:
            if self.left <= 0:
                kept.append(_CUT)
                break
            kept.append(self.value(item, depth + 1))
        return kept

    def value(self, value: object, depth: int) -> object:
        if type(value) is int:
            self.left -= 8 if -_SMALL_INT < value < _SMALL_INT else 20
            return value if -_MAX_INT < value < _MAX_INT else _CUT
        if isinstance(value, Mapping) and depth < _MAX_DEPTH:
            return self.mapping(value, depth)
        if type(value) is list and depth < _MAX_DEPTH:
            return self.sequence(value, depth)
        if value is None or type(value) is bool:
            self.left -= 6
            return value
        if type(value) is float:
            self.left -= 24
            return value if math.isfinite(value) else str(value)
        return self.word(value)

    def word(self, value: object) -> str:
        """A name or a short word as it is; of anything else only that it was there: it may be content."""
        if type(value) is not str:
            return self.word(f"<{type(value).__name__}>")
        if len(value) > _LONGEST_WORD:
            return self.word(f"<text of {len(value)}>")
        text = value if value.isascii() and value.isprintable() else clean(value)
        self.left -= 8 + (len(text) if text.isascii() else 4 * len(text))
        return text
