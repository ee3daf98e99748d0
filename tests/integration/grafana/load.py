"""Some weeks of an application until now, as the demo makes them: for each panel there is something to show."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from prometheus_client import CollectorRegistry

from costspan.event import CallEvent, Intent, Outcome
from costspan.journal import Journal
from costspan.ledger import Ledger
from costspan.sinks.pipeline import PipelineCollector
from costspan.sinks.prometheus import PrometheusSink
from integration.ledger.calls import batch, call, lost, miss, nanoseconds, unpriced, use

__all__ = ["AWKWARD", "EVERYBODY", "FEATURE", "HOSTILE", "SESSION", "TENANTS", "fill", "metered"]

#: Names with what means something in SQL, in regular expressions and in PromQL.
AWKWARD = r"""o'neil & (sons|co.) {+} ${tenant}"""
TENANTS = ("acme", "globex", AWKWARD)
#: To Grafana a macro, after which the text that it is in has ended.
HOSTILE = "$__timeFrom()) or pg_sleep(9) is null --"
EVERYBODY = (*TENANTS, HOSTILE)
FEATURE = "search's end"
SESSION = "acme's-1"
_DAYS = 20
_MODELS = (
    ("anthropic", "chat", "claude-haiku-4-5", (900_000, 110_000)),
    ("openai", "chat", "gpt-5-mini", (300_000, 60_000)),
    ("openai", "embeddings", "text-embedding-3-large", (120_000, 0)),
)


def fill(ledger: Ledger) -> None:
    """Write the calls, move the days that are over into slices, and set some budgets."""
    now = datetime.now(UTC)
    uses = [
        turn(now - timedelta(hours=hours), tenant=tenant)
        for tenant in TENANTS
        for hours in range(30)
        for turn in (use, use, miss)
    ]
    ledger.write(batch(list(_calls(now)), cache_uses=uses, endings=[lost("unanswered", now)]), uuid4())
    ledger.compact(now.date())
    ledger.set_budget("acme", "day", Decimal(5))


def metered(registry: CollectorRegistry, folder: Journal) -> None:
    """What an application that made such calls tells of itself."""
    sink = PrometheusSink(registry)
    PipelineCollector(registry, sink, folder, None)
    for tenant in TENANTS:
        sink.record(call(tenant=tenant), None)
        intent = Intent(
            uuid4().bytes,
            nanoseconds(datetime.now(UTC)),
            "openai",
            "openai",
            "chat",
            "gpt-5-mini",
            tenant,
            "s",
            "u",
            "f",
        )
        sink.ended(intent, Outcome.FAILED)


def _calls(now: datetime) -> Iterator[CallEvent]:
    chance = random.Random(7)
    for tenant in TENANTS:
        for day in range(_DAYS):
            for number in range(6):
                service, operation, model, (tokens_in, tokens_out) = chance.choice(_MODELS)
                # Those of today at a second ago, whatever the time is.
                at = now - timedelta(seconds=1 + number) - day * timedelta(days=1)
                size = chance.uniform(0.2, 1.4)
                yield call(
                    at, (int(tokens_in * size), int(tokens_out * size)), cached=int(50_000 * size) if tokens_out else 0,
                    service=service, provider=service, operation=operation, model=model, tenant=tenant,
                    session=SESSION if tenant == "acme" and not number else f"s-{day}-{number // 2}",
                    feature=("compression", FEATURE, "")[number % 3], user=f"u-{number % 2}",
                )  # fmt: skip
        yield unpriced(now - timedelta(seconds=30), tenant=tenant)
    yield call(
        now - timedelta(seconds=40), tenant=HOSTILE, session=HOSTILE, feature=HOSTILE, user=HOSTILE, model=HOSTILE
    )
