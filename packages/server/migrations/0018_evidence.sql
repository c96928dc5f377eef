-- What the sentences of the policy are proved by, measured on the running server. Each function tells counts and names
-- of tables, and never a value: whoever may ask learns nothing about anybody.

-- A number of a payment card: its first digits, its length and its check digit are right, and it stands alone.
create function has_card_number(p_text text) returns boolean language sql immutable parallel safe as $$
  select exists (
    select from regexp_matches(p_text,
      '(?<![0-9A-Za-z])(?:4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d)\d{12})(?![0-9A-Za-z])', 'g') as m (found)
    where (
      select sum(case when (length(found[1]) - i) % 2 = 0 then digit when digit > 4 then 2 * digit - 9 else 2 * digit end)
      from generate_series(1, length(found[1])) i, lateral (select substr(found[1], i, 1)::int as digit) d
    ) % 10 = 0
  )
$$;

-- Texts that the service itself writes, in the newest pages of each table, and how many look like what must not be
-- there. What people type (names, configurations, what agents print) is theirs, and not looked at.
create function evidence_leaks(out source text, out rows_seen bigint, out phones bigint, out tokens bigint, out cards bigint)
  returns setof record language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
  found record;
begin
  for found in
    select t.relname, t.oid, string_agg(format('%I::text', a.attname), ', ') as columns
    from pg_class t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    where t.relnamespace = 'public'::regnamespace and t.relkind = 'r' and not t.relispartition
      and a.atttypid in ('text'::regtype, 'jsonb'::regtype, 'text[]'::regtype)
      and coalesce(col_description(t.oid, a.attnum), '') !~ '^class=(agent\.log|agent\.source|agent\.metadata|agent\.domain|api-key);'
      and t.relname || '.' || a.attname not in ('idempotency_keys.key', 'sessions.device')
    group by 1, 2 order by 1
  loop
    source := found.relname;
    execute format($q$
      select count(*), count(*) filter (where v ~ '\+[1-9][0-9]{8,14}(?![0-9])'),
        count(*) filter (where v ~ 'actl_[a-z]_[0-9A-Za-z]{30}'), count(*) filter (where has_card_number(v))
      from (select concat_ws(' ', %s) as v from %I where ctid >= '(%s,0)'::tid) newest$q$,
      found.columns, found.relname, greatest(0, pg_relation_size(found.oid) / 8192 - 500))
    into rows_seen, phones, tokens, cards;
    return next;
  end loop;
end $$;

-- Rows that name an account that is not there, in what has to go with its account.
create function evidence_orphans(out source text, out orphans bigint)
  returns setof record language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
  found record;
begin
  for found in
    select t.relname, a.attname
    from pg_class t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    where t.relnamespace = 'public'::regnamespace and t.relkind = 'r' and not t.relispartition and t.relname <> 'accounts'
      and col_description(t.oid, a.attnum) ~ '^class=account\.id;.*erase=(delete|unlink)$'
    order by 1, 2
  loop
    source := found.relname || '.' || found.attname;
    execute format('select count(*) from %1$I x where %2$I is not null and not exists (select from accounts where id = x.%2$I)',
      found.relname, found.attname)
    into orphans;
    return next;
  end loop;
end $$;

create function evidence_accounts(
  out accounts bigint, out without_terms bigint, out phones bigint, out phones_in_clear bigint, out wallets bigint,
  out keys bigint, out keys_in_clear bigint, out sessions_in_clear bigint
) language sql stable security definer set search_path = public, pg_temp as $$
  select
    (select count(*) from accounts), (select count(*) from accounts where terms_accepted_at is null),
    (select count(*) from phones), (select count(*) from phones where length(phone_hmac) <> 32),
    (select count(*) from wallets),
    (select count(*) from api_keys), (select count(*) from api_keys where length(key_hash) <> 32 or length(prefix) > 15),
    (select count(*) from sessions where length(token_hash) <> 32)
$$;

-- Of the thousand accounts that came last: is what they have what their last entry says?
create function evidence_ledger(out accounts bigint, out wrong bigint)
  language sql stable security definer set search_path = public, pg_temp as $$
  select count(*), count(*) filter (where balance_micros <> coalesce((
      select e.balance_micros from ledger_entries e
      where e.ledger_account_id = b.ledger_account_id order by sequence desc limit 1), 0))
  from (select * from ledger_balances order by created_at desc limit 1000) b
$$;

revoke execute on function evidence_leaks, evidence_orphans, evidence_accounts, evidence_ledger from public;
grant execute on function evidence_leaks, evidence_orphans, evidence_accounts, evidence_ledger to agentctl_jobs;
