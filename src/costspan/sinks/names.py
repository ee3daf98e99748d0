"""Every metric, label and span attribute name, once. Dashboards, rules and docs are checked against this module."""

from __future__ import annotations

__all__ = ["CALL_LABELS", "OVERFLOW"]

#: Labels of every per-call metric. Session and user are never labels: they are unbounded.
CALL_LABELS = ("service", "model", "operation", "tenant", "feature")
#: The value that stands for every label set beyond the cap.
OVERFLOW = "overflow"

COST = "costspan_cost_usd"
TOKENS = "costspan_tokens"
CALLS = "costspan_calls"
DURATION = "costspan_call_duration_seconds"
CACHE_REQUESTS = "costspan_cache_requests"
CACHE_AVOIDED = "costspan_cache_avoided_usd"
CACHE_DROPPED = "costspan_cache_requests_dropped"
EVENTS = "costspan_events"
ATTEMPTS_OPEN = "costspan_attempts_open"
JOURNAL_BYTES = "costspan_journal_bytes"
JOURNAL_AGE = "costspan_journal_oldest_age_seconds"
INTERNAL_ERRORS = "costspan_internal_errors"
LABELS_OVERFLOWED = "costspan_labels_overflowed"

# From the ledger, by `costspan serve`: what a calendar day or month cost no counter of a process can say.
SPEND_TODAY = "costspan_spend_today_usd"
SPEND_MONTH = "costspan_spend_month_usd"
SPEND_TRAILING_HOUR = "costspan_spend_trailing_hour_usd"
SPEND_PROJECTED_TODAY = "costspan_spend_projected_today_usd"
BUDGET = "costspan_budget_usd"
UNPRICED_TODAY = "costspan_unpriced_calls_today"
CALLS_TODAY = "costspan_calls_today"
SPEND_TODAY_MODEL = "costspan_spend_today_model_usd"
LEDGER_LAST_SUCCESS = "costspan_ledger_last_success_timestamp_seconds"
LEDGER_QUERY_FAILED = "costspan_ledger_query_failed"
LEDGER_QUERY_DURATION = "costspan_ledger_query_duration_seconds"

# Of the intake of spans at `costspan serve`.
OTLP_SPANS = "costspan_otlp_spans"

# Span attributes. The first three are proposed to the GenAI conventions (semantic-conventions-genai PR 443); they are
# floats, as OTel has no decimal, so the exact amount stands beside them as a string.
COST_AMOUNT = "gen_ai.usage.cost.amount"
COST_CURRENCY = "gen_ai.usage.cost.currency"
COST_SOURCE = "gen_ai.usage.cost.source"
EXACT_COST = "costspan.cost.usd"
STATUS = "costspan.status"
PRICE_VERSION = "costspan.price_version"
PROBLEM = "costspan.problem"
TENANT = "costspan.tenant"
SESSION = "costspan.session"
USER = "costspan.user"
FEATURE = "costspan.feature"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
DIMENSIONS = "gen_ai.embeddings.dimension.count"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
