create table accounts (
  id text primary key check (id ~ '^acc_'),
  created_at timestamptz not null,
  terms_accepted_at timestamptz not null
);
comment on table accounts is 'One customer.';
comment on column accounts.id is 'class=account.id; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column accounts.created_at is 'class=account.time; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column accounts.terms_accepted_at is 'class=account.time; purpose=authenticate; retention=account; export=yes; erase=delete';

create table namespaces (
  id text primary key check (id ~ '^ns_'),
  name text not null unique,
  owner_account_id text not null references accounts,
  created_at timestamptz not null
);
comment on table namespaces is 'A group of agents with members. The account of the owner pays.';
comment on column namespaces.id is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column namespaces.name is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';
comment on column namespaces.owner_account_id is 'class=account.id; purpose=pay; retention=account; export=yes; erase=delete';
comment on column namespaces.created_at is 'class=agent.metadata; purpose=provision; retention=account; export=yes; erase=delete';

create table members (
  namespace_id text not null references namespaces on delete cascade,
  account_id text not null references accounts on delete cascade,
  role text not null check (role in ('viewer', 'developer', 'admin', 'owner')),
  created_at timestamptz not null,
  primary key (namespace_id, account_id)
);
create index members_account on members (account_id);
comment on table members is 'Who may do what in a namespace.';
comment on column members.namespace_id is 'class=agent.metadata; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column members.account_id is 'class=account.id; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column members.role is 'class=agent.metadata; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column members.created_at is 'class=agent.metadata; purpose=authenticate; retention=account; export=yes; erase=delete';

-- Runs as the owner of the tables, so that policies on other tables can ask about membership without recursion.
create function my_namespaces() returns setof text language sql stable security definer set search_path = public as
  $$ select namespace_id from members where account_id = current_account() $$;

create table invitations (
  id text primary key check (id ~ '^inv_'),
  namespace_id text not null references namespaces on delete cascade,
  role text not null check (role in ('viewer', 'developer', 'admin', 'owner')),
  code_hash bytea not null unique,
  created_by text not null references accounts on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  accepted_at timestamptz
);
comment on table invitations is 'Codes by which one new member joins a namespace.';
comment on column invitations.id is 'class=agent.metadata; purpose=authenticate; retention=30d; export=yes; erase=delete';
comment on column invitations.namespace_id is 'class=agent.metadata; purpose=authenticate; retention=30d; export=yes; erase=delete';
comment on column invitations.role is 'class=agent.metadata; purpose=authenticate; retention=30d; export=yes; erase=delete';
comment on column invitations.code_hash is 'class=secret.hash; purpose=authenticate; retention=30d; export=no; erase=delete';
comment on column invitations.created_by is 'class=account.id; purpose=authenticate; retention=30d; export=yes; erase=delete';
comment on column invitations.created_at is 'class=agent.metadata; purpose=authenticate; retention=30d; export=yes; erase=delete';
comment on column invitations.expires_at is 'class=agent.metadata; purpose=authenticate; retention=30d; export=yes; erase=delete';
comment on column invitations.accepted_at is 'class=agent.metadata; purpose=authenticate; retention=30d; export=yes; erase=delete';

-- Policy 1a: a phone is stored as a hashed value only. The pepper of the HMAC lives outside the database.
create table phones (
  phone_hmac bytea primary key check (length(phone_hmac) = 32),
  pepper_version int not null,
  account_id text not null unique references accounts on delete cascade,
  linked_at timestamptz not null
);
comment on table phones is 'Phones that log an account in, hashed.';
comment on column phones.phone_hmac is 'class=pii.phone; purpose=authenticate; retention=account; export=no; erase=delete';
comment on column phones.pepper_version is 'class=secret.key-id; purpose=authenticate; retention=account; export=no; erase=delete';
comment on column phones.account_id is 'class=account.id; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column phones.linked_at is 'class=account.time; purpose=authenticate; retention=account; export=yes; erase=delete';

