-- Blank machines that wait for their first agent. A row knows no tenant. Nothing leaves the state `bound`: it is reached
-- in the transaction that inserts the machine of the agent, under the same id and label, so a machine has one agent.
create table warm_machines (
  id text primary key check (id ~ '^mch_'),
  -- The label at the provider, written before the call that creates it.
  label text not null unique,
  provider_id text unique,
  plan text not null,
  -- intended: its row precedes the order. created: the provider has it. warm: its runner waits to be told whose it is.
  state text not null check (state in ('intended', 'created', 'warm', 'bound', 'deleting', 'deleted')),
  -- Of what it was made: its whole script but for the token. One that would be made otherwise now is given to nobody.
  script_sha256 bytea not null check (length(script_sha256) = 32),
  stale_since timestamptz,
  -- The provider's price of a whole month at the time of the order.
  monthly_micros bigint not null check (monthly_micros >= 0),
  address text,
  -- The token in its script, until the one that it was traded for is used.
  bootstrap_hash bytea unique,
  -- What its runner waits with; the agent's machine greets with it.
  waiting_hash bytea unique,
  -- Why it was not kept: a word of ours.
  ending text,
  created_at timestamptz not null,
  warm_at timestamptz,
  seen_at timestamptz,
  bound_at timestamptz,
  deleted_at timestamptz,
  check ((state = 'bound') = (bound_at is not null)),
  check ((state = 'deleted') = (deleted_at is not null))
);
create index warm_machines_kept on warm_machines (plan, state) where state not in ('bound', 'deleted');
comment on table warm_machines is 'Blank machines that wait for their first agent.';
comment on column warm_machines.id is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.label is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.provider_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.plan is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.state is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.script_sha256 is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.stale_since is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.monthly_micros is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.address is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.bootstrap_hash is 'class=secret.hash; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.waiting_hash is 'class=secret.hash; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.ending is 'class=machine; purpose=debug; retention=90d; export=no; erase=expire';
comment on column warm_machines.created_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.warm_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.seen_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.bound_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';
comment on column warm_machines.deleted_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=expire';

alter table warm_machines enable row level security;
grant select, insert, update, delete on warm_machines to agentctl_jobs;
create policy work on warm_machines to agentctl_jobs using (true);
-- What they cost is the operators' affair, and nobody else's.
grant select (plan, state, provider_id, monthly_micros, stale_since, ending, created_at, bound_at, deleted_at)
  on warm_machines to agentctl_operator;
create policy find on warm_machines for select to agentctl_operator using (true);

-- Ends the wait of its runner.
create function announce_warm_machine() returns trigger language plpgsql as $$
begin
  perform pg_notify('agents', new.id);
  return null;
end $$;
create trigger announce after update of state on warm_machines
  for each row execute function announce_warm_machine();
