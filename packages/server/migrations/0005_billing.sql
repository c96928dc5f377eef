-- Credits: prepaid, exact, whole micro-USD (bigint; neither NUMERIC nor a float ever). Double entry: each transaction
-- has entries that sum to zero. A positive amount is credit of that ledger account: a deposit of 25 dollars is
-- +25,000,000 for the customer and -25,000,000 for the treasury, which so always shows what we owe for what we have.
--
-- Only the functions below write here. No role may insert, update or delete: `agentctl_jobs` may execute them,
-- `agentctl_app` may look at what is its caller's.

-- Customers' ledger accounts, and nobody else's: a row of the revenue account would be locked by every posting, which
-- measured two to five times slower. What a system account has is the sum of its entries.
create table ledger_balances (
  -- Random, and the only name in the chain of entries: without its row in billing_accounts it belongs to nobody.
  ledger_account_id text primary key check (starts_with(ledger_account_id, 'lac_')),
  balance_micros bigint not null default 0,
  held_micros bigint not null default 0 check (held_micros >= 0),
  -- Zero, but for a customer whose payment was taken back after the credits were spent: then it is the debt, which
  -- later deposits bring back to zero.
  floor_micros bigint not null default 0 check (floor_micros <= 0),
  entry_count int not null default 0,
  head_hash bytea not null default decode(repeat('00', 32), 'hex') check (length(head_hash) = 32),
  -- When a meter run found less than was due; a credit that leaves something to spend takes it back.
  depleted_at timestamptz,
  created_at timestamptz not null,
  -- What nobody may spend below, whatever the code above forgets.
  constraint ledger_floor check (balance_micros - held_micros >= floor_micros)
) with (fillfactor = 70);
create index ledger_balances_depleted on ledger_balances (depleted_at) where depleted_at is not null;
comment on table ledger_balances is 'What each customer has, as of the last entry.';

create table billing_accounts (
  account_id text primary key references accounts on delete cascade,
  ledger_account_id text not null unique references ledger_balances deferrable initially deferred
);
comment on table billing_accounts is 'Whose ledger account is whose. Erasure deletes the row; the books stay.';

create table ledger_transactions (
  -- Its name is its idempotency key: the same key again is the same transaction, or a conflict.
  key text primary key check (key ~ '^[!-~]{1,200}$'),
  kind text not null check (kind in ('deposit', 'charge', 'refund', 'reversal', 'unclaimed')),
  -- What it is about, such as a deposit's id.
  reference text not null check (reference ~ '^[!-~]{0,200}$'),
  -- The one customer, system account and amount it moves; null for a meter run, which has many customers.
  ledger_account_id text,
  contra text,
  amount_micros bigint,
  -- Milliseconds, as everywhere outside the database: what is hashed here is hashed the same elsewhere.
  at timestamptz not null check (at = date_trunc('milliseconds', at))
);
create index ledger_transactions_reference on ledger_transactions (reference);
comment on table ledger_transactions is 'What happened to credits. Never changed, never deleted.';

create table ledger_entries (
  ledger_account_id text not null
    check (starts_with(ledger_account_id, 'lac_') or ledger_account_id in ('sys_treasury', 'sys_revenue', 'sys_unclaimed', 'sys_cards')),
  -- Counts up without a gap within a customer's account; entries of system accounts have no order.
  sequence int,
  -- No foreign key: only the functions below write, and a check of each of a run's entries measured too dear.
  transaction_key text not null,
  amount_micros bigint not null check (amount_micros <> 0),
  balance_micros bigint,
  -- SHA-256 over the entry before and this one, see ledger_entry_hash.
  hash bytea,
  check (starts_with(ledger_account_id, 'lac_') = (sequence is not null and balance_micros is not null and hash is not null)),
  unique (ledger_account_id, sequence)
);
comment on table ledger_entries is 'Both sides of every transaction, with the balance after it. Never changed, never deleted.';

