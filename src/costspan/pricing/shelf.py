"""A bounded place to keep things in, first in first out, that needs no lock."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Shelf"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Shelf(Generic[_Key, _Value]):
    """Keeps at most ``limit`` values. Every step is atomic, so threads may share it and a fork cannot catch it midway."""

    __slots__ = ("_limit", "_order", "_values", "get")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._order: deque[_Key] = deque()
        self._values: dict[_Key, _Value] = {}
        self.get = self._values.get

    def put(self, key: _Key, value: _Value) -> None:
        """Keep ``value``; the oldest leaves where there are too many."""
        is_new = key not in self._values
        self._values[key] = value
        if is_new:
            self._order.append(key)
        if len(self._order) > self._limit:
            self._values.pop(self._order.popleft(), None)

    def __len__(self) -> int:
        return len(self._values)
