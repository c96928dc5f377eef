-- Sealing anew with a newer key: the value stays the same, so its version and its date do.
grant update (key_id, nonce, ciphertext) on secrets to agentctl_jobs;

-- An order under way has the token of its machine sealed in its memory: its key is needed until it has ended.
create or replace function keys_in_use(out sealing text[], out peppers int[])
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select
      array(
        select key_id from secrets
        union
        select key_id from machines where key_id is not null and state <> 'deleted'
        union
        select step_data->'bootstrap'->>'keyId' from operations
        where state = 'pending' and step_data->'bootstrap'->>'keyId' is not null
      ),
      array(select distinct pepper_version from phones)
  $$;

create table programs (
  sha256 bytea primary key check (length(sha256) = 32),
  bytes bigint not null,
  used_at timestamptz not null
);
comment on table programs is 'Programs of machines that lie in the bucket, where servers of every version find them.';
comment on column programs.sha256 is 'class=machine; purpose=provision; retention=7d; export=no; erase=expire';
comment on column programs.bytes is 'class=machine; purpose=provision; retention=7d; export=no; erase=expire';
comment on column programs.used_at is 'class=machine; purpose=provision; retention=7d; export=no; erase=expire';
alter table programs enable row level security;
grant select, insert, update, delete on programs to agentctl_jobs;
create policy work on programs to agentctl_jobs using (true);