create table ledger_holds (
  key text primary key check (key ~ '^[!-~]{1,200}$'),
  ledger_account_id text not null references ledger_balances,
  amount_micros bigint not null check (amount_micros > 0),
  reference text not null check (reference ~ '^[!-~]{0,200}$'),
  created_at timestamptz not null
);
create index ledger_holds_account on ledger_holds (ledger_account_id);
comment on table ledger_holds is 'Credits set aside: not spent, but nobody else''s to spend. Never changed.';

create table ledger_hold_ends (
  -- The primary key is the rule: a hold ends once.
  hold_key text primary key references ledger_holds,
  -- Zero: voided.
  captured_micros bigint not null check (captured_micros >= 0),
  at timestamptz not null
);
comment on table ledger_hold_ends is 'How holds ended: captured, in whole or in part, or voided. Never changed.';

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is never changed: post what corrects it', tg_table_name using errcode = 'LG000';
end $$;
create trigger immutable before update or delete or truncate on ledger_transactions
  for each statement execute function refuse_change();
create trigger immutable before update or delete or truncate on ledger_entries
  for each statement execute function refuse_change();
create trigger immutable before update or delete or truncate on ledger_holds
  for each statement execute function refuse_change();
create trigger immutable before update or delete or truncate on ledger_hold_ends
  for each statement execute function refuse_change();

-- All entries of a transaction come in one statement, so that this can be asked at its end.
create function refuse_unbalanced() returns trigger language plpgsql as $$
declare
  odd text;
begin
  select transaction_key into odd from added group by transaction_key having sum(amount_micros) <> 0 limit 1;
  if found then
    raise exception 'the entries of % do not sum to zero', odd using errcode = 'LG000';
  end if;
  return null;
end $$;
create trigger balanced after insert on ledger_entries
  referencing new table as added for each statement execute function refuse_unbalanced();

-- The chain: each entry's hash covers the one before, so that no digit can be changed, and nothing taken out of the
-- middle, without every later hash changing too. The text is what anybody can put together from an export. Declared
-- stable, as its parts are, or it would not be inlined into a meter run.
create function ledger_entry_hash(
  previous bytea, ledger_account_id text, sequence int, transaction_key text, kind text, reference text,
  amount_micros bigint, balance_micros bigint, at text
) returns bytea language sql stable parallel safe as $$
  select sha256(previous || convert_to(
    ledger_account_id || E'\n' || sequence::text || E'\n' || transaction_key || E'\n' || kind || E'\n' || reference || E'\n'
      || amount_micros::text || E'\n' || balance_micros::text || E'\n' || at, 'UTF8'))
$$;
create function ledger_time(at timestamptz) returns text language sql immutable parallel safe as
  $$ select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

-- The ledger account of a customer; made at its first use.
create function ledger_account_of(p_account_id text, p_new_id text, p_at timestamptz) returns text
language plpgsql security definer set search_path = public as $$
declare
  found_id text;
begin
  select ledger_account_id into found_id from billing_accounts where account_id = p_account_id;
  if found then return found_id; end if;
  -- Of two that come at once, the second waits here for the first and then finds its row.
  insert into billing_accounts (account_id, ledger_account_id) values (p_account_id, p_new_id)
    on conflict (account_id) do nothing;
  if not found then
    select ledger_account_id into found_id from billing_accounts where account_id = p_account_id;
    return found_id;
  end if;
  insert into ledger_balances (ledger_account_id, created_at) values (p_new_id, p_at);
  return p_new_id;
end $$;

