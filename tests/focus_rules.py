"""The rules of FOCUS 1.2 that a row can break by itself, as its published model (1.2.0.1) has them.

Each is named by what it refers to there. What depends on invoices, and formats that the model leaves to readers, are not here.
"""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime
from decimal import Decimal

__all__ = ["broken", "read"]

#: CostAndUsage-D-…-M: must be present, whatever the provider supports.
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost",
    "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName",
    "ServiceCategory", "ServiceName",
}  # fmt: skip
#: CostAndUsage-D-…-O: recommended.
RECOMMENDED = {"ChargeFrequency", "InvoiceId", "ServiceSubcategory"}
#: …-C-…: must be present where usage is measured, there are sub accounts, tags, and more than one pricing category.
CONDITIONAL = {"ConsumedQuantity", "ConsumedUnit", "PricingCategory", "SubAccountId", "SubAccountName", "Tags"}
#: What ConsumedQuantity-C-005-C asks for besides.
REFERRED = {"CommitmentDiscountStatus"}
#: Must not be null for a charge of the category Usage that is no correction.
NOT_NULL = (MANDATORY | RECOMMENDED | {"ConsumedQuantity", "ConsumedUnit", "PricingCategory"}) - {
    "BillingAccountName", "ChargeClass", "InvoiceId",
}  # fmt: skip
#: Must be null: no correction (ChargeClass-C-003-C), no invoice (InvoiceId-C-004-C), no commitment.
NULL = {"ChargeClass", "InvoiceId", "CommitmentDiscountStatus"}
COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
QUANTITIES = ("ConsumedQuantity", "PricingQuantity")
TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other"},
    "BillingCurrency": {"USD"},
}
#: ServiceSubcategory-C-004-M: the subcategories of the one category that is used here.
SUBCATEGORIES = {
    "AI and Machine Learning": {
        "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing",
        "Other (AI and Machine Learning)",
    },
}  # fmt: skip
_NUMERIC = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?", re.ASCII)  # NumericFormat-A-003 to -011
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)  # DateTimeFormat-A-003 to -006
_UNIT = re.compile(r"([1-9]\d* )?[A-Z][A-Za-z]*s")  # UnitFormat: `<plural-units>`, or with a whole number before
_COLUMN = re.compile(r"(x_)?[A-Z][A-Za-z0-9]{0,48}")  # ColumnHandling-A-001, -003, -005, -010


def read(document: bytes) -> list[dict[str, str]]:
    """Return the rows by their columns."""
    return list(csv.DictReader(io.StringIO(document.decode(), newline="")))


def broken(document: bytes) -> list[str]:
    """Return what breaks a rule; empty where nothing does."""
    columns = next(csv.reader(io.StringIO(document.decode(), newline="")))
    problems = [f"no column {name}" for name in sorted((MANDATORY | RECOMMENDED | CONDITIONAL | REFERRED) - {*columns})]
    problems += [f"column {name}" for name in columns if not _COLUMN.fullmatch(name)]
    own = [name.startswith("x_") for name in columns]
    if own != sorted(own) or columns != sorted(columns, key=lambda name: (name.startswith("x_"), name.casefold())):
        problems.append("columns are not in order, FOCUS' own first")
    if len({*columns}) != len(columns):
        problems.append("a column comes twice")
    return problems + [f"row {place}: {said}" for place, row in enumerate(read(document)) for said in _of_row(row)]


def _of_row(row: dict[str, str]) -> list[str]:
    problems = [f"{name} is null" for name in sorted(NOT_NULL) if not row[name].strip()]
    problems += [f"{name} is {row[name]!r}, not null" for name in sorted(NULL) if row[name]]
    problems += [f"{name} is {row[name]!r}" for name in (*COSTS, *QUANTITIES) if not _NUMERIC.fullmatch(row[name])]
    problems += [f"{name} is {row[name]!r}" for name in TIMES if not _TIME.fullmatch(row[name])]
    problems += [f"{name} is {row[name]!r}" for name, allowed in ALLOWED.items() if row[name] not in allowed]
    problems += [
        f"{name} is {row[name]!r}" for name in ("ConsumedUnit", "PricingUnit") if not _UNIT.fullmatch(row[name])
    ]
    if row["ServiceSubcategory"] not in SUBCATEGORIES.get(row["ServiceCategory"], ()):
        problems.append(f"{row['ServiceSubcategory']} is not of {row['ServiceCategory']}")
    if bool(row["SubAccountId"]) != bool(row["SubAccountName"]):
        problems.append("SubAccountName is null where SubAccountId is not, or the other way round")
    return problems or [*_of_times(row), *_of_tags(row["Tags"])]


def _of_times(row: dict[str, str]) -> list[str]:
    begin, end, first, last = (
        datetime.fromisoformat(row[name])
        for name in ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
    )
    problems = [] if first <= begin < end <= last else [f"charged {begin} to {end}, billed {first} to {last}"]
    quantity = Decimal(row["PricingQuantity"]) * Decimal(row["PricingUnit"].split()[0])
    if quantity != Decimal(row["ConsumedQuantity"]):  # no more is known of it: there is no unit price
        problems.append(f"{quantity} priced, {row['ConsumedQuantity']} consumed")
    return problems


def _of_tags(text: str) -> list[str]:
    """KeyValueFormat-A-001 to -004."""
    if not text:
        return []
    pairs = json.loads(text, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    is_plain = all(isinstance(value, str | int | float | bool | None) for _, value in pairs)
    return [] if is_plain and len(names) == len({*names}) else [f"Tags are {text}"]
