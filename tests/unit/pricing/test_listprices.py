"""The base layer: which model a name is, and when its price changes."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices import Usage, calc_price
from genai_prices.types import (
    ClauseAnd,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from costspan.pricing.listprices import ListPrices
from costspan.pricing.resolver import Resolver
from costspan.pricing.rule import Rules
from costspan.usage import Status, Terms, Unit
from unit.pricing.readings import ns, read

LISTS = ListPrices()


@pytest.mark.parametrize(
    ("provider", "name", "family"),
    [
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openai", "gpt-4-0125-preview", "gpt-4-turbo"),
        ("openai", "gpt-5.2-20251211", "gpt-5.2"),
        ("openai", "gpt-4o-realtime-preview-2024-12-17", "gpt-4o-realtime-preview"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::id", "ft:gpt-4o-mini"),
        ("openai", "gpt-4o-mini-2024-07-18.ft-0123abc", "gpt-4o-mini-2024-07-18.ft-"),
        ("openai", "ft:gpt-3.5-turbo-0125:acme:x:y", "ft:gpt-3.5-turbo-"),
        ("openai", "gpt-6-astra-2026-12-01", "gpt-6-astra"),
        ("azure", "gpt-35-turbo", "gpt-3.5-turbo"),
        ("azure", "o4-mini-deep-research", "o4-mini-deep-research"),
        ("anthropic", "claude-3-opus-20240229", "claude-3-opus-latest"),
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("anthropic", "claude-opus-5-5-20261001", "claude-opus-5-5"),
        ("aws", "us.anthropic.claude-3-5-haiku-20241022-v1:0", "regional.anthropic.claude-3-5-haiku-20241022-v1:0"),
        ("aws", "global.anthropic.claude-opus-5", "global.anthropic.claude-opus-5"),
        ("google", "claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("google", "publishers/anthropic/models/claude-opus-5@default", "claude-opus-5"),
        ("google", "gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
    ],
)
def test_a_name_is_the_model_that_the_list_means(provider, name, family):
    """Dates, versions, regions and paths around a name leave it the same model."""
    found = LISTS.find(provider, name)

    assert found is not None
    assert found.family == family


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("openai", "gpt-99-nova"),
        ("openai", "gpt-5-2099-01-01"),
        ("openai", "gpt-5-ultra"),
        ("openai", "gpt-5-nano-pro"),
        ("openai", "gpt-4o-mini-audio-ultra"),
        ("openai", "ft:gpt-4o-mini:org::id"),
        ("openai", "ft:gpt-4-0613:org::id"),
        ("openai", "ft:gpt-3.5-turbo-instruct:org::id"),
        ("openai", "ft:gpt-5:org::id"),
        ("openai", "my-gpt-5"),
        ("azure", "my-o4-mini"),
        ("anthropic", "claude-sonnet-4-5-ultra"),
        ("anthropic", "claude-opus-4-10"),
        ("anthropic", "claude-3-5-haiku-latest-tuned"),
        ("aws", "not-claude-3-5-haiku-20241022"),
        ("aws", "global.anthropic.claude-opus-5-turbo"),
        ("google", "gemini-2.5-pro-preview-tts-2"),
        ("nobody", "gpt-5"),
        ("", "gpt-5"),
        ("openai", ""),
    ],
)
def test_a_relative_of_a_model_is_not_that_model(provider, name):
    """A shared beginning is no price: what follows is another model, of which nothing is known."""
    assert LISTS.find(provider, name) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("anthropic", ("anthropic", "")),
        ("azure.ai.openai", ("azure", "")),
        ("azure.ai.inference", ("azure", "")),
        ("aws.bedrock", ("aws", "")),
        ("gcp.vertex_ai", ("google", "")),
        ("Groq", ("groq", "")),
        ("x_ai", ("x-ai", "")),
        ("api.groq.com", ("groq", "")),
        ("api.groq.com:443", ("groq", "")),
        ("acme.openai.azure.com", ("azure", "")),
        ("openrouter.ai", ("openrouter", "")),
        ("api.moonshot.cn", ("moonshotai", "")),
        ("api.openai.com", ("openai", "")),
        ("eu.api.openai.com", ("openai", "eu")),
        ("api.openai.com.evil.example", ("", "")),
        ("localhost:8000", ("", "")),
        ("", ("", "")),
    ],
)
def test_providers_by_name_and_by_host(name, known):
    """Names of the conventions, of the list, and hosts that the list knows; an address that only begins alike is unknown."""
    assert LISTS.provider(name) == known


@given(st.text(max_size=40), st.sampled_from(["openai", "anthropic", "azure", "aws", "google"]))
def test_no_name_breaks_the_search(name, provider):
    """Whatever an answer calls its model, the search ends with a model or with none."""
    found = LISTS.find(provider, name.lower())

    assert found is None or found.family


@pytest.mark.parametrize("tail", ["1" * 240 + "x", "-11" * 80 + "x", "v1" * 120 + "!", ":1" * 120 + "x", "." * 240])
def test_names_made_to_be_slow_are_not(tail):
    """A name that could be cut into versions in more ways than anybody can count is answered like any other."""
    assert LISTS.find("anthropic", f"claude-3-5-haiku{tail}") is None


class OneProvider(ListPrices):
    """A list with a provider of its own, in the list's own types."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.__dict__["_providers"] = {provider.id: provider}