-- Appends to a customer's chain and moves what is held. The caller has recorded the transaction and holds the row.
create function ledger_append(
  p_account text, p_key text, p_kind text, p_reference text, p_contra text, p_amount bigint, p_released bigint,
  p_at timestamptz, p_into_debt boolean
) returns void language plpgsql set search_path = public as $$
begin
  with moved as (
    update ledger_balances b set
      balance_micros = b.balance_micros + p_amount,
      held_micros = b.held_micros - p_released,
      -- A credit pays debt back; only what is told to may make debt. Anything else below the floor is refused.
      floor_micros = case
        when p_into_debt then least(b.floor_micros, b.balance_micros - b.held_micros + p_amount + p_released)
        else greatest(b.floor_micros, least(0, b.balance_micros - b.held_micros + p_amount + p_released)) end,
      depleted_at = case
        when b.balance_micros - b.held_micros + p_amount + p_released > 0 then null else b.depleted_at end,
      entry_count = b.entry_count + 1,
      head_hash = ledger_entry_hash(b.head_hash, p_account, b.entry_count + 1, p_key, p_kind, p_reference, p_amount,
        b.balance_micros + p_amount, ledger_time(p_at))
    where b.ledger_account_id = p_account
    returning b.entry_count, b.balance_micros, b.head_hash
  )
  insert into ledger_entries (ledger_account_id, sequence, transaction_key, amount_micros, balance_micros, hash)
  select p_account, entry_count, p_key, p_amount, balance_micros, head_hash from moved
  union all
  select p_contra, null, p_key, -p_amount, null, null from moved;
  if not found then
    raise exception 'there is no ledger account %', p_account using errcode = 'LG002';
  end if;
end $$;

-- Moves an amount between a customer (positive: credits it) and a system account. True when this call did it, false
-- when the key already had; the same key for anything else is a conflict (LG001).
--
-- Locks: the key's index entry first, then the customer's row. A repetition in parallel waits at the key, finds the
-- first one's row and never touches the balance. A transaction moves credits of one customer, and sets meters before
-- it does: a meter run takes the watermark and then many customers in any order, and alone it may.
create function ledger_post(
  p_key text, p_kind text, p_reference text, p_account text, p_contra text, p_amount bigint, p_at timestamptz,
  p_into_debt boolean default false
) returns boolean language plpgsql security definer set search_path = public as $$
declare
  same boolean;
begin
  insert into ledger_transactions (key, kind, reference, ledger_account_id, contra, amount_micros, at)
    values (p_key, p_kind, p_reference, p_account, p_contra, p_amount, p_at)
    on conflict (key) do nothing;
  if not found then
    select (kind, reference, ledger_account_id, contra, amount_micros)
        is not distinct from (p_kind, p_reference, p_account, p_contra, p_amount)
      into same from ledger_transactions where key = p_key;
    if not same then
      raise exception 'the key % was used for another transaction', p_key using errcode = 'LG001';
    end if;
    return false;
  end if;
  perform ledger_append(p_account, p_key, p_kind, p_reference, p_contra, p_amount, 0, p_at, p_into_debt);
  return true;
end $$;

-- Moves an amount between two system accounts; no balance row is touched.
create function ledger_transfer(
  p_key text, p_kind text, p_reference text, p_from text, p_to text, p_amount bigint, p_at timestamptz
) returns boolean language plpgsql security definer set search_path = public as $$
declare
  same boolean;
begin
  if p_amount <= 0 or starts_with(p_from, 'lac_') or starts_with(p_to, 'lac_') then
    raise exception 'a transfer moves a positive amount between system accounts' using errcode = 'LG002';
  end if;
  insert into ledger_transactions (key, kind, reference, ledger_account_id, contra, amount_micros, at)
    values (p_key, p_kind, p_reference, p_to, p_from, p_amount, p_at)
    on conflict (key) do nothing;
  if not found then
    select (kind, reference, ledger_account_id, contra, amount_micros)
        is not distinct from (p_kind, p_reference, p_to, p_from, p_amount)
      into same from ledger_transactions where key = p_key;
    if not same then
      raise exception 'the key % was used for another transaction', p_key using errcode = 'LG001';
    end if;
    return false;
  end if;
  insert into ledger_entries (ledger_account_id, transaction_key, amount_micros)
    values (p_to, p_key, p_amount), (p_from, p_key, -p_amount);
  return true;
end $$;

-- Sets credits aside. True when this call did it, false when the key already had.
create function ledger_hold(p_key text, p_account text, p_amount bigint, p_reference text, p_at timestamptz)
returns boolean language plpgsql security definer set search_path = public as $$
declare
  same boolean;
