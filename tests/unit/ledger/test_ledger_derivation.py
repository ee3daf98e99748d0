"""What is stored of a call tells its quantities, its bill and its reading again."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from costspan.journal import Journal
from costspan.ledger.derivation import StoredCall, StoredKind, cost_of, lines_of, nanoseconds, quantities_of, reading_of
from costspan.ledger.dictionary import Kind
from costspan.ledger.row import detail_of, is_plain
from costspan.meter import Meter
from costspan.pricing import PriceBook
from costspan.pricing.reason import doubt, sentence
from costspan.sinks.prometheus import PrometheusSink
from costspan.text import clean
from costspan.usage import (
    INPUT_UNITS,
    OUTPUT_UNITS,
    STANDARD,
    Completeness,
    Portion,
    Reading,
    Status,
    Terms,
    Unit,
    Usage,
)
from unit.pricing.readings import ns

BOOK = PriceBook.load()
SELLERS = {
    "anthropic": ["claude-haiku-5-5", "claude-sonnet-5", "claude-opus-5-5", "claude-3-5-haiku-latest", "claude-99"],
    "openai": ["gpt-5", "gpt-5.4", "gpt-4o-audio-preview", "text-embedding-3-large", "gpt-99-nova"],
}
TERMS = [
    STANDARD,
    Terms(batch=True),
    Terms("flex"),
    Terms("priority"),
    Terms(geo="us"),
    Terms(speed="fast", geo="us"),
    Terms("odd+tier"),
]
INPUTS = [unit for unit in Unit if unit in INPUT_UNITS]
OUTPUTS = [unit for unit in Unit if unit in OUTPUT_UNITS]
OTHERS = [unit for unit in Unit if unit not in INPUT_UNITS | OUTPUT_UNITS]
QUANTITIES = st.one_of(st.integers(1, 300_000), st.integers(1, 50))


def portions(models):
    """Portions as readers make them: what was read, then what was written, then fees; every request wrote something."""
    units = st.tuples(
        st.dictionaries(st.sampled_from(INPUTS), QUANTITIES, max_size=4),
        st.dictionaries(st.sampled_from(OUTPUTS), QUANTITIES, min_size=1, max_size=2),
        st.dictionaries(st.sampled_from(OTHERS), st.integers(1, 9), max_size=2),
    )
    usage = units.map(lambda parts: Usage({**parts[0], **parts[1], **parts[2]}))
    return st.lists(st.builds(Portion, models, usage), max_size=4).map(tuple)


@st.composite
def readings(draw):
    """Anything that a provider's answer may say."""
    seller = draw(st.sampled_from(list(SELLERS)))
    models = st.sampled_from(SELLERS[seller])
    return Reading(
        seller,
        seller,
        draw(st.sampled_from(["chat", "embeddings"])),
        draw(models),
        draw(portions(models)),
        draw(st.sampled_from(TERMS)),
        draw(st.sampled_from(list(Completeness))),
        draw(st.sampled_from([(), (), ("usage.gems",), ("a", "b; c" * 100)])),
        problem=draw(st.sampled_from(["", "", "", "", "prompt_tokens is -5"])),
        evidence={"input_tokens": 1},
    )


MOMENTS = st.integers(ns("2023-01-01"), ns("2027-01-01"))


class Bench:
    """A meter of real parts, and what its journal has of each call."""

    def __init__(self, folder):
        self.journal = Journal(folder)
        self._meter = Meter(self.journal, BOOK, PrometheusSink(CollectorRegistry()))
        self._position = 0

    def settle(self, reading, at_ns):
        """The event of a reading, as it comes out of the journal, and its quote."""
        attempt = self._meter.open(
            service=reading.service,
            provider=reading.provider,
            operation=reading.operation,
            model=reading.model,
            at_ns=at_ns,
        )
        quote = self._meter.settle(attempt, reading)
        (segment,) = self.journal.segments()
        batch = segment.read(self._position, 9)
        self._position = batch.end
        return batch.events[-1], quote


@pytest.fixture(scope="module")
def meter(tmp_path_factory):
    """One for all examples: a journal takes a while to begin."""
    bench = Bench(tmp_path_factory.mktemp("journal"))
    yield bench
    bench.journal.shutdown()


def stored(event, rates=()):
    """What the ledger keeps of an event, and of its kind, which knew ``rates`` before."""
    kind = Kind(1, 1, dict(rates))
    for line in event.lines:
        if line.rate_atto is not None:
            kind.rates.setdefault(line.unit, (line.model, line.rate_atto, line.layer))
    detail = None if is_plain(event, kind) else detail_of(1, event, kind)
    kept = {name: event.quantities.get(unit) for name, unit in _COLUMNS.items()}
    return StoredCall(
        event.tokens_in,
        event.tokens_out,
        **kept,
        reasoning=event.reasoning or None,
        lines=_json(detail.lines) if detail else None,
        quantities=_json(detail.quantities) if detail else None,
        problem=detail.problem if detail else None,
    ), StoredKind(
        1,
        event.tenant,
        event.service,
        event.provider,
        event.operation,
        event.model,
        event.request_model,
        event.terms,
        event.price_version,
        event.dimensions,
        event.status,
        kind.rates,
    )


_COLUMNS = {
    "cache_read": Unit.CACHE_READ.value,
    "cache_write_5m": Unit.CACHE_WRITE_5M.value,
    "cache_write_1h": Unit.CACHE_WRITE_1H.value,
    "cache_write_30m": Unit.CACHE_WRITE_30M.value,
    "cache_write_12h": Unit.CACHE_WRITE_12H.value,
}


def _json(value):
    return None if value is None else msgspec.json.encode(value).decode()


