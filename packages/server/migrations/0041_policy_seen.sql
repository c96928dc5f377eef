-- Policy 10b. The day of the text that an account has seen last: the one that it agreed to, or that a notice told it of.
-- Accounts that are there have agreed to the text of the day on which they were made.
alter table accounts add column policy_seen date;
update accounts set policy_seen =
  case when terms_accepted_at < '2026-11-26T00:00:00Z' then date '2026-11-25' else date '2026-11-26' end;
-- While servers are replaced, those of the release before write nothing here; this is the text that they show.
alter table accounts alter policy_seen set default '2026-11-26';
comment on column accounts.policy_seen is 'class=account.policy; purpose=notify; retention=account; export=yes; erase=delete';
grant select (policy_seen) on accounts to agentctl_jobs;

-- Policy 10a. A change of the policy is news to whoever has seen an earlier text, however late this server learned of it.
alter table announcements add column policy_day date;
alter table announcements drop constraint announcements_check;
comment on column announcements.policy_day is 'class=catalogue; purpose=provision; retention=1y; export=no; erase=keep';
create function is_news(p_policy_day date, p_effective_at timestamptz, p_created_at timestamptz, p_policy_seen date)
  returns boolean language sql immutable as $$
  select case when p_policy_day is null then p_created_at < p_effective_at
    else p_policy_seen is null or p_policy_seen < p_policy_day end
$$;

-- Accounts by what they have seen of the policy, beside its newest text.
create function evidence_policy_seen(
  p_day date, out accounts bigint, out unknown bigint, out earlier bigint, out is_told boolean
) language sql stable security definer set search_path = public, pg_temp as $$
  select count(*), count(*) filter (where policy_seen is null), count(*) filter (where policy_seen < p_day),
    exists (select from announcements where policy_day = p_day)
  from accounts
$$;
revoke execute on function evidence_policy_seen from public;
grant execute on function evidence_policy_seen to agentctl_jobs;