begin
  insert into ledger_holds (key, ledger_account_id, amount_micros, reference, created_at)
    values (p_key, p_account, p_amount, p_reference, p_at)
    on conflict (key) do nothing;
  if not found then
    select (ledger_account_id, amount_micros, reference) is not distinct from (p_account, p_amount, p_reference)
      into same from ledger_holds where key = p_key;
    if not same then
      raise exception 'the key % was used for another hold', p_key using errcode = 'LG001';
    end if;
    return false;
  end if;
  update ledger_balances set held_micros = held_micros + p_amount where ledger_account_id = p_account;
  return true;
end $$;

-- Ends a hold: what is captured is charged, the rest is free again; capturing nothing voids it. The charge's key comes
-- from the hold's, so that a hold is captured once however often this is called.
create function ledger_end_hold(p_key text, p_captured bigint, p_at timestamptz)
returns boolean language plpgsql security definer set search_path = public as $$
declare
  hold ledger_holds;
  before bigint;
begin
  select * into hold from ledger_holds where key = p_key;
  if not found then
    raise exception 'there is no hold %', p_key using errcode = 'LG002';
  end if;
  if p_captured > hold.amount_micros then
    raise exception 'hold % has less than that', p_key using errcode = 'LG002';
  end if;
  insert into ledger_hold_ends (hold_key, captured_micros, at) values (p_key, p_captured, p_at)
    on conflict (hold_key) do nothing;
  if not found then
    select captured_micros into before from ledger_hold_ends where hold_key = p_key;
    if before <> p_captured then
      raise exception 'hold % has ended in another way', p_key using errcode = 'LG001';
    end if;
    return false;
  end if;
  if p_captured = 0 then
    update ledger_balances set
      held_micros = held_micros - hold.amount_micros,
      floor_micros = greatest(floor_micros, least(0, balance_micros - held_micros + hold.amount_micros)),
      depleted_at = case when balance_micros - held_micros + hold.amount_micros > 0 then null else depleted_at end
    where ledger_account_id = hold.ledger_account_id;
    return true;
  end if;
  insert into ledger_transactions (key, kind, reference, ledger_account_id, contra, amount_micros, at)
    values ('capture:' || p_key, 'charge', hold.reference, hold.ledger_account_id, 'sys_revenue', -p_captured, p_at);
  perform ledger_append(hold.ledger_account_id, 'capture:' || p_key, 'charge', hold.reference, 'sys_revenue',
    -p_captured, hold.amount_micros, p_at, false);
  return true;
end $$;

alter table ledger_balances enable row level security;
alter table billing_accounts enable row level security;
alter table ledger_transactions enable row level security;
alter table ledger_entries enable row level security;
alter table ledger_holds enable row level security;
alter table ledger_hold_ends enable row level security;

-- Whoever may execute these moves money: jobs only, and append only from within.
revoke execute on function ledger_account_of, ledger_append, ledger_post, ledger_transfer, ledger_hold, ledger_end_hold
  from public;
grant execute on function ledger_account_of, ledger_post, ledger_transfer, ledger_hold, ledger_end_hold
  to agentctl_jobs;
grant select on ledger_balances, billing_accounts, ledger_transactions, ledger_entries, ledger_holds, ledger_hold_ends
  to agentctl_app, agentctl_jobs;

create policy own on billing_accounts for select to agentctl_app using (account_id = current_account());
create policy own on ledger_balances for select to agentctl_app
  using (ledger_account_id in (select ledger_account_id from billing_accounts));
-- A meter run has no one customer; its row says only that it ran.
create policy own on ledger_transactions for select to agentctl_app
  using (ledger_account_id is null or ledger_account_id in (select ledger_account_id from billing_accounts));
create policy own on ledger_entries for select to agentctl_app
  using (ledger_account_id in (select ledger_account_id from billing_accounts));
create policy own on ledger_holds for select to agentctl_app
  using (ledger_account_id in (select ledger_account_id from billing_accounts));
create policy own on ledger_hold_ends for select to agentctl_app using (hold_key in (select key from ledger_holds));
create policy work on billing_accounts for select to agentctl_jobs using (true);
create policy work on ledger_balances for select to agentctl_jobs using (true);
create policy work on ledger_transactions for select to agentctl_jobs using (true);
create policy work on ledger_entries for select to agentctl_jobs using (true);
create policy work on ledger_holds for select to agentctl_jobs using (true);
create policy work on ledger_hold_ends for select to agentctl_jobs using (true);

