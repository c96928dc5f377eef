-- Policy 6a, 6d, 7a, 7c. What is held about an account: which rows of which table are its own. An export reads them, an
-- erasure deletes them, in this order: what refers to others goes before them. Whether a column is exported, and whether
-- a row is deleted or kept, say the columns themselves.
create table account_tables (
  name text primary key,
  position int not null unique,
  -- A condition on the table's rows; $1 is the account, $2 its ledger account.
  is_own text not null,
  -- Goes when the erasure is asked for, so that from then on nobody can act for the account; the others at its end.
  is_access boolean not null default false
);
comment on table account_tables is 'Which rows of each table are of an account.';
comment on column account_tables.name is 'class=catalogue; purpose=provision; retention=schema; export=no; erase=keep';
comment on column account_tables.position is 'class=catalogue; purpose=provision; retention=schema; export=no; erase=keep';
comment on column account_tables.is_own is 'class=catalogue; purpose=provision; retention=schema; export=no; erase=keep';
comment on column account_tables.is_access is 'class=catalogue; purpose=provision; retention=schema; export=no; erase=keep';
insert into account_tables (name, position, is_access, is_own) values
  ('idempotency_keys', 1, true, 'account_id = $1'),
  ('phone_challenges', 2, true, 'account_id = $1 or phone_hmac in (select phone_hmac from phones where account_id = $1)'),
  ('wallet_challenges', 3, true, 'account_id = $1 or address in (select address from wallets where account_id = $1)'),
  ('signups', 4, true, 'phone_hmac in (select phone_hmac from phones where account_id = $1)
    or wallet_address in (select address from wallets where account_id = $1)'),
  ('sessions', 5, true, 'account_id = $1'),
  ('api_keys', 6, true, 'account_id = $1'),
  ('invitations', 7, true, 'created_by = $1'),
  ('phones', 8, true, 'account_id = $1'),
  ('wallets', 9, true, 'account_id = $1'),
  ('operations', 20, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)
    or subject in (select id from checkouts where ledger_account_id = $2)
    or subject in (select payment_id from checkouts where ledger_account_id = $2)'),
  ('transfer_warnings', 18, false, 'agent_id in (select a.id from agents a join namespaces n on n.id = a.namespace_id
    where n.owner_account_id = $1)'),
  ('machine_transfers', 19, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)'),
  ('agent_logs', 21, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)'),
  ('secrets', 22, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)'),
  ('release_files', 23, false, 'release_id in (select r.id from releases r join namespaces n on n.id = r.namespace_id
    where n.owner_account_id = $1)'),
  ('releases', 24, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)'),
  ('domains', 25, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)'),
  ('machines', 26, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)'),
  ('snapshots', 27, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)'),
  ('agents', 28, false, 'namespace_id in (select id from namespaces where owner_account_id = $1)'),
  ('blobs', 29, false, 'account_id = $1'),
  ('notices', 30, false, 'account_id = $1'),
  ('spend_limits', 31, false, 'account_id = $1'),
  ('spend_warnings', 32, false, 'account_id = $1'),
  ('card_refunds', 40, false, 'checkout_id in (select id from checkouts where ledger_account_id = $2)'),
  ('card_mismatches', 41, false, 'checkout_id in (select id from checkouts where ledger_account_id = $2)'),
  ('checkouts', 42, false, 'ledger_account_id = $2'),
  ('deposits', 43, false, 'ledger_account_id = $2'),
  ('payments', 44, false, 'ledger_account_id = $2'),
  ('meters', 45, false, 'ledger_account_id = $2'),
  ('ledger_hold_ends', 46, false, 'hold_key in (select key from ledger_holds where ledger_account_id = $2)'),
  ('ledger_holds', 47, false, 'ledger_account_id = $2'),
  ('ledger_entries', 48, false, 'ledger_account_id = $2'),
  ('ledger_transactions', 49, false, 'ledger_account_id = $2'),
  ('billing_accounts', 50, false, 'account_id = $1'),
  ('ledger_balances', 51, false, 'ledger_account_id = $2'),
  ('members', 60, false, 'account_id = $1'),
  ('namespaces', 61, false, 'owner_account_id = $1'),
  ('accounts', 62, false, 'id = $1');
alter table account_tables enable row level security;
grant select on account_tables to agentctl_app, agentctl_jobs;
create policy read on account_tables for select to agentctl_app, agentctl_jobs using (true);

-- An erasure, from the wish to the receipt. Whoever asked has the token; when it has ended, the row names nobody.
create table erasures (
  id text primary key check (id ~ '^era_'),
  token_hash bytea not null,
  account_id text,
  -- Rows that went when it was asked for, by table; and how many contents there were to delete.
  closed jsonb not null default '{}',
  requested_at timestamptz not null,
  finished_at timestamptz,
  receipt jsonb,
  check ((account_id is null) = (finished_at is not null)),
  check ((receipt is null) = (finished_at is null))
);
create unique index erasures_one on erasures (account_id) where account_id is not null;
comment on table erasures is 'Erasures of accounts, and the receipts of those that have ended.';
comment on column erasures.id is 'class=erasure; purpose=provision; retention=5y; export=no; erase=keep';
comment on column erasures.token_hash is 'class=secret.hash; purpose=authenticate; retention=5y; export=no; erase=keep';
comment on column erasures.account_id is 'class=account.id; purpose=provision; retention=account; export=no; erase=unlink';
comment on column erasures.closed is 'class=erasure; purpose=provision; retention=5y; export=no; erase=keep';
comment on column erasures.requested_at is 'class=erasure; purpose=provision; retention=5y; export=no; erase=keep';
comment on column erasures.finished_at is 'class=erasure; purpose=provision; retention=5y; export=no; erase=keep';
comment on column erasures.receipt is 'class=erasure; purpose=provision; retention=5y; export=no; erase=keep';
alter table erasures enable row level security;
grant select on erasures to agentctl_app;
grant select, update, delete on erasures to agentctl_jobs;
create policy presented on erasures for select to agentctl_app using (encode(token_hash, 'hex') = presented());
create policy work on erasures to agentctl_jobs using (true);

-- Policy 6d. What the law makes us keep of an account that is erased lies apart, where no part of the service reads it:
-- no longer anybody's, under the random name of its ledger account. Only the functions below write and destroy.
create schema retained;
do $$
begin
  begin
    create role agentctl_retained nologin nosuperuser nobypassrls;
  exception when duplicate_object or unique_violation then
    null; -- Roles belong to the whole cluster; another database's migration was first.
  end;
  grant usage on schema retained to agentctl_retained;
end $$;
create table retained.records (
  id bigint generated always as identity primary key,
  ledger_account_id text not null,
  table_name text not null,
  -- The row as it was.
  record jsonb not null,
  legal_basis text not null,
  -- Destroyed then.
  kept_until timestamptz not null
);
create index records_end on retained.records (kept_until);
create index records_account on retained.records (ledger_account_id);
comment on table retained.records is 'Billing records of accounts that are erased.';
comment on column retained.records.id is 'class=billing.retained; purpose=pay; retention=5y; export=no; erase=keep';
comment on column retained.records.ledger_account_id is 'class=billing.retained; purpose=pay; retention=5y; export=no; erase=keep';
comment on column retained.records.table_name is 'class=billing.retained; purpose=pay; retention=5y; export=no; erase=keep';
comment on column retained.records.record is 'class=billing.retained; purpose=pay; retention=5y; export=no; erase=keep';
comment on column retained.records.legal_basis is 'class=billing.retained; purpose=pay; retention=5y; export=no; erase=keep';
comment on column retained.records.kept_until is 'class=billing.retained; purpose=pay; retention=5y; export=no; erase=keep';
alter table retained.records enable row level security;
-- For whoever has to show the books; no server logs in as this.
grant select on retained.records to agentctl_retained;
create policy show on retained.records for select to agentctl_retained using (true);

-- The books are never changed; only an erasure moves an account's part of them, whole, into `retained`.
create or replace function refuse_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_setting('app.erasing', true) = 'on' then return null; end if;
  raise exception '% is never changed: post what corrects it', tg_table_name using errcode = 'LG000';
end $$;
alter table ledger_transactions drop constraint ledger_transactions_kind_check;
alter table ledger_transactions add constraint ledger_transactions_kind_check
  check (kind in ('deposit', 'charge', 'refund', 'reversal', 'unclaimed', 'forfeit'));

-- A payment is credited once, also when the account that it was credited to is gone: what is left is a hash.
create table settled_payments (payment_hash bytea primary key);
comment on table settled_payments is 'Hashes of payments whose account is erased.';
comment on column settled_payments.payment_hash is 'class=chain; purpose=abuse; retention=schema; export=no; erase=keep';
alter table settled_payments enable row level security;
create function payment_hash(chain_id bigint, tx_hash text, ordinal int) returns bytea language sql immutable parallel safe
  as $$ select sha256(convert_to(chain_id || ':' || tx_hash || ':' || ordinal, 'UTF8')) $$;
create function skip_settled_payment() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if exists (select from settled_payments s
      where s.payment_hash = payment_hash(new.chain_id, new.tx_hash, new.ordinal)) then
    return null;
  end if;
  return new;
end $$;
create trigger skip_settled before insert on payments for each row execute function skip_settled_payment();

-- Nobody else gets an address that others still know, also when its account is gone: what is left is a hash.
create table retired_labels (label_hash bytea primary key);
comment on table retired_labels is 'Hashes of addresses whose account is erased.';
comment on column retired_labels.label_hash is 'class=catalogue; purpose=abuse; retention=schema; export=no; erase=keep';
alter table retired_labels enable row level security;
create function skip_retired_label() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if exists (select from retired_labels where label_hash = sha256(convert_to(new.label, 'UTF8'))) then
    return null;
  end if;
  return new;
end $$;
create trigger skip_retired before insert on agents for each row execute function skip_retired_label();

-- Deletes the rows of an account, moves those that are kept, and takes what names the account out of those that stay
-- where they are. Tells how many went, by table.
create function erase_rows(
  p_account text, p_is_access boolean, p_legal_basis text, p_kept_until timestamptz
) returns table (table_name text, is_kept boolean, count bigint)
language plpgsql set search_path = public, pg_temp as $$
declare
  ledger text;
  each_table record;
begin
  select b.ledger_account_id into ledger from billing_accounts b where b.account_id = p_account;
  perform set_config('app.erasing', 'on', true);
  for each_table in
    select t.name, t.is_own, c.keeps, c.unlinks, c.leaves_out
    from account_tables t cross join lateral (
      select coalesce(bool_or(comment like '%erase=keep'), false) as keeps,
        string_agg(format('%I = null', attname), ', ') filter (where comment like '%erase=unlink') as unlinks,
        -- Of a row that is kept, what need not be kept is left out.
        coalesce(array_agg(attname::text) filter (where comment not like '%erase=keep'), '{}') as leaves_out
      from (
        select a.attname, col_description(a.attrelid, a.attnum) as comment from pg_attribute a
        where a.attrelid = to_regclass('public.' || t.name) and a.attnum > 0 and not a.attisdropped) classified
    ) c
    where t.is_access = p_is_access and to_regclass('public.' || t.name) is not null order by t.position
  loop
    if each_table.unlinks is not null then
      execute format('update %I set %s where %s', each_table.name, each_table.unlinks, each_table.is_own)
        using p_account, ledger;
    elsif each_table.keeps then
      execute format('with gone as (delete from %I as held where %s returning to_jsonb(held) - %L::text[] as record)
        insert into retained.records (ledger_account_id, table_name, record, legal_basis, kept_until)
        select $2, %L, record, $3, $4 from gone',
        each_table.name, each_table.is_own, each_table.leaves_out, each_table.name)
        using p_account, ledger, p_legal_basis, p_kept_until;
    else
      execute format('delete from %I where %s', each_table.name, each_table.is_own) using p_account, ledger;
    end if;
    get diagnostics count = row_count;
    table_name := each_table.name;
    is_kept := each_table.unlinks is null and each_table.keeps;
    if count > 0 and each_table.unlinks is null then return next; end if;
  end loop;
  perform set_config('app.erasing', '', true);
end $$;

-- Writes the wish down. The id of the erasure of the account, which is this one unless another was first; null when the
-- account is gone or the id is somebody else's.
create function begin_erasure(p_id text, p_token_hash bytea, p_account text, p_at timestamptz) returns text
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  begun text;
begin
  -- From here on nothing new can refer to the account until this is decided.
  perform 1 from accounts where id = p_account for update;
  if not found then return null; end if;
  select id into begun from erasures where account_id = p_account;
  if found then return begun; end if;
  insert into erasures (id, token_hash, account_id, requested_at) values (p_id, p_token_hash, p_account, p_at)
    on conflict (id) do nothing;
  if not found then return null; end if;
  return p_id;
end $$;

-- Ends every way to act for the account: from here on only the erasure does.
create function close_account(p_erasure text) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
begin
  update erasures e set closed = (
    select coalesce(jsonb_object_agg(r.table_name, r.count), '{}') from erase_rows(e.account_id, true, null, null) r)
    || jsonb_build_object('files', (select count(*) from blobs where account_id = e.account_id))
  where id = p_erasure and account_id is not null;
end $$;

-- The last step, all or nothing: what is deleted goes, what is kept lies apart. Refuses while anything of the account
-- is at a provider or in the store of contents.
create function erase_account(p_erasure text, p_legal_basis text, p_kept_until timestamptz, p_at timestamptz)
returns jsonb language plpgsql security definer set search_path = public, pg_temp as $$
declare
  account text;
  ledger text;
  balance bigint := 0;
  held bigint := 0;
  gone jsonb;
begin
  select account_id into account from erasures where id = p_erasure and account_id is not null for update;
  if not found then raise exception 'there is no erasure % under way', p_erasure; end if;
  perform 1 from accounts where id = account for update;
  -- A run of the meters waits for this, as it does for whoever sets a meter; and nobody posts to the account meanwhile.
  perform 1 from meter_watermark for share;
  select b.ledger_account_id, b.balance_micros, b.held_micros into ledger, balance, held
    from billing_accounts a join ledger_balances b using (ledger_account_id) where a.account_id = account for update of b;
  if held > 0
    or exists (select from payments where ledger_account_id = ledger and state in ('confirming', 'refunding'))
    or exists (select from checkouts where ledger_account_id = ledger and status in ('starting', 'open', 'processing'))
    or exists (select from blobs where account_id = account)
    or exists (select from namespaces n join agents a on a.namespace_id = n.id
      where n.owner_account_id = account and (a.status <> 'deleted'
        or exists (select from machines m where m.agent_id = a.id and m.state <> 'deleted')
        or exists (select from snapshots s where s.agent_id = a.id and s.state <> 'deleted')
        or exists (select from domains d where d.agent_id = a.id and d.status in ('pending', 'verifying', 'live'))))
  then
    raise exception 'something of the account is still under way' using errcode = 'LG003';
  end if;
  if balance > 0 then
    perform ledger_post('forfeit:' || ledger, 'forfeit', '', ledger, 'sys_revenue', -balance,
      date_trunc('milliseconds', p_at));
  end if;
  insert into settled_payments
    select payment_hash(p.chain_id, p.tx_hash, p.ordinal) from payments p where p.ledger_account_id = ledger
    on conflict do nothing;
  insert into retired_labels
    select sha256(convert_to(a.label, 'UTF8')) from agents a
    join namespaces n on n.id = a.namespace_id where n.owner_account_id = account
    on conflict do nothing;
  select coalesce(jsonb_agg(r), '[]') into gone
    from erase_rows(account, false, p_legal_basis, p_kept_until) r;
  return jsonb_build_object('gone', gone, 'balanceMicros', coalesce(balance, 0)::text);
end $$;

-- What has been kept for as long as the law asks is destroyed. Tells how many records went.
create function destroy_retained(p_now timestamptz, p_limit int) returns bigint
language sql security definer set search_path = public, pg_temp as $$
  with gone as (
    delete from retained.records where id = any(array(
      select id from retained.records where kept_until <= p_now order by kept_until limit p_limit))
    returning 1
  ) select count(*) from gone
$$;

revoke execute on function erase_rows, begin_erasure, close_account, erase_account, destroy_retained,
  skip_settled_payment, skip_retired_label from public;
grant execute on function begin_erasure, close_account, erase_account, destroy_retained to agentctl_jobs;

-- An account is told what is held about its payments as well.
grant select on payments, card_mismatches, card_refunds to agentctl_app;
create policy own on payments for select to agentctl_app
  using (ledger_account_id in (select ledger_account_id from billing_accounts));
create policy own on card_mismatches for select to agentctl_app using (checkout_id in (select id from checkouts));
create policy own on card_refunds for select to agentctl_app using (checkout_id in (select id from checkouts));
-- The plan of an erasure looks at who else is in a namespace, and hands it over.
grant select on members to agentctl_jobs;
grant update (owner_account_id) on namespaces to agentctl_jobs;
create policy erase on members for select to agentctl_jobs using (true);
create policy hand_over on namespaces for update to agentctl_jobs using (true);
