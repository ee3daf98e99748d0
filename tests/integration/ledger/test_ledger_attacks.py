"""What a tenant with SQL in its hands tries, to see another's: arguments, guesses, plans, errors, filters, false names.

The relations, columns and functions that are attacked come from the catalogue, so new ones are attacked without being named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import islice, product
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import DatabaseError, InsufficientPrivilege

from integration.ledger.calls import NOON
from integration.ledger.guard import DEFINERS, relations
from integration.ledger.two_tenants import SPAN, TRACE, Ask, World, a_login, fill, write

Values = Mapping[str, Sequence[str]]
#: Calls of one function: enough for each value at each place with each other.
_TRIES = 500
CALLABLE = """
    select pg_proc.oid::int, format('%%I.%%I', pronamespace::regnamespace::text, proname),
        array(select format_type(type, null) from unnest(proargtypes) as type), pronargdefaults
    from pg_proc
    where proowner = 'costspan_owner'::regrole and prokind = 'f' and prorettype <> 'trigger'::regtype
        and has_function_privilege(%s, pg_proc.oid, 'EXECUTE')
    order by 2
"""


def arguments_of_the_rival(world: World) -> Values:
    """For each type that a function takes, texts of values that lead to the rival's rows, if anything does."""

    def one(query: str) -> str:
        return str(world.rows.one(query))

    key = one("select tenant_key from costspan.tenant where tenant_id = 'rival'")
    hot = one(f"select max(id) from costspan.call where tenant_key = {key}")
    cold = one(
        f"select max(call.id) from costspan.call_slice cross join unnest(calls) as call where tenant_key = {key}"
    )
    contexts = one(f"select array_agg(context_id) from costspan.call_context where tenant_key = {key}")
    noon, before = NOON.isoformat(), (NOON - timedelta(days=1)).isoformat()
    return {
        "text": ["rival", "rival-s", TRACE.hex(), SPAN.hex()],
        "integer": [key, "100"],
        "integer[]": [contexts.replace("[", "{").replace("]", "}")],
        "bigint": [hot, cold],
        "bigint[]": [f"{{{hot},{cold}}}"],
        "uuid": [TRACE.hex()],
        "numeric": ["77717"],
        "date": ["2026-11-20", "2026-11-21"],
        "timestamp with time zone": [before, noon, "2026-12-01 00:00+00"],
        "timestamp with time zone[]": ["{}", f'{{"{before}","{noon}"}}'],
        "costspan.call_row[]": [one(f"select calls from costspan.call_slice where tenant_key = {key}")],
        "costspan.call[]": [one(f"select array_agg(call) from costspan.call where tenant_key = {key}")],
    }


def tried(given: Values, function: str, types: list[str], defaults: int) -> Iterator[tuple[Any, list[str]]]:
    """The function's calls with every mix of the values, with and without those that may be left out."""
    missing = set(types) - set(given)
    assert not missing, f"{function} takes {missing}: say above which values of these lead to the rival's rows"
    for number in {len(types), len(types) - defaults}:
        places = sql.SQL(", ").join(sql.SQL(f"%s::{name}") for name in types[:number])  # from the catalogue
        for values in islice(product(*(given[name] for name in types[:number])), _TRIES):
            yield sql.SQL("select * from {}({})").format(sql.SQL(function), places), list(values)


def unsaid(world: World, given: Sequence[str]) -> set[str]:
    """The rival's marks that an answer cannot have from its own question. Rows that are given come back in other words."""
    marks = {"rival"} if any("," in value for value in given) else set(world.marks)
    return {mark for mark in marks if mark not in repr(given)}


def answers(world: World, tenant: str, given: Values | None = None) -> dict[tuple[str, ...], str]:
    """What every function that a tenant may call says to ``tenant``, errors included, for the rival's values."""
    functions = world.rows(CALLABLE, "costspan_tenant")
    assert len(functions) >= 8
    told: dict[tuple[str, ...], str] = {}
    given = given or arguments_of_the_rival(world)
    with world.acting("costspan_tenant", tenant) as ask:
        for _, function, types, defaults in functions:
            for statement, values in tried(given, function, types, defaults):
                told[function, *values] = said(ask, statement, *values)
    return told