comment on column ledger_balances.ledger_account_id is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_balances.balance_micros is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_balances.held_micros is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_balances.floor_micros is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_balances.entry_count is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_balances.head_hash is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_balances.depleted_at is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_balances.created_at is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_transactions.key is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_transactions.kind is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_transactions.reference is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_transactions.ledger_account_id is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_transactions.contra is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_transactions.amount_micros is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_transactions.at is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_entries.ledger_account_id is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_entries.sequence is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_entries.transaction_key is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_entries.amount_micros is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_entries.balance_micros is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_entries.hash is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_holds.key is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_holds.ledger_account_id is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_holds.amount_micros is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_holds.reference is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_holds.created_at is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_hold_ends.hold_key is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_hold_ends.captured_micros is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column ledger_hold_ends.at is 'class=billing.ledger; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column billing_accounts.account_id is 'class=account.id; purpose=pay; retention=account; export=yes; erase=delete';
comment on column billing_accounts.ledger_account_id is 'class=billing.ledger; purpose=pay; retention=account; export=yes; erase=delete';

-- Metering. A subject burns a rate from one moment to another; what it is, only the room that opened the meter knows.
-- Whole seconds throughout, so that every run ends on a second and no part of one is counted twice or lost.
create table meters (
  id bigint generated always as identity primary key,
  ledger_account_id text not null references ledger_balances,
  subject text not null check (subject ~ '^[!-~]{1,200}$'),
  -- For sums by namespace only; it may be gone when its usage is still read.
  namespace_id text,
  -- Micro-USD an hour.
  rate_micros bigint not null check (rate_micros between 1 and 1000000000),
  -- What the interval before left over, in 1/3600 micro-USD: rate changes drift by nothing either.
  carry bigint not null default 0 check (carry between 0 and 3599),
  from_at timestamptz not null check (from_at = date_trunc('second', from_at)),
  to_at timestamptz check (to_at >= from_at and to_at = date_trunc('second', to_at)),
  -- Where the watermark stood when it was opened: the run that begins there counts from from_at, however late the
  -- opening was recorded.
  opened_upto timestamptz not null,
  -- Runs that begin before this look at it: 'infinity' while open.
  counted_until timestamptz not null default 'infinity'
);
create unique index meters_open on meters (subject) where to_at is null;
create index meters_counted on meters (counted_until);
create index meters_account on meters (ledger_account_id, counted_until);
create index meters_subject on meters (subject, from_at);
comment on table meters is 'What burns credits: subject, rate, from, to. A rate change closes one and opens another.';

-- Up to where everything has been charged. One row, locked first of all: a run takes it for itself, an opening or
-- closing shares it, so that none is recorded in the shadow of a run that did not see it.
create table meter_watermark (
  is_only boolean primary key default true check (is_only),
  upto timestamptz not null check (upto = date_trunc('second', upto))
);
insert into meter_watermark (upto) values ('epoch');
comment on table meter_watermark is 'Up to where meters have been charged.';

create table meter_runs (
  upto timestamptz primary key,
  -- Runs follow each other without gap or overlap: each begins where another ended, and no two at the same point.
  since timestamptz not null unique check (since < upto),
  charged_micros bigint not null,
  account_count int not null,
  depleted_count int not null
);
comment on table meter_runs is 'Every run of the meters. Never changed.';
create trigger immutable before update or delete or truncate on meter_runs
  for each statement execute function refuse_change();

-- The whole micro-USD that an interval has burnt by a moment. Charges are differences of this, so that any number of
-- runs charges what one run would.
create function metered_micros(
  rate_micros bigint, carry bigint, from_at timestamptz, to_at timestamptz, moment timestamptz
) returns bigint language sql immutable parallel safe as $$
  select (carry + rate_micros * greatest(0, extract(epoch from least(moment, to_at) - from_at)::bigint)) / 3600
