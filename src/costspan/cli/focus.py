"""A bill for FinOps tools: CSV by the FinOps Open Cost and Usage Specification (FOCUS) 1.2.

What FOCUS asks for and a meter cannot know is not made up. Which column says what, and what is not known, is in
``docs/focus.md``; the tests hold each row against the specification's own rules.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from costspan.attribution import NO_TENANT
from costspan.cli.document import cell
from costspan.cli.question import Question
from costspan.ledger import Dimension, Ledger, SummaryRow
from costspan.ledger.period import Period, named_period
from costspan.pricing.money import plain
from costspan.usage import Status

__all__ = ["COLUMNS", "DEFAULT_BY", "Charge", "Charges", "as_csv", "charges", "charges_of"]

#: What answers also where calls were dropped: sums know no feature, session or user of them.
DEFAULT_BY = (Dimension.DAY,)
_UTC = ZoneInfo("UTC")
_TIMES = (Dimension.HOUR, Dimension.DAY, Dimension.WEEK, Dimension.MONTH)
_TAGS = (Dimension.FEATURE, Dimension.SESSION, Dimension.USER)
#: In every charge, asked for or not. By month as well: no charge lies in two billing periods.
_ALWAYS = frozenset(
    {
        Dimension.MONTH,
        Dimension.SERVICE,
        Dimension.PROVIDER,
        Dimension.MODEL,
        Dimension.OPERATION,
        Dimension.TENANT,
        Dimension.STATUS,
    }
)
#: Whose cost is not known; FOCUS has no null for a cost, and 0 would be a lie.
_WITHOUT_COST = frozenset({Status.UNPRICED.value, Status.INVALID.value})
_MILLION = Decimal(1_000_000)


class _Seller(NamedTuple):
    provider: str
    service: str


#: By ``gen_ai.provider.name``; another one stands for itself.
_SELLERS = {
    "anthropic": _Seller("Anthropic", "Claude API"),
    "openai": _Seller("OpenAI", "OpenAI API"),
    "aws.bedrock": _Seller("AWS", "Amazon Bedrock"),
    "azure.ai.openai": _Seller("Microsoft", "Azure OpenAI"),
    "azure.ai.inference": _Seller("Microsoft", "Azure AI Foundry Models"),
    "gcp.vertex_ai": _Seller("Google Cloud", "Vertex AI"),
    "gcp.gemini": _Seller("Google", "Gemini API"),
}

COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountStatus", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost",
    "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
    "ServiceSubcategory", "SubAccountId", "SubAccountName", "Tags",
    "x_CacheReadTokens", "x_CacheWriteTokens", "x_CallCount", "x_CostStatus", "x_Model", "x_Operation", "x_ReasoningTokens",
    "x_TokensIn", "x_TokensOut",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Charge:
    """The calls of one row."""

    start: datetime
    end: datetime
    billed: Period
    """The calendar month (UTC) in which it is billed."""
    sums: SummaryRow


@dataclass(frozen=True, slots=True)
class Charges:
    """All rows of a period, and what is in none of them."""

    rows: tuple[Charge, ...]
    without_cost: int
    """Calls whose cost is not known."""
    models: tuple[str, ...]
    """Their models."""


def charges(question: Question, ledger: Ledger) -> Charges:
    """Ask ``ledger`` for the charges of the question's period, by its finest time, and by what it names besides.

    Raises:
        InvalidQuestion: where calls were dropped that it needs.
        LedgerError: when it cannot be read.
    """
    summary = ledger.summary(
        question.period.start,
        question.period.end,
        by={_unit(question), *_ALWAYS, *_tags(question)},
        tenant=question.tenant,
        services=None if question.service is None else (question.service,),
        zone=_UTC,
    )
    return charges_of(question, summary.rows)


def charges_of(question: Question, rows: tuple[SummaryRow, ...]) -> Charges:
    """Make charges of sums."""
    without = [row for row in rows if row.keys[Dimension.STATUS] in _WITHOUT_COST]
    known = [_charge(row, question) for row in rows if row.keys[Dimension.STATUS] not in _WITHOUT_COST]
    models = sorted({str(row.keys[Dimension.MODEL]) for row in without})
    known.sort(key=lambda charge: (charge.start, tuple(map(str, charge.sums.keys.values()))))
    return Charges(tuple(known), sum(row.calls for row in without), tuple(models))


def as_csv(found: Charges, *, account: str | None = None) -> bytes:
    """Return ``found`` as CSV (RFC 4180, UTF-8); null is an empty cell.

    Args:
        found: the charges.
        account: the billing account at the provider; its name stands for it when not given.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for charge in found.rows:
        values = _values(charge, account)
        writer.writerow([cell(values[column] or "") for column in COLUMNS])
    return text.getvalue().encode()


