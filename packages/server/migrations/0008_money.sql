-- Operators: people who run the service. They answer for what the software cannot decide: whose a payment is, what was
-- paid by card and not asked for, what is given back. A role of its own: it reaches money and nothing of agents, their
-- machines, secrets and logs, and only it writes the log of its acts, to which it can only add.
do $$
begin
  begin
    create role agentctl_operator nologin nosuperuser nobypassrls;
  exception when duplicate_object or unique_violation then
    null; -- Roles belong to the whole cluster; another database's migration was first.
  end;
  grant agentctl_operator to current_user;
  grant usage on schema public to agentctl_operator;
end $$;

create table operator_acts (
  id text primary key check (id ~ '^opa_'),
  operator text not null,
  -- The endpoint, such as resolvePayment.
  act text not null,
  -- What it was done to: ids only, never what somebody typed in to find them.
  subject text not null check (subject ~ '^[!-~]{0,200}$'),
  -- done, or the code of the refusal.
  outcome text not null,
  at timestamptz not null
);
create index operator_acts_at on operator_acts (at);
comment on table operator_acts is 'Everything that operators have done or looked at. Never changed; kept a year.';
comment on column operator_acts.id is 'class=operator.act; purpose=abuse; retention=1y; export=no; erase=expire';
comment on column operator_acts.operator is 'class=operator.act; purpose=abuse; retention=1y; export=no; erase=expire';
comment on column operator_acts.act is 'class=operator.act; purpose=abuse; retention=1y; export=no; erase=expire';
comment on column operator_acts.subject is 'class=operator.act; purpose=abuse; retention=1y; export=no; erase=expire';
comment on column operator_acts.outcome is 'class=operator.act; purpose=abuse; retention=1y; export=no; erase=expire';
comment on column operator_acts.at is 'class=operator.act; purpose=abuse; retention=1y; export=no; erase=expire';

-- refunding: taken back from its account by an operator, who will send it back. returned: that was done, by the
-- transfer named here; it stays so, whatever becomes of the block in which the payment was.
alter table payments drop constraint payments_state_check;
alter table payments
  add constraint payments_state_check
    check (state in ('confirming', 'credited', 'unclaimed', 'refunding', 'returned', 'orphaned')),
  add column returned_tx text check (returned_tx ~ '^0x[0-9a-f]{64}$'),
  add column returned_ordinal int,
  add constraint payments_returned_check
    check ((state = 'returned') = (returned_tx is not null and returned_ordinal is not null));
-- One transfer returns one payment.
create unique index payments_returned on payments (chain_id, returned_tx, returned_ordinal) where returned_tx is not null;
drop index payments_unclaimed;
create index payments_unclaimed on payments (sender) where state in ('unclaimed', 'refunding');
comment on column payments.returned_tx is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column payments.returned_ordinal is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';

-- Paid by card, and not what was asked for: another amount, another currency, another session. Nothing is credited
-- until an operator says what becomes of it.
create table card_mismatches (
  payment_id text primary key check (payment_id ~ '^pi_'),
  checkout_id text not null references checkouts,
  session_id text not null,
  -- What the session asks for and what was received, in the smallest unit of the currency.
  session_amount bigint,
  received_amount bigint not null,
  currency text not null,
  is_live boolean not null,
  seen_at timestamptz not null,
  resolution text check (resolution in ('credited', 'refunded')),
  resolved_at timestamptz check ((resolution is null) = (resolved_at is null))
);
create index card_mismatches_open on card_mismatches (seen_at) where resolution is null;
comment on table card_mismatches is 'Payments by card that are not what was asked for.';
comment on column card_mismatches.payment_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.checkout_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.session_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.session_amount is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.received_amount is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.currency is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.is_live is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.seen_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.resolution is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_mismatches.resolved_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';

create table card_refunds (
  -- The primary key is the rule: operators refund a payment once, whole or in part.
  payment_id text primary key check (payment_id ~ '^pi_'),
  checkout_id text not null references checkouts,
  -- Null for all of it.
  amount_cents bigint check (amount_cents > 0),
  -- intended: its row precedes the call. made: the processor has it. refused: it will not be made.
  state text not null default 'intended' check (state in ('intended', 'made', 'refused')),
  refund_id text unique check ((refund_id is not null) = (state = 'made')),
  decided_at timestamptz not null
);
comment on table card_refunds is 'Payments by card that operators give back.';
comment on column card_refunds.payment_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_refunds.checkout_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_refunds.amount_cents is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_refunds.state is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_refunds.refund_id is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';
comment on column card_refunds.decided_at is 'class=billing.payment; purpose=pay; retention=5y; export=yes; erase=keep';

alter table operator_acts enable row level security;
alter table card_mismatches enable row level security;
alter table card_refunds enable row level security;
grant select, insert on operator_acts to agentctl_operator;
grant select, delete on operator_acts to agentctl_jobs;
grant select, update on card_mismatches to agentctl_operator;
grant select, insert, update on card_mismatches to agentctl_jobs;
grant select, insert, update on card_refunds to agentctl_operator, agentctl_jobs;
create policy act on operator_acts to agentctl_operator using (true);
create policy expire on operator_acts to agentctl_jobs using (true);
create policy act on card_mismatches to agentctl_operator using (true);
create policy work on card_mismatches to agentctl_jobs using (true);
create policy act on card_refunds to agentctl_operator using (true);
create policy work on card_refunds to agentctl_jobs using (true);

-- Accounts are found, and nothing about them is changed.
grant select on accounts, phones, wallets, billing_accounts, ledger_balances to agentctl_operator;
grant select, update on payments, checkouts to agentctl_operator;
grant select, insert, update on deposits to agentctl_operator;
grant select, insert on operations to agentctl_operator;
grant execute on function ledger_account_of, ledger_post, ledger_transfer to agentctl_operator;
create policy find on accounts for select to agentctl_operator using (true);
create policy find on phones for select to agentctl_operator using (true);
create policy find on wallets for select to agentctl_operator using (true);
create policy find on billing_accounts for select to agentctl_operator using (true);
create policy find on ledger_balances for select to agentctl_operator using (true);
create policy act on payments to agentctl_operator using (true);
create policy act on checkouts to agentctl_operator using (true);
create policy act on deposits to agentctl_operator using (true);
create policy find on operations for select to agentctl_operator using (true);
create policy act on operations for insert to agentctl_operator with check (kind in ('refund-card', 'look-at-card'));
