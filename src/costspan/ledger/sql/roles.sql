-- Views that ask with the rights of who asks came with 15; without them a view would show every tenant.
do $$
begin
    if current_setting('server_version_num')::int < 150000 then
        raise feature_not_supported
            using message = 'the ledger needs PostgreSQL 15 or newer, and this is ' || current_setting('server_version');
    end if;
end
$$;

-- Roles belong to the whole cluster, so several databases may make them at the same moment: each statement asks first,
-- and whoever comes second takes what is there. None of them can log in; a login is made a member.
do $$
declare
    role_name text;
    membership text := case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end;
begin
    foreach role_name in array array['costspan_owner', 'costspan_writer', 'costspan_keeper', 'costspan_tenant', 'costspan_admin'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;  -- another database of this cluster was faster
            end;
        end if;
        if not pg_catalog.pg_has_role(current_user, role_name, membership) then
            execute format('grant %I to current_user', role_name);
        end if;
    end loop;
end
$$;

-- COPY refuses a table whose policies apply to the role. What the writer may touch is limited by its grants either way;
-- where it cannot be exempted (no superuser here), it copies into a temporary table first, which is slower.
do $$
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'costspan_writer' and not rolbypassrls)
        and exists (select from pg_catalog.pg_roles where rolname = current_user and rolsuper) then
        alter role costspan_writer bypassrls;
    end if;
end
$$;

-- The owner makes the schema costspan, and in public the two names that users know.
do $$
begin
    if not pg_catalog.has_database_privilege('costspan_owner', current_database(), 'CREATE') then
        execute format('grant create on database %I to costspan_owner', current_database());
    end if;
    if not pg_catalog.has_schema_privilege('costspan_owner', 'public', 'CREATE') then
        grant create, usage on schema public to costspan_owner;
    end if;
    if not (pg_catalog.has_database_privilege('costspan_owner', current_database(), 'CREATE')
            and pg_catalog.has_schema_privilege('costspan_owner', 'public', 'CREATE')) then
        raise insufficient_privilege using message = 'costspan_owner may not create in this database';
    end if;
end
$$;
