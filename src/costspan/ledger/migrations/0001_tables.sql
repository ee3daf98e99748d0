-- What was called and for whom goes into two dictionaries, so that a call is a narrow row of numbers.

create table costspan.tenant (
    tenant_key int generated always as identity primary key,
    tenant_id text not null unique
);

-- What was called. Every kind carries its tenant: a model, a deployment or a host may be named after a secret project.
-- The status is part of it, so that each sum over kinds knows how far it can be trusted.
create table costspan.call_kind (
    kind_id int generated always as identity primary key,
    tenant_key int not null references costspan.tenant,
    key uuid not null unique,  -- digest of all that follows: the texts together are too long for an index
    service text not null,
    provider text not null,
    operation text not null,
    model text not null,
    request_model text not null,
    terms text not null,
    price_version text not null,
    dimensions int not null,
    status text not null check (status in ('priced', 'estimated', 'partial', 'unpriced', 'invalid'))
);
create index on costspan.call_kind (tenant_key);

-- The rate of each unit of a kind, as first seen. A call whose bill follows from its columns and these rates needs no
-- line items; any other (a long-context bracket, a tool fee, a second model) keeps its lines in call_detail.
create table costspan.kind_rate (
    kind_id int not null references costspan.call_kind,
    unit text not null,
    tenant_key int not null references costspan.tenant,
    model text not null,
    rate_atto numeric(30) not null check (rate_atto >= 0),
    layer text not null,
    primary key (kind_id, unit)
);

-- For whom. An empty text is 'not given'.
create table costspan.call_context (
    context_id int generated always as identity primary key,
    tenant_key int not null references costspan.tenant,
    key uuid not null unique,  -- digest of all that follows
    session_id text not null,
    user_id text not null,
    feature text not null,
    tags jsonb
);
create index on costspan.call_context (tenant_key, session_id);

-- How far each journal was written. Moved in the transaction of the rows: that is what 'exactly once' stands on. The
-- counts are for the audit: every intent must have become a call, an ending or a quarantined record.
create table costspan.writer (
    writer_id uuid primary key,
    position bigint not null check (position >= 0),
    intents bigint not null default 0,
    calls bigint not null default 0,
    duplicates bigint not null default 0,
    failed bigint not null default 0,
    unsettled bigint not null default 0,
    quarantined bigint not null default 0,
    torn_bytes bigint not null default 0,
    updated_at timestamptz not null default now()
) with (fillfactor = 50);

-- Numbers batches; part of every call's id.
create sequence costspan.batch;

-- One billed attempt. Eight-byte columns first, so that nothing is padded; in the optional ones NULL is 0. No foreign
-- keys, no unique index: both cost more than the row, and the writer's position already says what was written.
create table costspan.call (
    id bigint not null,  -- milliseconds since 2020 of its writing << 22 | batch << 13 | place in the batch
    at timestamptz not null,  -- when the request left
    cost_pico bigint,  -- dollars x 10^-12; NULL: unknown, which is not 0
    span_id bigint,
    trace_id uuid,
    tenant_key int not null,
    context_id int not null,
    kind_id int not null,
    tokens_in int not null,
    tokens_out int not null,
    duration_ms int not null,
    cache_read int,
    cache_write_5m int,
    cache_write_1h int,
    cache_write_30m int,
    cache_write_12h int,
    reasoning int,
    retry smallint,
    constraint no_negative_number check (
        cost_pico >= 0 and tokens_in >= 0 and tokens_out >= 0 and duration_ms >= 0 and cache_read >= 0
        and cache_write_5m >= 0 and cache_write_1h >= 0 and cache_write_30m >= 0 and cache_write_12h >= 0
        and reasoning >= 0 and retry >= 0
    )
) partition by range (at);
create index on costspan.call using brin (at, tenant_key) with (pages_per_range = 32, autosummarize = on);
create index on costspan.call (context_id);

-- What only some calls have: line items that do not follow from the rates, units without a column, evidence.
create table costspan.call_detail (
    call_id bigint not null,
    at timestamptz not null,
    tenant_key int not null,
    lines jsonb,  -- [{model, unit, quantity, rate_atto, amount_pico, layer}]
    quantities jsonb,  -- every unit of the call, where not all have a column
    response_id text,
    problem text,  -- why the status is not 'priced'
    evidence text  -- the usage object as the provider sent it
) partition by range (at);
create index on costspan.call_detail (call_id);

-- Sums per hour (UTC) of the calls that are rows; always equal to them, as both move in one transaction. The same
-- daily partitions as the calls.
create table costspan.usage_hour (
    tenant_key int not null,
    hour timestamptz not null,
    kind_id int not null,
    calls bigint not null,
    tokens_in bigint not null,
    tokens_out bigint not null,
    cache_read bigint not null,
    cache_write bigint not null,
    reasoning bigint not null,
    duration_ms bigint not null,
    cost_pico numeric not null,  -- of the calls that have a cost; the kind's status says which have
    primary key (tenant_key, hour, kind_id)
) partition by range (hour);

