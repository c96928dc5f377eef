-- Everything that must survive a crash is a row here. A worker claims a row under a lease; `fencing` grows with each
-- claim and every write of a worker carries it, so that one who slept past its lease can change nothing.
create table operations (
  id text primary key check (id ~ '^op_'),
  kind text not null,
  -- What it works on. At most one live operation a subject: it is the only writer.
  subject text not null,
  namespace_id text references namespaces on delete cascade,
  step text not null default 'start',
  step_data jsonb not null default '{}',
  state text not null default 'pending' check (state in ('pending', 'done', 'failed', 'cancelled')),
  fencing bigint not null default 0,
  attempts int not null default 0,
  lease_until timestamptz,
  -- Database time, like the lease: workers on several machines must agree about it.
  run_at timestamptz not null default clock_timestamp(),
  last_error text,
  created_at timestamptz not null,
  finished_at timestamptz
);
create unique index operations_one_writer on operations (subject) where state = 'pending';
create index operations_due on operations (run_at) where state = 'pending';
comment on table operations is 'Durable work.';
comment on column operations.id is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.kind is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.subject is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.namespace_id is 'class=agent.metadata; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.step is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.step_data is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.state is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.fencing is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.attempts is 'class=operation; purpose=debug; retention=90d; export=no; erase=delete';
comment on column operations.lease_until is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.run_at is 'class=operation; purpose=provision; retention=90d; export=no; erase=delete';
comment on column operations.last_error is 'class=operation; purpose=debug; retention=90d; export=no; erase=delete';
comment on column operations.created_at is 'class=operation; purpose=debug; retention=90d; export=no; erase=delete';
comment on column operations.finished_at is 'class=operation; purpose=debug; retention=90d; export=no; erase=delete';

alter table operations enable row level security;
grant select, insert, update on operations to agentctl_app;
grant select, insert, update, delete on operations to agentctl_jobs;
create policy own on operations to agentctl_app using (namespace_id in (select my_namespaces()));
create policy work on operations to agentctl_jobs using (true);

-- Wakes the workers: a due row is seen at once instead of at the next look.
create function announce_operation() returns trigger language plpgsql as $$
begin
  perform pg_notify('operations', new.kind);
  return null;
end $$;
create trigger announce after insert or update of run_at on operations
  for each row when (new.state = 'pending' and new.run_at <= clock_timestamp()) execute function announce_operation();
