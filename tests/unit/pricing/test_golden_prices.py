"""The golden exchanges: provider answers with their true cost."""

from __future__ import annotations

import json

from costspan.capture import from_exchange
from costspan.pricing import money
from unit.pricing.readings import ns


def test_every_golden_exchange_costs_what_it_costs(book, shared):
    """From the provider's answer to status and cost, to the last digit, for every case of the file."""
    cases = json.loads((shared / "golden" / "exchanges.json").read_text())

    quotes = {case["name"]: book.quote(from_exchange(case), ns(case["at"])) for case in cases}

    found = {
        name: (quote.status.value, quote.cost_usd and money.plain(quote.cost_usd)) for name, quote in quotes.items()
    }
    expected = {case["name"]: (case["expected"]["status"], case["expected"]["cost_usd"]) for case in cases}
    assert found == expected
    assert len(expected) == len(cases) >= 28


def test_a_cut_answer_has_a_lower_bound_and_no_cost(book, shared):
    """The interrupted stream names what is certain of it, which the ledger keeps, and no final figure."""
    cases = json.loads((shared / "golden" / "exchanges.json").read_text())
    case = next(case for case in cases if case["name"] == "interrupted stream")

    quote = book.quote(from_exchange(case), ns(case["at"]))

    assert quote.cost_usd is None
    assert quote.cost_pico == quote.known_pico >= 2_010_000_000
    assert money.usd(quote.known_pico) == quote.at_least_usd


def test_recorded_exchanges_all_get_a_status(book, shared):
    """Real answers of 2023 to 2026: none raises, known models of the first parties are priced."""
    from urllib.parse import urlsplit  # noqa: PLC0415  # only recordings have addresses

    statuses = set()
    for line in (shared / "recorded" / "exchanges.jsonl").read_text().splitlines():
        exchange = json.loads(line)
        url = urlsplit(exchange["url"])
        service = {"api.anthropic.com": "anthropic", "api.openai.com": "openai"}.get(url.hostname)
        if service is None or exchange["status"] != 200 or "json" not in exchange["content_type"]:
            continue
        case = {
            "service": service,
            "endpoint": url.path,
            "request": exchange["request"],
            "response": json.loads(exchange["body"]),
        }
        try:
            reading = from_exchange(case)
        except ValueError:
            continue  # no metered endpoint
        quote = book.quote(reading, ns("2026-03-01"))
        statuses.add(quote.status.value)
        if "davinci:" not in reading.model:
            assert quote.status.value != "unpriced", (reading.model, quote.reason)

    assert "priced" in statuses
    assert "invalid" not in statuses
