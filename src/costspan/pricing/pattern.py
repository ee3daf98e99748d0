"""Model names with ``*`` for any text; every other character is itself, whatever its case."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Pattern", "matches_any"]


class Pattern(NamedTuple):
    """A pattern for lower-case names. Matching takes one pass, however many stars there are."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Return the pattern that ``text`` writes."""
        return cls(tuple(text.lower().split("*")))

    @property
    def is_exact(self) -> bool:
        """Whether it matches one name only."""
        return len(self.parts) == 1

    @property
    def text(self) -> str:
        """As it was written, in lower case."""
        return "*".join(self.parts)

    def matches(self, name: str) -> bool:
        """Whether the whole of ``name``, in lower case, is of this pattern."""
        first, *middle = self.parts
        if not middle:
            return name == first
        last = middle.pop()
        if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
            return False
        position, end = len(first), len(name) - len(last)
        for part in middle:
            found = name.find(part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True


def matches_any(patterns: tuple[Pattern, ...], name: str) -> bool:
    """Whether any of ``patterns`` matches."""
    return any(pattern.matches(name) for pattern in patterns)
