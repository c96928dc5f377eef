create table agents (
  id text primary key check (id ~ '^agt_'),
  namespace_id text not null references namespaces,
  name text not null,
  -- One DNS label under the agent domain: unique, fixed for life, never parsed. Kept after deletion, so that nobody
  -- else gets an address that others still know.
  label text not null unique check (length(label) <= 63),
  size text not null check (size in ('nano', 'small', 'medium', 'large')),
  -- Policy 3d: agents run in Seoul.
  region text not null default 'icn' check (region = 'icn'),
  status text not null check (status in ('starting', 'running', 'failing', 'stopped', 'suspended', 'deleted')),
  -- The release that serves.
  release_id text,
  -- The release that its machine should run; each change makes another revision.
  desired_release_id text,
  revision int not null default 0,
  created_at timestamptz not null,
  used_at timestamptz not null,
  deleted_at timestamptz
);
create unique index agents_name on agents (namespace_id, name) where status <> 'deleted';
comment on table agents is 'An agent: a name, an address, what runs there.';
comment on column agents.id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.namespace_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.name is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.label is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.size is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.region is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.status is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.release_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.desired_release_id is 'class=agent.metadata; purpose=provision; retention=account; export=no; erase=delete';
comment on column agents.revision is 'class=agent.metadata; purpose=provision; retention=account; export=no; erase=delete';
comment on column agents.created_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.used_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.deleted_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';

create table releases (
  id text primary key check (id ~ '^rel_'),
  agent_id text not null references agents on delete cascade,
  namespace_id text not null references namespaces,
  number int not null,
  status text not null check (status in ('pending', 'starting', 'live', 'failed', 'retired')),
  step text,
  config jsonb not null,
  repeats text references releases,
  file_count int not null,
  failure jsonb,
  timings jsonb not null default '{}',
  created_at timestamptz not null,
  live_at timestamptz,
  finished_at timestamptz,
  unique (agent_id, number)
);
-- At most one release of an agent serves.
create unique index releases_one_live on releases (agent_id) where status = 'live';
comment on table releases is 'What was deployed: configuration and files, and how it went.';
comment on column releases.id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.agent_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.namespace_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.number is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.status is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.step is 'class=agent.metadata; purpose=provision; retention=account; export=no; erase=delete';
comment on column releases.config is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.repeats is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.file_count is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.failure is 'class=agent.log; purpose=debug; retention=account; export=yes; erase=delete';
comment on column releases.timings is 'class=agent.metadata; purpose=debug; retention=account; export=yes; erase=delete';
comment on column releases.created_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.live_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column releases.finished_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';

create table release_files (
  release_id text not null references releases on delete cascade,
  path text not null,
  sha256 bytea not null check (length(sha256) = 32),
  size bigint not null,
  executable boolean not null,
  primary key (release_id, path)
);
comment on table release_files is 'The files of a release, by their content.';
comment on column release_files.release_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column release_files.path is 'class=agent.source; purpose=provision; retention=account; export=yes; erase=delete';
comment on column release_files.sha256 is 'class=agent.source; purpose=provision; retention=account; export=yes; erase=delete';
comment on column release_files.size is 'class=agent.source; purpose=provision; retention=account; export=yes; erase=delete';
comment on column release_files.executable is 'class=agent.source; purpose=provision; retention=account; export=yes; erase=delete';

-- Which contents an account has uploaded. Knowing a hash grants nothing: the row of this account does.
create table blobs (
  account_id text not null references accounts on delete cascade,
  sha256 bytea not null check (length(sha256) = 32),
  size bigint not null,
  created_at timestamptz not null,
  used_at timestamptz not null,
  primary key (account_id, sha256)
);
comment on table blobs is 'Uploaded file contents of an account.';
comment on column blobs.account_id is 'class=account.id; purpose=provision; retention=30d-unused; export=no; erase=delete';
comment on column blobs.sha256 is 'class=agent.source; purpose=provision; retention=30d-unused; export=no; erase=delete';
comment on column blobs.size is 'class=agent.source; purpose=provision; retention=30d-unused; export=no; erase=delete';
comment on column blobs.created_at is 'class=agent.source; purpose=provision; retention=30d-unused; export=no; erase=delete';
comment on column blobs.used_at is 'class=agent.source; purpose=provision; retention=30d-unused; export=no; erase=delete';

