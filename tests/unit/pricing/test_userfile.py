"""A user's price file: what it says is what is charged, and a mistake is pointed at."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costspan.errors import ConfigurationError, PriceFileError
from costspan.pricing import PriceBook, userfile
from costspan.pricing.denomination import DENOMINATIONS
from costspan.pricing.rule import Rules
from costspan.usage import STANDARD, Status, Terms
from unit.pricing.readings import ns, read

GPT5 = 'model = "gpt-5"'


def cost(
    book: PriceBook, model: str, terms: Terms = STANDARD, at: str = "2026-11-20", provider: str = "openai", **units
):
    """Return what a million tokens of these units cost, in dollars."""
    return book.quote(read(provider, model, terms, **dict.fromkeys(units, 10**6)), ns(at)).cost_usd


def test_a_contract_price_goes_over_the_list(contract):
    """Units that the entry names cost what it says, the others what the list says; each line says whose price it is."""
    book = contract(f"[[price]]\n{GPT5}\ninput = 1\noutput = 8.00\n")

    quote = book.quote(read("openai", "gpt-5", input=10**6, cache_read=10**6, output=10**6), ns("2026-11-20"))

    assert quote.cost_usd == Decimal("9.125")
    assert [line.layer for line in quote.lines] == ["contract", "list", "contract"]


def test_dates_are_half_open(contract):
    """An entry counts from its first day on and no longer on the day of its end; before and after, the list does."""
    book = contract(f"[[price]]\n{GPT5}\nfrom = 2026-03-01\nuntil = 2026-04-01\ninput = 1\n")

    moments = ("2026-02-28T23:59:59", "2026-03-01", "2026-03-31T23:59:59", "2026-04-01")

    assert [cost(book, "gpt-5", at=at, input=1) for at in moments] == [Decimal("1.25"), 1, 1, Decimal("1.25")]


def test_times_with_and_without_a_zone(contract):
    """A time is as exact as it is written; one without a zone is UTC."""
    book = contract(f"[[price]]\n{GPT5}\nfrom = 2026-03-01T12:00:00\nuntil = 2026-03-01T15:00:00+01:00\ninput = 1\n")

    moments = ("2026-03-01T11:59:59", "2026-03-01T12:00:00", "2026-03-01T13:59:59", "2026-03-01T14:00:00")

    assert [cost(book, "gpt-5", at=at, input=1) for at in moments] == [Decimal("1.25"), 1, 1, Decimal("1.25")]


def test_of_two_entries_the_later_counts(contract):
    """Where two entries name the same price, the one further down the file says what it is."""
    book = contract('[[price]]\nmodel = "gpt-*"\ninput = 3\noutput = 4\n[[price]]\nmodel = "gpt-5"\ninput = 2\n')

    assert cost(book, "gpt-5", input=1, output=1) == 6
    assert cost(book, "gpt-5-mini", input=1, output=1) == 7


@pytest.mark.parametrize("provider", ["openai", "azure.ai.openai", "azure", "llm.internal:8080"])
def test_a_private_model_needs_no_list(contract, provider):
    """A model that nobody else knows has the price of its entry, at the named provider and at no other."""
    book = contract(f'[[price]]\nprovider = "{provider}"\nmodel = "house-7b"\ninput = 0.5\noutput = 1\n')
    asked = "azure.ai.openai" if provider == "azure" else provider

    assert cost(book, "house-7b", provider=asked, input=1, output=1) == Decimal("1.5")
    assert cost(book, "house-7b", provider="elsewhere.example", input=1) is None


def test_a_unit_without_a_price_is_not_free(contract):
    """A private model that reads from a cache of unknown price gives a lower bound, never a zero."""
    book = contract('[[price]]\nmodel = "house-7b"\ninput = 1\n')

    quote = book.quote(read("openai", "house-7b", input=10, cache_read=90), ns("2026-11-20"))

    assert quote.status is Status.PARTIAL
    assert [line.amount_pico for line in quote.lines] == [10**7, None]
    assert "cache_read_tokens" in quote.reason


def test_the_list_keeps_its_proportions(contract):
    """Batches and long prompts cost the same share of a contract price as of the list's."""
    book = contract('[[price]]\nmodel = "gpt-5.4"\ninput = 2\noutput = 10\n')

    assert cost(book, "gpt-5.4", input=1) == 4
    assert book.quote(read("openai", "gpt-5.4", input=1000), ns("2026-11-20")).cost_usd == Decimal("0.002")
    assert cost(book, "gpt-5.4", Terms(batch=True), output=1) == 5
    assert cost(book, "gpt-5.4", Terms(geo="us"), output=1) == 11


