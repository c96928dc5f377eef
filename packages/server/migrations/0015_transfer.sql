-- What each machine has sent in a calendar month (UTC), as the provider counts it.
create table machine_transfers (
  machine_id text not null,
  month date not null check (extract(day from month) = 1),
  agent_id text not null references agents on delete cascade,
  namespace_id text not null references namespaces,
  sent_bytes bigint not null check (sent_bytes >= 0),
  -- What the plan of the machine includes in a month.
  included_bytes bigint not null check (included_bytes > 0),
  polled_at timestamptz not null,
  primary key (machine_id, month)
);
create index machine_transfers_of_agent on machine_transfers (agent_id, month);
comment on table machine_transfers is 'How much agents have sent in a month.';
comment on column machine_transfers.machine_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machine_transfers.month is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machine_transfers.agent_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machine_transfers.namespace_id is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';
comment on column machine_transfers.sent_bytes is 'class=machine; purpose=provision,notify; retention=90d; export=no; erase=delete';
comment on column machine_transfers.included_bytes is 'class=machine; purpose=provision,notify; retention=90d; export=no; erase=delete';
comment on column machine_transfers.polled_at is 'class=machine; purpose=provision; retention=90d; export=no; erase=delete';

-- Which warnings a month has had, so that each is said once.
create table transfer_warnings (
  agent_id text not null references agents on delete cascade,
  month date not null,
  percent int not null,
  primary key (agent_id, month, percent)
);
comment on table transfer_warnings is 'Which warnings about transfer have been said.';
comment on column transfer_warnings.agent_id is 'class=machine; purpose=notify; retention=90d; export=no; erase=delete';
comment on column transfer_warnings.month is 'class=machine; purpose=notify; retention=90d; export=no; erase=delete';
comment on column transfer_warnings.percent is 'class=machine; purpose=notify; retention=90d; export=no; erase=delete';

alter table machine_transfers enable row level security;
alter table transfer_warnings enable row level security;
grant select on machine_transfers to agentctl_app;
grant select, insert, update, delete on machine_transfers, transfer_warnings to agentctl_jobs;
create policy own on machine_transfers for select to agentctl_app using (namespace_id in (select my_namespaces()));
create policy work on machine_transfers to agentctl_jobs using (true);
create policy work on transfer_warnings to agentctl_jobs using (true);