def shown(world: World, tenant: str) -> dict[str, str]:
    """What every relation shows ``tenant``."""
    with world.acting("costspan_tenant", tenant) as ask:
        query = sql.SQL("select * from {} as t order by t::text")
        return {
            name: said(ask, query.format(sql.Identifier(schema, name)))
            for schema, name in relations(world.rows)
            if name != "migration"
        }


def said(ask: Ask, statement: Any, *values: str) -> str:
    """An answer, its rows in an order of their own, or all of an error."""
    try:
        return repr(sorted(ask(statement, *values), key=repr))
    except DatabaseError as error:
        return f"{error} {error.diag.message_detail} {error.diag.context}"


@pytest.mark.parametrize("tenant", ["acme", "nobody", ""])
def test_no_argument_opens_anothers_rows(world, tenant):
    """Every function that a tenant may call, with the rival's name, keys, ids, traces and days: nothing of the rival's, nor in errors."""
    for (function, *given), told in answers(world, tenant).items():
        assert not [mark for mark in unsaid(world, given) if mark in told], f"{function}{given}"


def test_what_the_rival_does_changes_no_answer(ledger, ledger_url, rows):
    """Calls, slices, corrections and budgets of the rival's come, and every function and relation says to acme what it said."""
    rows.connection.execute("set search_path = public")
    fill(ledger, rows)
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        world = World(ledger_url, ledger, rows, connection)
        given = arguments_of_the_rival(world)  # of before: the same questions are asked again
        before = answers(world, "acme", given), shown(world, "acme"), answers(world, "nobody", given)

        write(ledger, "rival")
        ledger.set_budget("rival", "day", Decimal(1))
        ledger.set_budget("rival", "month", Decimal(2))
        ledger.tokens.create("another of rival", tenant="rival")
        ledger.tokens.revoke("of rival")

        assert answers(world, "acme", given) == before[0]
        assert shown(world, "acme") == before[1]
        assert answers(world, "nobody", given) == before[2]


def test_the_same_arguments_show_the_rival_its_own(world):
    """Else they would prove nothing: to the rival, every function of rows says something else than to nobody."""
    mine, nobodys = answers(world, "rival"), answers(world, "nobody")

    telling = {question[0].split(".")[1] for question, told in mine.items() if told != nobodys[question]}
    assert telling >= {"get_cost_summary", "usage", "usage_of_contexts", "sliced_calls", "session_calls", "trace_calls"}
    assert telling >= {"newest_calls", "dearest_calls", "call", "call_lines", "readable"}


@pytest.mark.parametrize("role", ["costspan_writer", "costspan_keeper", None])
def test_nobody_calls_what_is_not_for_them(world, role):
    """Every function that is not in a role's list is denied, whatever it is given; a login of no role may call none."""
    allowed = set() if role is None else {number for number, *_ in world.rows(CALLABLE, role)}
    everything = world.rows(CALLABLE, "costspan_owner")
    assert len(everything) > len(allowed)
    with a_login(world.url, [role] if role else []) as connection:
        for number, function, types, _ in everything:
            if number not in allowed:
                nulls = sql.SQL(", ").join(sql.SQL(f"null::{name}") for name in types)
                with pytest.raises(InsufficientPrivilege):
                    connection.execute(sql.SQL("select {}({})").format(sql.SQL(function), nulls))
                    pytest.fail(f"{function} as {role}")


def test_no_guess_finds_anothers_row(world):
    """Keys and ids of the rival's in a filter, which an index may answer, find nothing in any relation."""
    values = arguments_of_the_rival(world)
    guesses = {
        "tenant_key": values["integer"][0],
        "tenant_id": "rival",
        "session_id": "rival-s",
        "id": values["bigint"][0],
    }
    guesses |= {
        "trace_id": TRACE.hex(),
        "span_id": str(int.from_bytes(SPAN, "big")),
        "call_id": values["bigint"][0],
        "day": "2026-11-20",
    }
    with world.acting("costspan_tenant", "acme") as ask:
        for schema, name, column, _ in columns(world):
            if column in guesses:
                query = sql.SQL("select * from {} where {} = %s").format(
                    sql.Identifier(schema, name), sql.Identifier(column)
                )
                found = repr(ask(query, guesses[column]))
                assert not [mark for mark in world.marks if mark in found], f"{schema}.{name}.{column}"


