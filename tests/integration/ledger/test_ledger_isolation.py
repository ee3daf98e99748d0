"""Tenants are kept apart by the database: what there is, who may do what with it, and what each role sees.

A relation, function or right that somebody adds without writing it down in `guard` fails here, without anybody thinking of it.
"""

from __future__ import annotations

import pytest
from psycopg import sql
from psycopg.errors import DatabaseError, InsufficientPrivilege

from integration.ledger.guard import FACES, OF_ALL, OF_TENANTS, RELATIONS, findings, relations
from integration.ledger.two_tenants import Ask, World, a_login

NOBODY = ["", "unknown", "' or '1'='1", "acme' --", "{acme,rival}", "%", "ACME", "acme ", "null", "1", "a" * 10_000]
#: Shown to whoever asks, as it is nobody's.
OPEN = {"migration", "retention"}


def every_row(ask: Ask, schema: str, relation: str) -> list[tuple[object, ...]]:
    """What ``select *`` shows; nothing where it is denied."""
    try:
        return ask(sql.SQL("select * from {}").format(sql.Identifier(schema, relation)))
    except InsufficientPrivilege:
        return []


def test_everything_is_guarded_and_everybody_may_do_what_they_need_and_no_more(world):
    """The catalogue and the lists in `guard` say the same, in both directions."""
    assert findings(world.rows) == []


AS_OWNER = "set local role costspan_owner; {}; reset role"
GUARDED = "create table costspan.mine (a int); alter table costspan.mine enable row level security"
GAPS = [
    (AS_OWNER.format("create table costspan.mine (tenant_key int)"), "costspan.mine does not keep rows apart"),
    (AS_OWNER.format(GUARDED), "costspan.mine does not keep rows apart"),
    (AS_OWNER.format(f"{GUARDED}, force row level security"), "costspan.mine is a relation that nobody wrote down"),
    ("create table costspan.mine (a int)", "costspan.mine belongs to"),
    (AS_OWNER.format("create view costspan.mine as select 1"), "costspan.mine shows what its owner may see"),
    ("create view public.mine as select * from costspan.call_slice", "public.mine is a view of ours that nobody"),
    ("create schema other; create view other.mine as select * from ai_usage_metrics", "other.mine is a view of ours"),
    (
        AS_OWNER.format("create materialized view costspan.mine as select * from costspan.migration"),
        "costspan.mine is of a kind that row level security does not reach",
    ),
    ("alter view ai_usage_metrics set (security_invoker = false)", "public.ai_usage_metrics shows what its owner"),
    ("alter table costspan.call_slice no force row level security", "costspan.call_slice does not keep rows apart"),
    ("alter table costspan.call_20261121 disable row level security", "costspan.call_20261121 does not keep"),
    (
        "grant select on costspan.call_20261121 to costspan_tenant",
        "costspan_tenant may SELECT on costspan.call_20261121",
    ),
    ("grant update (user_id) on costspan.call_context to costspan_writer", "costspan_writer may UPDATE (user_id) on"),
    ("grant insert on costspan.call to costspan_keeper", "costspan_keeper may INSERT on costspan.call"),
    ("grant select on costspan.usage_day to public", "public may SELECT on costspan.usage_day"),
    ("grant select on costspan.call to costspan_tenant with grant option", "costspan_tenant may pass on SELECT"),
    (
        "revoke select on costspan.call_slice from costspan_tenant",
        "costspan_tenant may not SELECT on costspan.call_slice",
    ),
    ("grant usage on sequence costspan.batch to costspan_tenant", "costspan_tenant may USAGE on costspan.batch"),
    (
        AS_OWNER.format("create function costspan.mine() returns int language sql security definer return 1"),
        "costspan.mine() runs as its owner",
    ),
    (
        "create function public.mine() returns int language sql security definer return 1",
        "public.mine() runs as its owner",
    ),
    (
        AS_OWNER.format("create function costspan.mine() returns int language plpgsql as 'begin return 1; end'"),
        "costspan.mine() looks names up where its caller says",
    ),
    (
        AS_OWNER.format("create function costspan.mine() returns int language sql return 1"),
        "costspan.mine() is a function that nobody wrote down, for ['public']",
    ),
    ("grant execute on function costspan.usd(numeric) to public", "costspan.usd(numeric) may be called by"),
    ("alter function costspan.usd(numeric) leakproof", "costspan.usd(numeric) may be run before a policy is"),
    (
        "alter function costspan.current_tenant_key() security definer",
        "costspan.current_tenant_key() runs as its owner",
    ),
    ("alter function costspan.ensure_day reset search_path", "costspan.ensure_day(text, date) looks names up"),
    ("drop policy tenant_reads on costspan.call", "there is no policy for tenants on costspan.call"),
    ("create policy mine on costspan.call for select to costspan_tenant using (true)", "mine on costspan.call lets a"),
    ("create policy mine on costspan.call to public using (true)", "mine on costspan.call is for ['public']"),
    ("create type costspan.mine as (a int)", "costspan.mine is a type that nobody wrote down"),
    ("create domain costspan.mine as int", "costspan.mine is a type that nobody wrote down"),
    ("create sequence costspan.mine", "costspan.mine is a sequence that nobody wrote down"),
    ("create rule mine as on insert to costspan.call do also select 1", "costspan.call has a rule mine"),
    ("grant costspan_admin to costspan_tenant", "costspan_tenant is a member of costspan_admin"),
    ("alter role costspan_tenant bypassrls", "costspan_tenant has attributes of its own"),
    ("alter role costspan_writer login", "costspan_writer has attributes of its own"),
    ("grant create on schema costspan to costspan_tenant", "costspan_tenant may create in costspan"),
    ("grant usage on schema costspan to public", "everybody may use the schema"),
    (
        "alter default privileges for role costspan_owner grant select on tables to costspan_tenant",
        "what costspan_owner makes is given away",
    ),
]


