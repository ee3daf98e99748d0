-- What caches of applications spared: look-ups, summed up as they land. A look-up costs nothing and is no row.

-- Which cache, what for: every kind carries its tenant, as those of calls do.
create table costspan.cache_kind (
    cache_id int generated always as identity primary key,
    tenant_key int not null references costspan.tenant,
    key uuid not null unique,  -- digest of all that follows: the texts together are too long for an index
    cache text not null,
    model text not null,  -- whose call a hit spares; '' where the application does not say
    feature text not null
);
create index on costspan.cache_kind (tenant_key);

-- Sums per quarter of an hour, at which every zone's days begin. Moved in the transaction that moves a journal's position.
create table costspan.cache_usage (
    tenant_key int not null references costspan.tenant,
    quarter timestamptz not null check (quarter = date_bin('15 minutes', quarter, '2000-01-01 00:00+00')),
    cache_id int not null references costspan.cache_kind,
    hits bigint not null check (hits >= 0),
    misses bigint not null check (misses >= 0),
    hits_unpriced bigint not null check (hits_unpriced between 0 and hits),  -- of which nobody knows what they spared
    tokens_avoided bigint not null check (tokens_avoided >= 0),
    avoided_pico numeric not null check (avoided_pico >= 0 and avoided_pico < 'Infinity'),  -- of the other hits; nor NaN
    primary key (tenant_key, quarter, cache_id)
) with (fillfactor = 70);
create index on costspan.cache_usage using brin (quarter) with (autosummarize = on);
create index on costspan.cache_usage (cache_id);

do $$
declare
    relation text;
begin
    foreach relation in array array['cache_kind', 'cache_usage'] loop
        execute format('alter table costspan.%I enable row level security, force row level security', relation);
        execute format('create policy tenant_reads on costspan.%I for select to costspan_tenant
                        using (tenant_key = (select costspan.current_tenant_key()))', relation);
        execute format('create policy admin_reads on costspan.%I for select to costspan_admin using (true)', relation);
        execute format('create policy writer_writes on costspan.%I to costspan_writer using (true) with check (true)', relation);
        execute format('create policy keeper_keeps on costspan.%I to costspan_keeper using (true) with check (true)', relation);
        execute format('grant select on costspan.%I to costspan_tenant, costspan_admin, costspan_writer, costspan_keeper',
                       relation);
        execute format('grant insert on costspan.%I to costspan_writer, costspan_keeper', relation);
        execute format('grant delete on costspan.%I to costspan_keeper', relation);
    end loop;
end
$$;
-- The keeper takes the features off sums that are too old.
grant update on costspan.cache_usage to costspan_writer, costspan_keeper;

create view public.ai_cache_usage with (security_invoker = true) as
select
    used.quarter,
    tenant.tenant_id,
    kind.cache,
    kind.model,
    kind.feature,
    used.hits,
    used.misses,
    used.hits_unpriced,
    used.tokens_avoided,
    costspan.usd(used.avoided_pico) as avoided_usd
from costspan.cache_usage as used
left join costspan.cache_kind as kind on kind.cache_id = used.cache_id
left join costspan.tenant on tenant.tenant_key = used.tenant_key;

comment on view public.ai_cache_usage is
'Look-ups in caches of applications per quarter of an hour. avoided_usd is exact, and lacks the hits that are hits_unpriced.';

grant select on public.ai_cache_usage to costspan_tenant, costspan_admin;
