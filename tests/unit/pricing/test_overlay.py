"""Our own layer: each entry has its source and date, and does what it says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from costspan.errors import PriceFileError
from costspan.pricing import overlay
from costspan.usage import STANDARD, Status, Terms
from unit.pricing.readings import ns, read

MILLION = 10**6


def cost(book, provider, model, terms=STANDARD, at="2026-11-20", **units):
    """Return the cost of these quantities, and what the lines' layers are."""
    quote = book.quote(read(provider, model, terms, **units), ns(at))
    return quote.cost_usd


def test_every_entry_has_its_source_and_date():
    """An entry of the packaged overlay says where its figure was read, and on which day, which is not in the future."""
    rules = overlay.load()

    assert len(rules.all) > 30
    for rule in rules.all:
        source, _, day = rule.origin.source.rpartition(", ")
        assert len(source) > 10, rule.origin.name
        assert dt.date.fromisoformat(day) <= dt.datetime.now(dt.UTC).date()
    assert len({rule.origin.name for rule in rules.all}) == len(rules.all)
    assert rules.name == f"overlay {max(rule.origin.source.rpartition(', ')[2] for rule in rules.all)}"


def test_the_contract_price_is_for_exactly_one_name(book):
    """claude-3-5-haiku-latest costs $1 and $5, its dated snapshot the list's $0.80 and $4."""
    million = {"input": MILLION, "output": MILLION}

    assert cost(book, "anthropic", "claude-3-5-haiku-latest", **million) == 6
    assert cost(book, "anthropic", "claude-3-5-haiku-20241022", **million) == Decimal("4.8")
    assert cost(book, "gcp.vertex_ai", "claude-3-5-haiku@20241022", **million) == Decimal("4.8")


@pytest.mark.parametrize(
    ("model", "factor"),
    [
        ("claude-opus-5-5", "1.1"),
        ("claude-haiku-5-5", "1.1"),
        ("claude-opus-4-6", "1.1"),
        ("claude-sonnet-4-6", "1.1"),
        ("claude-fable-5-2", "1.1"),
        ("claude-mythos-5", "1.1"),
        ("claude-mythos-5-2", "1.1"),
        ("claude-opus-4-5-20251101", "1"),
        ("claude-sonnet-4-5", "1"),
        ("claude-haiku-4-5", "1"),
        ("claude-3-7-sonnet-20250219", "1"),
    ],
)
def test_inference_in_the_us(book, model, factor):
    """1.1x for every kind of token of Opus 4.6 and newer; older models keep their price. Searches cost the same."""
    units = {"input": 1000, "output": 1000, "cache_read": 1000, "cache_write_5m": 1000, "cache_write_1h": 1000}

    anywhere = cost(book, "anthropic", model, **units)

    assert cost(book, "anthropic", model, Terms(geo="us"), **units) == anywhere * Decimal(factor)
    assert cost(book, "anthropic", model, Terms(geo="global"), **units) == anywhere
    assert cost(book, "anthropic", model, Terms(geo="us"), web_search=3) == Decimal("0.03")


def test_terms_multiply_with_geography_and_with_nothing_else(book):
    """US inference is on top of batch or fast mode; what batch and fast mode cost together, nobody publishes."""
    opus = {"input": 10_000, "output": 2000}

    assert cost(book, "anthropic", "claude-opus-5-5", Terms(speed="fast", geo="us"), **opus) == Decimal("0.176")
    assert cost(book, "anthropic", "claude-opus-5-5", Terms(batch=True, geo="us"), **opus) == Decimal("0.044")
    assert cost(book, "anthropic", "claude-opus-5-5", Terms(batch=True, speed="fast"), **opus) is None
    assert cost(book, "anthropic", "claude-opus-5-5", Terms(geo="moon"), **opus) is None
    assert cost(book, "anthropic", "claude-sonnet-5", Terms(speed="fast"), **opus) is None


def test_fast_mode_of_older_models(book):
    """Opus 4.6 and 4.7 cost six times as much in fast mode."""
    assert cost(book, "anthropic", "claude-opus-4-6", Terms(speed="fast"), at="2026-04-01", input=MILLION) == 30


