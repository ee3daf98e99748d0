"""`/api/budgets`: what tenants may spend, how much of it is spent, who changed it; set and taken away by administrators."""

from __future__ import annotations

import logging
import re
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query

from costspan.errors import InvalidQuestion
from costspan.exporter.api.parameters import Administrator, Asker, Chosen, Ledgers, Now, Whose, tenant_of
from costspan.exporter.exact import Exact, Number, Usd, answers, body, expects, said
from costspan.exporter.problem import Problem, described
from costspan.ledger.allowance import Allowance, allowances, everybodys
from costspan.ledger.budget import BudgetChange, amount_of
from costspan.pricing.money import json_number

__all__ = ["router"]

router = APIRouter(tags=["budgets"])
logger = logging.getLogger("costspan")
_Window = Literal["day", "month"]
_MAX_ROWS = 10_000
#: What each field of a budget to set may be.
_ALLOWED = {
    "tenant": "allowed is the id of a tenant, or null for everybody who has no budget of their own",
    "window": "allowed are day and month",
    "budget_usd": "allowed is a number of dollars from 0 to 1,000,000,000,000, with 12 decimals at the most",
}
#: An amount as text. Decimal reads more: digits of other scripts, blanks, lines below digits.
_WRITTEN = re.compile(rb'"[0-9]+([.][0-9]+)?"')
_Most = Annotated[int, Query(ge=1, le=_MAX_ROWS, description="Entries at the most.")]


class Budget(msgspec.Struct, kw_only=True, frozen=True):
    """What a tenant may spend in the current day or month, and how much of it is spent."""

    tenant: str
    window: _Window
    budget_usd: Usd
    source: Annotated[
        Literal["own", "everybody's", "settings"],
        msgspec.Meta(description="Set for the tenant, for everybody who has none, or COSTSPAN_DAILY_BUDGET_USD."),
    ]
    spent_usd: Annotated[Usd, msgspec.Meta(description="Dollars since the day or month began, as far as known.")]
    share: Annotated[
        Number | None, msgspec.Meta(description="The part that is spent, 1 is all of it; null of a budget of nothing.")
    ]
    is_over: bool
    not_priced: Annotated[int, msgspec.Meta(description="Calls whose cost is not certain, or not known at all.")]


class Everybodys(msgspec.Struct, kw_only=True, frozen=True):
    """What counts for who has no budget of their own."""

    window: _Window
    budget_usd: Usd
    source: Literal["everybody's", "settings"]


class Budgets(msgspec.Struct, kw_only=True, frozen=True):
    """What counts now."""

    timezone: Annotated[str, msgspec.Meta(description="Where these days and months begin.")]
    budgets: Annotated[list[Budget], msgspec.Meta(description="The fullest first.")]
    left_out: Annotated[int, msgspec.Meta(description="Entries beyond `limit`.")]
    everybody: list[Everybodys]


