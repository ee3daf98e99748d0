"""Tenants are kept apart by the database: every relation, function and partition, each role, each verb, from the catalogue.

A relation that somebody adds without guarding it fails here, without anybody thinking of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import DatabaseError, InsufficientPrivilege

from costspan.ledger import Ledger
from integration.ledger.calls import NOON, batch, call, lost, unpriced

ROLES = ("costspan_owner", "costspan_writer", "costspan_tenant", "costspan_admin")
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
NOBODY = ["", "unknown", "' or '1'='1", "acme' --", "{acme,rival}", "%", "ACME", "acme "]

OF_TENANTS = {"tenant", "call_kind", "kind_rate", "call_context", "call", "call_detail", "usage_hour", "unsettled"}
OF_OPERATORS = {"writer", "quarantine", "natural_call", "threshold_alert"}
READ, ADD, CHANGE = {"SELECT"}, {"INSERT"}, {"SELECT", "INSERT", "UPDATE"}
#: All that anybody is allowed. Partitions are in no one's list: they are reached through their parent only.
ALLOWED = {
    "costspan_tenant": {**dict.fromkeys(OF_TENANTS, READ), "migration": READ, "ai_usage_metrics": READ},
    "costspan_admin": {**dict.fromkeys(OF_TENANTS | OF_OPERATORS, READ), "migration": READ, "ai_usage_metrics": READ},
    "costspan_writer": {
        **dict.fromkeys(("tenant", "call_kind", "kind_rate", "call_context", "natural_call"), READ | ADD),
        **dict.fromkeys(("writer", "usage_hour", "threshold_alert"), CHANGE),
        **dict.fromkeys(("call", "call_detail", "unsettled", "quarantine"), ADD),
        "migration": READ,
    },
    "public": {},
}
RELATIONS = """
    select relnamespace::regnamespace::text, relname, relkind, relrowsecurity, relforcerowsecurity,
        coalesce('security_invoker=true' = any(reloptions), false),
        (select attname from pg_attribute where attrelid = pg_class.oid and attnum = 1)
    from pg_class
    where relowner = 'costspan_owner'::regrole and relkind in ('r', 'p', 'v', 'm', 'f')
    order by 1, 2
