-- Policy 2f. Where an account wants its service messages sent to, by its own wish; at most one address.
create table notice_webhooks (
  account_id text primary key references accounts on delete cascade,
  url text not null,
  -- What signs, sealed for this account.
  key_id text not null,
  nonce bytea not null,
  ciphertext bytea not null,
  -- Messages from then on are sent.
  created_at timestamptz not null,
  next_at timestamptz not null,
  failures int not null default 0,
  failing_since timestamptz,
  last_error text,
  delivered_at timestamptz,
  check ((failures = 0) = (failing_since is null))
);
create index notice_webhooks_next on notice_webhooks (next_at);
comment on table notice_webhooks is 'Addresses that accounts have their service messages sent to.';
comment on column notice_webhooks.account_id is 'class=account.id; purpose=notify; retention=account; export=yes; erase=delete';
comment on column notice_webhooks.url is 'class=notice; purpose=notify; retention=account; export=yes; erase=delete';
comment on column notice_webhooks.key_id is 'class=secret.key-id; purpose=provision; retention=account; export=no; erase=delete';
comment on column notice_webhooks.nonce is 'class=secret.webhook; purpose=provision; retention=account; export=no; erase=delete';
comment on column notice_webhooks.ciphertext is 'class=secret.webhook; purpose=provision; retention=account; export=no; erase=delete';
comment on column notice_webhooks.created_at is 'class=notice; purpose=notify; retention=account; export=yes; erase=delete';
comment on column notice_webhooks.next_at is 'class=notice; purpose=notify; retention=account; export=yes; erase=delete';
comment on column notice_webhooks.failures is 'class=notice; purpose=notify; retention=account; export=yes; erase=delete';
comment on column notice_webhooks.failing_since is 'class=notice; purpose=notify; retention=account; export=yes; erase=delete';
comment on column notice_webhooks.last_error is 'class=notice; purpose=notify; retention=account; export=yes; erase=delete';
comment on column notice_webhooks.delivered_at is 'class=notice; purpose=notify; retention=account; export=yes; erase=delete';
alter table notice_webhooks enable row level security;
grant select, insert, update, delete on notice_webhooks to agentctl_app, agentctl_jobs;
create policy own on notice_webhooks to agentctl_app using (account_id = current_account());
create policy work on notice_webhooks to agentctl_jobs using (true);
-- Goes when an erasure is asked for: nothing is sent any more from then on.
insert into account_tables (name, position, is_access, is_own) values ('notice_webhooks', 10, true, 'account_id = $1');

create table notice_deliveries (
  account_id text not null references accounts on delete cascade,
  notice_id text not null,
  delivered_at timestamptz not null,
  primary key (account_id, notice_id)
);
create index notice_deliveries_at on notice_deliveries (delivered_at);
comment on table notice_deliveries is 'Which service messages have been sent to an account''s own address.';
comment on column notice_deliveries.account_id is 'class=account.id; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column notice_deliveries.notice_id is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column notice_deliveries.delivered_at is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
alter table notice_deliveries enable row level security;
grant select on notice_deliveries to agentctl_app;
grant select, insert, delete on notice_deliveries to agentctl_jobs;
create policy own on notice_deliveries for select to agentctl_app using (account_id = current_account());
create policy work on notice_deliveries to agentctl_jobs using (true);
insert into account_tables (name, position, is_own) values ('notice_deliveries', 37, 'account_id = $1');

create or replace function keys_in_use(out sealing text[], out peppers int[])
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select
      array(
        select key_id from secrets
        union
        select key_id from machines where key_id is not null and state <> 'deleted'
        union
        select key_id from notice_webhooks
        union
        select step_data->'bootstrap'->>'keyId' from operations
        where state = 'pending' and step_data->'bootstrap'->>'keyId' is not null
      ),
      array(select distinct pepper_version from phones)
  $$;