@pytest.mark.parametrize(
    "model", ["claude-opus-4-1", "claude-3-haiku-20240307", "claude-3-5-haiku-latest", "claude-sonnet-5"]
)
@pytest.mark.parametrize("at", ["2025-06-01", "2026-11-20"])
def test_anthropic_batches_cost_half_at_any_date(book, model, at):
    """Half of every kind of token, also for models and dates of which the list says nothing; tool fees stay."""
    units = {"input": 1000, "output": 1000, "cache_read": 1000, "cache_write_5m": 1000}

    assert (
        cost(book, "anthropic", model, Terms(batch=True), at, **units)
        == cost(book, "anthropic", model, STANDARD, at, **units) / 2
    )
    assert cost(book, "anthropic", model, Terms(batch=True), at, web_search=1000) == 10
    assert cost(book, "anthropic", model, Terms(tier="batch"), at, **units) == cost(
        book, "anthropic", model, Terms(batch=True), at, **units
    )


def test_openai_terms_before_the_lists_history_cost_the_same_share(book):
    """Batch, flex and priority of January 2026 are the share of the standard price that the list verified later."""
    quote = book.quote(read("openai", "gpt-5.6-sol", Terms(batch=True), input=100_000, output=10_000), ns("2026-08-20"))

    assert quote.cost_usd == Decimal("0.4")  # half of 5/30 a million, before the cut to 4/20
    assert {line.layer for line in quote.lines} == {"overlay"}
    assert cost(book, "openai", "gpt-5", Terms(tier="flex"), "2026-01-10", input=MILLION) == Decimal("0.625")
    assert cost(book, "openai", "gpt-5", Terms(tier="priority"), "2026-01-10", output=MILLION) == 20
    assert cost(book, "openai", "gpt-5", Terms(tier="priority"), "2026-11-10", output=MILLION) == 20
    assert cost(book, "openai", "gpt-4o", Terms(batch=True), "2025-01-10", cache_read=MILLION) == Decimal("1.25")


@pytest.mark.parametrize(
    ("model", "half"),
    [("text-embedding-3-large", "0.065"), ("text-embedding-3-small", "0.01"), ("text-embedding-ada-002-v2", "0.05")],
)
def test_batches_of_embeddings(book, model, half):
    """Embeddings in a batch cost half, though the list has no batch price for them."""
    assert cost(book, "openai", model, Terms(batch=True), input=MILLION) == Decimal(half)


@pytest.mark.parametrize(
    ("terms", "rate"),
    [(STANDARD, "2.5"), (Terms(tier="flex"), "1.25"), (Terms(tier="priority"), "5"), (Terms(batch=True), "1.25")],
)
def test_twelve_hour_cache_writes_cost_twice_the_ordinary_ones(book, terms, rate):
    """On every tier, and at the step of the whole prompt."""
    assert cost(book, "openai", "gpt-6.1-terra", terms, cache_write_12h=100_000) == Decimal(rate) / 10
    assert cost(book, "openai", "gpt-6.1-terra", terms, cache_write_12h=MILLION) == Decimal(rate) * 2


def test_ultrafast_is_known_for_two_models_and_for_no_other(book):
    """Six times the standard price where it is published, unpriced where it is not; never standard."""
    ultrafast = Terms(tier="ultrafast")

    assert cost(book, "openai", "gpt-6-astra", ultrafast, input=100_000, output=10_000) == 9
    assert cost(book, "openai", "gpt-6-astra", ultrafast, input=300_000) == 36
    assert cost(book, "openai", "gpt-6.1-sol", ultrafast, cache_write_12h=100_000) == 3
    quote = book.quote(read("openai", "gpt-5.6-sol", ultrafast, input=1000), ns("2026-11-20"))
    assert (quote.status, quote.cost_pico) == (Status.UNPRICED, None)
    assert "ultrafast" in quote.reason


@pytest.mark.parametrize(
    ("provider", "model", "tier", "word"),
    [
        ("openai", "gpt-5", "scale", "capacity"),
        ("azure.ai.openai", "gpt-5", "scale", "capacity"),
        ("anthropic", "claude-opus-5-5", "priority", "capacity"),
        ("openai", "gpt-5", "hyperdrive", "hyperdrive"),
        ("openai", "gpt-4.1", "flex", "flex"),
        ("openai", "gpt-5", "auto", "auto"),
    ],
)
def test_tiers_without_a_price_are_unpriced_with_a_reason(book, provider, model, tier, word):
    """Capacity bought ahead, tiers that a model does not have and words that nobody knows are never charged as standard."""
    quote = book.quote(read(provider, model, Terms(tier=tier), input=1000), ns("2026-11-20"))

    assert (quote.status, quote.cost_usd) == (Status.UNPRICED, None)
    assert word in quote.reason


