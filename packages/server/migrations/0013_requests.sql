-- Not logged: it is written every two seconds and worth nothing after two minutes. A crash of the database forgets it.
create unlogged table request_counts (
  -- Keyed hash of an address, an account, a credential or a machine.
  subject bytea not null,
  window_start timestamptz not null,
  count int not null,
  primary key (subject, window_start)
);
comment on table request_counts is 'How many requests came within a minute, where several servers add them up.';
comment on column request_counts.subject is 'class=request.limit; purpose=abuse; retention=1d; export=no; erase=expire';
comment on column request_counts.window_start is 'class=request.limit; purpose=abuse; retention=1d; export=no; erase=expire';
comment on column request_counts.count is 'class=request.limit; purpose=abuse; retention=1d; export=no; erase=expire';
create index request_counts_window on request_counts (window_start);
alter table request_counts enable row level security;
grant select, insert, update, delete on request_counts to agentctl_jobs;
create policy work on request_counts to agentctl_jobs using (true);

-- A claimed deposit is recorded by this role, and the answer to its request in the same transaction.
grant insert on idempotency_keys to agentctl_jobs;