$$;

-- What a run from one moment to another charges each account for.
create function meter_dues(p_since timestamptz, p_upto timestamptz)
returns table (ledger_account_id text, due_micros bigint) language sql stable parallel safe as $$
  select m.ledger_account_id, sum(
    metered_micros(m.rate_micros, m.carry, m.from_at, m.to_at, p_upto)
    - case when m.opened_upto >= p_since then 0
        else metered_micros(m.rate_micros, m.carry, m.from_at, m.to_at, p_since) end)::bigint
  from meters m
  where m.counted_until > p_since and m.from_at < p_upto
  group by m.ledger_account_id
$$;

-- From this moment on the subject burns this rate; zero: nothing. The same again changes nothing. A moment that a run
-- has already charged for stays charged.
create function meter_set(
  p_subject text, p_account text, p_namespace text, p_rate bigint, p_at timestamptz
) returns boolean language plpgsql security definer set search_path = public as $$
declare
  watermark timestamptz;
  moment timestamptz := date_trunc('second', p_at);
  open meters;
  last meters;
begin
  select upto into watermark from meter_watermark for share;
  select * into open from meters where subject = p_subject and to_at is null for update;
  if found then
    if open.rate_micros = p_rate and open.ledger_account_id = p_account then return false; end if;
    moment := greatest(moment, open.from_at);
    if open.opened_upto < watermark then moment := greatest(moment, watermark); end if;
    update meters set to_at = moment, counted_until = greatest(moment, opened_upto + interval '1 second')
      where id = open.id;
  end if;
  if p_rate = 0 then return open.id is not null; end if;
  select * into last from meters where subject = p_subject order by from_at desc, id desc limit 1;
  insert into meters (ledger_account_id, subject, namespace_id, rate_micros, carry, from_at, opened_upto)
  values (p_account, p_subject, p_namespace, p_rate,
    coalesce((last.carry + last.rate_micros * extract(epoch from last.to_at - last.from_at)::bigint) % 3600, 0),
    greatest(moment, last.to_at), watermark);
  return true;
end $$;

-- Charges everything up to a moment, in one statement: capped at what each account has, accounts without enough
-- flagged. False when a run has already come that far, so that whoever crashed or raced just runs it again.
create function run_meters(p_upto timestamptz) returns boolean
language plpgsql security definer set search_path = public as $$
declare
  watermark timestamptz;
  moment timestamptz := date_trunc('second', p_upto);
  run_key text := 'meter:' || ledger_time(date_trunc('second', p_upto));
  period text;
begin
  -- A statement of its own: the next one then sees every meter that was opened while this waited.
  select upto into watermark from meter_watermark for update;
  if moment <= watermark then return false; end if;
  period := ledger_time(watermark) || '/' || ledger_time(moment);
  insert into ledger_transactions (key, kind, reference, at) values (run_key, 'charge', period, moment);
  with charged as (
    update ledger_balances b set
      balance_micros = b.balance_micros - least(due.due_micros, greatest(0, b.balance_micros - b.held_micros)),
      depleted_at = case when due.due_micros >= b.balance_micros - b.held_micros
        then coalesce(b.depleted_at, moment) else b.depleted_at end,
      entry_count = b.entry_count + case when b.balance_micros > b.held_micros then 1 else 0 end,
      head_hash = case when b.balance_micros > b.held_micros then
        ledger_entry_hash(b.head_hash, b.ledger_account_id, b.entry_count + 1, run_key, 'charge', period,
          -least(due.due_micros, b.balance_micros - b.held_micros),
          b.balance_micros - least(due.due_micros, b.balance_micros - b.held_micros), ledger_time(moment))
        else b.head_hash end
    from meter_dues(watermark, moment) due
    where b.ledger_account_id = due.ledger_account_id and due.due_micros > 0
      -- Flagged already and nothing to take: nothing to write.
      and (b.depleted_at is null or b.balance_micros > b.held_micros)
    returning b.ledger_account_id, old.balance_micros - new.balance_micros as micros, new.entry_count,
      new.balance_micros, new.head_hash, old.depleted_at is null and new.depleted_at is not null as depleted
  ), entered as (
    insert into ledger_entries (ledger_account_id, sequence, transaction_key, amount_micros, balance_micros, hash)
    select ledger_account_id, entry_count, run_key, -micros, balance_micros, head_hash from charged where micros > 0
    union all
    select 'sys_revenue', null, run_key, sum(micros)::bigint, null, null from charged having sum(micros) > 0
  ), moved as (
    update meter_watermark set upto = moment
  )
  insert into meter_runs (upto, since, charged_micros, account_count, depleted_count)
  select moment, watermark, coalesce(sum(micros), 0), count(*) filter (where micros > 0), count(*) filter (where depleted)
  from charged;
  return true;
