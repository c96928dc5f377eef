-- Policy 1d. How far the entries of each account were added up, and to what: a visit adds what was posted since, so that
-- no entry is read twice however long the books are. A row of its own, for whoever moves money locks `ledger_balances`.
create table ledger_audits (
  ledger_account_id text primary key references ledger_balances on delete cascade,
  entry_count int not null,
  sum_micros bigint not null
);
comment on table ledger_audits is 'Up to which entry the books of each customer were found to add up.';
comment on column ledger_audits.ledger_account_id is 'class=billing.ledger; purpose=pay; retention=account; export=no; erase=delete';
comment on column ledger_audits.entry_count is 'class=billing.ledger; purpose=pay; retention=account; export=no; erase=delete';
comment on column ledger_audits.sum_micros is 'class=billing.ledger; purpose=pay; retention=account; export=no; erase=delete';
alter table ledger_audits enable row level security;
insert into account_tables (name, position, is_own) values ('ledger_audits', 39, 'ledger_account_id = $2');

-- One statement, so that all of it sees the books of one moment. Where they do not add up nothing is noted: the next
-- visit adds up from the last good entry again.
create function audit_ledger(out accounts bigint, out posted_to bigint, out wrong bigint)
  language sql security definer set search_path = public, pg_temp as $$
  with summed as (
    select b.ledger_account_id, b.entry_count, b.balance_micros, since.entries is not null as is_posted_to,
      coalesce(a.entry_count, 0) + coalesce(since.entries, 0) as entries,
      coalesce(a.sum_micros, 0) + coalesce(since.micros, 0) as micros
    from ledger_balances b
    left join ledger_audits a using (ledger_account_id)
    left join lateral (
      select count(*)::int as entries, coalesce(sum(e.amount_micros), 0)::bigint as micros from ledger_entries e
      where e.ledger_account_id = b.ledger_account_id and e.sequence > coalesce(a.entry_count, 0)
    ) since on b.entry_count <> coalesce(a.entry_count, 0)
  ), noted as (
    insert into ledger_audits
    select ledger_account_id, entries, micros from summed
    where is_posted_to and (entries, micros) = (entry_count, balance_micros)
    on conflict (ledger_account_id) do update set entry_count = excluded.entry_count, sum_micros = excluded.sum_micros
  )
  select count(*), count(*) filter (where is_posted_to),
    count(*) filter (where (entries, micros) <> (entry_count, balance_micros)) from summed
$$;
revoke execute on function audit_ledger from public;
grant execute on function audit_ledger to agentctl_jobs;

-- What the last visit found; no row before the first.
create function ledger_audit(out at timestamptz, out accounts int, out wrong int) returns setof record
  language sql stable set search_path = public, pg_temp as $$
  select (step_data ->> 'at')::timestamptz, (step_data ->> 'accounts')::int, (step_data ->> 'wrong')::int
  from operations where kind = 'audit-ledger' and state = 'pending' and step_data ? 'at'
$$;
revoke execute on function ledger_audit from public;
grant execute on function ledger_audit to agentctl_jobs;
