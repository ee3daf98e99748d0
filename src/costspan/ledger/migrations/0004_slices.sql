-- Days that are over leave the rows for slices: a heap row costs 28 bytes before it holds anything, and calls of one
-- tenant's day lie well together. A call is in `call` or in one slice, never in both; its sums likewise.

-- Found by its trace as long as it is a row; a slice says itself whose traces it may have.
create index on costspan.call (trace_id);

-- A call in a slice: the columns of costspan.call without the tenant, which is the slice's. What differs from call to call
-- stands together, which compresses best.
create type costspan.call_row as (
    at timestamptz,
    cost_pico bigint,
    span_id bigint,
    id bigint,
    trace_id uuid,
    context_id int,
    kind_id int,
    tokens_in int,
    tokens_out int,
    duration_ms int,
    cache_read int,
    cache_write_5m int,
    cache_write_1h int,
    cache_write_30m int,
    cache_write_12h int,
    reasoning int,
    retry smallint
);

-- Up to 8192 calls of a tenant's day (UTC), and what tells without opening it whether a call may be inside.
create table costspan.call_slice (
    tenant_key int not null,
    day date not null,
    part int not null,
    at_min timestamptz not null,
    at_max timestamptz not null,
    cost_max bigint,  -- of one call; NULL where none has a cost
    contexts int[] not null,  -- every context in it, once
    traces smallint[] not null,  -- the last 16 bits of every trace id in it, once
    size int not null check (size > 0),
    calls costspan.call_row[] not null check (cardinality(calls) = size),
    primary key (tenant_key, day, part)
);

-- Sums per day (UTC) of the calls in slices; always equal to them, and kept when they are dropped.
create table costspan.usage_day (
    tenant_key int not null,
    day date not null,
    kind_id int not null,
    calls bigint not null,
    tokens_in bigint not null,
    tokens_out bigint not null,
    cache_read bigint not null,
    cache_write bigint not null,
    reasoning bigint not null,
    duration_ms bigint not null,
    cost_pico numeric not null,
    primary key (tenant_key, day, kind_id)
);

-- Sums per quarter of an hour: every zone's day begins at one. The same measures, so that a day of any zone is exact
-- without its calls.
create type costspan.quarter_usage as (
    quarter smallint,  -- of the day, from 0
    kind_id int,
    calls int,
    tokens_in bigint,
    tokens_out bigint,
    cache_read bigint,
    cache_write bigint,
    reasoning bigint,
    duration_ms bigint,
    cost_pico numeric
);

-- Sums per context: what a session, a user or a feature cost in a day.
create type costspan.context_usage as (
    context_id int,
    kind_id int,
    calls int,
    tokens_in bigint,
    tokens_out bigint,
    cache_read bigint,
    cache_write bigint,
    reasoning bigint,
    duration_ms bigint,
    cost_pico numeric
);

-- The finer sums of a tenant's day, compressed; always equal to its rows in usage_day.
create table costspan.usage_day_detail (
    tenant_key int not null,
    day date not null,
    quarters costspan.quarter_usage[] not null,
    contexts costspan.context_usage[],  -- NULL once the day's calls were dropped
    primary key (tenant_key, day)
);

-- From which day on calls are kept one by one; before it there are only sums.
create table costspan.retention (
    id bigint generated always as identity primary key,
    kept_since date not null,
    calls bigint not null,  -- how many this step dropped
    dropped_at timestamptz not null default now()
);

-- One run of repricing: who asked for what, and when.
create table costspan.reprice (
    reprice_id bigint generated always as identity primary key,
    since timestamptz not null,
    until timestamptz not null,
    price_version text not null,
    reason text not null,
    login text not null default session_user,
    started_at timestamptz not null default now()
);

-- What repricing said of a call. The call itself stays as it was written: its last correction counts.
create table costspan.correction (
    call_id bigint not null,
    revision int not null check (revision > 0),  -- 1 for the first of a call
    reprice_id bigint not null references costspan.reprice,
    at timestamptz not null,  -- the call's
    tenant_key int not null,
    context_id int not null,
    kind_before int not null,
    kind_after int not null,
    cost_before bigint,
    cost_after bigint,
    tokens_in int not null,
    tokens_out int not null,
    cache_read bigint not null,
    cache_write bigint not null,
    reasoning bigint not null,
    duration_ms bigint not null,
    lines jsonb,  -- as in call_detail, where they do not follow from the rates of kind_after
    problem text,
    primary key (call_id, revision)
);
create index on costspan.correction (tenant_key, at);