def test_an_entry_may_be_for_terms_or_for_long_prompts_only(contract):
    """``batch`` and ``above`` say what the proportions of the list would get wrong, in whatever order they stand."""
    book = contract(
        f"[[price]]\n{GPT5}\nabove = 200_000\ninput = 5\n"
        f"[[price]]\n{GPT5}\nbatch = true\ninput = 0.9\n"
        f"[[price]]\n{GPT5}\ninput = 1\n"
    )

    assert cost(book, "gpt-5", input=1) == 5
    assert book.quote(read("openai", "gpt-5", input=200_000), ns("2026-11-20")).cost_usd == Decimal("0.2")
    assert book.quote(read("openai", "gpt-5", Terms(batch=True), input=1000), ns("2026-11-20")).cost_usd == Decimal(
        "0.0009"
    )


def test_a_step_for_long_prompts_needs_a_price_to_stand_on(contract):
    """Without a price for short prompts, ``above`` alone makes nothing known."""
    book = contract('[[price]]\nmodel = "house-7b"\nabove = 1000\ninput = 5\n')

    quote = book.quote(read("openai", "house-7b", input=5000), ns("2026-11-20"))

    assert (quote.status, quote.cost_usd) == (Status.UNPRICED, None)


def test_terms_that_nobody_publishes_can_be_agreed(contract):
    """A contract may give Anthropic's priority tier a price; what it leaves out is not taken from the list."""
    book = contract('[[price]]\nmodel = "claude-opus-5-5"\ntier = "priority"\ninput = 3\noutput = 15\n')
    priority = Terms(tier="priority")

    assert cost(book, "claude-opus-5-5", priority, provider="anthropic", input=1, output=1) == 18
    quote = book.quote(
        read("anthropic", "claude-opus-5-5", priority, input=1, web_search=1, cache_write_1h=1), ns("2026-11-20")
    )
    assert [line.amount_pico for line in quote.lines] == [3 * 10**6, 10**10, None]
    assert cost(book, "claude-opus-5-5", Terms(tier="priority", geo="us"), provider="anthropic", input=1) == Decimal(
        "3.3"
    )


def test_discounts_are_for_what_is_no_contract_price(contract):
    """The last discount that is about a call comes off list and overlay, tool fees included; contract prices stay."""
    book = contract(
        "[[discount]]\npercent = 50\n"
        '[[discount]]\nprovider = "anthropic"\nmodel = "claude-*"\npercent = 10\nuntil = 2026-06-01\n'
        '[[price]]\nmodel = "gpt-5"\noutput = 7\n'
    )

    assert cost(book, "gpt-5", input=1, output=1) == Decimal("7.625")
    assert cost(book, "claude-sonnet-5", provider="anthropic", at="2026-05-31", input=1) == Decimal("1.8")
    assert cost(book, "claude-sonnet-5", provider="anthropic", at="2026-06-01", input=1) == 1
    quote = book.quote(read("openai", "gpt-5", web_search=1), ns("2026-11-20"))
    assert (quote.cost_usd, quote.lines[0].layer) == (Decimal("0.005"), "contract")


def test_the_word_for_one_lifetime_says_more_than_the_word_for_all(contract):
    """``cache_write`` is the ordinary lifetime's price, unless a lifetime is named, wherever that stands."""
    book = contract('[[price]]\nmodel = "house-7b"\ncache_write_5m = 3\ncache_write = 2\ncache_write_1h = 4\n')

    prices = [cost(book, "house-7b", **{unit: 1}) for unit in ("cache_write_5m", "cache_write_30m", "cache_write_1h")]

    assert prices == [3, 2, 4]


def test_every_denomination_prices_its_units(contract):
    """A price of 6 for each word is 6 for as many of its unit as the word is meant for."""
    entries = "\n".join(f"{key} = 6" for key in DENOMINATIONS)
    book = contract(f'[[price]]\nmodel = "house-7b"\n{entries}\n')

    for item in DENOMINATIONS.values():
        for unit in item.units:
            quote = book.quote(read("openai", "house-7b", **{unit.name: item.per}), ns("2026-11-20"))
            assert quote.cost_usd == 6, (item.key, unit)


def test_the_version_names_the_file(contract):
    """Two files with different bytes make different price versions; the same file the same one."""
    one, other = contract(f"[[price]]\n{GPT5}\ninput = 1\n"), contract(f"[[price]]\n{GPT5}\ninput = 2\n")
    again = contract(f"[[price]]\n{GPT5}\ninput = 1\n")

    assert one.price_version == again.price_version != other.price_version
    assert one.price_version.startswith("genai-prices ")
    assert ", contract " in one.price_version
    assert len(one.price_version) < 80


