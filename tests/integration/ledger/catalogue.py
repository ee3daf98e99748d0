"""All that a migration makes, as text: two databases that show the same have the same schema."""

from __future__ import annotations

import psycopg

__all__ = ["schema"]


def schema(url: str) -> list[tuple[str, ...]]:
    """Every relation, column, constraint, index, trigger, policy, right, type and function of ours, but for partitions."""
    with psycopg.connect(url) as connection:
        connection.execute("set search_path = ''")
        return connection.execute("""
            with ours as (
                select * from pg_class
                where (relnamespace = 'costspan'::regnamespace or relowner = 'costspan_owner'::regrole) and not relispartition
                    and relkind <> 't' and relnamespace::regnamespace::text <> 'pg_toast'
            )
            select 'relation', relname::text, concat(relkind, relrowsecurity, relforcerowsecurity, reloptions),
                array(select unnest(relacl)::text order by 1)::text from ours where relkind not in ('i', 'I')
            union all
            select 'column', ours.relname, attname, concat(format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
                array(select unnest(attacl)::text order by 1), pg_get_expr(adbin, adrelid))
            from pg_attribute join ours on ours.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
            where attnum > 0 and not attisdropped
            union all
            select 'constraint', ours.relname, conname, pg_get_constraintdef(pg_constraint.oid)
            from pg_constraint join ours on ours.oid = conrelid
            union all
            select 'index', ours.relname, '', pg_get_indexdef(indexrelid) from pg_index join ours on ours.oid = indrelid
            union all
            select 'trigger', ours.relname, tgname, pg_get_triggerdef(pg_trigger.oid)
            from pg_trigger join ours on ours.oid = tgrelid where not tgisinternal
            union all
            select 'policy', tablename, policyname, concat(roles, cmd, qual, with_check)
            from pg_policies where schemaname = 'costspan'
            union all
            select 'view', ours.relname, coalesce(obj_description(ours.oid), ''), pg_get_viewdef(ours.oid) from ours where relkind = 'v'
            union all
            select 'function', proname, pg_get_function_identity_arguments(oid),
                concat(md5(pg_get_functiondef(oid)), array(select unnest(proacl)::text order by 1))
            from pg_proc where proowner = 'costspan_owner'::regrole
            order by 1, 2, 3, 4
        """).fetchall()
