"""What a tenant may spend: its own, else everybody's, else the settings'; and every change is on record."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DatabaseError

from costspan.attribution import NO_TENANT
from costspan.errors import InvalidQuestion
from costspan.ledger import Drainer, Ledger
from costspan.settings import Settings
from costspan.text import clean
from integration.ledger.calls import MemorySegment, batch, call

TEN = Decimal(10)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_url, tmp_path):
    """A ledger for which it is noon of November 21."""
    ledger = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path), lambda: NOW)
    yield ledger
    ledger.close()


@pytest.fixture
def spend(ledger):
    """Writes one call of that price."""

    def spend(dollars: str, tenant: str = "acme", at: datetime = NOW) -> None:
        ledger.write(batch([call(at, cost_pico=int(Decimal(dollars) * 10**12), tenant=tenant)]), uuid4())

    return spend


@pytest.fixture
def alerts(caplog):
    """The alerts logged so far."""
    caplog.set_level(logging.WARNING, "costspan")
    return lambda: [record.getMessage() for record in caplog.records]


def counting(ledger, tenant="acme"):
    """What counts for a tenant, by window; asked for one, and for many at once, with one answer."""
    found = ledger.effective_budgets([tenant], TEN)
    assert found == ledger._budgets.current(tenant, TEN)
    return {str(window): amount for _, window, amount in found}


def test_without_any_budget_the_settings_count(ledger):
    """A day has theirs, a month has none."""
    assert counting(ledger) == {"day": TEN}
    assert ledger.budgets() == ()


def test_a_tenants_own_budget_counts_before_everybodys(ledger):
    """And everybody's before the settings'; each window for itself."""
    ledger.set_budget(None, "day", Decimal(15))
    ledger.set_budget("acme", "day", Decimal(25))
    ledger.set_budget("acme", "month", Decimal(300))

    assert counting(ledger, "acme") == {"day": 25, "month": 300}
    assert counting(ledger, "rival") == {"day": 15}


def test_a_budget_of_nothing_is_a_budget(ledger):
    """Zero is not 'none'."""
    ledger.set_budget(None, "day", Decimal(15))
    ledger.set_budget("acme", "day", Decimal(0))

    assert counting(ledger) == {"day": 0}


def test_what_is_taken_away_lets_the_next_one_count(ledger):
    """The tenant's goes, everybody's counts; that goes, and the settings' counts."""
    ledger.set_budget(None, "day", Decimal(15))
    ledger.set_budget("acme", "day", Decimal(25))

    first = ledger.unset_budget("acme", "day"), counting(ledger)
    second = ledger.unset_budget(None, "day"), counting(ledger)
    third = ledger.unset_budget(None, "day"), ledger.unset_budget("nobody", "month")

    assert first == (True, {"day": 15})
    assert second == (True, {"day": TEN})
    assert third == (False, False)


def test_every_change_is_on_record_and_nothing_else(ledger, ledger_url, rows):
    """Who, when, what; setting the same again is no change, and asking for an unknown tenant makes none."""
    changed = [
        ledger.set_budget("acme", "day", Decimal(25)),
        ledger.set_budget("acme", "day", Decimal("25.00")),
        ledger.set_budget("rival", "day", Decimal(5)),
        ledger.set_budget(None, "month", Decimal(1000)),
        ledger.unset_budget("acme", "day"),
        ledger.unset_budget("stranger", "day"),
    ]
    ledger.effective_budgets(["stranger"], TEN)

    assert changed == [True, False, True, True, True, False]
    history = ledger.budget_history()
    assert [(change.tenant, str(change.window), change.amount) for change in history] == [
        ("acme", "day", None),
        (None, "month", 1000),
        ("rival", "day", 5),
        ("acme", "day", 25),
    ]
    assert {change.login for change in history} == {rows.one("select session_user")}
    assert all(datetime.now(UTC) - change.changed_at < timedelta(minutes=5) for change in history)
    assert [change.amount for change in ledger.budget_history("acme")] == [None, 25]
    assert [(change.tenant, change.amount) for change in ledger.budgets()] == [(None, 1000), ("rival", 5)]
    assert rows("select tenant_id from costspan.tenant order by 1") == [("acme",), ("rival",)]