MISTAKES = [
    ("[[price]]\n" + GPT5 + "\ninptu = 1\n", 3, "unknown key 'inptu' in [[price]] (did you mean 'input'?)", "output"),
    ("[[price]]\n" + GPT5 + "\ninput = -1\n", 3, "input is -1", "from 0 to"),
    (
        "[[price]]\n" + GPT5 + '\ninput = "3"\n',
        3,
        "input is '3'",
        "from 0 to 1,000,000, with 18 decimals, without quotes",
    ),
    ("[[price]]\n" + GPT5 + '\ninput = "cheap"\n', 3, "input is 'cheap'", "from 0 to"),
    ("[[discount]]\npercent = '15'\n", 2, "percent is '15'", "from 0 to 100, with 18 decimals, without quotes"),
    ("[[price]]\n" + GPT5 + "\ninput = nan\n", 3, "input is NaN", "numbers"),
    ("[[price]]\n" + GPT5 + "\ninput = inf\n", 3, "input is Infinity", "numbers"),
    ("[[price]]\n" + GPT5 + "\ninput = true\n", 3, "input is True", "numbers"),
    ("[[price]]\n" + GPT5 + "\ninput = 1e99999999999999999999\n", 3, "input is NaN", "numbers"),
    ("[[price]]\n" + GPT5 + "\ninput = 2_000_000\n", 3, "input is 2000000", "1,000,000"),
    ("[[price]]\n" + GPT5 + "\ninput = [1]\n", 3, "input is [1]", "numbers"),
    ("[[price]]\n" + GPT5 + "\n\n# why\noutput = 0.0000000000000000001\n", 5, "output is", "18 decimals"),
    ("[[price]]\n" + GPT5 + "\ninput = 9" + "9" * 5000 + "\n", 3, "not TOML", ""),
    ("[[price]]\ninput = 1\n", 1, "names no model", "model ="),
    ("[[price]]\n" + GPT5 + "\n", 1, "names no price", "input, output"),
    ('[[price]]\nmodel = ""\ninput = 1\n', 2, "model is ''", "a list of names"),
    ("[[price]]\nmodel = []\ninput = 1\n", 2, "model is []", "a list of names"),
    ("[[price]]\nmodel = 5\ninput = 1\n", 2, "model is 5", "a list of names"),
    ("[[price]]\n" + GPT5 + '\nfrom = "2026-01-01"\ninput = 1\n', 3, "from is '2026-01-01'", "without quotes"),
    ("[[price]]\n" + GPT5 + "\nfrom = 12:00:00\ninput = 1\n", 3, "from is", "a date"),
    ("[[price]]\n" + GPT5 + "\nfrom = 2026-02-01\nuntil = 2026-02-01\ninput = 1\n", 4, "until is not after from", ""),
    ("[[price]]\n" + GPT5 + '\nbatch = "yes"\ninput = 1\n', 3, "batch is 'yes'", "true and false"),
    ("[[price]]\n" + GPT5 + "\nabove = 1.5\ninput = 1\n", 3, "above is 1.5", "whole numbers"),
    ("[[price]]\n" + GPT5 + '\ntier = " "\ninput = 1\n', 3, "tier is ' '", "a text"),
    ("[[price]]\n" + GPT5 + "\ntier = 5\ninput = 1\n", 3, "tier is 5", "a text"),
    ("[[discount]]\npercent = 101\n", 2, "percent is 101", "from 0 to 100"),
    ("[[discount]]\nmodel = 'gpt-5'\n", 1, "names no percent", "0 to 100"),
    ("[[discount]]\npercent = 5\nabove = 5\n", 3, "unknown key 'above'", "percent"),
    ("[price]\n" + GPT5 + "\ninput = 1\n", 1, "'price' is no list of tables", "[[price]]"),
    ("price = 5\n", 1, "'price' is no list of tables", "[[price]]"),
    ("[[prices]]\n", 1, "unknown key 'prices' (did you mean 'price'?)", "[[price]], [[discount]]"),
    ("[[price]]\n" + GPT5 + "\ninput = 1\n\n[[price]]\n" + GPT5 + "\ninput = -2\n", 7, "input is -2", "from 0 to"),
    ('[[price]]\nmodel = """\ngpt\n"""\ninput = -1\n', 5, "input is -1", ""),
    ("[[price]]\nmodel = [\n  'a',\n  'b',\n]\ninput = [\n 1,\n]\n", 6, "input is [1]", ""),
    ("price = [\n {model = 'a', input = 1},\n {model = 'b', input = -1},\n]\n", 1, "input is -1", ""),
    ("price = [\n {model = 'a', input = -1},\n]", 1, "input is -1", ""),
    ("a = [\n1,\n2,\n" + "9" * 5000 + ",\n]\n", 4, "not TOML", ""),
    ("[[price]\n", 1, "not TOML", ""),
    ("[[price]]\nmodel = \n", 2, "not TOML", ""),
    ("x = " + "[" * 5000 + "\n", 1, "not TOML", ""),
    ("[[price]]\r\nmodel = 'gpt-5'\r\ninput = -1\r\n", 3, "input is -1", ""),
]