create table wallets (
  address text primary key check (address ~ '^0x[0-9a-f]{40}$'),
  account_id text not null references accounts on delete cascade,
  linked_at timestamptz not null
);
create index wallets_account on wallets (account_id);
comment on table wallets is 'Wallets that log an account in and whose payments are its deposits.';
comment on column wallets.address is 'class=pii.wallet; purpose=authenticate,pay; retention=account; export=yes; erase=delete';
comment on column wallets.account_id is 'class=account.id; purpose=authenticate,pay; retention=account; export=yes; erase=delete';
comment on column wallets.linked_at is 'class=account.time; purpose=authenticate; retention=account; export=yes; erase=delete';

create table phone_challenges (
  id text primary key check (id ~ '^chl_'),
  -- One live challenge for a phone: asking again takes the row over.
  phone_hmac bytea not null unique,
  pepper_version int not null,
  -- The same phone under older peppers, newest first: the phone itself is gone when the code comes back.
  older_hmacs bytea[] not null,
  country text not null,
  -- The verification at the SMS provider; null where none was sent, so that the answer is the same all the same.
  provider_id text,
  -- Set when a logged-in account links the phone; then only that account may use the challenge.
  account_id text references accounts on delete cascade,
  attempts int not null default 0,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  consumed_at timestamptz
);
create index phone_challenges_expiry on phone_challenges (expires_at);
comment on table phone_challenges is 'Codes under way to a phone.';
comment on column phone_challenges.id is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column phone_challenges.phone_hmac is 'class=pii.phone; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column phone_challenges.pepper_version is 'class=secret.key-id; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column phone_challenges.older_hmacs is 'class=pii.phone; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column phone_challenges.country is 'class=login.challenge; purpose=abuse; retention=1d; export=no; erase=delete';
comment on column phone_challenges.provider_id is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column phone_challenges.account_id is 'class=account.id; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column phone_challenges.attempts is 'class=login.challenge; purpose=abuse; retention=1d; export=no; erase=delete';
comment on column phone_challenges.created_at is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column phone_challenges.expires_at is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column phone_challenges.consumed_at is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';

