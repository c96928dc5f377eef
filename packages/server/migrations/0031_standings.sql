-- What operators have decided about an account; no row for the many about whom they have decided nothing.
create table account_standings (
  account_id text primary key references accounts on delete cascade,
  state text not null default 'good' check (state in ('good', 'suspended', 'banned')),
  -- Told to the account in these words.
  reason text not null,
  since timestamptz not null,
  -- Null for no such cap.
  machines_max int check (machines_max >= 0),
  hourly_max_micros bigint check (hourly_max_micros >= 0),
  monthly_max_micros bigint check (monthly_max_micros >= 0)
);
create index account_standings_held on account_standings (state) where state <> 'good';
comment on table account_standings is 'Accounts that operators have suspended, banned or capped.';
comment on column account_standings.account_id is 'class=account.id; purpose=abuse; retention=account; export=yes; erase=delete';
comment on column account_standings.state is 'class=account.standing; purpose=abuse; retention=account; export=yes; erase=delete';
comment on column account_standings.reason is 'class=account.standing; purpose=abuse; retention=account; export=yes; erase=delete';
comment on column account_standings.since is 'class=account.standing; purpose=abuse; retention=account; export=yes; erase=delete';
comment on column account_standings.machines_max is 'class=account.standing; purpose=abuse; retention=account; export=yes; erase=delete';
comment on column account_standings.hourly_max_micros is 'class=account.standing; purpose=abuse; retention=account; export=yes; erase=delete';
comment on column account_standings.monthly_max_micros is 'class=account.standing; purpose=abuse; retention=account; export=yes; erase=delete';
alter table account_standings enable row level security;
grant select on account_standings to agentctl_app, agentctl_jobs;
grant select, insert, update on account_standings to agentctl_operator;
create policy own on account_standings for select to agentctl_app using (account_id = current_account());
create policy work on account_standings for select to agentctl_jobs using (true);
create policy act on account_standings to agentctl_operator using (true);
insert into account_tables (name, position, is_own) values ('account_standings', 36, 'account_id = $1');

-- Keyed hashes of phones and wallets that make no new account, also when the banned one has been deleted. A phone's is
-- the one it logs in by.
create table banned_proofs (
  proof_hash bytea primary key,
  banned_at timestamptz not null
);
create index banned_proofs_at on banned_proofs (banned_at);
comment on table banned_proofs is 'Keyed hashes of phones and wallets of banned accounts, for a year.';
comment on column banned_proofs.proof_hash is 'class=login.ban; purpose=abuse; retention=1y; export=no; erase=expire';
comment on column banned_proofs.banned_at is 'class=login.ban; purpose=abuse; retention=1y; export=no; erase=expire';
alter table banned_proofs enable row level security;
grant select on banned_proofs to agentctl_app;
grant select, delete on banned_proofs to agentctl_jobs;
grant select, insert, update, delete on banned_proofs to agentctl_operator;
create policy presented on banned_proofs for select to agentctl_app using (encode(proof_hash, 'hex') = presented());
create policy work on banned_proofs to agentctl_jobs using (true);
create policy act on banned_proofs to agentctl_operator using (true);

-- Whoever is banned is out at once. The role of operators sees neither sessions nor keys; it can only end all of an
-- account's.
create function end_access(p_account text, p_at timestamptz) returns void
language sql security definer set search_path = public, pg_temp as $$
  delete from sessions where account_id = p_account;
  update api_keys set revoked_at = p_at where account_id = p_account and revoked_at is null;
$$;
revoke execute on function end_access from public;
grant execute on function end_access to agentctl_operator;

-- Every act that changes something has a reason, in the operator's words.
alter table operator_acts add column reason text;
comment on column operator_acts.reason is 'class=operator.act; purpose=abuse; retention=1y; export=no; erase=expire';

-- What operators do to an account it is told.
-- Of a notice it sees only whether there is one.
grant insert, select (id) on notices to agentctl_operator;
create policy see on notices for select to agentctl_operator using (true);
create policy tell on notices for insert to agentctl_operator with check (true);
-- Work that waits to be tried again is tried now.
grant update (run_at) on operations to agentctl_operator;
create policy retry on operations for update to agentctl_operator using (state = 'pending');

-- How many machines an account may have depends on how old it is; whoever deploys may be another member.
grant select (id, created_at) on accounts to agentctl_jobs;
create policy age on accounts for select to agentctl_jobs using (true);
