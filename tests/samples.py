"""Plain records that tests vary."""

from __future__ import annotations

import itertools

from costspan.attribution import NO_TENANT
from costspan.event import CallEvent, Intent

_numbers = itertools.count(1)


def attempt_id() -> bytes:
    """Return an attempt's id that no other has."""
    return next(_numbers).to_bytes(16, "big")


def call(**changes) -> CallEvent:
    """Return a priced call of claude-3-5-haiku-latest: 450 in, 180 out, $0.00135."""
    usual = {
        "attempt": attempt_id(),
        "at_ns": 1_795_000_000_000_000_000,
        "duration_ms": 420,
        "service": "anthropic",
        "provider": "anthropic",
        "operation": "chat",
        "model": "claude-3-5-haiku-latest",
        "request_model": "claude-3-5-haiku-latest",
        "status": "priced",
        "cost_pico": 1_350_000_000,
        "tokens_in": 450,
        "tokens_out": 180,
        "quantities": {"input_tokens": 450, "output_tokens": 180},
        "reasoning": 0,
        "terms": "standard",
        "price_version": "test",
        "lines": [],
        "tenant": NO_TENANT,
    }
    return CallEvent(**{**usual, **changes})


def intent(**changes) -> Intent:
    """Return the intent of such a call."""
    usual = {
        "attempt": attempt_id(),
        "at_ns": 1_795_000_000_000_000_000,
        "service": "anthropic",
        "provider": "anthropic",
        "operation": "chat",
        "model": "claude-3-5-haiku-latest",
        "tenant": NO_TENANT,
        "session": "",
        "user": "",
        "feature": "",
    }
    return Intent(**{**usual, **changes})