class Wish(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A budget to set."""

    tenant: Annotated[str | None, msgspec.Meta(description="Null: everybody who has no budget of their own.")]
    window: _Window
    budget_usd: Annotated[
        msgspec.Raw,  # read to the last digit by `_amount`
        msgspec.Meta(
            description="Dollars, from 0 to a million million, with 12 decimals at the most; as a number, or the same as text.",
            extra_json_schema={
                "type": ["number", "string"],
                "minimum": 0,
                "maximum": 10**12,
                "pattern": r"^[0-9]{1,12}([.][0-9]{1,12})?$",
            },
        ),
    ]


class Changed(msgspec.Struct, kw_only=True, frozen=True):
    """What counts for whom the change was made."""

    is_changed: Annotated[bool, msgspec.Meta(description="False where it was so before.")]
    tenant: str | None
    window: _Window
    budget_usd: Annotated[
        Usd | None, msgspec.Meta(description="What is set now; null: nothing, so that what is next counts.")
    ]


class Change(msgspec.Struct, kw_only=True, frozen=True):
    """That a budget was set or taken away."""

    tenant: Annotated[str | None, msgspec.Meta(description="Null: everybody who has no budget of their own.")]
    window: _Window
    budget_usd: Annotated[Usd | None, msgspec.Meta(description="Null where it was taken away.")]
    changed_at: Annotated[str, msgspec.Meta(description="UTC.")]
    login: Annotated[
        str | None,
        msgspec.Meta(description="Who was connected to Postgres; null for a tenant, to whom it says nothing."),
    ]


class History(msgspec.Struct, kw_only=True, frozen=True):
    """What was changed."""

    changes: Annotated[list[Change], msgspec.Meta(description="The newest first.")]
    left_out: Annotated[int, msgspec.Meta(description="Changes beyond `limit`, older than all of these.")]


_WISH = {"tenant": "acme", "window": "month", "budget_usd": 499.5}
_BUDGETS = {
    "timezone": "UTC",
    "budgets": [
        {
            "tenant": "acme", "window": "month", "budget_usd": 499.5, "source": "own", "spent_usd": 63.936, "share": 0.128,
            "is_over": False, "not_priced": 0,
        }
    ],
    "left_out": 0,
    "everybody": [{"window": "day", "budget_usd": 10, "source": "settings"}],
}  # fmt: skip
_CHANGED = {"is_changed": True, **_WISH}
_CHANGE = {**_WISH, "changed_at": "2026-11-21T12:00:00+00:00", "login": "costspan"}


@router.get(
    "/api/budgets",
    summary="What may be spent, and how much of it is",
    response_model=None,
    responses=answers(Budgets, _BUDGETS),
)
def budgets(ledgers: Ledgers, tenant: Whose, settings: Chosen, now: Now, limit: _Most = 1000) -> Exact:
    """For one tenant, or for each that has a budget of its own or spent this month.

    Nothing is stopped when a budget is passed: it is logged, and shown to Prometheus.
    """
    daily, zone = settings.daily_budget_usd, settings.timezone
    with ledgers.ledger() as ledger:
        found = allowances(ledger, daily=daily, zone=zone, now=now, tenant=tenant)
        others = everybodys(ledger, daily, tenant)
    return Exact(
        Budgets(
            timezone=zone.key,
            budgets=[_budget(item) for item in found[:limit]],
            left_out=max(0, len(found) - limit),
            everybody=[
                Everybodys(window=window.value, budget_usd=json_number(amount), source=source)  # type: ignore[arg-type]  # of these
                for window, (amount, source) in sorted(others.items())
            ],
        )
    )


@router.put(
    "/api/budgets",
    summary="Set what a tenant may spend",
    response_model=None,
    responses={
        **answers(Changed, _CHANGED),
        415: described(415, "Not JSON", "Content-Type is '': allowed is application/json"),
    },
    openapi_extra=expects(Wish, _WISH),
)
def set_budget(asker: Administrator, ledgers: Ledgers, wish: Annotated[Wish, Depends(body(Wish, _ALLOWED))]) -> Exact:
    """For administrators. The same once more changes nothing, and leaves no trail of nothing in the history."""
    tenant = None if wish.tenant is None else tenant_of(wish.tenant)
    amount = _amount(wish.budget_usd)
    with ledgers.ledger() as ledger:
        is_changed = ledger.set_budget(tenant, wish.window, amount)
    _note(asker.name, tenant, wish.window, amount, is_changed=is_changed)
    return Exact(Changed(is_changed=is_changed, tenant=tenant, window=wish.window, budget_usd=json_number(amount)))


@router.delete(
    "/api/budgets",
    summary="Take a budget away",
    response_model=None,
    responses=answers(Changed, {**_CHANGED, "budget_usd": None}),
)
def unset_budget(
    *,
    asker: Administrator,
    ledgers: Ledgers,
    window: Annotated[_Window, Query(description="Which of the two.")],
    tenant: Annotated[str | None, Query(description="Whose.", examples=["acme"])] = None,
    everybody: Annotated[
        bool, Query(description="Instead of a tenant: the budget of who has none of their own.")
    ] = False,
) -> Exact:
    """For administrators. What is next counts again: everybody's budget, or the settings'."""
    if everybody is (tenant is not None):
        told = "tenant and everybody: allowed is a tenant, or everybody=true without one"
        raise Problem(422, told, parameter="everybody" if everybody else "tenant")
    name = None if tenant is None else tenant_of(tenant)
    with ledgers.ledger() as ledger:
        is_changed = ledger.unset_budget(name, window)
    _note(asker.name, name, window, None, is_changed=is_changed)
    return Exact(Changed(is_changed=is_changed, tenant=name, window=window, budget_usd=None))


@router.get(
    "/api/budgets/history",
    summary="What was changed",
    response_model=None,
    responses=answers(History, {"changes": [_CHANGE], "left_out": 0}),
)
def budget_history(asker: Asker, ledgers: Ledgers, tenant: Whose, limit: _Most = 1000) -> Exact:
    """Of one tenant, or of anybody. A tenant sees what was set for it, and not what was for everybody."""
    with ledgers.ledger() as ledger:
        found = ledger.budget_history(tenant)
    return Exact(
        History(
            changes=[_change(item, shows_login=asker.tenant is None) for item in found[:limit]],
            left_out=max(0, len(found) - limit),
        )
    )


def _amount(written: msgspec.Raw) -> Decimal:
    refusal = Problem(422, f"budget_usd is {said(written)}: {_ALLOWED['budget_usd']}", parameter="budget_usd")
    if bytes(written).startswith(b'"') and not _WRITTEN.fullmatch(written):
        raise refusal
    try:
        return amount_of(msgspec.json.decode(written, type=Decimal))
    except (msgspec.DecodeError, InvalidQuestion) as error:
        raise refusal from error


def _budget(item: Allowance) -> Budget:
    return Budget(
        tenant=item.tenant,
        window=item.window.value,
        budget_usd=json_number(item.amount),
        source=item.source,  # type: ignore[arg-type]  # one of these
        spent_usd=json_number(item.spent),
        share=json_number(item.part),
        is_over=item.is_over,
        not_priced=item.not_priced,
    )


def _change(item: BudgetChange, *, shows_login: bool) -> Change:
    return Change(
        tenant=item.tenant,
        window=item.window.value,
        budget_usd=json_number(item.amount),
        changed_at=item.changed_at.isoformat(),
        login=item.login if shows_login else None,
    )


def _note(name: str, tenant: str | None, window: str, amount: Decimal | None, *, is_changed: bool) -> None:
    """Who of those with a token it was: Postgres knows the server's login only."""
    if is_changed:
        whose = "everybody" if tenant is None else tenant
        logger.info("costspan: token %s set the budget of %s a %s to %s", name, whose, window, amount)