def _unit(question: Question) -> Dimension:
    return next((unit for unit in _TIMES if unit in question.by), Dimension.DAY)


def _tags(question: Question) -> list[Dimension]:
    return [name for name in _TAGS if name in question.by]


def _charge(row: SummaryRow, question: Question) -> Charge:
    parts = [
        _part(row.keys[unit]) if unit is Dimension.HOUR else _named(unit, row) for unit in _TIMES if unit in row.keys
    ]
    start = max(question.period.start, *(part.start for part in parts))
    end = min(question.period.end, *(part.end for part in parts))
    return Charge(start, end, _named(Dimension.MONTH, row), row)


def _named(unit: Dimension, row: SummaryRow) -> Period:
    day = row.keys[unit]
    assert isinstance(day, date)  # noqa: S101  # what `Dimension` says
    return named_period(unit.value, day, _UTC)


def _part(hour: str | date | datetime) -> Period:
    assert isinstance(hour, datetime)  # noqa: S101  # as above
    begin = hour.astimezone(UTC)
    return Period(begin, begin + timedelta(hours=1), _UTC)


def _values(charge: Charge, account: str | None) -> Mapping[str, str | None]:
    sums, keys = charge.sums, charge.sums.keys
    seller = _seller(str(keys[Dimension.PROVIDER]))
    cost, tokens = plain(sums.cost), sums.tokens_in + sums.tokens_out
    tenant = str(keys[Dimension.TENANT])
    sub_account = None if tenant in ("", NO_TENANT) else tenant
    model, operation = str(keys[Dimension.MODEL]), str(keys[Dimension.OPERATION])
    return {
        "BilledCost": cost,
        "BillingAccountId": account or seller.provider,
        "BillingAccountName": None,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _instant(charge.billed.end),
        "BillingPeriodStart": _instant(charge.billed.start),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{model}, {operation}: {sums.calls} {'call' if sums.calls == 1 else 'calls'}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _instant(charge.end),
        "ChargePeriodStart": _instant(charge.start),
        "CommitmentDiscountStatus": None,  # what the specification says of ConsumedQuantity refers to it
        "ConsumedQuantity": f"{tokens}.0",  # a loader that guesses types must not take this decimal for an integer
        "ConsumedUnit": "Tokens",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceId": None,
        "InvoiceIssuerName": seller.provider,
        "ListCost": cost,
        "PricingCategory": "Standard",
        "PricingQuantity": plain(tokens / _MILLION),
        "PricingUnit": "1000000 Tokens",
        "ProviderName": seller.provider,
        # The anthropic SDK reaches Anthropic's models only, whoever sells them.
        "PublisherName": "Anthropic" if keys[Dimension.SERVICE] == "anthropic" else seller.provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": seller.service,
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": sub_account,
        "SubAccountName": sub_account,
        "Tags": _tagged(keys),
        "x_CallCount": str(sums.calls),
        "x_CacheReadTokens": str(sums.cache_read),
        "x_CacheWriteTokens": str(sums.cache_write),
        "x_CostStatus": str(keys[Dimension.STATUS]),
        "x_Model": model,
        "x_Operation": operation,
        "x_ReasoningTokens": str(sums.reasoning),
        "x_TokensIn": str(sums.tokens_in),
        "x_TokensOut": str(sums.tokens_out),
    }


def _seller(provider: str) -> _Seller:
    known = _SELLERS.get(provider)
    if known is None and provider.endswith(".api.openai.com"):  # OpenAI, with inference kept in a region
        known = _SELLERS["openai"]
    return known or _Seller(provider, provider)


def _tagged(keys: Mapping[Dimension, str | date | datetime]) -> str | None:
    tags = {name.value: str(keys[name]) for name in _TAGS if keys.get(name)}
    return msgspec.json.encode(tags).decode() if tags else None


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