def test_tool_fees(book):
    """Searches, fetches and containers by the piece, whatever the tier of the tokens."""
    assert cost(book, "openai", "gpt-5", input=20_000, output=1000, file_search=1, code_session=1) == Decimal("0.0675")
    assert cost(book, "openai", "gpt-5.1-codex-mini", web_search=3) == Decimal("0.03")
    assert cost(book, "openai", "gpt-5", Terms(tier="flex"), web_search=1, file_search=1, code_session=1) == Decimal(
        "0.0425"
    )
    assert cost(book, "anthropic", "claude-3-opus-20240229", web_search=1, web_fetch=100) == Decimal("0.01")
    assert cost(book, "azure.ai.openai", "gpt-5", web_search=1000) == 14


def test_audio_and_images_have_their_own_rates(book):
    """A spoken prompt is never charged as text; image inputs of chat models are charged as their text, as published."""
    assert cost(book, "openai", "gpt-4o-audio-preview-2024-12-17", input_audio=1000, output_audio=1000) == Decimal(
        "0.12"
    )
    assert cost(book, "openai", "gpt-4o-mini-audio-preview", input_audio=1000) == Decimal("0.01")
    assert cost(book, "openai", "gpt-5", input_image=MILLION, cache_read_image=MILLION) == Decimal("1.375")
    assert cost(book, "openai", "gpt-image-1", input_image=MILLION, output_image=MILLION) == 50
    assert cost(book, "openai", "gpt-image-1.5", output_image=MILLION) == 32
    assert cost(book, "openai", "gpt-4o-mini-tts", output_audio=MILLION) == 12
    quote = book.quote(read("openai", "gpt-5", input_audio=1000, input=1000), ns("2026-11-20"))
    assert (quote.status, quote.cost_usd) == (Status.PARTIAL, Decimal("0.00125"))
    assert cost(book, "openai", "gpt-audio", cache_read_audio=1000) is None


def test_models_that_the_list_lacks(book):
    """Limited models, point releases and fine-tuned ones have the price that is published for them."""
    assert cost(book, "anthropic", "claude-mythos-5-1", cache_read=MILLION) == Decimal("0.25")
    assert cost(book, "anthropic", "claude-2.1", input=MILLION) == 8
    assert cost(book, "openai", "ft:gpt-4.1-mini-2025-04-14:acme::id", Terms(batch=True), input=MILLION) == Decimal(
        "0.4"
    )
    assert cost(book, "openai", "omni-moderation-latest", input=MILLION) == 0


def test_fine_tuned_models_read_caches_at_half(book):
    """Where the list has no cached rate, full input would be charged for what costs half of it."""
    assert cost(book, "openai", "ft:gpt-4o-2024-08-06:acme::id", cache_read=MILLION) == Decimal("1.875")
    assert cost(book, "openai", "ft:o4-mini-2025-04-16:acme::id", Terms(batch=True), output=MILLION) == 8


@pytest.mark.parametrize(
    "model", ["gpt-4o-search-preview", "gpt-4o-mini-search-preview-2025-03-11", "gpt-5-search-api"]
)
def test_what_usage_does_not_count_makes_a_lower_bound(book, now, model):
    """A search model's fee is in no usage field: its tokens are a part of the cost, and are said to be."""
    quote = book.quote(read("openai", model, input=1000, output=10), now)

    assert quote.status is Status.PARTIAL
    assert quote.cost_usd > 0
    assert "search fee" in quote.reason


def test_regions_of_openai(book):
    """A regional address costs 10 % more for models since March 2026, and no more for older ones."""
    assert cost(book, "eu.api.openai.com", "gpt-5.4", input=100_000) == Decimal("0.275")
    assert cost(book, "us.api.openai.com", "gpt-6-astra", Terms(tier="priority"), input=100_000) == Decimal("2.2")
    assert cost(book, "eu.api.openai.com", "gpt-5", input=MILLION) == Decimal("1.25")
    assert cost(book, "openai", "gpt-5.4", Terms(geo="eu"), input=100_000) == Decimal("0.275")


