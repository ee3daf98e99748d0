-- What may be spent now, from the changes; and an hour of its own for each window's alert.

create view costspan.budget with (security_invoker = true) as
select tenant.tenant_id, last."window", last.amount_usd, last.changed_at, last.login
from (
    select distinct on (tenant_key, "window") tenant_key, "window", amount_usd, changed_at, login
    from costspan.budget_change
    order by tenant_key, "window", id desc
) as last
left join costspan.tenant on tenant.tenant_key = last.tenant_key
where last.amount_usd is not null;

comment on view costspan.budget is
'The budget of each tenant and window that has one. A null tenant_id is everybody who has none of their own.';

grant select on costspan.budget to costspan_tenant, costspan_admin;

-- A month's alert must not use up the hour of a day's, where both budgets are the same amount.
alter table costspan.threshold_alert add column "window" text not null default 'day' check ("window" in ('day', 'month'));
alter table costspan.threshold_alert drop constraint threshold_alert_pkey;
alter table costspan.threshold_alert add primary key (tenant_key, "window", threshold_usd);
