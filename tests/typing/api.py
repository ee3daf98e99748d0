"""What a user's type checker sees. Checked by mypy, never run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import assert_type
from uuid import UUID

import costspan
from costspan.pricing import Quote

report = costspan.instrument()
with costspan.attribute(tenant="acme", session=UUID(int=1), user=7, feature="compression", tags={"team": "search"}):
    pass

assert_type(costspan.calculate_cost({"input_tokens": 450}, "claude-3-5-haiku-latest"), Decimal)
assert_type(costspan.calculate_cost({"input_tokens": 450}, "m", service="anthropic", at=datetime.now(UTC)), Decimal)
assert_type(costspan.quote({"model": "gpt-5"}, service="openai"), Quote)
assert_type(costspan.track({"input_tokens": 1}, "claude-haiku-4-5", tenant="acme"), Quote | None)
assert_type(costspan.track_compression({"input_tokens": 1}, "claude-haiku-4-5", "s-1", "acme"), Quote | None)
assert_type(costspan.track_embedding(10, "text-embedding-3-large", "s-1", "acme"), Quote | None)
costspan.cache_hit("embeddings", tokens=10, model="text-embedding-3-large")
costspan.cache_miss("embeddings")
assert_type(costspan.get_daily_costs("acme", date(2026, 11, 20)).total_cost, Decimal)
assert_type(costspan.get_monthly_costs("acme", 2026, 11).total_cost, Decimal)
assert_type(costspan.check_daily_threshold("acme", threshold=Decimal(10)), bool)
assert_type(costspan.start_metrics_server(0), int)
assert_type(costspan.flush(1.0), bool)
costspan.uninstrument()