def test_no_record_can_be_changed_or_forged(ledger, ledger_url):
    """Not even the keeper may say who changed a budget, or when, or take a change back."""
    ledger.set_budget("acme", "day", Decimal(25))
    forgeries = [
        "insert into costspan.budget_change (\"window\", amount_usd, login) values ('day', 1, 'somebody')",
        "insert into costspan.budget_change (\"window\", amount_usd, changed_at) values ('day', 1, '2020-01-01')",
        "update costspan.budget_change set amount_usd = 1",
        "delete from costspan.budget_change",
    ]
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute("set role costspan_keeper")
        for forgery in forgeries:
            with pytest.raises(DatabaseError, match="permission denied"):
                connection.execute(forgery)


def test_an_amount_is_kept_to_the_digit(ledger):
    """Twelve decimals and a million million dollars go in and come out."""
    for amount in ("0.000000000001", "1000000000000", "12.3400"):
        ledger.set_budget("acme", "day", Decimal(amount))

        assert counting(ledger) == {"day": Decimal(amount)}


@pytest.mark.parametrize(
    "amount",
    ["NaN", "sNaN", "Infinity", "-Infinity", "-1", "-0.01", "1e13", "1e400", "1e-13", "0.0000000000001"],
)
def test_an_amount_that_is_none_is_refused(ledger, rows, amount):
    """Here with the reason, and by the database too where somebody goes round this."""
    with pytest.raises(InvalidQuestion, match=r"budget is .*: allowed is"):
        ledger.set_budget("acme", "day", Decimal(amount))

    assert ledger.budget_history() == ()
    if amount in ("NaN", "Infinity", "-1"):
        with pytest.raises(DatabaseError):
            rows("insert into costspan.budget_change (\"window\", amount_usd) values ('day', %s) returning id", amount)


@pytest.mark.parametrize("amount", [25, 25.0, "25", None])
def test_an_amount_is_a_decimal(ledger, amount):
    """A float is not exact, and a text is the command line's business."""
    with pytest.raises(InvalidQuestion, match="Decimal"):
        ledger.set_budget("acme", "day", amount)


@pytest.mark.parametrize("window", ["week", "", "DAY", "year", None])
def test_a_window_is_a_day_or_a_month(ledger, window):
    """Others are refused, for setting and for taking away."""
    with pytest.raises(InvalidQuestion, match=r"window is .*: allowed are day, month"):
        ledger.set_budget("acme", window, TEN)
    with pytest.raises(InvalidQuestion, match="window is"):
        ledger.unset_budget("acme", window)


@pytest.mark.parametrize("name", ["' or '1'='1", "%", "ünïcode", "a/b", "x" * 400, "", "null", "day"])
def test_a_tenant_may_be_called_anything(ledger, spend, alerts, name):
    """Its budget and its calls meet under one name, whatever that is."""
    spend("2", clean(name) or NO_TENANT)  # as the meter books it
    ledger.set_budget(name, "day", Decimal(1))

    assert ledger.check_budgets(name, TEN) is True
    assert ledger.check_budgets("another", TEN) is False


def test_a_tenant_sees_its_own_budget_and_everybodys(ledger, rows):
    """And of other tenants' neither the amounts nor that there are any."""
    ledger.set_budget("acme", "day", Decimal(25))
    ledger.set_budget("rival", "day", Decimal(77))
    ledger.set_budget(None, "month", Decimal(1000))

    with rows.connection.transaction(force_rollback=True):
        rows.connection.execute("set local role costspan_tenant; set local app.current_tenant = 'acme'")
        seen = rows('select tenant_id, "window", amount_usd from costspan.budget order by 1 nulls first')
        recorded = rows.one("select count(*) from costspan.budget_change")

    assert seen == [(None, "month", 1000), ("acme", "day", 25)]
    assert recorded == 2


def test_a_change_needs_the_keepers_role(ledger, ledger_url):
    """A login that may write and read calls may not set what they may cost."""
    for role in ("costspan_writer", "costspan_tenant", "costspan_admin"):
        with psycopg.connect(ledger_url) as connection:
            connection.execute(f"set role {role}")
            with pytest.raises(DatabaseError, match="permission denied"):
                connection.execute("insert into costspan.budget_change (\"window\", amount_usd) values ('day', 1)")


