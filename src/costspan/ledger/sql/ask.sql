-- name: become_tenant
set local role costspan_tenant;
set transaction read only;
set local statement_timeout = '30s';
set local work_mem = '64MB';  -- sums of a month by session or by hour are not to be spilled
set local jit = off  -- compiling a plan over many days takes longer than running it

-- name: become_admin
set local role costspan_admin;
set transaction read only;
set local statement_timeout = '30s';
set local work_mem = '64MB';  -- sums of a month by session or by hour are not to be spilled
set local jit = off  -- compiling a plan over many days takes longer than running it

-- name: set_tenant
select pg_catalog.set_config('app.current_tenant', %(tenant)s, true)