"""


@pytest.fixture
def world(ledger: Ledger) -> Ledger:
    """Two tenants with something in every table."""
    for name in ("acme", "rival"):
        events = [
            call(tenant=name, session=f"{name}-s", user=f"{name}-u", feature=f"{name}-f", natural_key="b:1"),
            unpriced(tenant=name, session=f"{name}-s", evidence=f'{{"of":"{name}"}}'),
            call(tenant=name, model=f"ft:{name}", cost_pico=11 * 10**12),
            call(tenant=name, cost_pico=-1, session=f"{name}-poison"),
        ]
        ledger.write(batch(events, endings=[lost("open", tenant=name, session=f"{name}-s")]), uuid4())
        ledger._thresholds._may_alert(name, Decimal(10))
    return ledger


Ask = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def acting(ledger_url: str) -> Iterator[Callable[..., object]]:
    """Runs statements as a role and, where it is said, for a tenant: each in a transaction that is rolled back."""
    with psycopg.connect(ledger_url, autocommit=True) as connection:

        @contextmanager
        def acting(role: str, tenant: str | None = None) -> Iterator[Ask]:
            with connection.transaction(force_rollback=True):
                connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
                if tenant is not None:
                    connection.execute("select set_config('app.current_tenant', %s, true)", [tenant])

                def ask(statement: str | sql.Composed, *values: object) -> list[tuple[object, ...]]:
                    with connection.transaction(force_rollback=True):
                        cursor = connection.execute(statement, values or None)
                        return cursor.fetchall() if cursor.description else []

                yield ask

        yield acting


def relations(rows) -> list[tuple[str, str, str, bool, bool, bool, str]]:
    """Every relation of ours."""
    found = rows(RELATIONS)
    assert len(found) >= 17
    return found


def every_row(ask: Ask, schema: str, relation: str) -> list[tuple[object, ...]]:
    """What ``select *`` shows; nothing where it is denied."""
    try:
        return ask(sql.SQL("select * from {}").format(sql.Identifier(schema, relation)))
    except InsufficientPrivilege:
        return []


def test_every_relation_is_guarded(world, rows):
    """Tables enforce their policies on everybody, owner included; views ask as who asks; nothing is materialized."""
    for schema, name, kind, is_enabled, is_forced, is_invoker, _ in relations(rows):
        assert kind in ("r", "p", "v"), f"{schema}.{name} is of a kind that row level security does not reach"
        assert is_invoker if kind == "v" else (is_enabled and is_forced), f"{schema}.{name} is not guarded"


def test_nothing_of_ours_belongs_to_anybody_else(world, rows):
    """What the owner does not own, the suite would not see."""
    assert (
        rows("""
        select relname from pg_class
        where relnamespace = 'costspan'::regnamespace and relowner <> 'costspan_owner'::regrole
    """)
        == []
    )


def test_each_role_may_do_what_it_needs_and_no_more(world, rows):
    """The grants of every relation are exactly the list above; partitions have none."""
    for schema, name, *_ in relations(rows):
        for role in ("costspan_tenant", "costspan_admin", "costspan_writer"):
            granted = {
                verb
                for verb in VERBS
                if rows.one(
                    "select has_table_privilege(%s, format('%%I.%%I', %s::text, %s::text), %s)",
                    role,
                    schema,
                    name,
                    verb,
                )
            }
            assert granted == ALLOWED[role].get(name, set()), f"{role} on {schema}.{name}"
        to_all = rows("select count(*) from pg_class, aclexplode(relacl) where relname = %s and grantee = 0", name)
        assert to_all == [(0,)], f"everybody on {schema}.{name}"


def test_no_role_inherits_anothers_rights(rows):
    """A role that were a member of another would see with both pairs of eyes; and only the writer goes round policies."""
    assert (
        rows(
            "select 1 from pg_auth_members where member in (select oid from pg_roles where rolname = any(%s))",
            list(ROLES),
        )
        == []
    )
    assert rows(
        "select rolname, rolcanlogin, rolsuper, rolbypassrls from pg_roles where rolname = any(%s) order by 1",
        list(ROLES),
    ) == [
        ("costspan_admin", False, False, False),
        ("costspan_owner", False, False, False),
        ("costspan_tenant", False, False, False),
        ("costspan_writer", False, False, True),
    ]


def test_a_tenant_reads_its_own_rows_and_nobody_elses(world, rows, acting):
    """In no column of no relation is there anything of the other tenant; and of its own there is all."""
    rival = rows.one("select tenant_key from costspan.tenant where tenant_id = 'rival'")
    own_rows = {}
    with acting("costspan_tenant", "acme") as ask:
        for schema, name, *_ in relations(rows):
            seen = every_row(ask, schema, name)
            assert "rival" not in repr(seen), f"{schema}.{name}"
            if seen and rows(
                "select 1 from pg_attribute where attrelid = %s::regclass and attname = 'tenant_key'",
                f"{schema}.{name}",
            ):
                keys = ask(sql.SQL("select distinct tenant_key from {}").format(sql.Identifier(schema, name)))
                assert (rival,) not in keys, f"{schema}.{name}"
            own_rows[name] = len(seen)
    assert {name for name, number in own_rows.items() if number} == OF_TENANTS | {"ai_usage_metrics", "migration"}
    assert (own_rows["call"], own_rows["ai_usage_metrics"], own_rows["tenant"]) == (3, 3, 1)


def test_who_is_no_tenant_reads_nothing(world, rows, acting):
    """Unset, empty, unknown or an injection: no rows, and no error either."""
    for tenant in (None, *NOBODY):
        with acting("costspan_tenant", tenant) as ask:
            for schema, name, *_ in relations(rows):
                if name != "migration":
                    assert every_row(ask, schema, name) == [], f"{schema}.{name} for {tenant!r}"
            assert ask("select * from get_cost_summary('acme', '2026-01-01', '2027-01-01')") == [
                ("total", 0, 0, 0, 0, 0)
            ]
            assert ask("select costspan.current_tenant_key()") == [(None,)]


@pytest.mark.parametrize("role", ["costspan_owner", "costspan_writer"])
def test_neither_owner_nor_writer_reads_calls(world, rows, acting, role):
    """Forced policies hide them from the owner, missing rights from the writer."""
    with acting(role, "acme") as ask:
        for name in ("call", "call_detail", "unsettled", "quarantine", "ai_usage_metrics"):
            schema = "public" if name == "ai_usage_metrics" else "costspan"
            assert every_row(ask, schema, name) == [], name


def test_an_admin_reads_everybody_and_changes_nothing(world, rows, acting):
    """Both tenants in every table of tenants."""
    with acting("costspan_admin") as ask:
        for name in OF_TENANTS - {"tenant"}:
            keys = ask(sql.SQL("select count(distinct tenant_key) from {}").format(sql.Identifier("costspan", name)))
            assert keys == [(2,)], name
        assert ask("select count(*) from ai_usage_metrics") == [(6,)]


CHANGES = [
    "insert into {} default values",
    "update {} set {column} = default",
    "delete from {}",
    "delete from {} returning *",
    "truncate {}",
    "truncate {} cascade",
    "drop table {}",
    "alter table {} disable row level security",
    "alter table {} owner to costspan_tenant",
    "copy {} from stdin",
    "lock table {} in access exclusive mode",
    "create trigger mine after insert on {} execute function add_to_usage_hour()",
    "create policy mine on {} using (true)",
    "comment on table {} is 'mine'",
]


@pytest.mark.parametrize("role", ["costspan_tenant", "costspan_admin"])
def test_readers_change_nothing(world, rows, acting, role):
    """Every verb on every relation and partition fails, and afterwards everything is as before."""
    before = rows("select count(*), sum(cost_pico), (select count(*) from costspan.tenant) from costspan.call")
    with acting(role, "acme") as ask:
        for schema, name, *_, column in relations(rows):
            for change in CHANGES:
                with pytest.raises(DatabaseError):
                    ask(sql.SQL(change).format(sql.Identifier(schema, name), column=sql.Identifier(column)))
                    pytest.fail(f"{change} on {schema}.{name} as {role}")
    assert rows("select count(*), sum(cost_pico), (select count(*) from costspan.tenant) from costspan.call") == before


def test_the_writer_appends_and_does_nothing_else(world, rows, acting):
    """It can neither change nor take away a call, a sum's key or a record in quarantine."""
    with acting("costspan_writer") as ask:
        for schema, name, *_ in relations(rows):
            for change in (
                "delete from {}",
                "truncate {}",
                "drop table {}",
                "alter table {} disable row level security",
            ):
                with pytest.raises(DatabaseError):
                    ask(sql.SQL(change).format(sql.Identifier(schema, name)))
        for schema, name, *_, column in relations(rows):
            if "UPDATE" not in ALLOWED["costspan_writer"].get(name, set()):
                with pytest.raises(DatabaseError):
                    ask(
                        sql.SQL("update {} set {} = default").format(
                            sql.Identifier(schema, name), sql.Identifier(column)
                        )
                    )


