-- Policy 1e and 6e: metadata of requests to the API, against abuse and for finding faults. A day is a partition, so that
-- it goes at once, with its indexes and its pages, instead of row by row. The columns are all that is ever written: no
-- path as it was typed, no query, no header, no body, no address.
create table request_log (
  at timestamptz not null,
  request_id text not null,
  -- As the contract has it, with names where ids were: 'GET /v1/agents/:agent'; empty for what is no endpoint.
  route text not null,
  status smallint not null,
  duration_ms int not null,
  account_id text,
  -- The session or key that asked.
  credential_id text,
  -- Keyed hash of the client's network: tells that two requests came from one place, and not from which.
  network_hash bytea,
  primary key (request_id, at)
) partition by range (at);
create index request_log_account on request_log (account_id, at) where account_id is not null;
comment on table request_log is 'Requests to the API.';
comment on column request_log.at is 'class=request; purpose=abuse,debug; retention=90d; export=yes; erase=delete';
comment on column request_log.request_id is 'class=request; purpose=debug; retention=90d; export=yes; erase=delete';
comment on column request_log.route is 'class=request; purpose=abuse,debug; retention=90d; export=yes; erase=delete';
comment on column request_log.status is 'class=request; purpose=abuse,debug; retention=90d; export=yes; erase=delete';
comment on column request_log.duration_ms is 'class=request; purpose=debug; retention=90d; export=yes; erase=delete';
comment on column request_log.account_id is 'class=account.id; purpose=abuse,debug; retention=90d; export=yes; erase=delete';
comment on column request_log.credential_id is 'class=request; purpose=abuse; retention=90d; export=yes; erase=delete';
comment on column request_log.network_hash is 'class=request; purpose=abuse; retention=90d; export=no; erase=delete';

alter table request_log enable row level security;
grant select, insert on request_log to agentctl_jobs;
grant select on request_log to agentctl_app, agentctl_operator;
create policy work on request_log to agentctl_jobs using (true);
-- Nobody is shown a row that is older than 90 days, also while the work that deletes stands still. The database's own
-- time stands behind the condition that those who read put themselves.
create policy own on request_log for select to agentctl_app
  using (account_id = current_account() and at > clock_timestamp() - interval '90 days');
create policy look on request_log for select to agentctl_operator
  using (at > clock_timestamp() - interval '90 days');

-- Days of UTC, as far as they are missing. The server that writes has no right to make tables: this has.
create function prepare_request_days(p_first date, p_last date) returns int
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  day date;
  made int := 0;
begin
  if p_last - p_first > 400 then raise exception 'too many days at once'; end if;
  -- Two servers that find the same day missing make it one after the other.
  perform pg_advisory_xact_lock(4207719);
  for day in select generate_series(p_first, p_last, interval '1 day')::date loop
    if to_regclass(format('request_log_%s', to_char(day, 'YYYYMMDD'))) is null then
      execute format('create table request_log_%s partition of request_log for values from (%L) to (%L)',
        to_char(day, 'YYYYMMDD'), day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
      execute format('alter table request_log_%s enable row level security', to_char(day, 'YYYYMMDD'));
      made := made + 1;
    end if;
  end loop;
  return made;
end $$;

-- Days that began by then go, whole. Tells how many went.
create function drop_request_days(p_begun_until timestamptz) returns int
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  day text;
  dropped int := 0;
begin
  perform pg_advisory_xact_lock(4207719);
  -- A long read of the log must not make everybody who writes it wait behind this.
  set local lock_timeout = '5s';
  for day in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'request_log'::regclass
      and to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'UTC' <= p_begun_until
    order by 1
  loop
    execute format('drop table %I', day);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;

-- When the oldest day that is still there began; null for none.
create function oldest_request_day() returns timestamptz
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select min(to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'UTC')
    from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'request_log'::regclass
  $$;

revoke execute on function prepare_request_days, drop_request_days, oldest_request_day from public;
grant execute on function prepare_request_days, drop_request_days, oldest_request_day to agentctl_jobs;
