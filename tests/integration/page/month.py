"""Thirteen weeks of an application with three tenants, the same in every run, for the page to show."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

from costspan.event import CallEvent
from costspan.ledger import Ledger
from integration.ledger.calls import NOON, batch, call, unpriced

__all__ = ["HOSTILE", "LONGEST_SESSION", "fill"]

_DAYS = 91
_DAY = timedelta(days=1)
#: Names as nobody should choose them: a page that puts them into markup runs them.
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
LONGEST_SESSION = "import/2026-11/" + "batch-of-historical-conversations-" * 3 + "0001"
_TENANTS = {"acme": 8, "globex": 4, "initech": 1}
_MODELS = (
    ("anthropic", "chat", "claude-haiku-4-5", 6, (900_000, 110_000)),
    ("anthropic", "chat", "claude-sonnet-4-5", 3, (600_000, 160_000)),
    ("openai", "chat", "gpt-5-mini", 4, (300_000, 60_000)),
    ("openai", "embeddings", "text-embedding-3-large", 5, (120_000, 0)),
)
_FEATURES = ("compression", "search", "answer", "triage", "")


def fill(ledger: Ledger) -> None:
    """Write the calls, and some budgets."""
    ledger.write(batch(list(_calls())), uuid4())
    ledger.set_budget("acme", "month", Decimal(250))
    ledger.set_budget("globex", "day", Decimal("1.5"))


def _calls() -> Iterator[CallEvent]:
    chance = random.Random(7)
    for day in range(_DAYS):
        for tenant, share in _TENANTS.items():
            yield from _day(chance, day, tenant, share)
    yield call(NOON - timedelta(minutes=5), tenant="acme", feature=HOSTILE, session=HOSTILE)
    yield call(
        NOON - timedelta(minutes=9), (4_000_123, 90_017), tenant="acme", session=LONGEST_SESSION, feature="import"
    )
    for number in range(3):
        yield unpriced(NOON - number * _DAY, tenant="acme", service="openai", provider="openai", session="")
    yield call(
        NOON - 2 * _DAY, tenant="globex", status="estimated", model="claude-haiku-4-5", problem="the stream was cut off"
    )


def _day(chance: random.Random, day: int, tenant: str, share: int) -> Iterator[CallEvent]:
    begin = NOON.replace(hour=0) - (_DAYS - 1 - day) * _DAY
    is_weekend = begin.weekday() > 4
    for number in range(share // 2 + 1 if is_weekend else share * 2):
        at = begin + timedelta(minutes=chance.triangular(0, 24 * 60 - 1, 15 * 60))
        if at >= NOON:
            continue
        (chosen,) = chance.choices(_MODELS, [item[3] for item in _MODELS])
        service, operation, model, _, (tokens_in, tokens_out) = chosen
        size = chance.uniform(0.2, 1.4)
        cached = int(tokens_in * size * 2) if chance.random() < 0.3 and tokens_out else 0
        yield call(
            at, (int(tokens_in * size), int(tokens_out * size)), cached, service=service, provider=service,
            operation=operation, model=model, tenant=tenant, session=f"{tenant}-{day:02}-{number // 3}",
            feature=chance.choices(_FEATURES, [6, 4, 3, 1, 1])[0], user=f"u-{chance.randrange(9)}",
            duration_ms=chance.randrange(200, 9000),
        )  # fmt: skip