def test_functions_give_nobody_anothers_eyes(world, rows):
    """None runs as its owner but the one that makes partitions, whose path is fixed; none is everybody's to call."""
    functions = rows("""
        select proname, prosecdef, coalesce(proconfig, '{}'), has_function_privilege('public', oid, 'EXECUTE')
        from pg_proc where proowner = 'costspan_owner'::regrole order by 1
    """)
    assert len(functions) >= 7
    for name, is_definer, configuration, is_everybodys in functions:
        assert is_definer == (name == "ensure_day"), name
        assert not is_definer or "search_path=pg_catalog, pg_temp" in configuration, name
        assert not is_everybodys, name


def test_asking_for_another_tenant_gives_nothing(world, acting):
    """Its id or its key as an argument opens no door."""
    with acting("costspan_tenant", "acme") as ask:
        year = ("2026-01-01", "2027-01-01")
        assert ask("select cost_usd, calls from get_cost_summary('rival', %s, %s)", *year) == [(0, 0)]
        assert ask("select calls from get_cost_summary(null, %s, %s) where service = 'total'", *year) == [(3,)]
        assert ask(
            "select count(*) from costspan.usage(%s, %s, '{}') where tenant_key <> costspan.current_tenant_key()", *year
        ) == [(0,)]
        assert ask("select count(*) from costspan.usage(%s, %s, array[timestamptz '2026-11-21 12:30+00'])", *year) == [
            (3,)
        ]


DETOURS = [
    "select costspan.ensure_day('call', '2026-11-22')",
    "select * from costspan.call_20261121",
    "select * from costspan.usage_hour_20261121",
    "select * from costspan.call_detail_20261121",
    "select * from costspan.quarantine",
    "select * from costspan.writer",
    "select nextval('costspan.batch')",
    "create table costspan.mine (a int)",
    "create table public.mine (a int)",
    "set role costspan_admin",
    "set session authorization postgres",
    "copy costspan.call to program 'cat'",
    "alter role costspan_tenant bypassrls",
    "grant costspan_admin to current_user",
]


