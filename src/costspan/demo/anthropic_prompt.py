"""A Messages request as the row of blocks that Anthropic reads, counts and caches: tools, system, messages."""

from __future__ import annotations

import json
from typing import Any

from costspan.demo import tokens
from costspan.demo.bodies import CacheControl, MessagesBody, read
from costspan.demo.loopback import Refusal
from costspan.demo.prompt_cache import FIVE_MINUTES, ONE_HOUR, Block

__all__ = ["blocks_of"]

_PER_MESSAGE = 4
"""Tokens that a message costs besides its text."""
_MAX_MARKS = 4
_TTL = {"5m": FIVE_MINUTES, "1h": ONE_HOUR}


def blocks_of(body: MessagesBody) -> list[Block]:
    """Return the blocks of ``body``, each with its tokens and how long its prefix is to be cached.

    Raises:
        Refusal: HTTP 400 for a message without text, a role that the API does not have, or too many cache marks.
    """
    blocks = [_block(tool, json.dumps(_unmarked(tool), sort_keys=True), 0) for tool in body.tools]
    blocks += [_block(part, _text(part), 0) for part in _parts(body.system)]
    for number, message in enumerate(body.messages):
        if message.role not in {"user", "assistant"}:
            raise Refusal(400, "invalid_request_error", f"messages.{number}.role: allowed are user and assistant")
        parts = _parts(message.content)
        if not parts:
            raise Refusal(400, "invalid_request_error", f"messages.{number}: must have non-empty content")
        blocks += [_block(part, _text(part), 0 if place else _PER_MESSAGE) for place, part in enumerate(parts)]
    if sum(1 for block in blocks if block.ttl_s) > _MAX_MARKS:
        raise Refusal(
            400, "invalid_request_error", f"A maximum of {_MAX_MARKS} blocks with cache_control may be provided."
        )
    return blocks


def _parts(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []


def _block(part: dict[str, Any], text: str, extra: int) -> Block:
    mark = part.get("cache_control")
    ttl_s = _TTL[read(mark, CacheControl).ttl] if mark is not None else 0
    return Block(text, tokens.count(text) + extra, ttl_s)


def _text(part: dict[str, Any]) -> str:
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    return json.dumps(_unmarked(part), sort_keys=True)


def _unmarked(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "cache_control"}
