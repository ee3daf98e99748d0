-- Tenants are kept apart here and not in the code that asks. Enabled and forced on every table: a table that nobody
-- wrote a policy for shows nothing, to its owner neither.

-- The tenant of this transaction; NULL, which equals nothing, when it is unset, empty or unknown.
create function costspan.current_tenant_key() returns int
language sql stable parallel safe
return (select tenant_key from costspan.tenant where tenant_id = nullif(current_setting('app.current_tenant', true), ''));

do $$
declare
    relation text;
begin
    for relation in
        select relname from pg_catalog.pg_class
        where relnamespace = 'costspan'::regnamespace and relkind in ('r', 'p')
    loop
        execute format('alter table costspan.%I enable row level security, force row level security', relation);
    end loop;

    -- (select …) makes it one look-up a query instead of one a row, and lets an index on the tenant be used.
    foreach relation in array array['call_kind', 'kind_rate', 'call_context', 'call', 'call_detail', 'usage_hour', 'unsettled'] loop
        execute format('create policy tenant_reads on costspan.%I for select to costspan_tenant
                        using (tenant_key = (select costspan.current_tenant_key()))', relation);
    end loop;

    foreach relation in array array['tenant', 'call_kind', 'kind_rate', 'call_context', 'writer', 'call', 'call_detail',
                                    'usage_hour', 'unsettled', 'quarantine', 'natural_call', 'threshold_alert'] loop
        execute format('create policy admin_reads on costspan.%I for select to costspan_admin using (true)', relation);
        execute format('create policy writer_writes on costspan.%I to costspan_writer using (true) with check (true)', relation);
        execute format('grant select on costspan.%I to costspan_admin', relation);
        execute format('grant insert on costspan.%I to costspan_writer', relation);
    end loop;
end
$$;

-- Not by current_tenant_key(), which reads this very table.
create policy tenant_reads on costspan.tenant for select to costspan_tenant
using (tenant_id = nullif(current_setting('app.current_tenant', true), ''));

grant select on
    costspan.tenant, costspan.call_kind, costspan.kind_rate, costspan.call_context, costspan.call, costspan.call_detail,
    costspan.usage_hour, costspan.unsettled
to costspan_tenant;

-- The writer reads what it must look up, and changes what must move: it can neither read a call nor change one.
grant select on
    costspan.tenant, costspan.call_kind, costspan.kind_rate, costspan.call_context, costspan.writer, costspan.usage_hour,
    costspan.natural_call, costspan.threshold_alert
to costspan_writer;
grant update on costspan.writer, costspan.usage_hour, costspan.threshold_alert to costspan_writer;
grant usage on sequence costspan.batch to costspan_writer;

revoke execute on all functions in schema costspan from public;
grant execute on function costspan.current_tenant_key() to costspan_tenant;
grant execute on function costspan.ensure_day(text, date) to costspan_writer;