-- Sums of the corrections per quarter of an hour: what they take from the kind before is negative. Added to every other
-- sum, they give what is true now.
create table costspan.usage_correction (
    tenant_key int not null,
    quarter timestamptz not null,
    kind_id int not null,
    calls bigint not null,
    tokens_in bigint not null,
    tokens_out bigint not null,
    cache_read bigint not null,
    cache_write bigint not null,
    reasoning bigint not null,
    duration_ms bigint not null,
    cost_pico numeric not null,
    primary key (tenant_key, quarter, kind_id)
);

-- What a tenant may spend in a window, as it was changed; the last change of each counts. A null tenant is everybody who
-- has none, a null amount takes the budget away.
create table costspan.budget_change (
    id bigint generated always as identity primary key,
    tenant_key int references costspan.tenant,
    "window" text not null check ("window" in ('day', 'month')),
    amount_usd numeric check (amount_usd >= 0 and amount_usd < 'Infinity'),  -- nor NaN, which is above both
    login text not null default session_user,
    changed_at timestamptz not null default now()
);
create index on costspan.budget_change (tenant_key, "window", id);

grant usage on schema costspan to costspan_keeper;

-- The keeper moves what is over into slices, drops what is too old, reprices and sets budgets. It can invent no call: it
-- may not write where calls are written.
do $$
declare
    relation text;
begin
    foreach relation in array array['call_slice', 'usage_day', 'usage_day_detail', 'retention', 'reprice', 'correction',
                                    'usage_correction', 'budget_change'] loop
        execute format('alter table costspan.%I enable row level security, force row level security', relation);
        execute format('create policy admin_reads on costspan.%I for select to costspan_admin using (true)', relation);
        execute format('grant select on costspan.%I to costspan_admin', relation);
    end loop;

    foreach relation in array array['call_slice', 'usage_day', 'usage_day_detail', 'correction', 'usage_correction'] loop
        execute format('create policy tenant_reads on costspan.%I for select to costspan_tenant
                        using (tenant_key = (select costspan.current_tenant_key()))', relation);
        execute format('grant select on costspan.%I to costspan_tenant', relation);
    end loop;

    foreach relation in array array['tenant', 'call_kind', 'kind_rate', 'call_context', 'call', 'call_detail', 'usage_hour',
                                    'unsettled', 'natural_call', 'call_slice', 'usage_day', 'usage_day_detail', 'retention',
                                    'reprice', 'correction', 'usage_correction', 'budget_change'] loop
        execute format('create policy keeper_keeps on costspan.%I to costspan_keeper using (true) with check (true)', relation);
        execute format('grant select on costspan.%I to costspan_keeper', relation);
    end loop;
end
$$;

-- From which day on there are calls is no secret of a tenant's, and without it no answer can say what it lacks.
create policy tenant_reads on costspan.retention for select to costspan_tenant using (true);
grant select on costspan.retention to costspan_tenant;
create policy tenant_reads on costspan.budget_change for select to costspan_tenant
using (tenant_key is null or tenant_key = (select costspan.current_tenant_key()));
grant select on costspan.budget_change to costspan_tenant;

grant delete on costspan.call, costspan.usage_hour, costspan.call_detail, costspan.call_slice, costspan.correction to costspan_keeper;
grant insert on
    costspan.call_slice, costspan.usage_day, costspan.usage_day_detail, costspan.retention,
    costspan.correction, costspan.usage_correction,
    costspan.tenant, costspan.call_kind, costspan.kind_rate  -- a budget may be set before the first call; prices make kinds
to costspan_keeper;
-- Who changed a budget or repriced, and when, is not for it to say.
grant insert (tenant_key, "window", amount_usd) on costspan.budget_change to costspan_keeper;
grant insert (since, until, price_version, reason) on costspan.reprice to costspan_keeper;
-- Sums move; of usage_hour it changes nothing, but a row must be locked to be moved.
grant update on costspan.usage_day, costspan.usage_day_detail, costspan.usage_correction, costspan.usage_hour to costspan_keeper;
grant execute on function costspan.current_tenant_key() to costspan_keeper;
