"""Who may do what in the ledger, exactly; and what in a database's catalogue differs from that.

Everything is asked from the catalogue and compared both ways: a relation, function, policy or right that is not written
down here is a finding, and so is one that is written down and not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from integration.ledger.calls import Rows

ROLES = ("costspan_owner", "costspan_writer", "costspan_keeper", "costspan_tenant", "costspan_admin")

#: Tables that have a tenant's rows, and show a tenant its own.
OF_TENANTS = {
    "tenant", "call_kind", "kind_rate", "call_context", "call", "call_detail", "usage_hour", "unsettled",
    "call_slice", "usage_day", "usage_day_detail", "correction", "usage_correction", "cache_kind", "cache_usage",
}  # fmt: skip
#: What is no tenant's own: from when calls are kept, and what may be spent by whom nobody said anything about.
OF_ALL = {"retention", "budget_change"}
OF_OPERATORS = {
    "writer", "quarantine", "natural_call", "threshold_alert", "reprice", "forgotten", "api_token", "revoked_token",
}  # fmt: skip
FACES = {
    "public.ai_usage_metrics", "public.ai_usage_daily", "public.ai_usage_hourly", "public.ai_cache_usage",
    "costspan.budget", "costspan.current_correction",
}  # fmt: skip
TABLES = {f"costspan.{name}" for name in OF_TENANTS | OF_ALL | OF_OPERATORS}

READ, ADD, CHANGE, REMOVE = {"SELECT"}, {"INSERT"}, {"SELECT", "INSERT", "UPDATE"}, {"DELETE"}


def _each(names: str, rights: set[str]) -> dict[str, set[str]]:
    return {f"costspan.{name}": rights for name in names.split()}


#: All that anybody is allowed, but for the list of migrations. Partitions are in no one's list: they are reached through
#: their parent only.
RELATIONS = {
    "costspan_tenant": dict.fromkeys({f"costspan.{name}" for name in OF_TENANTS | OF_ALL} | FACES, READ),
    "costspan_admin": dict.fromkeys(TABLES | FACES, READ),
    "costspan_writer": {
        **_each("tenant call_kind kind_rate call_context natural_call cache_kind", READ | ADD),
        **_each("writer usage_hour threshold_alert cache_usage", CHANGE),
        **_each("call call_detail unsettled quarantine", ADD),
        "costspan.forgotten": READ,
        "costspan.batch": {"USAGE"},
    },
    "costspan_keeper": {
        "costspan.current_correction": READ,
        **_each("tenant call_kind kind_rate retention forgotten", READ | ADD),
        **_each("call call_detail call_context natural_call quarantine", READ | REMOVE),
        **_each("call_slice correction cache_kind", READ | ADD | REMOVE),
        **_each("usage_day usage_day_detail usage_correction", CHANGE),
        "costspan.cache_usage": CHANGE | REMOVE,
        "costspan.usage_hour": READ | {"UPDATE"} | REMOVE,
        "costspan.unsettled": READ | {"UPDATE (feature, session_id, user_id)"},
        # Who changed a budget and when is not for it to say.
        "costspan.budget_change": READ | {"INSERT (amount_usd, tenant_key, window)"},
        "costspan.reprice": READ | {"INSERT (price_version, reason, since, until)"},
        # Nor who made a token, or revoked one; and of what it made it changes nothing.
        "costspan.api_token": READ | {"INSERT (digest, expires_at, is_admin, name, tenant_key)"},
        "costspan.revoked_token": READ | {"INSERT (token_id)"},
    },
}
for _role, _relations in RELATIONS.items():
    if _role != "costspan_keeper":
        _relations["costspan.migration"] = READ

_T, _A, _K, _W = "costspan_tenant", "costspan_admin", "costspan_keeper", "costspan_writer"
_READERS, _ASKERS, _NOBODY = {_T, _A}, {_T, _A, _K}, set[str]()
_AT = "timestamp with time zone"
#: Who may call which function. Nobody may call what only triggers call.
FUNCTIONS = {
    "costspan.add_to_usage_hour()": _NOBODY,
    "costspan.current_tenant_key()": {_T, _K},
    "costspan.ensure_day(text, date)": {_W},
    "costspan.add_to_usage_correction()": _NOBODY,
    "costspan.refuse_forgotten()": _NOBODY,
    "costspan.drop_day(text, date)": {_K},
    "costspan.stored_calls(date)": {_A},
    "costspan.ids_of(costspan.call_row[])": {_K},
    "costspan.opened(integer, integer, costspan.call_row[])": _ASKERS,
    "costspan.sliced_calls()": _ASKERS,
    **dict.fromkeys(
        [
            "costspan.usd(numeric)",
            "costspan.created_at(bigint)",
            f"costspan.cut_hours({_AT}[])",
            f"costspan.cut_days({_AT}[])",
            f"costspan.cut_quarters({_AT}[])",
            f"costspan.first_day({_AT})",
            f"costspan.kept_from({_AT})",
            f"costspan.kept_quarter({_AT})",
            f"costspan.usage({_AT}, {_AT}, {_AT}[])",
            f"costspan.usage_of_contexts({_AT}, {_AT}, {_AT}[])",
            f"public.get_cost_summary(text, {_AT}, {_AT}, text)",
            f"costspan.call(bigint, {_AT})",
            f"costspan.call_of(bigint, {_AT})",
            f"costspan.calls_of(bigint[], {_AT}[], integer[])",
            f"costspan.call_lines(bigint, {_AT})",
            f"costspan.newest(integer[], uuid, {_AT}, {_AT}, {_AT}, bigint, integer)",
            f"costspan.newest_calls({_AT}, {_AT}, integer, {_AT}, bigint)",
            f"costspan.dearest_calls({_AT}, {_AT}, integer)",
            f"costspan.session_calls(text, integer, {_AT}, bigint)",
            f"costspan.trace_calls(text, integer, {_AT}, bigint)",
            "costspan.readable(costspan.call[])",
        ],
        _READERS,
    ),
}
#: Run as their owner, because only an owner can make or drop a partition.
DEFINERS = {"costspan.ensure_day(text, date)", "costspan.drop_day(text, date)"}
TYPES = {"costspan.call_row", "costspan.quarter_usage", "costspan.context_usage"}
SEQUENCES = {"costspan.batch"}

_OWN = "(tenant_key = ( SELECT costspan.current_tenant_key() AS current_tenant_key))"
_NAMED = "(tenant_id = NULLIF(current_setting('app.current_tenant'::text, true), ''::text))"
#: What each table shows a tenant. Operators' roles see every row of what their rights let them touch.
SHOWN = {
    **{f"costspan.{name}": _OWN for name in OF_TENANTS},
    "costspan.tenant": _NAMED,
    "costspan.budget_change": f"((tenant_key IS NULL) OR {_OWN})",
    "costspan.retention": "true",
    "costspan.migration": "true",
}

#: What an operator's role may not do to every row that its rights let it touch: (table, verb) and which rows are left.
LIMITS = {
    ("costspan.correction", "DELETE"): "(at < ( SELECT ((max(retention.kept_since))::timestamp without time zone"
    " AT TIME ZONE 'UTC'::text) AS timezone\n   FROM costspan.retention))",
}

_RELATIONS = """
    select
        format('%s.%s', relnamespace::regnamespace, relname), relkind, relrowsecurity, relforcerowsecurity,
        coalesce('security_invoker=true' = any(reloptions), false), relowner::regrole::text, relispartition
    from pg_class
    where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and (relnamespace = 'costspan'::regnamespace or relowner = 'costspan_owner'::regrole)
    order by 1
