"""What the chat and responses endpoints share: which models there are, how they count and how long they think."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from costspan.demo import tokens
from costspan.demo.bill import TARIFF
from costspan.demo.composer import compose
from costspan.demo.loopback import Refusal

__all__ = ["Reply", "reply", "text_of", "tokens_of"]

_PER_MESSAGE = 4
_PER_REQUEST = 3
"""Tokens that a message, and a request, cost besides their texts."""
_REASONING = 64
"""Tokens that a reasoning model thinks before it answers: billed as output, never sent."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: its text in tokens, the tokens that were thought before it, and whether it was cut short."""

    pieces: list[str]
    reasoning: int
    is_cut: bool

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def billed(self) -> int:
        """Output tokens, reasoning included."""
        return len(self.pieces) + self.reasoning


def reply(model: str, text: str, *, limit: int | None) -> Reply:
    """Compose an answer to ``text`` in at most ``limit`` tokens, reasoning included.

    Raises:
        Refusal: HTTP 404 for a model that does not exist.
    """
    if not (model.startswith("gpt-") and model in TARIFF):
        raise Refusal(404, "invalid_request_error", f"The model `{model}` does not exist.", code="model_not_found")
    allowed = limit if limit is not None else 1_000_000
    reasoning = min(_REASONING, allowed) if model.startswith("gpt-5") else 0
    answer, is_cut = compose(text, limit=allowed - reasoning)
    return Reply(tokens.split(answer), reasoning, is_cut)


def text_of(content: str | list[dict[str, Any]] | None) -> str:
    """The text of a message's content; parts that are no text are read as JSON."""
    if isinstance(content, str):
        return content
    return " ".join(str(part["text"]) if "text" in part else json.dumps(part, sort_keys=True) for part in content or [])


def tokens_of(texts: list[str]) -> int:
    """Prompt tokens of a request whose messages have these texts."""
    return _PER_REQUEST + sum(tokens.count(text) + _PER_MESSAGE for text in texts)