-- Attempts that left and of which nobody can know whether they were billed. Counted and shown, never summed.
create table costspan.unsettled (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    tenant_key int not null references costspan.tenant,
    attempt uuid not null unique,  -- two who adopt the files of one process may both find it open
    outcome text not null check (outcome in ('open', 'unanswered')),
    reason text not null,
    service text not null,
    provider text not null,
    operation text not null,
    model text not null,
    session_id text not null,
    user_id text not null,
    feature text not null,
    created_at timestamptz not null default now()
);
create index on costspan.unsettled (tenant_key, at);

-- What could not be understood or stored, as it came, so that one bad record never stops the rest.
create table costspan.quarantine (
    id bigint generated always as identity primary key,
    writer_id uuid not null,
    position bigint not null,
    reason text not null,
    record bytea not null,
    created_at timestamptz not null default now()
);

-- Calls that can be read more than once (a batch's results, a background response): the first one counts.
create table costspan.natural_call (
    tenant_key int not null references costspan.tenant,
    key uuid not null,  -- digest of service and natural key
    call_id bigint not null,
    at timestamptz not null,
    primary key (tenant_key, key)
);

-- When a tenant was last told about a threshold, by whichever process.
create table costspan.threshold_alert (
    tenant_key int not null references costspan.tenant,
    threshold_usd numeric not null,
    alerted_at timestamptz not null,
    primary key (tenant_key, threshold_usd)
);

-- Keeps usage_hour equal to the calls. The keys are sorted, so that two writers never wait for each other in a circle.
create function costspan.add_to_usage_hour() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into costspan.usage_hour as sums (
        tenant_key, hour, kind_id,
        calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
    )
    select
        tenant_key, date_bin('1 hour', at, '2000-01-01 00:00+00'), kind_id,
        count(*), sum(tokens_in), sum(tokens_out), coalesce(sum(cache_read), 0),
        coalesce(sum(cache_write_5m), 0) + coalesce(sum(cache_write_1h), 0)
            + coalesce(sum(cache_write_30m), 0) + coalesce(sum(cache_write_12h), 0),
        coalesce(sum(reasoning), 0), sum(duration_ms), coalesce(sum(cost_pico), 0)
    from added
    group by 1, 2, 3
    order by 1, 2, 3
    on conflict (tenant_key, hour, kind_id) do update set
        calls = sums.calls + excluded.calls,
        tokens_in = sums.tokens_in + excluded.tokens_in,
        tokens_out = sums.tokens_out + excluded.tokens_out,
        cache_read = sums.cache_read + excluded.cache_read,
        cache_write = sums.cache_write + excluded.cache_write,
        reasoning = sums.reasoning + excluded.reasoning,
        duration_ms = sums.duration_ms + excluded.duration_ms,
        cost_pico = sums.cost_pico + excluded.cost_pico;
    return null;
end
$$;

create trigger add_to_usage_hour after insert on costspan.call
referencing new table as added
for each statement execute function costspan.add_to_usage_hour();

-- Makes the partitions of a day (UTC) of one table. Runs as the owner because only an owner can; its one argument besides
-- the day is checked against a list, and the names it makes are built from nothing else.
-- Made first and attached after, so that readers of the other days are not locked out.
create function costspan.ensure_day(p_table text, p_day date) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    part text := p_table || to_char(p_day, '_YYYYMMDD');
begin
    if p_table not in ('call', 'call_detail', 'usage_hour') then
        raise invalid_parameter_value using message = 'no table of days: ' || p_table;
    end if;
    if p_day not between date '2015-01-01' and date '2099-12-31' then
        raise datetime_field_overflow using message = 'no call was made on ' || p_day;
    end if;
    if to_regclass(format('costspan.%I', part)) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('costspan.ensure_day', 0));
    -- Asked of the table and not of to_regclass(), which may still believe what was true before the lock.
    if exists (select from pg_class where relname = part and relnamespace = 'costspan'::regnamespace) then
        return;
    end if;
    execute format('create table costspan.%I (like costspan.%I including defaults including constraints)%s', part,
                   p_table, case when p_table = 'usage_hour' then ' with (fillfactor = 70)' else '' end);
    execute format('alter table costspan.%I enable row level security, force row level security', part);
    execute format('alter table costspan.%I attach partition costspan.%I for values from (%L) to (%L)', p_table, part,
                   p_day::text || ' 00:00+00', (p_day + 1)::text || ' 00:00+00');
end
$$;
