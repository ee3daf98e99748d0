-- What the keeper needs to move days that are over into slices, to drop what is too old, and to take away what is empty.

-- As before, and a partition that is there already is now held until the transaction ends: who asks inside of a batch can
-- rely on it. Who asked earlier and finds none when it writes must ask again.
create or replace function costspan.ensure_day(p_table text, p_day date) returns void
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
    -- The table before its partition, as writers and drop_day() take them. Nobody can drop one from here on.
    execute format('lock table only costspan.%I in row exclusive mode', p_table);
    -- Asked of the catalog and not of to_regclass(), which may still believe what was true before the lock.
    if not exists (select from pg_class where relname = part and relnamespace = 'costspan'::regnamespace) then
        perform pg_advisory_xact_lock(hashtextextended('costspan.ensure_day', 0));
        if not exists (select from pg_class where relname = part and relnamespace = 'costspan'::regnamespace) then
            execute format('create table costspan.%I (like costspan.%I including defaults including constraints)%s', part,
                           p_table, case when p_table = 'usage_hour' then ' with (fillfactor = 70)' else '' end);
            execute format('alter table costspan.%I enable row level security, force row level security', part);
            execute format('alter table costspan.%I attach partition costspan.%I for values from (%L) to (%L)', p_table, part,
                           p_day::text || ' 00:00+00', (p_day + 1)::text || ' 00:00+00');
            return;
        end if;
    end if;
    execute format('lock table only costspan.%I in row exclusive mode', part);
end
$$;

-- Drops the partition of a day that is over, if nothing is in it; returns whether it did. Runs as the owner because only an
-- owner can. The table's lock keeps everybody out meanwhile, so it is waited for only shortly.
-- A reader whose snapshot is from before the day was emptied, and who has not yet come to this table, would find the calls
-- nowhere: whoever asks has to wait first until nobody has such a snapshot.
create function costspan.drop_day(p_table text, p_day date) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '250ms'
as $$
declare
    part text := p_table || to_char(p_day, '_YYYYMMDD');
    is_used boolean;
begin
    if p_table not in ('call', 'call_detail', 'usage_hour') then
        raise invalid_parameter_value using message = 'no table of days: ' || p_table;
    end if;
    if p_day is null or p_day >= (now() at time zone 'UTC')::date then
        raise invalid_parameter_value using message = 'not over yet: ' || coalesce(p_day::text, 'null');
    end if;
    -- Under any other, 'empty' would be what was empty when the transaction began.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise invalid_transaction_state using message = 'drop_day() needs read committed';
    end if;
    execute format('lock table only costspan.%I in access exclusive mode', p_table);
    if not exists (select from pg_class where relname = part and relnamespace = 'costspan'::regnamespace) then
        return false;
    end if;
    execute format('lock table only costspan.%I in access exclusive mode', part);
    -- No policy lets the owner see a row. Until this transaction ends nobody else can see the partition.
    execute format('alter table costspan.%I no force row level security', part);
    execute format('select exists (select from costspan.%I)', part) into is_used;
    if is_used then
        execute format('alter table costspan.%I force row level security', part);
        return false;
    end if;
    execute format('drop table costspan.%I', part);
    return true;
end
$$;

-- The highest number of each lot of contexts that were dropped because nothing referred to them any more.
create table costspan.forgotten (
    context_id int primary key,
    dropped_at timestamptz not null default now()
);

-- A writer remembers the numbers of contexts, for days and in another process. One that is no more is refused, and the
-- writer asks again; without this the call would be nobody's. Costs nothing until contexts were dropped, and then a look at
-- those that are old enough. The keeper locks costspan.call before it drops any, so none goes between this look and the
-- batch's commit.
create function costspan.refuse_forgotten() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    highest int := (select max(context_id) from costspan.forgotten);
begin
    if highest is not null and exists (
        select from (select distinct context_id from added where context_id <= highest) as used
        where not exists (select from costspan.call_context as context where context.context_id = used.context_id)
    ) then
        raise foreign_key_violation using message = 'a context that is remembered here was dropped: its number must be asked again';
    end if;
    return null;
end
$$;

create trigger refuse_forgotten after insert on costspan.call
referencing new table as added
for each statement execute function costspan.refuse_forgotten();

alter table costspan.forgotten enable row level security, force row level security;
create policy admin_reads on costspan.forgotten for select to costspan_admin using (true);
create policy writer_reads on costspan.forgotten for select to costspan_writer using (true);
create policy keeper_keeps on costspan.forgotten to costspan_keeper using (true) with check (true);
grant select on costspan.forgotten to costspan_admin, costspan_writer, costspan_keeper;
grant insert on costspan.forgotten to costspan_keeper;

-- Retention takes the names out of what is kept for its numbers, and what has no other use away.
create policy keeper_keeps on costspan.quarantine to costspan_keeper using (true) with check (true);
grant select on costspan.quarantine to costspan_keeper;
grant delete on costspan.call_context, costspan.quarantine, costspan.natural_call to costspan_keeper;
grant update (session_id, user_id, feature) on costspan.unsettled to costspan_keeper;

revoke execute on function
    costspan.ensure_day(text, date), costspan.drop_day(text, date), costspan.refuse_forgotten()
from public;
grant execute on function costspan.drop_day(text, date) to costspan_keeper;