end $$;

alter table meters enable row level security;
alter table meter_watermark enable row level security;
alter table meter_runs enable row level security;
revoke execute on function meter_set, run_meters from public;
grant execute on function meter_set, run_meters to agentctl_jobs;
grant select on meters, meter_watermark to agentctl_app;
grant select on meters, meter_watermark, meter_runs to agentctl_jobs;
create policy own on meters for select to agentctl_app
  using (ledger_account_id in (select ledger_account_id from billing_accounts));
-- The watermark says nothing about anybody.
create policy own on meter_watermark for select to agentctl_app using (true);
create policy work on meters for select to agentctl_jobs using (true);
create policy work on meter_watermark for select to agentctl_jobs using (true);
create policy work on meter_runs for select to agentctl_jobs using (true);

comment on column meters.id is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.ledger_account_id is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.subject is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.namespace_id is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.rate_micros is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.carry is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.from_at is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.to_at is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.opened_upto is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meters.counted_until is 'class=billing.meter; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column meter_watermark.is_only is 'class=billing.meter; purpose=pay; retention=5y; export=no; erase=keep';
comment on column meter_watermark.upto is 'class=billing.meter; purpose=pay; retention=5y; export=no; erase=keep';
comment on column meter_runs.upto is 'class=billing.meter; purpose=pay; retention=5y; export=no; erase=keep';
comment on column meter_runs.since is 'class=billing.meter; purpose=pay; retention=5y; export=no; erase=keep';
comment on column meter_runs.charged_micros is 'class=billing.meter; purpose=pay; retention=5y; export=no; erase=keep';
comment on column meter_runs.account_count is 'class=billing.meter; purpose=pay; retention=5y; export=no; erase=keep';
comment on column meter_runs.depleted_count is 'class=billing.meter; purpose=pay; retention=5y; export=no; erase=keep';

-- Payments on chain. A payment is named by chain, transaction and the place of its log in the receipt; the block, its
-- hash and the log's index in it are what was seen last, and a reorganisation changes them.
create table payments (
  chain_id bigint not null,
  tx_hash text not null check (tx_hash ~ '^0x[0-9a-f]{64}$'),
  ordinal int not null,
  sender text not null check (sender ~ '^0x[0-9a-f]{40}$'),
  amount_micros bigint not null check (amount_micros > 0),
  block_number bigint not null,
  block_hash text not null,
  log_index int not null,
  -- confirming: in a block, waiting for it to be safe or final. credited: to ledger_account_id. unclaimed: final, and
  -- no account has its sender's wallet. orphaned: its block is gone, and it is in no other.
  state text not null default 'confirming' check (state in ('confirming', 'credited', 'unclaimed', 'orphaned')),
  -- Whose it is, by the wallet of its sender.
  ledger_account_id text references ledger_balances,
  -- How often it was credited: more than once only after its block had gone and it came back in another.
  credit_count int not null default 0,
  is_final boolean not null default false,
  seen_at timestamptz not null,
  primary key (chain_id, tx_hash, ordinal),
  check (state <> 'credited' or ledger_account_id is not null)
);
create index payments_open on payments (chain_id, block_number) where not is_final and state <> 'orphaned';
create index payments_unclaimed on payments (sender) where state = 'unclaimed';
create index payments_account on payments (ledger_account_id) where not is_final;
comment on table payments is 'Payments on chain to our address.';

