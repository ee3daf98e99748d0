"""A tokenizer for made-up texts: deterministic, and about as fine as the real ones (3.6 characters of English a token)."""

from __future__ import annotations

import re

__all__ = ["count", "split"]

#: Together the alternatives match every character, so that the pieces of a text join to the text.
_PIECE = re.compile(r"\s?\w{1,6}|\s?[^\w\s]|\s+")


def split(text: str) -> list[str]:
    """Return the tokens of ``text``; joined they are ``text`` again."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """Return how many tokens ``text`` has."""
    return len(_PIECE.findall(text))
