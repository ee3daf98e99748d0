"""Sessions that are far out: by the median of their own tenant, exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from costspan.errors import InvalidQuestion
from costspan.ledger.period import Period
from integration.ledger.calls import batch, call, unpriced

MONTH = Period.of_days(date(2026, 11, 1), date(2026, 11, 30), ZoneInfo("UTC"))
AT = datetime(2026, 11, 9, 12, tzinfo=UTC)
_tenants = count()


def sessions(tenant, dollars, at=AT):
    """A session of one call for each amount: s-0, s-1 and so on."""
    return [
        call(at + timedelta(minutes=number), tenant=tenant, session=f"s-{number}", tokens=(cents * 10_000, 0))
        for number, cents in enumerate(dollars)
    ]


@pytest.fixture
def tenant() -> str:
    """One of the test's own."""
    return f"t-{next(_tenants)}"


def test_a_session_far_above_the_median(shared_ledger, tenant):
    """Six sessions of some cents and one of $3: the median is 3 cents, and exactly ten times it is not above ten times it."""
    shared_ledger.write(batch(sessions(tenant, [1, 2, 3, 3, 4, 30, 300])), uuid4())

    found = shared_ledger.outliers(MONTH, tenant=tenant)

    (far,) = found.sessions
    assert (far.session, far.cost, far.median, far.times) == ("s-6", Decimal(3), Decimal("0.03"), 100)
    assert found.number == 1
    assert [(usual.sessions, usual.cost, usual.median) for usual in found.usual] == [
        (7, Decimal("3.43"), Decimal("0.03"))
    ]


def test_slices_count_as_rows_do(shared_ledger, tenant):
    """The same after the day was compacted."""
    shared_ledger.write(batch(sessions(tenant, [1, 1, 1, 1, 90], datetime(2026, 11, 3, 12, tzinfo=UTC))), uuid4())
    before = shared_ledger.outliers(MONTH, tenant=tenant)

    shared_ledger.compact(date(2026, 11, 4))

    assert shared_ledger.outliers(MONTH, tenant=tenant) == before
    assert [far.session for far in before.sessions] == ["s-4"]


def test_a_median_of_four_says_nothing(shared_ledger, tenant):
    """It takes five sessions."""
    shared_ledger.write(batch(sessions(tenant, [1, 1, 1, 300])), uuid4())

    assert shared_ledger.outliers(MONTH, tenant=tenant).sessions == ()


def test_another_tenants_sessions_are_no_measure(shared_ledger, tenant):
    """Who is dear throughout has no session that is far out; and a name is a tenant's own."""
    shared_ledger.write(batch([*sessions(tenant, [1] * 5), *sessions(f"{tenant}-dear", [300] * 5)]), uuid4())

    found = shared_ledger.outliers(MONTH)

    assert not [far for far in found.sessions if far.tenant.startswith(tenant)]
    mine = {usual.tenant: usual.median for usual in found.usual if usual.tenant.startswith(tenant)}
    assert mine == {tenant: Decimal("0.01"), f"{tenant}-dear": Decimal(3)}


def test_a_call_without_a_price_is_told(shared_ledger, tenant):
    """The truth is higher; and a session of nothing else is in no median."""
    shared_ledger.write(batch(sessions(tenant, [1, 1, 1, 1, 90])), uuid4())
    shared_ledger.write(
        batch([unpriced(AT, tenant=tenant, session="s-4"), unpriced(AT, tenant=tenant, session="s-9")]), uuid4()
    )

    found = shared_ledger.outliers(MONTH, tenant=tenant)

    assert [(far.session, far.unknown_calls, far.calls) for far in found.sessions] == [("s-4", 1, 2)]
    assert found.usual[0].sessions == 5


def test_the_dearest_come_first_and_the_rest_is_counted(shared_ledger, tenant):
    """One was asked for, and three are far out."""
    shared_ledger.write(batch(sessions(tenant, [1] * 9 + [50, 70, 60])), uuid4())

    found = shared_ledger.outliers(MONTH, tenant=tenant, limit=1, factor=Decimal("49.5"))

    assert (found.number, [far.session for far in found.sessions]) == (3, ["s-10"])


@pytest.mark.parametrize(
    "question",
    [
        {"factor": Decimal("0.5")},
        {"factor": Decimal("NaN")},
        {"factor": Decimal("Infinity")},
        {"limit": 0},
        {"limit": 10**6},
    ],
)
def test_what_cannot_be_asked_is_refused(shared_ledger, question):
    """With what is allowed."""
    with pytest.raises(InvalidQuestion, match="allowed are"):
        shared_ledger.outliers(MONTH, **question)
