-- The days that there are, and when each began. Names are read as dates only after it is known that they are days:
-- within one query the planner may read every name in the catalogue first, and others are no dates.
create function request_days() returns table (name text, begins timestamptz)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    with days as materialized (
      select c.relname::text as name
      from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'request_log'::regclass)
    select name, to_date(right(name, 8), 'YYYYMMDD')::timestamp at time zone 'UTC' from days
  $$;

create or replace function drop_request_days(p_begun_until timestamptz) returns int
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  day text;
  dropped int := 0;
begin
  perform pg_advisory_xact_lock(4207719);
  -- A long read of the log must not make everybody who writes it wait behind this.
  set local lock_timeout = '5s';
  for day in select name from request_days() where begins <= p_begun_until order by begins loop
    execute format('drop table %I', day);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;

create or replace function oldest_request_day() returns timestamptz
  language sql stable security definer set search_path = public, pg_temp
  as $$ select min(begins) from request_days() $$;

revoke execute on function request_days() from public;
