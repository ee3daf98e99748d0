"""What surely costs the same all the time need not be priced call by call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from costspan.pricing import PriceBook, userfile
from costspan.usage import STANDARD, Terms
from unit.pricing.readings import ns

BOOK = PriceBook(
    userfile.parse(
        b'[[price]]\nmodel = "llama-9"\nfrom = 2026-11-03\nuntil = 2026-11-20\ninput = 2\n'
        b'[[discount]]\nprovider = "openai"\nfrom = 2026-06-01\npercent = 5\n',
        "prices.toml",
    )
)
MODELS = st.sampled_from(
    [
        ("anthropic", "claude-sonnet-5"),
        ("anthropic", "llama-9"),
        ("openai", "gpt-5"),
        ("openai", "gpt-99"),
        ("deepseek", "deepseek-chat"),  # cheaper at night
    ]
)
MOMENTS = st.integers(ns("2024-01-01"), ns("2027-01-01"))
SPANS = st.tuples(MOMENTS, st.one_of(st.integers(1, 90 * 86_400 * 10**9), MOMENTS.map(lambda at: at // 10)))


@given(MODELS, st.sampled_from([STANDARD, Terms(batch=True)]), SPANS, st.fractions(0, 1))
def test_a_steady_card_is_the_card_of_every_moment(model, terms, span, part):
    """From the first moment until before the last one, no other card is in force."""
    since, length = span
    steady = BOOK.steady_card(*model, terms, since, since + length)
    moment = min(since + int(length * part), since + length - 1)

    assert steady is None or BOOK.card(*model, terms, moment) == steady


def test_a_change_of_price_is_not_steady():
    """A span that a change falls into has no card, and the spans that it divides have one each."""
    before, change, after = ns("2026-11-01"), ns("2026-11-03"), ns("2026-11-05")

    assert BOOK.steady_card("anthropic", "llama-9", STANDARD, before, after) is None
    assert BOOK.steady_card("anthropic", "llama-9", STANDARD, before, change).reason
    assert not BOOK.steady_card("anthropic", "llama-9", STANDARD, change, after).reason


def test_a_price_by_the_time_of_day_is_never_steady():
    """Where nights are cheaper, no span is taken for steady, however short it is."""
    timeline = BOOK.resolver.timeline("deepseek", "deepseek-chat", STANDARD)
    start = ns("2025-06-01")

    assert not timeline.is_steady(start, start + 1)
