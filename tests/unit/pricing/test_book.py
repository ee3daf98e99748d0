"""Quotes: lines that add up, a status that says how far they can be trusted, and bounded memory."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from costspan.errors import UnknownModel
from costspan.event import Line
from costspan.pricing import PriceBook, money
from costspan.usage import MAX_COUNT, STANDARD, Completeness, Portion, Reading, Status, Terms, Unit, Usage
from unit.pricing.readings import ns, read

BOOK = PriceBook.load()
NOW = ns("2026-11-20T12:00:00")
MODELS = st.sampled_from(
    [
        "claude-opus-5-5",
        "claude-haiku-5-5",
        "claude-3-5-haiku-latest",
        "claude-sonnet-4-6",
        "claude-99",
        "claude-opus-4-1",
    ]
)
QUANTITIES = st.dictionaries(st.sampled_from(list(Unit)), st.integers(1, 400_000), max_size=6)
TERMS = st.builds(
    Terms,
    tier=st.sampled_from(["standard", "priority", "hyperdrive"]),
    batch=st.booleans(),
    speed=st.sampled_from(["standard", "fast"]),
    geo=st.sampled_from(["", "us", "eu"]),
)
PORTIONS = st.lists(st.builds(Portion, MODELS, st.builds(Usage, QUANTITIES)), max_size=3).map(tuple)
READINGS = st.builds(
    Reading,
    st.just("anthropic"),
    st.just("anthropic"),
    st.just("chat"),
    MODELS,
    PORTIONS,
    TERMS,
    st.sampled_from(list(Completeness)),
    st.sampled_from([(), ("hologram_tokens",)]),
)
MOMENTS = st.integers(ns("2024-01-01"), ns("2027-06-01"))


@given(READINGS, MOMENTS)
def test_the_total_is_the_sum_of_its_lines(reading, at_ns):
    """Every quantity has a line, each amount is quantity times rate, and the known part is their sum, exactly."""
    quote = BOOK.quote(reading, at_ns)

    asked = [(item.model, unit.value, n) for item in reading.portions for unit, n in item.usage.quantities.items()]
    assert [(line.model, line.unit, line.quantity) for line in quote.lines] == asked
    for line in quote.lines:
        if line.rate_atto is None:
            assert (line.amount_pico, line.layer) == (None, "")
        else:
            assert line.amount_pico == money.half_even(line.quantity * line.rate_atto, money.ATTO_PER_PICO)
    assert quote.known_pico == sum(line.amount_pico or 0 for line in quote.lines)


@given(READINGS, MOMENTS)
def test_the_status_says_what_is_known(reading, at_ns):
    """Priced means that all is known; unpriced that nothing is; a cost is named only where it is one."""
    quote = BOOK.quote(reading, at_ns)
    has_gap = any(line.amount_pico is None for line in quote.lines)

    if quote.status is Status.PRICED:
        assert not has_gap
        assert not reading.unknown
        assert reading.completeness is Completeness.COMPLETE
        assert not quote.reason
    else:
        assert quote.reason
    if quote.status is Status.UNPRICED:
        assert quote.known_pico == 0
        assert quote.cost_pico is None
    if reading.completeness is Completeness.CUT or quote.status is Status.UNPRICED:
        assert quote.cost_usd is None
    else:
        assert quote.cost_usd == quote.at_least_usd


@given(READINGS, MOMENTS)
def test_a_quote_depends_on_its_arguments_alone(reading, at_ns):
    """A fresh book says the same as one that has priced other calls before."""
    assert PriceBook.load().quote(reading, at_ns) == BOOK.quote(reading, at_ns)


@given(st.lists(READINGS, min_size=1, max_size=4), MOMENTS, st.randoms(use_true_random=False))
def test_the_order_of_calls_does_not_matter(readings, at_ns, random):
    """Pricing the same calls in another order, at a fresh book, gives the same quotes."""
    book = PriceBook.load()
    expected = {index: BOOK.quote(reading, at_ns) for index, reading in enumerate(readings)}
    order = list(expected)
    random.shuffle(order)

    assert {index: book.quote(readings[index], at_ns) for index in order} == expected


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_twice_the_tokens_cost_twice_as_much(count, factor):
    """Within a step of the prompt's length, cost is proportional to quantity."""
    once = BOOK.quote(read("anthropic", "claude-sonnet-5", input=count, output=count), NOW)
    more = BOOK.quote(read("anthropic", "claude-sonnet-5", input=count * factor, output=count * factor), NOW)

    assert more.known_pico == once.known_pico * factor