@pytest.mark.parametrize(("gap", "finding"), GAPS, ids=[finding for _, finding in GAPS])
def test_a_gap_is_noticed(world, gap, finding):
    """What somebody opens, or makes without guarding it, is found and named."""
    with world.rows.connection.transaction(force_rollback=True):
        world.rows.connection.execute(gap)

        found = findings(world.rows)

    assert [line for line in found if line.startswith(finding)], found


def test_the_world_has_something_of_both_in_every_table(world):
    """Else nothing of what follows would be a proof."""
    rival = world.rows.one("select tenant_key from costspan.tenant where tenant_id = 'rival'")
    for name in OF_TENANTS:
        query = sql.SQL("select count(*) filter (where tenant_key = %s), count(distinct tenant_key) from {}")
        of_rival, tenants = world.rows(query.format(sql.Identifier("costspan", name)), rival)[0]
        assert (of_rival > 0, tenants) == (True, 2), name


def test_a_tenant_reads_its_own_rows_and_nobody_elses(world):
    """In no column of no relation is there anything of the other tenant; and of its own there is all."""
    rival = world.rows.one("select tenant_key from costspan.tenant where tenant_id = 'rival'")
    own_rows = {}
    with world.acting("costspan_tenant", "acme") as ask:
        for schema, name in relations(world.rows):
            seen = every_row(ask, schema, name)
            assert not [mark for mark in world.marks if mark in repr(seen)], f"{schema}.{name}"
            if seen and "tenant_key" in columns(world, schema, name):
                keys = ask(sql.SQL("select distinct tenant_key from {}").format(sql.Identifier(schema, name)))
                assert (rival,) not in keys, f"{schema}.{name}"
            own_rows[name] = len(seen)
    faces = {face.split(".")[1] for face in FACES}
    assert {name for name, number in own_rows.items() if number} == OF_TENANTS | OF_ALL | OPEN | faces
    assert (own_rows["call"], own_rows["call_slice"], own_rows["ai_usage_metrics"], own_rows["tenant"]) == (3, 1, 6, 1)
    assert (own_rows["budget"], own_rows["budget_change"]) == (2, 2)


