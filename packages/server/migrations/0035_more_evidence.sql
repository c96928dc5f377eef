-- Accounts, of so many that came last or of all, of which the last entry does not say what they have. An account that has
-- none has nothing.
create function ledger_faults(p_newest bigint) returns setof text
  language sql stable security definer set search_path = public, pg_temp as $$
  select b.ledger_account_id
  from (select * from ledger_balances order by created_at desc limit p_newest) b
  left join lateral (
    select sequence, balance_micros, hash from ledger_entries e
    where e.ledger_account_id = b.ledger_account_id order by sequence desc limit 1
  ) e on true
  where (b.balance_micros, b.entry_count, b.head_hash) is distinct from
    (coalesce(e.balance_micros, 0), coalesce(e.sequence, 0), coalesce(e.hash, decode(repeat('00', 32), 'hex')))
$$;
-- For whoever asks for the policy: bounded, however many accounts there are.
create or replace function evidence_ledger(out accounts bigint, out wrong bigint)
  language sql stable security definer set search_path = public, pg_temp as $$
  select least(1000, (select count(*) from ledger_balances)), (select count(*) from ledger_faults(1000))
$$;

-- Policy 6d. Whether what is kept for the law goes at its end, for those who may not read it.
create function evidence_retained(p_due_until timestamptz, out overdue bigint, out next_end timestamptz)
  language sql stable security definer set search_path = public, pg_temp as $$
  select (select count(*) from retained.records where kept_until <= p_due_until),
    (select min(kept_until) from retained.records)
$$;

revoke execute on function ledger_faults, evidence_retained from public;
grant execute on function ledger_faults, evidence_retained to agentctl_jobs;