@pytest.mark.parametrize(
    "model",
    ["gpt-4.1-nano", "o3", "gpt-realtime-mini", "gpt-image-1.5", "ft:gpt-4o-mini-2024-07-18:acme::id", "whisper-1"],
)
@pytest.mark.parametrize("region", ["us", "eu", "au", "in", "jp", "ca", "sg", "kr", "gb", "ae"])
def test_models_before_march_2026_cost_the_same_in_every_region(book, now, model, region):
    """An older model is priced at a regional address as it is at the global one."""
    units = {"audio_ms": MILLION} if model == "whisper-1" else {"input": MILLION, "output": MILLION}

    regional = book.quote(read(f"{region}.api.openai.com", model, **units), now)

    assert regional.status is Status.PRICED
    assert regional.cost_usd == cost(book, "openai", model, **units)


@pytest.mark.parametrize(
    ("host", "model", "reason"),
    [
        ("gb.api.openai.com", "gpt-5.4", "not for those where only storage does"),
        ("zz.api.openai.com", "gpt-5", "geo zz"),
        ("eu.api.openai.com", "gpt-image-2", "geo eu"),
        ("fedramp.eu.api.openai.com", "gpt-5", "no price is known for the model"),
    ],
)
def test_a_regional_price_that_is_not_published_is_none(book, now, host, model, reason):
    """Where nobody says what a region costs, the call is not priced as if it were standard."""
    quote = book.quote(read(host, model, input=1000, output=10), now)

    assert (quote.status, quote.cost_usd) == (Status.UNPRICED, None)
    assert reason in quote.reason


def test_one_hour_writes_elsewhere(book):
    """A cloud that lists no price for one-hour writes charges twice the input for them, not the five-minute price."""
    name = "global.anthropic.claude-sonnet-4-20250514-v1:0"

    assert cost(book, "aws.bedrock", name, cache_write_1h=MILLION) == 6


def test_azure_sells_openai_on_openais_terms(book):
    """Priority and batch cost at Azure what they cost at OpenAI, also for models in Azure's own list."""
    assert cost(book, "azure.ai.openai", "gpt-5", Terms(tier="priority"), input=MILLION) == Decimal("2.5")
    assert cost(book, "azure.ai.openai", "o1", Terms(batch=True), input=MILLION) == Decimal("7.5")
    assert cost(book, "azure.ai.openai", "claude-opus-5-5", Terms(batch=True), input=MILLION) == 2


def test_groq_calls_its_standard_tier_on_demand(book):
    """A word for standard that a provider uses is no unknown tier."""
    assert cost(book, "api.groq.com", "llama-3.3-70b-versatile", Terms(tier="on_demand"), input=MILLION) == Decimal(
        "0.59"
    )


ENTRY = 'name = "x"\nsource = "https://example.com"\nchecked = 2026-01-01\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[rates]]\nname = "x"\nchecked = 2026-01-01\ninput = 1\n', "has no source"),
        ('[[rates]]\nname = "x"\nsource = "y"\ninput = 1\n', "has no checked"),
        ('[[rates]]\nsource = "y"\nchecked = 2026-01-01\ninput = 1\n', "has no name"),
        (f"[[factor]]\n{ENTRY}times = 2\n", "names no term"),
        (f'[[factor]]\n{ENTRY}tier = "x"\n', "times is None"),
        (f'[[derive]]\n{ENTRY}unit = "cache_write"\nof = "input"\ntimes = 1\n', "unit is 'cache_write'"),
        (f'[[derive]]\n{ENTRY}unit = "input"\nof = "speech"\ntimes = 1\n', "of is 'speech'"),
        (f"[[rates]]\n{ENTRY}inptu = 1\n", "did you mean 'input'?"),
        ('[[rates]]\nname = "x"\nsource = "y"\nchecked = "today"\ninput = 1\n', "checked is 'today'"),
        ("[[tiers]]\n", "unknown key 'tiers'"),
    ],
)
def test_a_mistake_in_the_overlay_is_found(text, message):
    """Whoever edits the overlay is told the line and what is wrong."""
    with pytest.raises(PriceFileError, match=r"^overlay\.toml:\d+: ") as caught:
        overlay.parse(text.encode(), "overlay.toml")

    assert message in str(caught.value)


def test_an_entry_can_name_several_terms():
    """A factor for several tiers is one rule with several conditions."""
    rules = overlay.parse(f'[[factor]]\n{ENTRY}tier = ["A", "b"]\nbatch = true\ntimes = 2\n'.encode(), "o.toml")

    assert rules.factors[0].conditions == {("tier", "a"), ("tier", "b"), ("batch", "true")}