"""
#: Rights on relations and on single columns, of everybody but who owns them. 0 is the public.
_RIGHTS = """
    with granted as (
        select pg_class.oid, acl.grantee, acl.privilege_type, null as attname, acl.is_grantable
        from pg_class cross join lateral aclexplode(relacl) as acl
        union all
        select attrelid, acl.grantee, acl.privilege_type, attname::text, acl.is_grantable
        from pg_attribute cross join lateral aclexplode(attacl) as acl
    )
    select
        case granted.grantee when 0 then 'public' else granted.grantee::regrole::text end,
        format('%s.%s', relnamespace::regnamespace, relname), privilege_type,
        string_agg(granted.attname, ', ' order by granted.attname), bool_or(is_grantable)
    from granted
    join pg_class on pg_class.oid = granted.oid
    where (relnamespace = 'costspan'::regnamespace or relowner = 'costspan_owner'::regrole) and granted.grantee <> relowner
    group by 1, 2, 3
    order by 1, 2, 3
"""
_FUNCTIONS = r"""
    select
        format('%s.%s(%s)', pronamespace::regnamespace, proname, pg_get_function_identity_arguments(pg_proc.oid)),
        format('%s.%s(%s)', pronamespace::regnamespace, proname,
               (select string_agg(format_type(type, null), ', ' order by place)
                from unnest(proargtypes) with ordinality as argument (type, place))),
        prosecdef, proleakproof, prosqlbody is not null, coalesce(proconfig, '{}'), proowner::regrole::text,
        array(select case grantee when 0 then 'public' else grantee::regrole::text end
              from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee <> proowner),
        not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e')
            and pronamespace::regnamespace::text not in ('pg_catalog', 'information_schema')
    from pg_proc
    where pronamespace = 'costspan'::regnamespace or proowner = 'costspan_owner'::regrole
        or (prosecdef and pronamespace::regnamespace::text not in ('pg_catalog', 'information_schema'))
    order by 1