@pytest.mark.parametrize(("text", "line", "message", "allowed"), MISTAKES)
def test_a_mistake_is_named_with_file_line_and_what_is_allowed(text, line, message, allowed):
    """The error begins with file and line, as an editor understands it, and says what would do."""
    with pytest.raises(PriceFileError) as caught:
        userfile.parse(text.encode(), "prices.toml")

    shown = str(caught.value)
    assert shown.startswith(f"prices.toml:{line}: ")
    assert message in shown
    assert allowed in shown


def test_bytes_that_are_no_text_are_named_with_their_line():
    """A file in another encoding says which byte, and where."""
    with pytest.raises(PriceFileError, match=r"^p\.toml:2: byte 0xff is not UTF-8"):
        userfile.parse(b"[[price]]\nmodel = '\xff'\n", "p.toml")


def test_a_file_that_is_too_long_is_not_read():
    """A megabyte is enough for anybody's prices."""
    with pytest.raises(PriceFileError, match="allowed are 1,048,576"):
        userfile.parse(b"#" * (1 << 20) + b"\n", "p.toml")


def test_more_entries_than_anybody_has_are_refused():
    """Ten thousand entries are the limit."""
    with pytest.raises(PriceFileError, match="allowed are 10,000"):
        userfile.parse(b"[[price]]\n" * 10_001, "p.toml")


def test_a_byte_order_mark_does_not_matter():
    """Editors that write one are common, and it means nothing."""
    rules = userfile.parse(b"\xef\xbb\xbf[[discount]]\npercent = 5\n", "p.toml")

    assert len(rules.discounts) == 1


def test_a_file_that_cannot_be_read_is_a_price_file_error(tmp_path: Path):
    """A missing file and a folder are named; the error is a configuration error, as a setting's is."""
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(PriceFileError, match=str(path)) as caught:
            PriceBook.load(path)
        assert isinstance(caught.value, ConfigurationError)


def test_load_reads_the_file(tmp_path: Path):
    """The book of a path is the book of its text."""
    path = tmp_path / "prices.toml"
    path.write_text(f"[[price]]\n{GPT5}\ninput = 1\n")

    assert cost(PriceBook.load(path), "gpt-5", input=1) == 1


KEYS = st.sampled_from(
    ["model", "provider", "from", "until", "tier", "batch", "above", "note", "percent", *DENOMINATIONS]
)
VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=5).map(repr),
    st.sampled_from(
        [
            "true",
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            '"gpt-5"',
            '["a", "b*"]',
            "[]",
            "{a=1}",
            "1e500",
            "-0.0",
            "0e9999999",
        ]
    ),
)
LINES = st.one_of(
    st.sampled_from(["[[price]]", "[[discount]]", "[price]", "", "# x", '"""', "[["]),
    st.tuples(KEYS, VALUES).map(" = ".join),
    st.text(max_size=12),
)


@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(LINES, max_size=10).map("\n".join).map(lambda text: text.encode("utf-8", "replace")),
    )
)
@example(b"price=[]\n[[price]]")
@example(b"a.b.c=1\n[a]\nb=2")
@example(b"[[price]]\nmodel='a'\ninput=0e999999999")
def test_whatever_the_text_it_is_rules_or_a_price_file_error(content):
    """No input makes the reader raise anything else, hang, or return prices that are negative."""
    rules, message = Rules(""), "p.toml:"

    try:
        rules = userfile.parse(content, "p.toml")
    except PriceFileError as error:
        message = str(error)

    assert message.startswith("p.toml:")
    assert all(price >= 0 for rule in rules.rates for price in rule.prices.values())
    assert all(0 <= rule.times <= 1 for rule in rules.discounts)