create table secrets (
  agent_id text not null references agents on delete cascade,
  namespace_id text not null references namespaces,
  name text not null,
  version int not null,
  -- AES-256-GCM; agent, name and version are its associated data. The keyring is a file outside the database.
  key_id text not null,
  nonce bytea not null check (length(nonce) = 12),
  ciphertext bytea not null,
  updated_at timestamptz not null,
  primary key (agent_id, name)
);
comment on table secrets is 'Values that only the process of the agent is told.';
comment on column secrets.agent_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column secrets.namespace_id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column secrets.name is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column secrets.version is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column secrets.key_id is 'class=secret.key-id; purpose=provision; retention=account; export=no; erase=delete';
comment on column secrets.nonce is 'class=agent.secret; purpose=provision; retention=account; export=no; erase=delete';
comment on column secrets.ciphertext is 'class=agent.secret; purpose=provision; retention=account; export=no; erase=delete';
comment on column secrets.updated_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';

create table machines (
  id text primary key check (id ~ '^mch_'),
  agent_id text not null references agents,
  namespace_id text not null references namespaces,
  generation int not null,
  -- The label at the provider, written before the call that creates it.
  label text not null unique,
  operation_id text not null,
  provider_id text unique,
  plan text not null,
  region text not null default 'icn' check (region = 'icn'),
  state text not null check (state in ('intended', 'created', 'ready', 'deleting', 'deleted')),
  -- Where the router reaches its runner; null until it has phoned home.
  address text,
  port int,
  bootstrap_hash bytea,
  token_hash bytea unique,
  key_id text,
  router_nonce bytea,
  router_ciphertext bytea,
  created_at timestamptz not null,
  seen_at timestamptz,
  deleted_at timestamptz,
  unique (agent_id, generation)
);
-- At most one machine of an agent serves, and at most one is on its way to follow it: a machine becomes ready when its
-- runner first says that a release is healthy, in the transaction that takes the one before out of service.
create unique index machines_one_ready on machines (agent_id) where state = 'ready';
create unique index machines_one_coming on machines (agent_id) where state in ('intended', 'created');
create index machines_of_agent on machines (agent_id);
comment on table machines is 'Machines at the provider, one generation after another.';
comment on column machines.id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.agent_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.namespace_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.generation is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.label is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.operation_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.provider_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.plan is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.region is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.state is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.address is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.port is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.bootstrap_hash is 'class=secret.hash; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.token_hash is 'class=secret.hash; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.key_id is 'class=secret.key-id; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.router_nonce is 'class=machine.secret; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.router_ciphertext is 'class=machine.secret; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.created_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.seen_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machines.deleted_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';

create table agent_logs (
  machine_id text not null,
  sequence bigint not null,
  agent_id text not null references agents on delete cascade,
  namespace_id text not null references namespaces,
  release_id text,
  at timestamptz not null,
  stream text not null check (stream in ('stdout', 'stderr', 'platform')),
  line text not null,
  -- A batch that is handed in twice is stored once.
  primary key (machine_id, sequence)
);
create index agent_logs_reading on agent_logs (agent_id, at, machine_id, sequence);
comment on table agent_logs is 'What the processes of agents wrote.';
comment on column agent_logs.machine_id is 'class=agent.log; purpose=debug; retention=7d; export=yes; erase=delete';
comment on column agent_logs.sequence is 'class=agent.log; purpose=debug; retention=7d; export=yes; erase=delete';
comment on column agent_logs.agent_id is 'class=agent.log; purpose=debug; retention=7d; export=yes; erase=delete';
comment on column agent_logs.namespace_id is 'class=agent.log; purpose=debug; retention=7d; export=yes; erase=delete';
comment on column agent_logs.release_id is 'class=agent.log; purpose=debug; retention=7d; export=yes; erase=delete';
comment on column agent_logs.at is 'class=agent.log; purpose=debug; retention=7d; export=yes; erase=delete';
comment on column agent_logs.stream is 'class=agent.log; purpose=debug; retention=7d; export=yes; erase=delete';
comment on column agent_logs.line is 'class=agent.log; purpose=debug; retention=7d; export=yes; erase=delete';