"""
#: Views, of whomever and wherever, that read a table or view of ours.
_READING_VIEWS = """
    select distinct format('%s.%s', view.relnamespace::regnamespace, view.relname)
    from pg_rewrite
    join pg_class as view on view.oid = pg_rewrite.ev_class and view.relkind in ('v', 'm')
    join pg_depend on pg_depend.classid = 'pg_rewrite'::regclass and pg_depend.objid = pg_rewrite.oid
        and pg_depend.refclassid = 'pg_class'::regclass
    join pg_class as source on source.oid = pg_depend.refobjid and source.oid <> view.oid
    where source.relnamespace = 'costspan'::regnamespace or source.relowner = 'costspan_owner'::regrole
"""
_POLICIES = """
    select
        format('%s.%s', schemaname, tablename), policyname, roles::text[], cmd, coalesce(qual, 'true'),
        coalesce(with_check, 'true'), permissive
    from pg_policies where schemaname = 'costspan'
    order by 1, 2
"""


def findings(rows: Rows) -> list[str]:
    """Return everything in the catalogue that is not as it is written above; empty when all is well."""
    with rows.connection.transaction():
        rows.connection.execute("set local search_path = ''")  # so that every name comes with its schema
        return [
            *_of_relations(rows), *_of_rights(rows), *_of_functions(rows), *_of_policies(rows), *_of_roles(rows),
            *_of_the_rest(rows),
        ]  # fmt: skip


def relations(rows: Rows) -> list[tuple[str, str]]:
    """Every table, partition and view of ours, with its schema."""
    found = [tuple(name.split(".")) for name, kind, *_ in rows(_RELATIONS) if kind in ("r", "p", "v")]
    assert len(found) >= len(TABLES | FACES)
    return found


def _of_relations(rows: Rows) -> Iterator[str]:
    there = rows(_RELATIONS)
    for name, kind, is_enabled, is_forced, is_invoker, owner, is_partition in there:
        if owner != "costspan_owner":
            yield f"{name} belongs to {owner}"
        if kind in ("m", "f"):
            yield f"{name} is of a kind that row level security does not reach"
        elif kind == "v" and not is_invoker:
            yield f"{name} shows what its owner may see"
        elif kind in ("r", "p") and not (is_enabled and is_forced):
            yield f"{name} does not keep rows apart"
        if kind == "S" and name not in SEQUENCES and not name.endswith("_seq"):
            yield f"{name} is a sequence that nobody wrote down"
        if kind in ("r", "p", "v") and not is_partition and name not in TABLES | FACES | {"costspan.migration"}:
            yield f"{name} is a relation that nobody wrote down"
    yield from _missing("relation", TABLES | FACES, (name for name, *_ in there))
    for (name,) in rows(_READING_VIEWS):
        if name not in FACES:
            yield f"{name} is a view of ours that nobody wrote down"


def _of_rights(rows: Rows) -> Iterator[str]:
    there = set()
    for role, name, verb, columns, is_grantable in rows(_RIGHTS):
        right = f"{verb} ({columns})" if columns else verb
        there.add((role, name, right))
        if right not in RELATIONS.get(role, {}).get(name, ()):
            yield f"{role} may {right} on {name}"
        if is_grantable:
            yield f"{role} may pass on {right} on {name}"
    wanted = {(role, name, right) for role, of in RELATIONS.items() for name, rights in of.items() for right in rights}
    for role, name, right in sorted(wanted - there):
        yield f"{role} may not {right} on {name}"


def _of_functions(rows: Rows) -> Iterator[str]:
    there = set()
    for _, name, is_definer, is_leakproof, is_parsed, configuration, owner, callers, is_ours in rows(_FUNCTIONS):
        there.add(name)
        if not is_ours:
            continue
        if owner != "costspan_owner":
            yield f"{name} belongs to {owner}"
        if is_definer != (name in DEFINERS):
            yield f"{name} runs as its {'owner' if is_definer else 'caller'}"
        if is_leakproof:
            yield f"{name} may be run before a policy is"
        if not is_parsed and "search_path=pg_catalog, pg_temp" not in configuration:
            yield f"{name} looks names up where its caller says"
        if name not in FUNCTIONS:
            yield f"{name} is a function that nobody wrote down, for {sorted(callers)}"
        elif set(callers) != FUNCTIONS[name]:
            yield f"{name} may be called by {sorted(callers)} and not by {sorted(FUNCTIONS[name])}"
    yield from _missing("function", FUNCTIONS, there)


def _of_policies(rows: Rows) -> Iterator[str]:
    shown, limited = set(), set()
    for name, policy, roles, verb, condition, check, kind in rows(_POLICIES):
        if kind == "RESTRICTIVE":
            limited.add((name, verb))
            if condition != LIMITS.get((name, verb)):
                yield f"{policy} on {name} leaves {sorted(roles)} {verb} where {condition}"
            continue
        if set(roles) - set(ROLES):
            yield f"{policy} on {name} is for {sorted(roles)}"
        if "costspan_tenant" in roles:
            shown.add(name)
            if verb != "SELECT" or condition != SHOWN.get(name):
                yield f"{policy} on {name} lets a tenant {verb} where {condition}"
        elif (condition, check) != ("true", "true"):
            yield f"{policy} on {name} is for {sorted(roles)} where {condition}"
    yield from _missing("policy for tenants on", SHOWN, shown)
    yield from _missing("limit on", map(str, LIMITS), map(str, limited))


def _of_roles(rows: Rows) -> Iterator[str]:
    for role, *attributes in rows(
        """
        select rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
        from pg_roles where rolname = any(%s)
        """,
        list(ROLES),
    ):
        if attributes[:5] != [False] * 5 or (attributes[5] and role != "costspan_writer"):
            yield f"{role} has attributes of its own: {attributes}"
    for member, role in rows(
        "select member::regrole::text, roleid::regrole::text from pg_auth_members where member::regrole::text = any(%s)",
        list(ROLES),
    ):
        yield f"{member} is a member of {role}"
    for role in ROLES:
        is_owner = role == "costspan_owner"
        for schema in ("costspan", "public"):
            if rows.one("select has_schema_privilege(%s, %s, 'CREATE')", role, schema) != is_owner:
                yield f"{role} {'may not' if is_owner else 'may'} create in {schema}"
        if not rows.one("select has_schema_privilege(%s, 'costspan', 'USAGE')", role):
            yield f"{role} may not use the schema"
    if rows.one("select has_schema_privilege('public', 'costspan', 'USAGE')"):
        yield "everybody may use the schema"


def _of_the_rest(rows: Rows) -> Iterator[str]:
    """Types, default rights, and triggers and rules beyond the ones there must be."""
    types = rows("""
        select format('%s.%s', typnamespace::regnamespace, typname), typowner::regrole::text, typacl is null
        from pg_type left join pg_class on pg_class.oid = typrelid
        where typnamespace = 'costspan'::regnamespace and typcategory <> 'A' and coalesce(relkind = 'c', true)
    """)
    for name, owner, has_no_rights in types:
        if owner != "costspan_owner" or not has_no_rights:
            yield f"{name} is a type of {owner}'s, or has rights of its own"
        if name not in TYPES:
            yield f"{name} is a type that nobody wrote down"
    yield from _missing("type", TYPES, (name for name, *_ in types))
    for acl in rows("select defaclrole::regrole::text, defaclacl::text from pg_default_acl"):
        yield f"what {acl[0]} makes is given away: {acl[1]}"
    for name, rule in rows("""
        select ev_class::regclass::text, rulename from pg_rewrite join pg_class on pg_class.oid = ev_class
        where relnamespace = 'costspan'::regnamespace and rulename <> '_RETURN'
    """):
        yield f"{name} has a rule {rule}"
    for name, function in rows("""
        select tgrelid::regclass::text, tgfoid::regprocedure::text from pg_trigger join pg_class on pg_class.oid = tgrelid
        where relnamespace = 'costspan'::regnamespace and not tgisinternal
    """):
        if not re.fullmatch(r"costspan\.\w+\(\)", function):
            yield f"{name} has a trigger that runs {function}"


def _missing(kind: str, wanted: Iterable[str], there: Iterable[str]) -> Iterator[str]:
    for name in sorted(set(wanted) - set(there)):
        yield f"there is no {kind} {name}"
