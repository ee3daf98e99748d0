"""Plain token usage costs what genai-prices says, for each model it knows; or an entry of the overlay says otherwise."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers
from genai_prices.data_units import unit_data

from costspan.pricing import money
from costspan.usage import STANDARD, Status, Terms
from unit.pricing.readings import ns, read

SELLERS = {"anthropic": "anthropic", "openai": "openai", "azure.ai.openai": "azure"}
#: Where the overlay says otherwise, and which entry does.
EXCEPTIONS = {
    ("anthropic", "claude-3-5-haiku-latest"): "compression-contract",
    ("azure", "mai-ds-r1:free"): "free-endpoints",
    ("openai", "ft:gpt-4o-2024-"): "fine-tuned-4o-cached",
    ("openai", "ft:gpt-4o-mini-2024-"): "fine-tuned-4o-mini-cached",
}
DATES = ("2025-01-15", "2026-02-10", "2026-07-30", "2026-08-20T23:59:59", "2026-08-21", "2026-10-14", "2026-11-21")
#: Below every threshold of the list, on one, and above all: tokens of input, output, cache reads and cache writes.
LOADS = ((1000, 100, 0, 0), (450, 180, 30_000, 20_000), (100_000, 1, 0, 0), (250_000, 777, 0, 1), (123, 5, 300_000, 9))
INDEX = {provider.id: provider for provider in providers}


def reference(provider: str, info: Any) -> str | None:
    """Return a name by which genai-prices itself finds this model, or None where there is none."""
    names = [info.id, *(getattr(clause, "starts_with", "\0") for clause in getattr(info.match, "or_", (info.match,)))]
    return next((name for name in names if INDEX[provider].find_model(name, all_providers=providers) is info), None)


def listed() -> list[Any]:
    """Every model at every seller: its own list and, at Azure, OpenAI's."""
    found = []
    for seller, provider in SELLERS.items():
        sources = (provider, *(("openai",) if provider == "azure" else ()))
        for info in (info for source in sources for info in INDEX[source].models):
            name = reference(provider, info)
            if name is not None:
                found.append(pytest.param(seller, provider, name, id=f"{provider}-{name}"))
    return found


def list_price(provider: str, name: str, load: tuple[int, int, int, int], when: dt.datetime) -> Decimal:
    """Ask genai-prices; its ``input_tokens`` include what went through caches."""
    fresh, output, cache_read, cache_write = load
    usage = Usage(
        input_tokens=fresh + cache_read + cache_write,
        output_tokens=output,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
    )
    return calc_price(usage, name, provider_id=provider, genai_request_timestamp=when).total_price


@pytest.mark.parametrize(("seller", "provider", "name"), listed())
def test_plain_tokens_cost_what_the_list_says(book, seller, provider, name):
    """At each date and prompt length, the known part of the quote is genai-prices' total, to the last digit."""
    write = "cache_write_5m" if provider == "anthropic" else "cache_write_30m"
    for day in DATES:
        when = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
        for load in LOADS:
            units = zip(("input", "output", "cache_read", write), load, strict=True)

            quote = book.quote(read(seller, name, STANDARD, **{unit: count for unit, count in units if count}), ns(day))

            expected = list_price(provider, name, load, when)
            if (provider, name) in EXCEPTIONS:
                card = book.card(seller, name, STANDARD, ns(day))
                entry = EXCEPTIONS[provider, name]
                assert entry in {source.name for price in card.prices.values() for source in price.sources}
            else:
                assert quote.at_least_usd == expected, (day, load)


def test_no_model_of_the_first_parties_is_left_out():
    """Each model that genai-prices has for Anthropic and OpenAI is one of those above."""
    assert [
        info.id for name in ("anthropic", "openai") for info in INDEX[name].models if not reference(name, info)
    ] == []


def test_one_hour_writes_cost_what_the_list_says(book, now):
    """Each Anthropic model with a price for one-hour writes charges it, above and below its threshold."""
    when = dt.datetime.fromtimestamp(now // 10**9, tz=dt.UTC)
    priced = [
        info.id for info in INDEX["anthropic"].models if getattr(info.get_prices(when), "cache_write_1h_mtok", None)
    ]
    for name in set(priced) - {name for _, name in EXCEPTIONS}:
        for count in (1000, 250_000):
            quote = book.quote(read("anthropic", name, cache_write_1h=count), now)

            usage = Usage(input_tokens=count, cache_write_tokens=count, cache_write_1h_tokens=count)
            total = calc_price(usage, name, provider_id="anthropic", genai_request_timestamp=when).total_price
            assert quote.cost_usd == total, (name, count)
    assert len(priced) > 20


@pytest.mark.parametrize(
    ("context", "terms"),
    [
        ({"processing": "batch"}, {"batch": True}),
        ({"service_tier": "flex"}, {"tier": "flex"}),
        ({"service_tier": "priority"}, {"tier": "priority"}),
        ({"service_tier": "fast"}, {"tier": "fast"}),
        ({"speed": "fast"}, {"speed": "fast"}),
    ],
)
def test_terms_that_the_list_knows_cost_what_it_says(book, now, context, terms):
    """Batch, tiers and fast mode: for each model with a price for them, every unit costs the list's figure."""
    when = dt.datetime.fromtimestamp(now // 10**9, tz=dt.UTC)
    count = 0
    for provider in ("anthropic", "openai"):
        for info in INDEX[provider].models:
            known = [variant for variant in info.price_variants or () if variant.when == context]
            name = reference(provider, info)
            if not known or name is None or (provider, name) in EXCEPTIONS:
                continue
            count += 1
            for load in LOADS:
                fresh, output, cached, _ = load
                quote = book.quote(
                    read(provider, name, Terms(**terms), input=fresh, output=output, cache_read=cached), now
                )
                usage = Usage(input_tokens=fresh + cached, output_tokens=output, cache_read_tokens=cached)
                price = calc_price(
                    usage, name, provider_id=provider, genai_request_timestamp=when, price_context=context
                )
                assert quote.cost_usd == price.total_price, (name, load)
    assert count > 3


def test_every_word_of_the_list_is_counted_or_known_not_to_be(book):
    """A price key that nobody thought of would make calls too cheap; those of the first parties are all read."""
    from costspan.pricing.listprices import _KEYS, _UNCOUNTED  # noqa: PLC0415  # the subject of this test only

    used = {
        key
        for provider in ("anthropic", "openai")
        for info in INDEX[provider].models
        for prices in ([item.prices for item in info.prices] if isinstance(info.prices, list) else [info.prices])
        for key, value in prices.__dict__.items()
        if value is not None
    }

    assert used <= _KEYS.keys() | _UNCOUNTED
    assert {item["price_key"] for item in unit_data.values()} >= _KEYS.keys() | _UNCOUNTED


def test_a_free_model_costs_nothing_and_says_so(book, now):
    """What the list names as free is priced at zero, not unpriced."""
    quote = book.quote(read("azure.ai.openai", "mai-ds-r1:free", input=1000, output=10), now)

    assert (quote.status, quote.cost_usd) == (Status.PRICED, 0)
    assert money.plain(quote.cost_usd) == "0"