-- What an account sees of its payments: one row for each transaction, whether it was claimed by its hash or found.
create table deposits (
  id text primary key check (id ~ '^dep_'),
  ledger_account_id text not null references ledger_balances,
  chain_id bigint not null,
  tx_hash text not null check (tx_hash ~ '^0x[0-9a-f]{64}$'),
  status text not null check (status in ('pending', 'seen', 'confirming', 'credited', 'rejected')),
  reason text check ((reason is not null) = (status = 'rejected')),
  -- Null while no payment of the account was seen in it.
  credit_micros bigint,
  -- Which block has to be reached for the credit, or was.
  counts_at text check (counts_at in ('safe', 'finalized')),
  created_at timestamptz not null,
  credited_at timestamptz,
  -- Since when it is looked for; starts anew when its block is gone.
  sought_since timestamptz not null,
  -- When to look next; null when there is nothing to look for.
  look_at timestamptz,
  unique (ledger_account_id, chain_id, tx_hash)
);
create index deposits_sought on deposits (chain_id, look_at) where look_at is not null or status = 'confirming';
create index deposits_transaction on deposits (chain_id, tx_hash);
create index deposits_account on deposits (ledger_account_id, created_at);
comment on table deposits is 'Deposits of accounts, claimed or found.';

create table chain_cursors (
  chain_id bigint primary key,
  -- The first block that was not looked at yet.
  next_block bigint not null,
  -- Everything before was looked at again after it was final: a node that lagged at the first look had caught up.
  verified_block bigint not null
);
comment on table chain_cursors is 'How far each chain has been scanned.';

create table chain_blocks (
  chain_id bigint not null,
  number bigint not null,
  hash text not null,
  primary key (chain_id, number)
);
comment on table chain_blocks is 'Blocks where scans ended: another hash at the same height is a reorganisation.';

alter table payments enable row level security;
alter table deposits enable row level security;
alter table chain_cursors enable row level security;
alter table chain_blocks enable row level security;
grant select on deposits to agentctl_app;
grant select, insert, update on payments, deposits, chain_cursors to agentctl_jobs;
grant select, insert, update, delete on chain_blocks to agentctl_jobs;
create policy own on deposits for select to agentctl_app
  using (ledger_account_id in (select ledger_account_id from billing_accounts));
create policy work on payments to agentctl_jobs using (true);
create policy work on deposits to agentctl_jobs using (true);
create policy work on chain_cursors to agentctl_jobs using (true);
create policy work on chain_blocks to agentctl_jobs using (true);
-- A payment belongs to the account whose wallet sent it.
grant select on wallets to agentctl_jobs;
create policy pay on wallets for select to agentctl_jobs using (true);

-- Whoever waits for a deposit hears of it at once.
create function announce_deposit() returns trigger language plpgsql as $$
begin
  perform pg_notify('deposits', new.id);
  return null;
end $$;
create trigger announce after update of status on deposits for each row execute function announce_deposit();

comment on column payments.chain_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.tx_hash is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.ordinal is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.amount_micros is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.block_number is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.block_hash is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.log_index is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.state is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.ledger_account_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.credit_count is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.is_final is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.seen_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.sender is 'class=pii.wallet; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.ledger_account_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.chain_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.tx_hash is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.status is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.reason is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.credit_micros is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.counts_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.created_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.credited_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.sought_since is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column deposits.look_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column chain_cursors.chain_id is 'class=chain; purpose=pay; retention=account; export=no; erase=keep';
comment on column chain_cursors.next_block is 'class=chain; purpose=pay; retention=account; export=no; erase=keep';
comment on column chain_cursors.verified_block is 'class=chain; purpose=pay; retention=account; export=no; erase=keep';
comment on column chain_blocks.chain_id is 'class=chain; purpose=pay; retention=account; export=no; erase=keep';
comment on column chain_blocks.number is 'class=chain; purpose=pay; retention=account; export=no; erase=keep';
comment on column chain_blocks.hash is 'class=chain; purpose=pay; retention=account; export=no; erase=keep';