def test_many_set_budgets_at_once(ledger, ledger_url, tmp_path):
    """The tenant is made once, and the last change on record is what counts."""

    def change(number: int) -> None:
        mine = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))
        for step in range(5):
            mine.set_budget("acme", "day", Decimal(number * 100 + step))
        mine.close()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    history = ledger.budget_history("acme")
    assert len(history) == 40
    assert counting(ledger) == {"day": history[0].amount}


def test_day_and_month_are_told_each_in_its_words(ledger, spend, alerts):
    """The lines name the window; once an hour for each, also where both are the same amount."""
    spend("12.50")
    spend("40", at=NOW - timedelta(days=3))
    ledger.set_budget("acme", "month", TEN)

    answers = [ledger.check_budgets("acme", TEN) for _ in range(3)]

    assert answers == [True, True, True]
    assert alerts() == [
        "Daily cost threshold exceeded: $12.50 > $10.00",
        "Monthly cost threshold exceeded: $52.50 > $10.00",
    ]


def test_a_day_within_its_budget_does_not_hide_a_month_that_is_not(ledger, spend, alerts):
    """Each budget is compared for itself."""
    spend("90", at=NOW - timedelta(days=3))
    spend("20")
    ledger.set_budget("acme", "day", Decimal(25))
    ledger.set_budget("acme", "month", Decimal(100))

    assert ledger.check_budgets("acme", TEN) is True
    assert alerts() == ["Monthly cost threshold exceeded: $110.00 > $100.00"]


def test_exactly_the_budget_is_within_it(ledger, spend, alerts):
    """One pico-dollar more is more."""
    ledger.set_budget("acme", "day", Decimal("12.50"))
    spend("12.50")
    assert ledger.check_budgets("acme", TEN) is False

    spend("0.000000000001")

    assert ledger.check_budgets("acme", TEN) is True
    assert len(alerts()) == 1


def test_last_month_does_not_count(ledger, spend):
    """A month is the calendar's."""
    ledger.set_budget("acme", "month", TEN)
    spend("50", at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC))

    assert ledger.check_budgets("acme", TEN) is False


def test_the_drain_compares_with_each_tenants_own_budget(ledger, ledger_url, tmp_path, alerts):
    """A larger budget is silent where the settings' would not be, a smaller one speaks; who has none has the settings'."""
    now = datetime.now(UTC)
    ledger.set_budget("large", "day", Decimal(25))
    ledger.set_budget("small", "day", Decimal("0.50"))
    ledger.set_budget("small", "month", Decimal("0.60"))
    events = [
        call(now, tenant=name, cost_pico=cost * 10**12) for name, cost in (("large", 20), ("small", 1), ("none", 4))
    ]
    segment = MemorySegment(events)

    class Journal:
        def segments(self):
            return (segment,)

    settings = Settings(database_url=ledger_url, state_dir=tmp_path, daily_budget_usd=Decimal(3))
    drainer = Drainer(Journal(), settings)
    assert drainer.flush(30)
    drainer.stop(10)

    assert [line for line in alerts() if "threshold" in line] == [
        "Daily cost threshold exceeded: $4.00 > $3.00",
        "Daily cost threshold exceeded: $1.00 > $0.50",
        "Monthly cost threshold exceeded: $1.00 > $0.60",
    ]


def test_a_login_without_the_keepers_role_checks_and_does_not_set(ledger, ledger_url, tmp_path, spend, rows):
    """What writes calls may compare them with a budget; to set one it is told which role it needs."""
    spend("12.50")
    name = f"login_{uuid4().hex[:12]}"
    rows.connection.execute(
        f"create role {name} login password 'p'; grant costspan_writer, costspan_tenant, costspan_admin to {name}"
    )
    url = psycopg.conninfo.make_conninfo(ledger_url, user=name, password="p")
    mine = Ledger.connect(Settings(database_url=url, state_dir=tmp_path), lambda: NOW)

    assert mine.check_budgets("acme", TEN) is True
    with pytest.raises(Exception, match=r"GRANT .*costspan_keeper"):
        mine.set_budget("acme", "day", TEN)

    mine.close()
    rows.connection.execute(f"drop role {name}")
    assert conninfo_to_dict(url)["user"] == name