def test_the_other_tenant_would_see_its_own(world):
    """The same marks that acme never sees are in the rival's answers: looking for them finds something."""
    seen = set()
    with world.acting("costspan_tenant", "rival") as ask:
        for schema, name in relations(world.rows):
            text = repr(every_row(ask, schema, name))
            seen |= {mark for mark in world.marks if mark in text}

    assert seen == world.marks


@pytest.mark.parametrize("tenant", [None, *NOBODY], ids=lambda tenant: repr(tenant)[:20])
def test_who_is_no_tenant_reads_nothing(world, tenant):
    """Unset, empty, unknown or an injection: no rows but everybody's, and no error either."""
    with world.acting("costspan_tenant", tenant) as ask:
        for schema, name in relations(world.rows):
            if name in ("budget", "budget_change"):
                assert [row for row in every_row(ask, schema, name) if "1000" not in repr(row)] == []
            elif name not in OPEN:
                assert every_row(ask, schema, name) == [], f"{schema}.{name}"
        assert ask("select * from get_cost_summary('acme', '2026-11-01', '2026-12-01')") == [("total", 0, 0, 0, 0, 0)]
        assert ask("select costspan.current_tenant_key()") == [(None,)]


def test_the_owner_reads_nothing(world):
    """Forced policies hide every row from it too, hot and cold, but for the list of migrations."""
    with world.acting("costspan_owner", "acme") as ask:
        shown = {name for schema, name in relations(world.rows) if every_row(ask, schema, name)}

    assert shown == {"migration"}


def test_an_admin_reads_everybody(world):
    """Both tenants in every table of tenants, hot and cold."""
    with world.acting("costspan_admin") as ask:
        for name in OF_TENANTS - {"tenant"}:
            keys = ask(sql.SQL("select count(distinct tenant_key) from {}").format(sql.Identifier("costspan", name)))
            assert keys == [(2,)], name
        assert ask("select count(*) from ai_usage_metrics") == [(12,)]


def test_the_writer_reads_no_call_and_no_budget(world):
    """Neither rows nor slices, sums of days, corrections or what may be spent; not through a view, nor what it has just written."""
    shown = {
        "tenant",
        "call_kind",
        "kind_rate",
        "call_context",
        "writer",
        "usage_hour",
        "natural_call",
        "threshold_alert",
        "cache_kind",
        "cache_usage",
    }
    with world.acting("costspan_writer") as ask:
        assert {name for schema, name in relations(world.rows) if every_row(ask, schema, name)} == shown | {"migration"}
        for leak in (
            "copy costspan.call to stdout",
            "copy (select * from costspan.call_slice) to stdout",
            "insert into costspan.unsettled default values returning *",
            "select id from costspan.call_20261121",
        ):
            with pytest.raises(InsufficientPrivilege):
                ask(leak)


INVENTIONS = [
    "insert into costspan.call (id, at, tenant_key) values (1, '2026-11-21 12:00+00', 1)",
    "copy costspan.call from stdin",
    "update costspan.call set cost_pico = 0",
    "insert into costspan.usage_hour values (1, '2026-11-21 12:00+00', 1, 1, 1, 1, 1, 1, 1, 1, 1)",
    "insert into costspan.call_detail (call_id, at, tenant_key) values (1, '2026-11-21 12:00+00', 1)",
    "insert into costspan.call_context (tenant_key, key) values (1, gen_random_uuid())",
    "update costspan.call_context set user_id = ''",
    "insert into costspan.writer (writer_id, position) values (gen_random_uuid(), 0)",
    "update costspan.writer set position = 0",
    "insert into costspan.unsettled default values",
    "update costspan.unsettled set outcome = 'open'",
    "delete from costspan.unsettled",
    "select costspan.ensure_day('call', '2026-11-22')",
    "select nextval('costspan.batch')",
    "update costspan.call_slice set size = 1",
    "update costspan.correction set cost_after = 0",
    "delete from costspan.usage_day",
    "delete from costspan.budget_change",
    "delete from costspan.retention",
    "select * from costspan.writer",
    "select * from costspan.threshold_alert",
]


