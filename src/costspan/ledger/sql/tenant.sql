-- name: find
select tenant_key from costspan.tenant where tenant_id = %(tenant)s

-- name: add
-- Asked first and added after: ON CONFLICT alone burns a number at each try.
insert into costspan.tenant (tenant_id) values (%(tenant)s) on conflict do nothing