def test_no_plan_tells_of_anothers_rows(world):
    """EXPLAIN ANALYZE of every relation has nothing of the rival's but what the question itself says."""
    with world.acting("costspan_tenant", "acme") as ask:
        for schema, name in relations(world.rows):
            for verb in ("explain (analyze, verbose)", "explain (analyze, format json)"):
                query = sql.SQL("{} select * from {}").format(sql.SQL(verb), sql.Identifier(schema, name))
                try:
                    plan = repr(ask(query))
                except InsufficientPrivilege:
                    continue
                assert not [mark for mark in world.marks if mark in plan], f"{schema}.{name}"


def test_an_error_that_tells_a_value_fires_on_own_rows_only(world):
    """Casting any column of any relation to a number names a value of one's own, or none."""
    told = []
    with world.acting("costspan_tenant", "acme") as ask:
        for schema, name, column, _ in columns(world):
            cast = sql.SQL("select {}::text::int from {}").format(sql.Identifier(column), sql.Identifier(schema, name))
            try:
                ask(cast)
            except DatabaseError as error:
                told.append(str(error))

    assert [text for text in told if "acme" in text]
    assert not [text for text in told if any(mark in text for mark in world.marks)]


def test_a_cheap_filter_of_the_asker_sees_own_rows_only(world):
    """A function that the planner would like to run first still runs after the policy, on every relation."""
    seen: list[str] = []
    with psycopg.connect(world.url) as connection:
        connection.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))
        connection.execute("set role costspan_tenant; set app.current_tenant = 'acme'")
        connection.execute("""
            create function pg_temp.spy(text) returns boolean language plpgsql cost 0.0000001
            as $$ begin raise notice '%', $1; return true; end $$
        """)
        connection.execute("""
            create function pg_temp.same(text, text) returns boolean language plpgsql cost 0.0000001
            as $$ begin raise notice '%', $1; return $1 = $2; end $$;
            create operator pg_temp.=== (function = pg_temp.same, leftarg = text, rightarg = text)
        """)
        for schema, name in relations(world.rows):
            for leak in ("pg_temp.spy(t::text)", "t::text operator(pg_temp.===) 'x'"):
                query = sql.SQL("select * from {} as t where {}").format(sql.Identifier(schema, name), sql.SQL(leak))
                try:
                    with connection.transaction():
                        connection.execute(query)
                except InsufficientPrivilege:
                    continue
        connection.rollback()

    assert [text for text in seen if "acme" in text]
    assert not [text for text in seen if any(mark in text for mark in world.marks)]


def test_a_false_dictionary_fools_no_function(world):
    """Temporary tables named as ours, on a path that puts them first, change whose rows are seen for nobody."""
    names = (
        "tenant",
        "call",
        "call_context",
        "call_kind",
        "call_slice",
        "usage_day",
        "usage_hour",
        "correction",
        "budget_change",
    )
    with psycopg.connect(world.url) as connection:
        connection.execute("set role costspan_tenant; set app.current_tenant = 'acme'")
        own = connection.execute("select * from ai_usage_metrics order by id").fetchall()
        for name in names:
            connection.execute(
                sql.SQL("create temporary table {} (like {})").format(
                    sql.Identifier(name), sql.Identifier("costspan", name)
                )
            )
        connection.execute(
            "insert into pg_temp.tenant select 2, 'acme' union all select 1, 'acme' union all select 1, 'rival'"
        )
        connection.execute("set search_path = pg_temp, costspan, public")

        assert connection.execute("select * from public.ai_usage_metrics order by id").fetchall() == own
        assert connection.execute("select tenant_key from costspan.tenant").fetchall() == [
            (world.rows.one("select tenant_key from costspan.tenant where tenant_id = 'acme'"),)
        ]
        given = arguments_of_the_rival(world)
        for _, function, types, defaults in world.rows(CALLABLE, "costspan_tenant"):
            for statement, values in islice(tried(given, function, types, defaults), 20):
                try:
                    with connection.transaction():
                        told = repr(connection.execute(statement, values).fetchall())
                except DatabaseError as error:
                    told = str(error)
                assert not [mark for mark in unsaid(world, values) if mark in told], function
        connection.rollback()


def test_statistics_tell_nothing(world):
    """The most common values of a guarded column are hidden from who cannot read the rows; so are extended ones."""
    with world.acting("costspan_tenant", "acme") as ask:
        assert ask("select count(*) from pg_stats where schemaname = 'costspan' and tablename <> 'migration'") == [(0,)]
        for catalog in ("pg_statistic", "pg_statistic_ext_data", "pg_authid"):
            with pytest.raises(InsufficientPrivilege):
                ask(sql.SQL("select * from {}").format(sql.Identifier(catalog)))