create table wallet_challenges (
  nonce_hash bytea primary key,
  address text not null,
  -- SHA-256 of the message that was composed: what comes back must be the same to the letter.
  message_hash bytea not null,
  account_id text references accounts on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index wallet_challenges_expiry on wallet_challenges (expires_at);
comment on table wallet_challenges is 'Messages that a wallet has been asked to sign. The row goes in the statement that reads it.';
comment on column wallet_challenges.nonce_hash is 'class=secret.hash; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column wallet_challenges.address is 'class=pii.wallet; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column wallet_challenges.message_hash is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column wallet_challenges.account_id is 'class=account.id; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column wallet_challenges.created_at is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column wallet_challenges.expires_at is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';

-- A proven phone or wallet without an account, waiting for the agreement to the terms.
create table signups (
  token_hash bytea primary key,
  phone_hmac bytea,
  pepper_version int,
  older_hmacs bytea[],
  wallet_address text,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  check ((phone_hmac is null) <> (wallet_address is null))
);
create index signups_expiry on signups (expires_at);
comment on table signups is 'Proven logins that wait for the agreement to the terms.';
comment on column signups.token_hash is 'class=secret.hash; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column signups.phone_hmac is 'class=pii.phone; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column signups.pepper_version is 'class=secret.key-id; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column signups.older_hmacs is 'class=pii.phone; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column signups.wallet_address is 'class=pii.wallet; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column signups.created_at is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';
comment on column signups.expires_at is 'class=login.challenge; purpose=authenticate; retention=1d; export=no; erase=delete';

create table sessions (
  id text primary key check (id ~ '^ses_'),
  token_hash bytea not null unique,
  account_id text not null references accounts on delete cascade,
  login_method text not null check (login_method in ('phone', 'wallet')),
  device text,
  created_at timestamptz not null,
  last_used_at timestamptz not null,
  expires_at timestamptz not null
);
create index sessions_account on sessions (account_id);
create index sessions_expiry on sessions (expires_at);
comment on table sessions is 'Live logins. Logging out deletes the row.';
comment on column sessions.id is 'class=session; purpose=authenticate; retention=90d; export=yes; erase=delete';
comment on column sessions.token_hash is 'class=secret.hash; purpose=authenticate; retention=90d; export=no; erase=delete';
comment on column sessions.account_id is 'class=account.id; purpose=authenticate; retention=90d; export=yes; erase=delete';
comment on column sessions.login_method is 'class=session; purpose=authenticate; retention=90d; export=yes; erase=delete';
comment on column sessions.device is 'class=session; purpose=authenticate; retention=90d; export=yes; erase=delete';
comment on column sessions.created_at is 'class=session; purpose=authenticate; retention=90d; export=yes; erase=delete';
comment on column sessions.last_used_at is 'class=session; purpose=authenticate; retention=90d; export=yes; erase=delete';
comment on column sessions.expires_at is 'class=session; purpose=authenticate; retention=90d; export=yes; erase=delete';

-- Policy 5: API keys are stored as hashed values; the original is shown once, at creation.
create table api_keys (
  id text primary key check (id ~ '^key_'),
  key_hash bytea not null unique,
  prefix text not null,
  account_id text not null references accounts on delete cascade,
  namespace_id text references namespaces on delete cascade,
  name text not null,
  scopes text[] not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  last_used_at timestamptz,
  -- When a successor took over; a key has one successor.
  rotated_at timestamptz,
  revoked_at timestamptz
);
create index api_keys_account on api_keys (account_id);
comment on table api_keys is 'Keys of CI scripts and agents.';
comment on column api_keys.id is 'class=api-key; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.key_hash is 'class=secret.hash; purpose=authenticate; retention=account; export=no; erase=delete';
comment on column api_keys.prefix is 'class=api-key; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.account_id is 'class=account.id; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.namespace_id is 'class=agent.metadata; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.name is 'class=api-key; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.scopes is 'class=api-key; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.created_at is 'class=api-key; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.expires_at is 'class=api-key; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.last_used_at is 'class=api-key; purpose=authenticate,abuse; retention=account; export=yes; erase=delete';
comment on column api_keys.rotated_at is 'class=api-key; purpose=authenticate; retention=account; export=yes; erase=delete';
comment on column api_keys.revoked_at is 'class=api-key; purpose=authenticate; retention=account; export=yes; erase=delete';

-- Counters of login attempts. The key is a keyed hash of what is counted (a phone, an address, a prefix), never the
-- thing itself. Exact, in the database, because these limits are what stands between a stranger and a code.
create table login_limits (
  key text primary key,
  -- Moments of the turns that were taken and still count. The window slides, so that no edge lets twice as much pass.
  times timestamptz[] not null,
  -- How the latest request for a turn was answered.
  last_allowed boolean not null,
  expires_at timestamptz not null
);
create index login_limits_expiry on login_limits (expires_at);
comment on table login_limits is 'When something was tried, as long as that counts.';
comment on column login_limits.key is 'class=login.limit; purpose=abuse; retention=2d; export=no; erase=expire';
comment on column login_limits.times is 'class=login.limit; purpose=abuse; retention=2d; export=no; erase=expire';
comment on column login_limits.last_allowed is 'class=login.limit; purpose=abuse; retention=2d; export=no; erase=expire';
comment on column login_limits.expires_at is 'class=login.limit; purpose=abuse; retention=2d; export=no; erase=expire';

-- Codes paid for, and how many came back, by country and five minutes: the daily budget, and the breaker that stops
-- sending where next to nobody types the code in.
create table sms_counts (
  country text not null,
  at timestamptz not null,
  sent int not null,
  converted int not null default 0,
  primary key (at, country)
);
comment on table sms_counts is 'Codes sent and used, about nobody in particular.';
comment on column sms_counts.country is 'class=login.limit; purpose=abuse; retention=2d; export=no; erase=expire';
comment on column sms_counts.at is 'class=login.limit; purpose=abuse; retention=2d; export=no; erase=expire';
comment on column sms_counts.sent is 'class=login.limit; purpose=abuse; retention=2d; export=no; erase=expire';
comment on column sms_counts.converted is 'class=login.limit; purpose=abuse; retention=2d; export=no; erase=expire';

create table idempotency_keys (
  account_id text not null references accounts on delete cascade,
  key text not null,
  request_hash bytea not null,
  status int,
  response jsonb,
  created_at timestamptz not null,
  primary key (account_id, key)
);
create index idempotency_keys_created on idempotency_keys (created_at);
comment on table idempotency_keys is 'Answers to requests that may be repeated.';
comment on column idempotency_keys.account_id is 'class=account.id; purpose=debug; retention=1d; export=no; erase=delete';
comment on column idempotency_keys.key is 'class=request; purpose=debug; retention=1d; export=no; erase=delete';
comment on column idempotency_keys.request_hash is 'class=request; purpose=debug; retention=1d; export=no; erase=delete';
comment on column idempotency_keys.status is 'class=request; purpose=debug; retention=1d; export=no; erase=delete';
comment on column idempotency_keys.response is 'class=request; purpose=debug; retention=1d; export=no; erase=delete';
comment on column idempotency_keys.created_at is 'class=request; purpose=debug; retention=1d; export=no; erase=delete';

alter table accounts enable row level security;
alter table namespaces enable row level security;
alter table members enable row level security;
alter table invitations enable row level security;
alter table phones enable row level security;
alter table wallets enable row level security;
alter table phone_challenges enable row level security;
alter table wallet_challenges enable row level security;
alter table signups enable row level security;
alter table sessions enable row level security;
alter table api_keys enable row level security;
alter table login_limits enable row level security;
alter table sms_counts enable row level security;
alter table idempotency_keys enable row level security;

grant select, insert, update, delete on accounts, namespaces, members, invitations, phones, wallets, phone_challenges,
  wallet_challenges, signups, sessions, api_keys, login_limits, sms_counts, idempotency_keys to agentctl_app;
grant select, delete on invitations, phone_challenges, wallet_challenges, signups, sessions, login_limits,
  sms_counts, idempotency_keys to agentctl_jobs;
grant select on namespaces to agentctl_jobs;

create policy own on accounts to agentctl_app using (id = current_account());
create policy own on namespaces to agentctl_app
  using (owner_account_id = current_account() or id in (select my_namespaces()));
-- A namespace is joined by its maker, by an invitation that is shown, or by the hand of somebody who is in it.
create policy own on members to agentctl_app
  using (namespace_id in (select my_namespaces()) or account_id = current_account())
  with check (
    namespace_id in (select my_namespaces())
    or exists (select 1 from namespaces n where n.id = namespace_id and n.owner_account_id = current_account())
    or (account_id = current_account() and exists (
      select 1 from invitations i
      where i.namespace_id = members.namespace_id and i.role = members.role and i.accepted_at is null
        and encode(i.code_hash, 'hex') = presented()
    ))
  );
create policy own on invitations to agentctl_app
  using (namespace_id in (select my_namespaces()) or encode(code_hash, 'hex') = presented());
create policy joined_by_invitation on namespaces for select to agentctl_app
  using (id in (select i.namespace_id from invitations i where encode(i.code_hash, 'hex') = presented()));
create policy own on phones to agentctl_app
  using (account_id = current_account() or encode(phone_hmac, 'hex') = presented());
create policy own on wallets to agentctl_app using (account_id = current_account() or address = presented());
create policy own on phone_challenges to agentctl_app
  using (id = presented() or encode(phone_hmac, 'hex') = presented());
create policy own on wallet_challenges to agentctl_app using (encode(nonce_hash, 'hex') = presented());
create policy own on signups to agentctl_app using (encode(token_hash, 'hex') = presented());
create policy own on sessions to agentctl_app
  using (account_id = current_account() or encode(token_hash, 'hex') = presented());
create policy own on api_keys to agentctl_app
  using (account_id = current_account() or encode(key_hash, 'hex') = presented());
-- Keys of these rows are keyed hashes and say nothing about anybody; they are counted before anybody is known.
create policy counted on login_limits to agentctl_app using (true);
create policy counted on sms_counts to agentctl_app using (true);
create policy own on idempotency_keys to agentctl_app using (account_id = current_account());

create policy expire on invitations to agentctl_jobs using (true);
create policy expire on phone_challenges to agentctl_jobs using (true);
create policy expire on wallet_challenges to agentctl_jobs using (true);
create policy expire on signups to agentctl_jobs using (true);
create policy expire on sessions to agentctl_jobs using (true);
create policy expire on login_limits to agentctl_jobs using (true);
create policy expire on sms_counts to agentctl_jobs using (true);
create policy expire on idempotency_keys to agentctl_jobs using (true);
create policy names on namespaces for select to agentctl_jobs using (true);
