-- Who may ask over HTTP, and for which tenant. A token itself is nowhere, only its digest. Nothing of a row ever changes:
-- nobody can give a token another tenant or a longer life, or take back that it was revoked.

create table costspan.api_token (
    token_id int generated always as identity primary key,
    name text not null check (name <> ''),
    is_admin boolean not null,
    tenant_key int references costspan.tenant,
    digest bytea not null unique check (octet_length(digest) = 32),  -- SHA-256 of 256 random bits: no salt, nothing to guess
    expires_at timestamptz check (expires_at < 'infinity'),
    login text not null default session_user,
    created_at timestamptz not null default now(),
    constraint a_missing_tenant_makes_no_admin check (is_admin = (tenant_key is null))
);
create index on costspan.api_token (name);

create table costspan.revoked_token (
    token_id int primary key references costspan.api_token,
    login text not null default session_user,
    revoked_at timestamptz not null default now()
);

-- No tenant sees any of it: not even whether it has a token.
do $$
declare
    relation text;
begin
    foreach relation in array array['api_token', 'revoked_token'] loop
        execute format('alter table costspan.%I enable row level security, force row level security', relation);
        execute format('create policy admin_reads on costspan.%I for select to costspan_admin using (true)', relation);
        execute format('create policy keeper_keeps on costspan.%I to costspan_keeper using (true) with check (true)', relation);
        execute format('grant select on costspan.%I to costspan_admin, costspan_keeper', relation);
    end loop;
end
$$;

-- Who made or revoked a token, and when, is not for the keeper to say.
grant insert (name, is_admin, tenant_key, digest, expires_at) on costspan.api_token to costspan_keeper;
grant insert (token_id) on costspan.revoked_token to costspan_keeper;