DETOURS = [
    "select costspan.ensure_day('call', '2026-11-22')",
    "select * from costspan.call_20261121",
    "select * from costspan.usage_hour_20261121",
    "select * from only costspan.call_20261121",
    "select * from costspan.quarantine",
    "select * from costspan.writer",
    "select * from costspan.reprice",
    "select * from costspan.api_token",
    "select count(digest) from costspan.api_token",
    "insert into costspan.api_token (name, is_admin, digest) values ('mine', true, sha256('mine'))",
    "select nextval('costspan.api_token_token_id_seq')",
    "select * from costspan.revoked_token",
    "insert into costspan.revoked_token (token_id) values (1)",
    "select nextval('costspan.batch')",
    "select setval('costspan.tenant_tenant_key_seq', 1)",
    "create table costspan.mine (a int)",
    "create table public.mine (a int)",
    "create table pg_temp.mine () inherits (costspan.call)",
    "create table pg_temp.mine (like costspan.call including all, foreign key (tenant_key) references costspan.tenant)",
    "create publication mine for table costspan.call",
    "set role costspan_admin",
    "set role costspan_owner",
    "set session authorization postgres",
    "set row_security = off; select * from costspan.call",
    "set session_replication_role = replica",
    "copy costspan.call to program 'cat'",
    "copy costspan.call to '/tmp/calls'",
    "alter role costspan_tenant bypassrls",
    "alter table costspan.call no force row level security",
    "alter function costspan.usd(numeric) leakproof",
    "create or replace function costspan.current_tenant_key() returns int language sql return 2",
    "create function pg_temp.mine() returns int language sql leakproof return 1",
    "grant costspan_admin to current_user",
    "create extension dblink",
    "select lo_import('/etc/passwd')",
    "select pg_read_file('PG_VERSION')",
    "do $$ begin perform * from costspan.quarantine; end $$",
]


def test_a_tenants_login_has_no_way_around(world):
    """Partitions, operators' tables, makers of partitions, other roles and the server's files are closed to it."""
    with a_login(world.url, ["costspan_tenant"]) as connection:
        connection.execute("set app.current_tenant = 'acme'")
        assert connection.execute("select count(*) from ai_usage_metrics").fetchall() == [(6,)]
        for detour in DETOURS:
            with pytest.raises(DatabaseError):
                connection.execute(detour)
                pytest.fail(detour)
            connection.execute("reset row_security")


@pytest.mark.parametrize("function", sorted(DEFINERS))
def test_what_runs_as_the_owner_takes_its_three_tables_only(world, function):
    """What it is given is checked against a list before it becomes part of a statement."""
    name = function.split("(")[0]
    (role,) = world.rows(
        "select grantee::regrole::text from pg_proc, aclexplode(proacl) where oid = %s::regproc and grantee <> proowner",
        name,
    )[0]
    before = relations(world.rows)
    hostile = (
        "tenant",
        "call; drop table costspan.call",
        "call_20261121",
        "",
        "pg_class",
        'usage_hour"',
        "CALL",
        "call_slice",
    )
    with world.acting(role) as ask:
        for table in hostile:
            with pytest.raises(DatabaseError, match="no table of days"):
                ask(sql.SQL("select {}(%s, '2026-11-19')").format(sql.SQL(name)), table)
        for day in ("0001-01-01", "2100-01-01", "infinity", "-infinity", "4000-01-01 BC", None):
            try:
                ask(sql.SQL("select {}('call', %s::date)").format(sql.SQL(name)), day)
            except DatabaseError:
                continue
    assert relations(world.rows) == before


def columns(world: World) -> list[tuple[str, str, str, str]]:
    """Every column of every relation that a tenant may read: schema, relation, name, type."""
    return world.rows("""
        select relnamespace::regnamespace::text, relname, attname, format_type(atttypid, null)
        from pg_attribute join pg_class on pg_class.oid = attrelid
        where relowner = 'costspan_owner'::regrole and relkind in ('r', 'p', 'v') and attnum > 0 and not attisdropped
            and has_column_privilege('costspan_tenant', attrelid, attnum, 'SELECT')
        order by 1, 2, attnum
    """)
