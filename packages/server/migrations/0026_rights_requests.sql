-- Policy 7e. Whoever cannot, or does not want to, use the service for it may write to us about what is held about them.
-- What they ask for is noted here with the day by which it has to be answered; what they wrote is not.
create table rights_requests (
  id text primary key check (id ~ '^rrq_'),
  kind text not null check (kind in ('access', 'correct', 'delete', 'export', 'other')),
  came_by text not null check (came_by in ('mail', 'post', 'phone')),
  -- Whose account it is about; null while that is not known, and when the account is gone.
  account_id text,
  received_at timestamptz not null,
  due_at timestamptz not null check (due_at > received_at),
  answered_at timestamptz,
  outcome text check (outcome in ('done', 'refused')),
  check ((outcome is null) = (answered_at is null))
);
create index rights_requests_open on rights_requests (due_at) where answered_at is null;
comment on table rights_requests is 'Requests about personal data that came by mail or post, and when they are due.';
comment on column rights_requests.id is 'class=rights.request; purpose=notify; retention=5y; export=yes; erase=keep';
comment on column rights_requests.kind is 'class=rights.request; purpose=notify; retention=5y; export=yes; erase=keep';
comment on column rights_requests.came_by is 'class=rights.request; purpose=notify; retention=5y; export=yes; erase=keep';
comment on column rights_requests.account_id is 'class=account.id; purpose=notify; retention=account; export=yes; erase=unlink';
comment on column rights_requests.received_at is 'class=rights.request; purpose=notify; retention=5y; export=yes; erase=keep';
comment on column rights_requests.due_at is 'class=rights.request; purpose=notify; retention=5y; export=yes; erase=keep';
comment on column rights_requests.answered_at is 'class=rights.request; purpose=notify; retention=5y; export=yes; erase=keep';
comment on column rights_requests.outcome is 'class=rights.request; purpose=notify; retention=5y; export=yes; erase=keep';
alter table rights_requests enable row level security;
grant select, insert, update on rights_requests to agentctl_operator;
grant select on rights_requests to agentctl_app;
create policy act on rights_requests to agentctl_operator using (true);
create policy own on rights_requests for select to agentctl_app using (account_id = current_account());
insert into account_tables (name, position, is_own) values ('rights_requests', 33, 'account_id = $1');

insert into account_tables (name, position, is_own) values ('request_log', 34, 'account_id = $1');