def as_kept(at_ns):
    """An instant after Postgres had it."""
    return nanoseconds(datetime.fromtimestamp(at_ns // 10**9, UTC).replace(microsecond=at_ns // 1000 % 10**6))


@settings(max_examples=150)
@given(reading=readings(), at_ns=MOMENTS, other=readings())
def test_any_call_is_derived_from_what_is_stored_of_it(meter, reading, at_ns, other):
    """Quantities, lines and cost are those of the event, whichever rates its kind saw first."""
    event, _ = meter.settle(reading, at_ns)
    earlier, _ = meter.settle(other, at_ns)
    rates = {
        line.unit: (line.model, line.rate_atto, line.layer) for line in earlier.lines if line.rate_atto is not None
    }
    if event.status == Status.UNPRICED:
        rates = {}  # of a kind without a price

    call, kind = stored(event, rates)
    lines = lines_of(call, kind, call.lines)

    assert quantities_of(call) == event.quantities
    assert sorted(map(_sorted, lines)) == sorted(map(_sorted, event.lines))
    assert cost_of(lines, event.status) == event.cost_pico


@settings(max_examples=200)
@given(reading=readings(), at_ns=MOMENTS)
@example(
    # Two requests of one model, each below the length from which its long prompts cost five times as much.
    Reading(
        "anthropic",
        "anthropic",
        "chat",
        "claude-haiku-5-5",
        (Portion("claude-haiku-5-5", Usage({Unit.INPUT: 60_000, Unit.OUTPUT: 10})),) * 2,
    ),
    ns("2026-11-20"),
)
def test_the_same_book_gives_the_same_bill_again(meter, reading, at_ns):
    """What is stored is read back into a reading whose quote has the same status, lines and cost."""
    event, quote = meter.settle(reading, at_ns)
    assume(quote.status is not Status.INVALID)

    call, kind = stored(event)
    again = BOOK.quote(reading_of(call, kind), as_kept(at_ns))

    assert again.status is quote.status
    assert again.known_pico == quote.known_pico
    assert again.cost_pico == event.cost_pico
    assert again.is_cut == quote.is_cut
    assert sorted(map(_sorted, again.lines)) == sorted(map(_sorted, quote.lines))


def _sorted(line):
    return (line.model, line.unit, line.quantity, line.rate_atto or -1, line.amount_pico or -1, line.layer)


@settings(max_examples=100)
@given(reading=readings(), at_ns=MOMENTS)
def test_no_price_list_makes_a_doubtful_call_certain(meter, reading, at_ns):
    """A call that was cut, estimated or has a field that nobody knows stays so, whatever was wrong with its price."""
    event, quote = meter.settle(reading, at_ns)
    assume(quote.status is not Status.INVALID)

    read = reading_of(*stored(event))

    assert read.completeness is reading.completeness
    assert bool(read.unknown) == bool(reading.unknown)


def test_a_partial_call_without_a_reason_stays_partial(meter):
    """Where nothing says why a cost is a lower bound, no price list makes it whole."""
    reading = Reading("openai", "openai", "chat", "gpt-5", (Portion("gpt-5", Usage({Unit.INPUT: 10})),))
    event, _ = meter.settle(reading, ns("2026-11-20"))
    event = msgspec.structs.replace(event, status="partial")

    again = BOOK.quote(reading_of(*stored(event)), ns("2026-11-20"))

    assert again.status is Status.PARTIAL


def test_an_invalid_call_has_no_reading(meter):
    """Impossible numbers are not priced by any book."""
    event, _ = meter.settle(Reading("openai", "openai", "chat", "gpt-5", (), problem="x is -5"), ns("2026-11-20"))

    with pytest.raises(ValueError, match="invalid"):
        reading_of(*stored(event))


def test_a_unit_of_a_later_version_is_said(meter):
    """A ledger that a later version wrote into is not priced as if the unit were not there."""
    reading = Reading("openai", "openai", "chat", "gpt-5", (Portion("gpt-5", Usage({Unit.WEB_SEARCH: 1})),))
    call, kind = stored(meter.settle(reading, ns("2026-11-20"))[0])
    later = call._replace(lines=call.lines.replace("web_searches", "holograms"))

    with pytest.raises(ValueError, match="holograms"):
        reading_of(later, kind)


WORDS = st.one_of(
    st.sampled_from(["", "standard", "batch", "tier=batch", "speed=x", "+", "%2B", "a=b"]), st.text(max_size=9)
)


@settings(max_examples=500)
@given(tier=WORDS, batch=st.booleans(), speed=WORDS, geo=WORDS)
def test_terms_are_read_back_from_their_word(tier, batch, speed, geo):
    """Every set of terms has a word of its own, from which the very same terms come back."""
    terms = Terms(tier, batch, speed, geo)

    assert Terms.parse(terms.key) == terms


@given(st.text(max_size=300))
def test_any_word_is_some_terms(text):
    """A word that was cut to fit, or that nobody made, is terms too: an unknown one has no price."""
    assert isinstance(Terms.parse(clean(text)), Terms)


@given(
    st.sampled_from(list(Completeness)),
    st.lists(st.text(min_size=1, max_size=200), max_size=3).map(tuple),
    st.text(max_size=300).filter(lambda text: not text.startswith(("the answer was", "the provider sent", "nobody"))),
)
def test_a_reason_tells_the_doubt_even_where_it_was_cut_to_fit(completeness, unknown, gap):
    """Whether an answer was cut, estimated or not understood survives any length of names."""
    found = doubt(clean(sentence(completeness, unknown, gap)))

    assert found.completeness is completeness
    assert bool(found.unknown) == bool(unknown)
