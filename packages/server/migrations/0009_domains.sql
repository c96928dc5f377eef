-- Names of users' own that lead to an agent.
create table domains (
  id text primary key check (id ~ '^dom_'),
  namespace_id text not null references namespaces,
  agent_id text not null references agents,
  -- As DNS has it: lower case, letters beyond ASCII as A-labels.
  hostname text not null check (length(hostname) <= 253 and hostname ~ '^[a-z0-9-]+(\.[a-z0-9-]+)+$'),
  status text not null check (status in ('pending', 'verifying', 'live', 'failed', 'removed')),
  -- What it becomes once the hostname at Cloudflare is gone. Until then the row holds the name, so that nobody else
  -- can be given one that Cloudflare still sends here.
  ending text check (ending in ('failed', 'removed')),
  -- What is awaited, in words.
  step text,
  failure jsonb,
  provider_id text unique,
  -- The TXT record by which the provider knows the owner.
  ownership jsonb,
  certificate jsonb,
  created_at timestamptz not null,
  -- When somebody last wanted it looked at: looks are frequent after that, and rare in the long run.
  attended_at timestamptz not null,
  checked_at timestamptz,
  live_at timestamptz,
  -- When it is given up unless it is live by then; null while it is live.
  given_up_at timestamptz,
  ended_at timestamptz,
  -- One that was attached and is neither live nor ended is given up some day.
  check (status not in ('pending', 'verifying') or given_up_at is not null),
  check ((status in ('failed', 'removed')) = (ended_at is not null))
);
-- Two accounts that want the same name: one has it.
create unique index domains_one_holder on domains (hostname) where status in ('pending', 'verifying', 'live');
create index domains_of_agent on domains (agent_id);
create index domains_of_namespace on domains (namespace_id);
comment on table domains is 'Names of users'' own that lead to an agent.';
comment on column domains.id is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.namespace_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.agent_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.hostname is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.status is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.ending is 'class=agent.domain; purpose=provision; retention=account; export=no; erase=delete';
comment on column domains.step is 'class=agent.domain; purpose=provision; retention=account; export=no; erase=delete';
comment on column domains.failure is 'class=agent.domain; purpose=debug; retention=account; export=yes; erase=delete';
comment on column domains.provider_id is 'class=agent.domain; purpose=provision; retention=account; export=no; erase=delete';
comment on column domains.ownership is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.certificate is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.created_at is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.attended_at is 'class=agent.domain; purpose=provision; retention=account; export=no; erase=delete';
comment on column domains.checked_at is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.live_at is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.given_up_at is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';
comment on column domains.ended_at is 'class=agent.domain; purpose=provision; retention=account; export=yes; erase=delete';

alter table orphan_sightings drop constraint orphan_sightings_kind_check;
alter table orphan_sightings
  add constraint orphan_sightings_kind_check check (kind in ('machine', 'snapshot', 'hostname'));

-- Ends waits for a domain, and what routers remember about its name.
create function announce_domain() returns trigger language plpgsql as $$
begin
  perform pg_notify('domains', new.id);
  perform pg_notify('hostnames', new.hostname);
  return null;
end $$;
create trigger announce after insert or update of status, ending, step, failure, ownership, certificate on domains
  for each row execute function announce_domain();
create function announce_deleted_domain() returns trigger language plpgsql as $$
begin
  perform pg_notify('hostnames', old.hostname);
  return null;
end $$;
create trigger announce_deletion after delete on domains for each row execute function announce_deleted_domain();

alter table domains enable row level security;
grant select, insert, update on domains to agentctl_app;
grant select, update, delete on domains to agentctl_jobs;
create policy own on domains to agentctl_app using (namespace_id in (select my_namespaces()));
create policy work on domains to agentctl_jobs using (true);