@contextmanager
def a_login(url: str, *roles: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection of a new login that is a member of ``roles``."""
    login = sql.Identifier(f"login_{uuid4().hex[:12]}")
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute(sql.SQL("create role {} login password 'p'").format(login))
        for role in roles:
            superuser.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), login))
        try:
            with psycopg.connect(url, user=login.as_string().strip('"'), password="p", autocommit=True) as connection:
                yield connection
        finally:
            superuser.execute(sql.SQL("drop role {}").format(login))


def test_a_tenants_login_has_no_way_around(ledger_url, world):
    """Partitions, operators' tables, the partition maker and other roles are closed to it."""
    with a_login(ledger_url, "costspan_tenant") as connection:
        connection.execute("set app.current_tenant = 'acme'")
        assert connection.execute("select count(*) from ai_usage_metrics").fetchall() == [(3,)]
        for detour in DETOURS:
            with pytest.raises(DatabaseError):
                connection.execute(detour)
                pytest.fail(detour)


def test_a_login_of_nobody_is_shown_nothing(ledger_url, world, rows):
    """Without membership in a role even the schema is closed."""
    with a_login(ledger_url) as connection:
        connection.execute("set app.current_tenant = 'acme'")
        for schema, name, *_ in relations(rows):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(sql.SQL("select * from {}").format(sql.Identifier(schema, name)))


def test_a_cheap_function_of_the_asker_sees_own_rows_only(world, acting, ledger_url):
    """A filter that the planner would like to run first is still run after the policy."""
    with psycopg.connect(ledger_url) as connection:
        seen: list[str] = []
        connection.add_notice_handler(lambda notice: seen.append(notice.message_primary))
        connection.execute("set role costspan_tenant; set app.current_tenant = 'acme'")
        connection.execute("""
            create function pg_temp.spy(text) returns boolean language plpgsql cost 0.0000001
            as $$ begin raise notice '%', $1; return true; end $$
        """)
        connection.execute("select * from costspan.call_context where pg_temp.spy(session_id)")
        connection.execute("select * from ai_usage_metrics where pg_temp.spy(session_id)")
        connection.execute("select * from costspan.tenant where pg_temp.spy(tenant_id)")
        connection.rollback()

    assert "acme-s" in seen
    assert not [name for name in seen if name and name.startswith("rival")]


def test_an_error_that_tells_a_value_fires_on_own_rows_only(world, acting):
    """Casting every session to a number names a session of one's own."""
    with acting("costspan_tenant", "rival") as ask, pytest.raises(DatabaseError) as error:
        ask("select session_id::int from costspan.call_context")

    assert "acme" not in str(error.value)


def test_a_false_dictionary_fools_no_function(world, acting):
    """A temporary table named tenant, or a path that puts it first, changes whose rows are seen for nobody."""
    with acting("costspan_tenant", "acme") as ask:
        assert ask("""
            create temporary table tenant (tenant_key int, tenant_id text);
            insert into tenant select 2, 'acme'; insert into tenant select 1, 'acme';
            set local search_path = pg_temp, costspan, public;
            select distinct tenant_id from public.ai_usage_metrics
        """) in ([], [("acme",)])  # psycopg shows the first result
        assert ask("select distinct tenant_id from ai_usage_metrics") == [("acme",)]


def test_statistics_tell_nothing(world, rows, acting):
    """The most common values of a guarded column are hidden from who cannot read the rows."""
    rows.connection.execute("analyze")
    with acting("costspan_tenant", "acme") as ask:
        assert ask("select count(*) from pg_stats where schemaname = 'costspan' and tablename <> 'migration'") == [(0,)]


def test_the_tenant_of_a_question_ends_with_it(world, rows):
    """A connection that is used again, also after an error, belongs to nobody."""
    hour = (NOON, NOON + timedelta(hours=1))
    assert world.summary(*hour, tenant="acme").total.calls == 3
    with pytest.raises(ValueError, match="allowed"):
        world.summary(*hour, tenant="acme", by=["nonsense"])

    with world._database.transaction() as cursor:
        state = cursor.execute(
            "select current_setting('app.current_tenant', true), current_user = session_user"
        ).fetchall()

    assert state in ([("", True)], [(None, True)])


def test_the_partition_maker_takes_its_three_tables_only(world, rows, acting):
    """It runs as the owner, so what it is given is checked against a list."""
    before = len(relations(rows))
    with acting("costspan_writer") as ask:
        for table in (
            "tenant",
            "call; drop table costspan.call",
            "call_20261121",
            "",
            "pg_class",
            'usage_hour"',
            "CALL",
        ):
            with pytest.raises(DatabaseError, match="no table of days"):
                ask("select costspan.ensure_day(%s, '2026-11-25')", table)
        for day in ("0001-01-01", "2014-12-31", "2100-01-01", "infinity", "4000-01-01 BC"):
            with pytest.raises(DatabaseError, match="no call was made"):
                ask("select costspan.ensure_day('call', %s)", day)
    assert len(relations(rows)) == before