@given(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(0, 200_000))
def test_the_whole_prompt_chooses_the_step(fresh, cached, written):
    """Caches count to the length of the prompt, and the step holds for every unit of the request."""
    units = {"input": fresh, "cache_read": cached, "cache_write_5m": written, "output": 1000}
    quote = BOOK.quote(read("anthropic", "claude-haiku-5-5", **{unit: n for unit, n in units.items() if n}), NOW)

    factor = 5 if fresh + cached + written > 100_000 else 1
    expected = (fresh * 100_000 + cached * 10_000 + written * 125_000 + 1000 * 500_000) * factor
    assert quote.known_pico == expected


def test_each_portion_has_its_own_prompt():
    """Three requests of 60,000 tokens are three short prompts, not one long one."""
    portion = Portion("claude-haiku-5-5", Usage({Unit.INPUT: 60_000}))
    reading = Reading("anthropic", "anthropic", "chat", "claude-haiku-5-5", (portion,) * 3)

    assert BOOK.quote(reading, NOW).cost_usd == Decimal("0.018")


def test_a_portion_of_an_unknown_model_makes_a_lower_bound():
    """What the known model consumed is certain; that there is more is said."""
    known, unknown = (Portion(name, Usage({Unit.INPUT: 10**6})) for name in ("claude-sonnet-5", "claude-99"))
    reading = Reading("anthropic", "anthropic", "chat", "claude-sonnet-5", (known, unknown))

    quote = BOOK.quote(reading, NOW)

    assert (quote.status, quote.cost_usd, quote.cost_pico) == (Status.PARTIAL, 2, 2 * 10**12)
    assert "claude-99" in quote.reason


def test_free_units_do_not_make_a_call_known():
    """Fetches are free, which says nothing of the tokens beside them."""
    reading = read("anthropic", "claude-2", web_fetch=3, input_audio=5)

    assert BOOK.quote(reading, NOW).status is Status.UNPRICED


def test_no_portions_cost_nothing():
    """A call that consumed nothing is priced, at zero."""
    quote = BOOK.quote(Reading("openai", "openai", "chat", "gpt-5", ()), NOW)

    assert (quote.status, quote.cost_usd, quote.lines) == (Status.PRICED, 0, ())


def test_impossible_usage_is_invalid_and_never_summed():
    """The reading's problem is the quote's reason; there are no lines and no cost."""
    reading = Reading("openai", "openai", "chat", "gpt-5", (), problem="prompt_tokens is -5", unknown=("x",))

    quote = BOOK.quote(reading, NOW)

    assert (quote.status, quote.lines, quote.cost_usd, quote.cost_pico) == (Status.INVALID, (), None, None)
    assert quote.reason == "prompt_tokens is -5"


def test_a_bill_of_more_than_a_million_dollars_is_invalid():
    """A count within limits whose cost could not be kept in 64 bits is a mistake, not a call."""
    quote = BOOK.quote(read("anthropic", "claude-sonnet-5", web_search=MAX_COUNT), NOW)

    assert (quote.status, quote.known_pico) == (Status.INVALID, 0)
    assert "10,000,000 dollars" in quote.reason


@pytest.mark.parametrize(
    ("changes", "status", "is_known"),
    [
        ({"completeness": Completeness.ESTIMATED}, Status.ESTIMATED, True),
        ({"completeness": Completeness.ESTIMATED, "unknown": ("x",)}, Status.PARTIAL, True),
        ({"completeness": Completeness.CUT}, Status.PARTIAL, False),
        ({"completeness": Completeness.CUT, "unknown": ("x",)}, Status.PARTIAL, False),
        ({"unknown": ("x",)}, Status.PARTIAL, True),
        ({"unknown": ("x",), "terms": Terms(tier="hyperdrive")}, Status.UNPRICED, False),
        ({"completeness": Completeness.CUT, "terms": Terms(tier="hyperdrive")}, Status.UNPRICED, False),
    ],
)
def test_the_worse_status_wins(changes, status, is_known):
    """Invalid over unpriced over partial over estimated over priced."""
    quote = BOOK.quote(replace(read("openai", "gpt-5", input=1000), **changes), NOW)

    assert quote.status is status
    assert (quote.cost_usd is not None) == is_known
    assert (quote.cost_pico is None) == (status is Status.UNPRICED)


def test_lines_are_rounded_only_where_they_must_be(contract):
    """A rate finer than a pico-dollar rounds its line half to even; no error adds up beyond its own line."""
    book = contract('[[price]]\nmodel = "house"\ninput = 0.0000005\noutput = 0.0000015\n')

    quote = book.quote(read("openai", "house", input=1, output=1), NOW)

    assert quote.lines == (
        Line("house", "input_tokens", 1, 500_000, 0, "contract"),
        Line("house", "output_tokens", 1, 1_500_000, 2, "contract"),
    )


