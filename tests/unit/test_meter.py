"""The one path of an attempt: announced, priced, journalled, shown; once."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from costspan import guard
from costspan.attribution import NO_TENANT, attribute
from costspan.event import Outcome
from costspan.journal import Journal
from costspan.meter import Meter
from costspan.pricing import PriceBook
from costspan.sinks.pipeline import PipelineCollector
from costspan.sinks.prometheus import PrometheusSink
from costspan.usage import Completeness, Portion, Reading, Status, Terms, Unit, Usage

NOON = 1_795_176_000_000_000_000  # 2026-11-20T12:00:00Z
MODEL = "claude-3-5-haiku-latest"
READING = Reading(
    "anthropic",
    "anthropic",
    "chat",
    MODEL,
    (Portion(MODEL, Usage({Unit.INPUT: 450, Unit.OUTPUT: 180}, reasoning=20)),),
    response_id="msg_1",
    evidence={"input_tokens": 450, "output_tokens": 180},
)
BOOK = PriceBook.load()


class Bench:
    """A meter of real parts in a folder, and what its journal says."""

    def __init__(self, folder, **options):
        self.registry = CollectorRegistry()
        self.journal = Journal(folder)
        self.counters = PrometheusSink(self.registry)
        self.meter = Meter(self.journal, BOOK, self.counters, clock=lambda: NOON, **options)

    def open(self, **changes):
        """Announce an attempt."""
        return self.meter.open(
            **{"service": "anthropic", "provider": "anthropic", "operation": "chat", "model": MODEL, **changes}
        )

    @property
    def records(self):
        """Events and endings in the journal."""
        batches = [segment.read(0, 1000) for segment in self.journal.segments()]
        return [event for batch in batches for event in batch.events], [
            end for batch in batches for end in batch.endings
        ]

    @property
    def event(self):
        """The only one."""
        ((event,), ()) = self.records
        return event


@pytest.fixture
def bench(tmp_path):
    """A meter of this test's own."""
    bench = Bench(tmp_path)
    yield bench
    bench.journal.shutdown()


def test_a_settled_attempt_is_one_priced_event(bench):
    """450 in and 180 out of the contract model are $0.00135, with lines, status and price version."""
    with attribute(tenant="acme", session="s-1", user="u-7", feature="compression", tags={"team": "a"}):
        quote = bench.meter.settle(bench.open(), READING)

    event = bench.event
    assert quote.cost_usd == Decimal("0.00135")
    assert (event.cost_pico, event.status) == (1_350_000_000, "priced")
    assert (event.tokens_in, event.tokens_out, event.reasoning) == (450, 180, 20)
    assert sum(line.amount_pico for line in event.lines) == event.cost_pico
    assert (event.tenant, event.session, event.user, event.feature) == ("acme", "s-1", "u-7", "compression")
    assert event.tags == {"team": "a"}
    assert event.at_ns == NOON
    assert event.price_version
    assert (event.problem, event.evidence) == ("", "")


def test_ending_twice_changes_nothing(bench):
    """Whoever comes second (a close after a stream's end, a failure after an answer) is ignored."""
    attempt = bench.open()

    first = bench.meter.settle(attempt, READING)
    second = bench.meter.settle(attempt, READING)
    bench.meter.end(attempt, Outcome.FAILED, "too late")

    assert first is not None
    assert second is None
    assert bench.event.attempt == attempt.id


def test_an_attempt_without_usage_is_an_ending_and_no_event(bench):
    """A refusal is journalled and counted, and costs nothing."""
    bench.meter.end(bench.open(), Outcome.FAILED, "HTTP 429")

    events, (ending,) = bench.records
    assert events == []
    assert (ending.outcome, ending.reason) == ("failed", "HTTP 429")
    labels = {"service": "anthropic", "model": MODEL, "operation": "chat", "tenant": NO_TENANT, "feature": ""}
    assert bench.registry.get_sample_value("costspan_calls_total", {**labels, "status": "failed"}) == 1


def test_a_call_of_no_tenant_belongs_to_the_default_one(tmp_path):
    """COSTSPAN_TENANT names it; without it the zero tenant does."""
    nobody, somebody = Bench(tmp_path / "a"), Bench(tmp_path / "b", tenant="acme")

    nobody.meter.settle(nobody.open(), READING)
    somebody.meter.settle(somebody.open(), READING)

    assert nobody.event.tenant == "00000000-0000-0000-0000-000000000000"
    assert somebody.event.tenant == "acme"
    nobody.journal.shutdown()
    somebody.journal.shutdown()


def test_what_is_not_priced_keeps_its_evidence(bench):
    """An unpriced call has no cost, says why, and keeps the usage as the provider sent it."""
    unknown = replace(READING, model="gpt-99-nova", portions=(Portion("gpt-99-nova", Usage({Unit.INPUT: 10})),))

    bench.meter.settle(bench.open(), unknown)

    event = bench.event
    assert (event.status, event.cost_pico) == ("unpriced", None)
    assert "gpt-99-nova" in event.problem
    assert json.loads(event.evidence) == {"input_tokens": 450, "output_tokens": 180}