-- Resources that carry our label at the provider but that no row owns: deleted at the second sighting.
create table orphan_sightings (
  provider_id text primary key,
  label text not null,
  first_seen_at timestamptz not null
);
comment on table orphan_sightings is 'Provider resources that no row owns, as the sweeper saw them.';
comment on column orphan_sightings.provider_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column orphan_sightings.label is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column orphan_sightings.first_seen_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';

alter table agents enable row level security;
alter table releases enable row level security;
alter table release_files enable row level security;
alter table blobs enable row level security;
alter table secrets enable row level security;
alter table machines enable row level security;
alter table agent_logs enable row level security;
alter table orphan_sightings enable row level security;

grant select, insert, update, delete on agents, releases, release_files, blobs, secrets to agentctl_app;
grant select on machines, agent_logs to agentctl_app;
grant select, update on agents, releases to agentctl_jobs;
-- Deleting an agent removes what was deployed; the row of the agent stays because of its label.
grant delete on releases to agentctl_jobs;
grant select, delete on release_files, secrets to agentctl_jobs;
grant select, update, delete on blobs to agentctl_jobs;
grant select, insert, update, delete on machines, agent_logs, orphan_sightings to agentctl_jobs;

create policy own on agents to agentctl_app using (namespace_id in (select my_namespaces()));
create policy own on releases to agentctl_app using (namespace_id in (select my_namespaces()));
create policy own on release_files to agentctl_app using (release_id in (select id from releases));
-- The owner of a namespace pays for it, and what members upload there belongs to that account.
create policy own on blobs to agentctl_app
  using (account_id = current_account() or account_id in (select owner_account_id from namespaces));
create policy own on secrets to agentctl_app using (namespace_id in (select my_namespaces()));
create policy own on machines for select to agentctl_app using (namespace_id in (select my_namespaces()));
create policy own on agent_logs for select to agentctl_app using (namespace_id in (select my_namespaces()));
create policy work on agents to agentctl_jobs using (true);
create policy work on releases to agentctl_jobs using (true);
create policy work on release_files to agentctl_jobs using (true);
create policy work on blobs to agentctl_jobs using (true);
create policy work on secrets to agentctl_jobs using (true);
create policy work on machines to agentctl_jobs using (true);
create policy work on agent_logs to agentctl_jobs using (true);
create policy work on orphan_sightings to agentctl_jobs using (true);

-- Routers keep their table of hosts fresh, polls of machines and readers of logs wake, without asking all the time.
create function announce_agent() returns trigger language plpgsql as $$
begin
  perform pg_notify('agents', new.id);
  return null;
end $$;
create trigger announce after insert or update on agents for each row execute function announce_agent();
create function announce_machine() returns trigger language plpgsql as $$
begin
  perform pg_notify('agents', new.agent_id);
  return null;
end $$;
-- Not on seen_at: a machine is seen all the time.
create trigger announce after insert or update of state, address, port on machines
  for each row execute function announce_machine();
create function announce_release() returns trigger language plpgsql as $$
begin
  perform pg_notify('releases', new.id);
  return null;
end $$;
create trigger announce after insert or update of status, step on releases
  for each row execute function announce_release();
create function announce_logs() returns trigger language plpgsql as $$
begin
  perform pg_notify('logs', agent_id) from (select distinct agent_id from added) as written;
  return null;
end $$;
create trigger announce after insert on agent_logs
  referencing new table as added for each statement execute function announce_logs();