def test_clauses_within_clauses_are_understood():
    """All of several conditions, each of which may be one of several names."""
    match = ClauseAnd([ClauseOr([ClauseStartsWith("nova-1"), ClauseStartsWith("nova-2")]), ClauseRegex("^(?!.*-tts)")])
    info = ModelInfo("nova", match=match, prices=ModelPrice(input_mtok=Decimal(1)))
    lists = OneProvider(Provider("stars", "Stars", r"https://stars\.example", models=[info]))

    found = [name for name in ("nova-1", "nova-2-2026-01-01", "nova-2-tts", "nova-3") if lists.find("stars", name)]

    assert found == ["nova-1", "nova-2-2026-01-01"]


def test_a_term_may_have_units_that_the_standard_lacks_and_a_beginning():
    """A variant's own units are priced on its terms only; before it begins, with no rule for that time, it is unknown."""
    variant = PriceVariant(
        {"processing": "batch"},
        ModelPrice(input_mtok=Decimal("0.5"), output_mtok=Decimal(2), input_audio_mtok=Decimal(3)),
        StartDateConstraint(dt.date(2026, 6, 1)),
    )
    later = PriceVariant(
        {"processing": "batch"}, ModelPrice(cache_read_mtok=1), StartDateConstraint(dt.date(2026, 8, 1))
    )
    prices = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(0))
    info = ModelInfo("nova", match=ClauseEquals("nova"), prices=prices, price_variants=[variant, later])
    lists = OneProvider(Provider("stars", "Stars", r"https://stars\.example", models=[info]))
    resolver = Resolver(lists, Rules("nothing"), Rules(""))
    model, batch = resolver.model("stars", "nova"), Terms(batch=True)

    after, before = (resolver.card(model, batch, ns(day)) for day in ("2026-06-01", "2026-05-31"))

    shown = {unit: price.ladder.at(0) * 10**6 for unit, price in after.prices.items()}
    assert shown == {Unit.INPUT: Fraction(1, 2), Unit.OUTPUT: 0, Unit.INPUT_AUDIO: 3}
    assert before.reason


def test_off_peak_prices_go_by_the_time_of_day(book):
    """DeepSeek's daily discount begins and ends on the minute, every day, as genai-prices says."""
    for time in ("00:00:00", "00:29:59", "00:30:00", "12:00:00", "16:29:59", "16:30:00", "23:59:59"):
        for day in ("2025-03-01", "2025-03-02"):
            when = dt.datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=dt.UTC)

            quote = book.quote(read("api.deepseek.com", "deepseek-chat", input=1000, output=1000), ns(f"{day}T{time}"))

            usage = Usage(input_tokens=1000, output_tokens=1000)
            price = calc_price(usage, "deepseek-chat", provider_id="deepseek", genai_request_timestamp=when)
            assert quote.cost_usd == price.total_price
    assert len(LISTS.find("deepseek", "deepseek-chat").times_of_day) == 2


def test_what_is_charged_beyond_usage_makes_a_lower_bound(book, now):
    """Perplexity charges for each request as well: the tokens' cost is a part of it, and says so."""
    quote = book.quote(read("perplexity", "sonar", input=10**6), now)

    assert (quote.status, quote.cost_usd) == (Status.PARTIAL, Decimal(1))
    assert "requests_kcount" in quote.reason


def test_moments_that_no_calendar_has_are_priced_at_its_ends(book):
    """A clock that is wrong by millennia does not make a call unpriceable."""
    for at_ns in (0, -5, 10**30):
        assert book.quote(read("openai", "gpt-5", input=1), at_ns).status is Status.PRICED


def test_importing_pricing_loads_no_price_list():
    """genai-prices and what it brings are imported with the first price, not with the package."""
    code = (
        "import sys, costspan.pricing as p; b = p.PriceBook.load();"
        "print([m for m in ('genai_prices', 'pydantic', 'httpx', 'httpx2') if m in sys.modules]);"
        "b.warm(); print('genai_prices' in sys.modules)"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.split("\n")[:2] == ["[]", "True"]