@pytest.mark.parametrize(("problem", "status"), [("", "unpriced"), ("prompt_tokens is '-5'", "invalid")])
def test_a_failure_of_pricing_is_a_row_all_the_same(bench, monkeypatch, problem, status):
    """What was billed and could not be priced, by our own fault, is a row that says so; the fault is counted."""
    monkeypatch.delenv("COSTSPAN_RAISE", raising=False)
    monkeypatch.setattr(PriceBook, "card", lambda *_args: 1 / 0)
    monkeypatch.setattr(PriceBook, "price_version", property(lambda _: 1 / 0))
    faults = guard.failures.get("pricing", 0)

    quote = bench.meter.settle(bench.open(), replace(READING, problem=problem))

    event = bench.event
    assert (quote.status.value, quote.cost_usd, event.status, event.cost_pico) == (status, None, status, None)
    assert (event.tokens_in, event.tokens_out) == (450, 180)
    assert event.problem == (problem or "costspan failed to price this call")
    assert json.loads(event.evidence) == {"input_tokens": 450, "output_tokens": 180}
    assert bench.journal.stats.open_intents == 0
    assert guard.failures["pricing"] == faults + 1


def test_impossible_numbers_are_kept_aside_never_summed(bench):
    """An invalid reading is an event without tokens or cost."""
    problem = "usage.prompt_tokens is '-5': allowed are whole numbers from 0 to 1,000,000,000"

    quote = bench.meter.settle(bench.open(), replace(READING, portions=(), problem=problem))

    event = bench.event
    assert quote.status is Status.INVALID
    assert (event.status, event.cost_pico, event.tokens_in, event.problem) == ("invalid", None, 0, problem)


def test_several_models_are_one_event_with_lines_of_each(bench):
    """An advisor's tokens are summed with the main model's, and priced at the advisor's rate."""
    advised = replace(
        READING,
        model="claude-sonnet-5-5",
        portions=(
            Portion("claude-sonnet-5-5", Usage({Unit.INPUT: 20_000, Unit.OUTPUT: 1000})),
            Portion("claude-opus-5-5", Usage({Unit.INPUT: 10_000, Unit.OUTPUT: 2000})),
        ),
    )

    bench.meter.settle(bench.open(), advised)

    event = bench.event
    assert event.cost_pico == 130_000_000_000
    assert event.quantities == {"input_tokens": 30_000, "output_tokens": 3000}
    assert {line.model for line in event.lines} == {"claude-sonnet-5-5", "claude-opus-5-5"}


def test_terms_are_said_in_one_word(bench):
    """The served terms are in the event."""
    bench.meter.settle(bench.open(), replace(READING, model="claude-opus-5-5", terms=Terms(batch=True, geo="us")))

    assert bench.event.terms == "batch+geo=us"


def test_an_earlier_call_is_booked_at_its_own_time(bench):
    """A call that is tracked later is priced and booked when it was made."""
    attempt = bench.open(at_ns=NOON - 10**18)
    bench.meter.settle(attempt, READING)

    assert bench.event.at_ns == NOON - 10**18


@settings(max_examples=60, deadline=None)
@given(
    model=st.text(max_size=400),
    tenant=st.text(max_size=400),
    counts=st.lists(st.integers(0, 10**9), min_size=2, max_size=2),
    completeness=st.sampled_from(list(Completeness)),
)
def test_any_name_and_count_becomes_an_event(tmp_path_factory, model, tenant, counts, completeness):
    """Whatever names come along, the event is journalled, readable, and its cost is the sum of its lines."""
    bench = Bench(tmp_path_factory.mktemp("journal"))
    usage = Usage({Unit.INPUT: counts[0], Unit.OUTPUT: counts[1]})
    reading = replace(READING, model=model, portions=(Portion(model, usage),), completeness=completeness)

    with attribute(tenant=tenant):
        bench.meter.settle(bench.open(model=model), reading)

    event = bench.event
    assert (event.tokens_in, event.tokens_out) == tuple(counts)
    assert event.cost_pico == (
        sum(line.amount_pico or 0 for line in event.lines) if event.cost_pico is not None else None
    )
    bench.journal.shutdown()


def test_the_pipeline_balances(bench):
    """Opened = settled + failed + unanswered, and what is on its way shows as open."""
    pipeline = PipelineCollector(bench.registry, bench.counters, bench.journal, None)
    bench.meter.settle(bench.open(), READING)
    bench.meter.end(bench.open(), Outcome.FAILED, "HTTP 500")
    bench.meter.end(bench.open(), Outcome.UNANSWERED, "ReadTimeout")
    bench.open()

    events = {
        state: bench.registry.get_sample_value("costspan_events_total", {"state": state})
        for state in ("opened", "settled", "failed", "unanswered", "dropped")
    }
    assert events == {"opened": 4, "settled": 1, "failed": 1, "unanswered": 1, "dropped": 0}
    assert bench.registry.get_sample_value("costspan_attempts_open") == 1
    assert bench.registry.get_sample_value("costspan_journal_bytes") > 0
    pipeline.close()
