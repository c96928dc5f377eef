-- Payments by card. Cards are typed into the payment processor's own pages: no table here has a column that could hold
-- a number of one, a name or an address, and what the processor tells about a payment is not kept, only its identifiers.

create table checkouts (
  id text primary key check (id ~ '^chk_'),
  ledger_account_id text not null references ledger_balances,
  -- The caller's own key: the same request again is the same checkout.
  request_key text not null,
  -- Cards are charged whole cents.
  amount_micros bigint not null check (amount_micros > 0 and amount_micros % 10000 = 0),
  -- starting: written down before the processor is called. open: its page waits. processing: a bank has not said yet.
  -- paid: credited, and that stays so, also when the money is taken back later.
  status text not null default 'starting'
    check (status in ('starting', 'open', 'processing', 'paid', 'expired', 'failed')),
  session_id text unique,
  -- One payment, one credit.
  payment_id text unique,
  url text,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  paid_at timestamptz,
  unique (ledger_account_id, request_key),
  check (status <> 'paid' or (payment_id is not null and paid_at is not null)),
  check (status in ('starting', 'expired', 'failed') or session_id is not null)
);
create index checkouts_open on checkouts (ledger_account_id) where status in ('starting', 'open');
comment on table checkouts is 'Payments by card, from the wish to pay to the credit.';

create table card_events (
  -- The primary key is the rule: an event is worked on once, however often it is told.
  id text primary key check (id ~ '^evt_'),
  session_id text,
  payment_id text,
  received_at timestamptz not null,
  check (session_id is not null or payment_id is not null)
);
comment on table card_events is 'What the payment processor has told: identifiers only.';

-- Ends waits for a checkout.
create function announce_checkout() returns trigger language plpgsql as $$
begin
  perform pg_notify('checkouts', new.id);
  return null;
end $$;
create trigger announce after update of status on checkouts
  for each row when (old.status is distinct from new.status) execute function announce_checkout();

alter table checkouts enable row level security;
alter table card_events enable row level security;
grant select on checkouts to agentctl_app;
grant select, insert, update on checkouts to agentctl_jobs;
grant select, insert, delete on card_events to agentctl_jobs;
create policy own on checkouts for select to agentctl_app
  using (ledger_account_id in (select ledger_account_id from billing_accounts));
create policy work on checkouts to agentctl_jobs using (true);
create policy work on card_events to agentctl_jobs using (true);

comment on column checkouts.id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.ledger_account_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.request_key is 'class=billing.payment; purpose=pay; retention=5y; export=no; erase=keep';
comment on column checkouts.amount_micros is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.status is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.session_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.payment_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.url is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.created_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.expires_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column checkouts.paid_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_events.id is 'class=billing.payment; purpose=pay; retention=90d; export=no; erase=keep';
comment on column card_events.session_id is 'class=billing.payment; purpose=pay; retention=90d; export=no; erase=keep';
comment on column card_events.payment_id is 'class=billing.payment; purpose=pay; retention=90d; export=no; erase=keep';
comment on column card_events.received_at is 'class=billing.payment; purpose=pay; retention=90d; export=no; erase=keep';
