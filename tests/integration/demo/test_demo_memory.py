"""The conversation memory, written with the official SDKs, as it works with nobody watching."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from costspan import runtime
from costspan.demo.conversation import month
from costspan.demo.memory import COMPRESSOR, DIMENSIONS, TURNS_PER_SUMMARY, Conversation, ConversationMemory
from costspan.demo.phrases import GUIDE
from costspan.demo.play import Plan, last_month, talk
from costspan.demo.providers import providers

pytestmark = pytest.mark.filterwarnings(f"ignore:The model '{COMPRESSOR}' is deprecated:DeprecationWarning")

LEASE = "Amara decides about the lease next week, and Jonas has to be told by then."
KEYNOTE = "The keynote takes an hour, Lucia speaks, and Kenji brings the slides on Monday."


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """Cache hits and misses are counted in a folder of the test, and nothing is drained."""
    monkeypatch.setenv("COSTSPAN_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COSTSPAN_DRAIN", "off")
    yield
    runtime.stop()


@pytest.fixture
def memory(claude, gpt):
    """A memory in which nothing is kept."""
    return ConversationMemory(claude, gpt)


def conversation(session="s-1", user="u-1", **more):
    """A conversation that has not begun."""
    return Conversation(session=session, tenant="acme", user=user, **more)


def discuss(memory, talk, text):
    """Say ``text`` so often that it is compressed."""
    for _ in range(TURNS_PER_SUMMARY):
        memory.hear(talk, "user", text)


def kinds(served):
    """What was billed, in its order."""
    return [(charge.service, charge.operation) for charge in served.bill.charges]


def test_a_conversation_is_compressed_and_embedded_when_enough_was_said(memory, served):
    """One call to each provider for every eight turns, and none before."""
    talk = conversation()
    for _ in range(TURNS_PER_SUMMARY - 1):
        memory.hear(talk, "user", LEASE)
    before = kinds(served)

    memory.hear(talk, "assistant", LEASE)

    assert before == []
    assert kinds(served) == [("anthropic", "chat"), ("openai", "embeddings")]
    assert talk.unheard == []


def test_what_is_asked_for_is_found(memory):
    """The nearest summary of the user comes first; other users' are not looked at."""
    discuss(memory, conversation("s-1"), LEASE)
    discuss(memory, conversation("s-2"), KEYNOTE)
    discuss(memory, conversation("s-3", user="u-2"), LEASE)

    found = memory.recall(conversation("s-4"), "Who decides about the lease?")

    assert len(found) == 2
    assert "lease" in found[0].summary
    assert "keynote" in found[1].summary
    assert len(found[0].vector) == DIMENSIONS


def test_the_same_question_is_embedded_once(memory, served):
    """The second time the cache has it: no call to the provider."""
    first = memory.recall(conversation(), "Who decides about the lease?")
    second = memory.recall(conversation("s-2"), "Who decides about the lease?")

    assert first == second == []
    assert kinds(served) == [("openai", "embeddings")]


def test_a_watched_conversation_is_streamed_and_costs_the_same(claude, gpt, served):
    """Streaming changes how a summary arrives, not what it is."""
    for is_watched in (False, True):
        discuss(ConversationMemory(claude, gpt), conversation(is_watched=is_watched), LEASE)

    plain, streamed = (charge for charge in served.bill.charges if charge.service == "anthropic")
    assert plain.tokens == streamed.tokens


def test_a_tenants_guide_is_cached_by_the_provider(memory, served):
    """Two compressions within five minutes write the guide once and read it once."""
    talk = conversation(guide=GUIDE)
    discuss(memory, talk, LEASE)
    discuss(memory, talk, KEYNOTE)

    first, second = (charge.tokens for charge in served.bill.charges if charge.service == "anthropic")
    assert first["cache_write_5m"] == second["cache_read"] > 2048
    assert "cache_read" not in first
    assert "cache_write_5m" not in second


def test_a_compression_is_about_as_large_as_planned(clock):
    """450 tokens in and 180 out, on average, make $0.00135: the month's target is built on it."""
    with providers(clock) as served:
        talk(served, month(sessions=20, seed=1, first_day=date(2026, 10, 1)), clock, lambda *_: None)

    charges = [
        charge for charge in served.bill.charges if charge.service == "anthropic" and "cache_read" not in charge.tokens
    ]
    plain = [charge for charge in charges if "cache_write_5m" not in charge.tokens]
    assert sum(charge.tokens_in for charge in plain) / len(plain) == pytest.approx(450, rel=0.05)
    assert sum(charge.tokens_out for charge in plain) / len(plain) == pytest.approx(180, rel=0.05)


@pytest.mark.parametrize("day", [date(2026, 10, 1), date(2026, 2, 1), date(2028, 2, 1)])
def test_a_month_of_a_hundred_sessions_costs_what_was_promised(clock, day):
    """Between $0.30 and $0.45, in any month; with errors that the SDKs retry, and every session heard to its end."""
    plan = Plan(first_day=day)
    told = []
    with providers(clock, fault_every=25) as served:
        sessions = month(sessions=plan.sessions, seed=plan.seed, first_day=day)
        talk(served, sessions, clock, lambda taken, of: told.append((taken, of)))

        total, refused = served.bill.total_usd, served.bill.refused

    turns = sum(len(session.turns) for session in sessions)
    assert Decimal("0.30") <= total <= Decimal("0.45")
    assert set(refused) == {429, 500, 503, 529}
    assert told == [(number, turns) for number in range(1, turns + 1)]


@pytest.mark.parametrize(
    ("today", "first"),
    [
        (date(2026, 11, 21), date(2026, 10, 1)),
        (date(2026, 1, 1), date(2025, 12, 1)),
        (date(2026, 3, 31), date(2026, 2, 1)),
    ],
)
def test_the_month_played_is_the_last_that_is_over(today, first):
    """A month's bill is final when the month is."""
    assert last_month(today) == first