@pytest.mark.parametrize("invention", INVENTIONS)
def test_the_keeper_invents_no_call_and_no_past(world, invention):
    """It moves and drops; it can neither add nor alter a call, a journal's position, a record of a change."""
    with world.acting("costspan_keeper") as ask, pytest.raises(InsufficientPrivilege):
        ask(invention)


def test_the_keeper_drops_no_correction_that_counts(world):
    """One whose call is kept stays, whoever wants it gone; where a day is noted as dropped, its corrections may go."""
    kept = "select count(*) from costspan.correction where at >= '2026-01-01'"
    before = world.rows.one(kept)
    assert before

    with world.acting("costspan_keeper") as ask:
        ask("delete from costspan.correction")

    assert world.rows.one(kept) == before


CHANGES = {
    "INSERT": ["insert into {} default values", "copy {} from stdin"],
    "UPDATE": ["update {} set {column} = default"],
    "DELETE": ["delete from {}", "delete from {} returning *"],
    "": [
        "truncate {}", "truncate {} cascade", "drop table {}", "drop view {}", "alter table {} disable row level security",
        "alter table {} owner to costspan_tenant", "create trigger mine after insert on {} execute function add_to_usage_hour()",
        "create policy mine on {} using (true)", "create index on {} ({column})", "comment on table {} is 'mine'",
        "create rule mine as on insert to {} do nothing",
        "create table pg_temp.mine partition of {} default",
    ],
}  # fmt: skip


@pytest.mark.parametrize("role", sorted(RELATIONS))
def test_nobody_changes_what_they_may_not(world, role):
    """Every verb on every relation and partition, for each role: what is not in its list fails."""
    with world.acting(role, "acme") as ask:
        for schema, name in relations(world.rows):
            rights = {right.split()[0] for right in RELATIONS[role].get(f"{schema}.{name}", ())}
            column = columns(world, schema, name)[0]
            for verb, changes in CHANGES.items():
                for change in [] if verb in rights else changes:
                    with pytest.raises(DatabaseError):
                        ask(sql.SQL(change).format(sql.Identifier(schema, name), column=sql.Identifier(column)))
                        pytest.fail(f"{change} on {schema}.{name} as {role}")


@pytest.mark.parametrize("role", sorted(RELATIONS))
def test_nobody_passes_on_a_right(world, role):
    """Postgres warns and gives nothing: afterwards everybody may do what they might before."""
    with world.rows.connection.transaction(force_rollback=True):
        before = findings(world.rows)
        world.rows.connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        for schema, name in relations(world.rows):
            grant = sql.SQL("grant select on {} to public").format(sql.Identifier(schema, name))
            try:
                with world.rows.connection.transaction():
                    world.rows.connection.execute(grant)
            except InsufficientPrivilege:
                continue
        world.rows.connection.execute("reset role")

        assert findings(world.rows) == before


def test_a_login_of_nobody_is_shown_nothing(world):
    """Without membership in a role even the schema is closed."""
    with a_login(world.url) as connection:
        connection.execute("set app.current_tenant = 'acme'")
        for schema, name in relations(world.rows):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(sql.SQL("select * from {}").format(sql.Identifier(schema, name)))
        with pytest.raises(InsufficientPrivilege):
            connection.execute("select * from get_cost_summary('acme', '2026-11-01', '2026-12-01')")
        with pytest.raises(InsufficientPrivilege):
            connection.execute("select null::costspan.call_row")


def columns(world: World, schema: str, relation: str) -> list[str]:
    """The names of a relation's columns."""
    query = """
        select attname from pg_attribute
        where attrelid = format('%%I.%%I', %s::text, %s::text)::regclass and attnum > 0 and not attisdropped order by attnum
    """
    return [name for (name,) in world.rows(query, schema, relation)]
