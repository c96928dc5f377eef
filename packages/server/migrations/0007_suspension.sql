-- An agent at rest has no machine: stopped by its people, or suspended because the credits of its account are used up.
-- While it is brought back its status is `starting`, and `rest` says where it falls back to.
alter table agents
  add column rest text check (rest in ('stopped', 'suspended')),
  add column rest_since timestamptz check ((rest is null) = (rest_since is null)),
  -- For suspended: whether a deposit starts it; one that was stopped before is only stopped again.
  add column resumes boolean not null default false,
  -- For suspended: the end of the grace period.
  add column snapshot_delete_at timestamptz,
  -- What whoever deployed it allows it to cost, whatever its account has.
  add column max_hourly_micros bigint check (max_hourly_micros > 0),
  add column max_total_micros bigint check (max_total_micros > 0);
create index agents_suspended on agents (namespace_id) where rest = 'suspended';
create index agents_limited on agents (id) where max_total_micros is not null and status <> 'deleted';
comment on column agents.rest is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.rest_since is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.resumes is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.snapshot_delete_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column agents.max_hourly_micros is 'class=agent.metadata; purpose=pay; retention=account; export=yes; erase=delete';
comment on column agents.max_total_micros is 'class=agent.metadata; purpose=pay; retention=account; export=yes; erase=delete';

-- The disk of an agent at rest.
create table snapshots (
  id text primary key check (id ~ '^snp_'),
  agent_id text not null references agents,
  namespace_id text not null references namespaces,
  machine_id text not null,
  -- The description at the provider, written before the call that makes it.
  label text not null unique,
  provider_id text unique,
  -- Of the machine that it was made of: a disk only fits on one as large.
  plan text not null,
  -- intended: its row precedes the order. made: the provider copies. complete: whole, its machine may go.
  state text not null check (state in ('intended', 'made', 'complete', 'deleting', 'deleted')),
  size_bytes bigint,
  created_at timestamptz not null,
  completed_at timestamptz,
  deleted_at timestamptz
);
create unique index snapshots_one on snapshots (agent_id) where state in ('intended', 'made', 'complete');
comment on table snapshots is 'Disks of agents at rest, as the provider keeps them.';
comment on column snapshots.id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.agent_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.namespace_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.machine_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.label is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.provider_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.plan is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.state is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.size_bytes is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.created_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.completed_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column snapshots.deleted_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';

-- resting: out of service, its disk is being kept in a snapshot.
alter table machines drop constraint machines_state_check;
alter table machines
  add constraint machines_state_check
    check (state in ('intended', 'created', 'ready', 'resting', 'deleting', 'deleted')),
  -- What its disk is made from; null for a blank one.
  add column snapshot_id text references snapshots;
comment on column machines.snapshot_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';

alter table orphan_sightings add column kind text not null default 'machine' check (kind in ('machine', 'snapshot'));
comment on column orphan_sightings.kind is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';

-- Policy: service messages. The service knows no address of anybody, so they wait here until they are fetched.
create table notices (
  id text primary key check (id ~ '^ntc_'),
  account_id text not null references accounts on delete cascade,
  kind text not null,
  message text not null,
  -- A command that helps.
  next text,
  created_at timestamptz not null,
  read_at timestamptz
);
create index notices_of_account on notices (account_id, created_at);
comment on table notices is 'Service messages, until they are read and a year after.';
comment on column notices.id is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column notices.account_id is 'class=account.id; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column notices.kind is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column notices.message is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column notices.next is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column notices.created_at is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column notices.read_at is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';

-- Limits that an account sets itself, and which warnings it has had, so that each is said once.
create table spend_limits (
  account_id text primary key references accounts on delete cascade,
  soft_hourly_micros bigint check (soft_hourly_micros >= 0),
  soft_monthly_micros bigint check (soft_monthly_micros >= 0),
  hard_hourly_micros bigint check (hard_hourly_micros >= 0),
  hard_monthly_micros bigint check (hard_monthly_micros >= 0)
);
comment on table spend_limits is 'What an account allows itself to spend.';
comment on column spend_limits.account_id is 'class=account.id; purpose=pay; retention=account; export=yes; erase=delete';
comment on column spend_limits.soft_hourly_micros is 'class=billing.limit; purpose=pay; retention=account; export=yes; erase=delete';
comment on column spend_limits.soft_monthly_micros is 'class=billing.limit; purpose=pay; retention=account; export=yes; erase=delete';
comment on column spend_limits.hard_hourly_micros is 'class=billing.limit; purpose=pay; retention=account; export=yes; erase=delete';
comment on column spend_limits.hard_monthly_micros is 'class=billing.limit; purpose=pay; retention=account; export=yes; erase=delete';

create table spend_warnings (
  account_id text not null references accounts on delete cascade,
  -- `runway`, or the name of a limit.
  about text not null,
  -- What was said: hours of runway, or the month or amount for a limit.
  said text not null,
  primary key (account_id, about)
);
comment on table spend_warnings is 'The last warning about each thing, so that it is not said again.';
comment on column spend_warnings.account_id is 'class=account.id; purpose=notify; retention=account; export=no; erase=delete';
comment on column spend_warnings.about is 'class=billing.limit; purpose=notify; retention=account; export=no; erase=delete';
comment on column spend_warnings.said is 'class=billing.limit; purpose=notify; retention=account; export=no; erase=delete';

alter table snapshots enable row level security;
alter table notices enable row level security;
alter table spend_limits enable row level security;
alter table spend_warnings enable row level security;
grant select on snapshots to agentctl_app;
grant select on notices to agentctl_app;
grant update (read_at) on notices to agentctl_app;
grant select, insert, update on spend_limits to agentctl_app;
grant select, insert, update, delete on snapshots, notices, spend_warnings to agentctl_jobs;
grant select on spend_limits to agentctl_jobs;
-- A deposit brings agents back without anybody asking: as a release that repeats the last one.
grant insert on releases, release_files to agentctl_jobs;
create policy own on snapshots for select to agentctl_app using (namespace_id in (select my_namespaces()));
create policy own on notices to agentctl_app using (account_id = current_account());
create policy own on spend_limits to agentctl_app using (account_id = current_account());
create policy work on snapshots to agentctl_jobs using (true);
create policy work on notices to agentctl_jobs using (true);
create policy work on spend_limits to agentctl_jobs using (true);
create policy work on spend_warnings to agentctl_jobs using (true);