def test_a_million_invented_names_are_bounded_and_push_out_no_known_model():
    """Unknown models and terms are kept apart from those in use, and neither grows without end."""
    book = PriceBook.load()
    known = read("openai", "gpt-5", input=1)
    book.quote(known, NOW)

    for number in range(1500):
        book.quote(read("openai", f"gpt-{number}-invented", input=1), NOW)
        book.quote(read("openai", "gpt-5", Terms(tier=f"tier-{number}"), input=1), NOW)

    assert len(book._unknown) <= 512
    assert book._known.get(("openai", "gpt-5", STANDARD)) is not None
    assert book.quote(known, NOW).status is Status.PRICED


def test_dated_names_of_a_known_model_are_bounded():
    """The list takes any date after some names; thousands of them do not stay."""
    book = PriceBook.load()

    for number in range(2500):
        book.quote(read("anthropic", f"claude-3-5-haiku-{20_000_000 + number}", input=1), NOW)

    assert len(book._known) <= 2048


@pytest.mark.parametrize("name", ["x" * 300, "gpt-5" + " " * 300])
def test_names_of_absurd_length_are_unpriced_and_not_kept(name):
    """A megabyte for a name is not worth keeping."""
    book = PriceBook.load()

    quotes = [book.quote(read("openai", name, input=1), NOW), book.quote(read(name, "gpt-5", input=1), NOW)]
    quotes.append(book.quote(read("openai", "gpt-5", Terms(tier=name), input=1), NOW))

    assert {quote.status for quote in quotes} == {Status.UNPRICED}
    assert len(book._unknown) == len(book._known) == 0


def test_a_model_at_two_dates_has_two_prices_in_any_order():
    """The bracket of a date is looked up, not the first price that was resolved."""
    book = PriceBook.load()
    reading = read("openai", "gpt-5.6-sol", input=100_000, output=10_000)

    costs = [book.quote(reading, ns(at)).cost_usd for at in ("2026-08-21", "2026-08-20T23:59:59", "2026-08-21")]

    assert costs == [Decimal("0.6"), Decimal("0.8"), Decimal("0.6")]


@pytest.mark.parametrize(
    ("model", "provider", "found"),
    [
        ("claude-3-5-haiku-latest", "", "anthropic"),
        ("text-embedding-3-large", "", "openai"),
        ("gpt-5", "azure.ai.openai", "azure.ai.openai"),
        ("llama-3.3-70b-versatile", "api.groq.com", "api.groq.com"),
    ],
)
def test_require_finds_who_sells_a_model(model, provider, found):
    """A bare name belongs to who makes it; a named provider stays."""
    assert BOOK.require(model, provider) == found


def test_require_finds_private_models_at_their_provider(contract):
    """A price file's models are found at the provider it names, or at any."""
    book = contract(
        '[[price]]\nmodel = "house-7b"\ninput = 1\n[[price]]\nprovider = "llm.internal"\nmodel = "big"\ninput = 1\n'
    )

    assert book.require("house-7b") == "anthropic"  # priced at any provider, so at the first that is asked
    assert book.require("big") == "llm.internal"


@pytest.mark.parametrize(
    ("model", "provider", "hint"),
    [
        ("gpt-5-mnii", "", "gpt-5-mini"),
        ("claude-3-5-haiku-lates", "", "claude-3-5-haiku-latest"),
        ("claude-opus-5-5", "openai", ""),
        ("claude-mythos-5-0", "anthropic", "claude-mythos-5"),
        ("", "", ""),
        ("z" * 10_000, "", ""),
    ],
)
def test_require_names_what_looks_alike(model, provider, hint):
    """An unknown model is an error that names near ones and says what to do."""
    with pytest.raises(UnknownModel, match="no price is known for the model") as caught:
        BOOK.require(model, provider)

    message = str(caught.value)
    assert hint in message
    assert ("did you mean" in message) == bool(hint)
    assert len(message) < 500


def test_require_asks_at_a_date(contract):
    """A private model is unknown before its price begins."""
    book = contract('[[price]]\nmodel = "house-7b"\nfrom = 2026-06-01\ninput = 1\n')

    assert book.require("house-7b", at_ns=ns("2026-06-01"))
    with pytest.raises(UnknownModel):
        book.require("house-7b", at_ns=ns("2026-05-31"))


def test_the_version_is_short_and_stable():
    """It fits a dictionary column, and is the same in every process with the same prices."""
    assert BOOK.price_version == PriceBook.load().price_version == BOOK.quote(read("x", "y"), NOW).price_version
    assert len(BOOK.price_version) < 64
