"""`costspan price` and `costspan prices`: what calls cost, what prices are known, and what a price file changes."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from costspan.cli import bill, exchange, ratecard
from costspan.cli.overrides import Finding, findings
from costspan.errors import ConfigurationError, UnknownModel
from costspan.pricing import PriceBook, Quote
from costspan.pricing.card import Card
from costspan.pricing.denomination import OF_UNIT
from costspan.settings import Settings
from costspan.text import clean
from costspan.usage import STANDARD, Terms, Unit

__all__ = ["price", "prices_app"]

NOT_FOUND, REFUSED = 1, 2
_WIDE = 200
_FIRST_PARTIES = ("anthropic", "openai")
#: Terms that `prices show` asks for; it shows those that have a price.
_TERMS = (
    STANDARD,
    Terms(batch=True),
    Terms(tier="flex"),
    Terms(tier="priority"),
    Terms(tier="ultrafast"),
    Terms(speed="fast"),
    Terms(geo="us"),
)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

prices_app = typer.Typer(no_args_is_help=True, help="What prices are known, and what a price file changes.")


def price(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Recorded exchanges; - reads standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; amounts are texts, null is unknown.")] = False,  # noqa: FBT002  # typer's way
) -> None:
    """Price recorded exchanges, line by line.

    FILE is a JSON list of exchanges, one exchange, or one a line, each with service, endpoint, and response or events.

    Exit codes: 0 priced, whatever came out; 2 the file or the price file cannot be read.
    """
    book = _book()
    try:
        exchanges = exchange.read(file)
        quotes = [(item.name, _quote(book, item)) for item in exchanges]
    except ConfigurationError as error:
        _fail(f"costspan price: {error}", REFUSED)
    if as_json:
        _print_json([bill.document(name, quote) for name, quote in quotes])
        return
    console = _console()
    for name, quote in quotes:
        bill.show(console, name, quote)
    console.print(Text(f"prices: {book.price_version}", style="dim"))


def _quote(book: PriceBook, item: exchange.Exchange) -> Quote:
    from costspan.capture import from_exchange  # noqa: PLC0415  # what only shows prices need not load it

    try:
        reading = from_exchange(item.case)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{item.name}: {error}") from error
    return book.quote(reading, item.at_ns)


@prices_app.command("list")
def list_prices(
    provider: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of this provider; may be given several times.")
    ] = None,
    as_json: _Json = False,  # noqa: FBT002  # typer's way
) -> None:
    """List the models with a price, in dollars per million tokens on standard terms, today."""
    book = _book()
    rows = [_row(book, seller, name) for seller, name in _sold(book, provider or [])]
    if provider and not rows:
        lists = ", ".join(book.resolver.lists.providers)
        _fail(f"costspan prices list: no prices of {', '.join(provider)}; known are {lists}", NOT_FOUND)
    if as_json:
        _print_json(rows)
        return
    table = Table(box=SIMPLE, pad_edge=False)
    for head in rows[0]:
        table.add_column(head.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row.values()))
    console = _console()
    console.print(table)
    console.print(Text(f"prices: {book.price_version}", style="dim"))


def _sold(book: PriceBook, providers: list[str]) -> Iterator[tuple[str, str]]:
    """Yield every model that a layer names outright, by provider."""
    resolver = book.resolver
    for seller in providers or _FIRST_PARTIES:
        known = resolver.lists.provider(seller)[0]
        found = dict.fromkeys(listed.family for listed in resolver.lists.models(known))
        for rule in (*resolver.overlay.rates, *resolver.contract.rates):
            if rule.scope.providers & {known, seller.lower()}:
                found.update(dict.fromkeys(pattern.text for pattern in rule.scope.models if pattern.is_exact))
        yield from ((known or seller, name) for name in found)
    if not providers:
        for rule in resolver.contract.rates:
            others = rule.scope.providers - set(_FIRST_PARTIES) or ({""} if not rule.scope.providers else set())
            for seller in sorted(others):
                yield from ((seller, pattern.text) for pattern in rule.scope.models if pattern.is_exact)


def _row(book: PriceBook, seller: str, name: str) -> dict[str, str]:
    card = book.card(seller, name, STANDARD, time.time_ns())
    writes = Unit.CACHE_WRITE_30M if seller == "openai" else Unit.CACHE_WRITE_5M
    first = card.prices.get(Unit.INPUT) or next(iter(card.prices.values()), None)
    return {
        "provider": seller,
        "model": name,
        "input": ratecard.brief(card, Unit.INPUT),
        "output": ratecard.brief(card, Unit.OUTPUT),
        "cache_read": ratecard.brief(card, Unit.CACHE_READ),
        "cache_write": ratecard.brief(card, writes),
        "layer": first.layer.value if first else "",
    }


@prices_app.command("show")
def show_prices(
    model: Annotated[str, typer.Argument(metavar="MODEL")],
    at: Annotated[str | None, typer.Option(metavar="DATE", help="At this date or time; now when not given.")] = None,
    provider: Annotated[str, typer.Option(metavar="NAME", help="Sold by; its maker when not given.")] = "",
    as_json: _Json = False,  # noqa: FBT002  # typer's way
) -> None:
    """Show the rate card of a model: each price, who says so and where it was read.

    Exit codes: 0 shown, 1 no price is known, 2 the date or the price file cannot be read.
    """
    book = _book()
    at_ns = _moment(at)
    try:
        seller = book.require(model, provider, at_ns=at_ns)
    except UnknownModel as error:
        _fail(f"costspan prices show: {error}", NOT_FOUND)
    cards = [(terms, book.card(seller, model, terms, at_ns)) for terms in _TERMS]
    cards = [(terms, card) for terms, card in cards if not card.reason]
    moment = dt.datetime.fromtimestamp(at_ns // 10**9, tz=dt.UTC).isoformat()
    if as_json:
        _print_json(_card_document(model, seller, moment, book.price_version, cards))
        return
    console = _console()
    _say(console, f"{clean(model)} at {clean(seller) or 'any provider'}, {moment}", "bold")
    origins: dict[str, str] = {}
    for terms, card in cards:
        _print_card(console, terms, card)
        origins |= ratecard.origins(card)
    for name, source in origins.items():
        _say(console, f"{name}: {source}")
    console.print(Text(f"prices: {book.price_version}", style="dim"))


def _card_document(
    model: str, seller: str, moment: str, version: str, cards: list[tuple[Terms, Card]]
) -> dict[str, object]:
    return {
        "model": model,
        "provider": seller,
        "at": moment,
        "price_version": version,
        "cards": [
            {"terms": terms.key, "prices": [entry.document() for entry in ratecard.entries(card)]}
            for terms, card in cards
        ],
    }


def _print_card(console: Console, terms: Terms, card: Card) -> None:
    table = Table(box=SIMPLE, pad_edge=False, title=terms.key, title_justify="left", title_style="bold")
    for head in ("unit", "$", "per", "layer", "from"):
        table.add_column(head, overflow="fold")
    for unit, denomination in OF_UNIT.items():
        price = card.prices.get(unit)
        if price is not None:
            made_of = ", ".join(source.name for source in price.sources)
            cells = (denomination.key, ratecard.brief(card, unit), denomination.text, price.layer.value, made_of)
            table.add_row(*map(Text, cells))
    console.print(table)


@prices_app.command("check")
def check_prices(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A price file; that of COSTSPAN_PRICES when not given.")
    ] = None,
    as_json: _Json = False,  # noqa: FBT002  # typer's way
) -> None:
    """Check a price file and the overlay, and say what overrides what.

    Exit codes: 0 both can be used, 2 one cannot; the message has file, line and what is allowed.
    """
    book = _book(file)
    found = list(findings(book, PriceBook.load(), time.time_ns()))
    if as_json:
        _print_json({"price_version": book.price_version, "entries": [asdict(item) for item in found]})
        return
    console = _console()
    rules = book.resolver.overlay.all
    _say(console, f"{book.resolver.overlay.name}: {len(rules)} entries, each with its source and date")
    if book.resolver.contract.name:
        _say(console, f"{book.resolver.contract.name}: {len(found)} entries")
    else:
        _say(console, "no price file: COSTSPAN_PRICES is not set")
    for item in found:
        _print_finding(console, item)


def _print_finding(console: Console, item: Finding) -> None:
    _say(console, f"{item.origin}: {item.about} ({item.models} listed names)", "bold")
    for change in item.overrides:
        before = f"{change.before} ({change.over})" if change.before else "unknown"
        _say(console, f"  {change.model} {change.unit}: {before} -> {change.after or 'unknown'}")
    if not item.overrides:
        _say(console, "  changes nothing: a later entry says otherwise, or the list says the same", "yellow")
    for hint in item.hints:
        _say(console, f"  {hint}", "yellow")


def _book(file: Path | None = None) -> PriceBook:
    try:
        book = PriceBook.load(file or Settings.from_environment().prices)
        _ = book.resolver  # reads the overlay
    except ConfigurationError as error:
        _fail(f"costspan: {error}", REFUSED)
    return book


def _moment(at: str | None) -> int:
    try:
        moment = dt.datetime.now(dt.UTC) if at is None else dt.datetime.fromisoformat(at)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()) * 10**9
    except (ValueError, OverflowError):
        _fail(f"costspan prices show: --at is {at!r}: allowed is a date or time such as 2026-11-20", REFUSED)


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _WIDE  # a file or a pipe has no edge to fold names at
    return console


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)


def _print_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2))


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
