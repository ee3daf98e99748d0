"""The user's price file (``COSTSPAN_PRICES``): contract prices, discounts and private models, with dates.

.. code-block:: toml

    [[price]]                         # a contract price, or a model that no list knows
    provider = "openai"               # optional: any provider
    model = ["gpt-5", "gpt-5-20*"]    # a name or several; * is any text
    from = 2026-01-01                 # optional: the first day, in UTC
    until = 2027-01-01                # optional: the first day that no longer counts
    input = 1.00                      # dollars per million tokens
    output = 8.00

    [[discount]]                      # off everything that is not a contract price
    provider = "anthropic"
    percent = 15

A price is for standard terms and ordinary prompts. What the list charges more or less for other terms (batch,
priority, US inference, …) and for long prompts is kept in proportion; a further ``[[price]]`` with ``batch = true``,
``tier``, ``speed``, ``geo`` or ``above`` says otherwise. Units that an entry does not name keep the list's price. Of
two entries that name the same price the later one counts, and so it is with discounts: they do not add up.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from costspan.errors import PriceFileError
from costspan.pricing.denomination import DENOMINATIONS
from costspan.pricing.rule import Discount, Layer, Origin, Rates, Rules
from costspan.pricing.rulefile import TERM_KEYS, prices_of, scope_of, terms_of
from costspan.pricing.tomlfile import Row, TomlFile

__all__ = ["parse", "read"]

_WHO = ("provider", "model", "from", "until")
_PRICE_KEYS = (*_WHO, *TERM_KEYS, "above", "note", *DENOMINATIONS)
_DISCOUNT_KEYS = (*_WHO, "percent", "note")


def read(path: Path) -> Rules:
    """Read a price file.

    Raises:
        PriceFileError: when it cannot be read, or anything in it is not understood; with file, line and what is
            allowed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PriceFileError(f"{path}: the price file cannot be read: {error.strerror or error}") from error
    return parse(content, str(path))


def parse(content: bytes, where: str) -> Rules:
    """Return the rules of ``content``; ``where`` is what messages call it.

    Raises:
        PriceFileError: as `read` does.
    """
    file = TomlFile.parse(content, where)
    rows = list(file.rows("price", "discount"))
    return Rules(
        name=f"contract {sha256(content).hexdigest()[:8]}",
        rates=tuple(_price(row) for row in rows if row.name == "price"),
        discounts=tuple(_discount(row) for row in rows if row.name == "discount"),
    )


def _price(row: Row) -> Rates:
    row.allow(_PRICE_KEYS)
    if "model" not in row.values:
        raise row.error(None, "[[price]] names no model: write model = a name or a list of names; * is any text")
    prices = prices_of(row)
    if not prices:
        raise row.error(None, f"[[price]] names no price; allowed are {', '.join(DENOMINATIONS)}")
    return Rates(_origin(row), scope_of(row), prices, terms_of(row), row.whole("above"))


def _discount(row: Row) -> Discount:
    row.allow(_DISCOUNT_KEYS)
    if "percent" not in row.values:
        raise row.error(None, "[[discount]] names no percent; allowed are numbers from 0 to 100")
    percent = row.percent("percent")
    return Discount(_origin(row), scope_of(row), 1 - percent / 100)


def _origin(row: Row) -> Origin:
    return Origin(Layer.CONTRACT, f"{Path(row.file.where).name}:{row.line or row.index + 1}", row.text("note"))
