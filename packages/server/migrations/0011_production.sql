-- In production no server connects as the owner of the tables. What each has to know before it serves, it is told by
-- functions that run as their owner: which migrations are there, and which keys the rows were made with.

create function applied_migrations() returns setof text
  language sql stable security definer set search_path = public, pg_temp
  as $$ select name from migrations $$;

create function keys_in_use(out sealing text[], out peppers int[])
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select
      array(
        select key_id from secrets
        union
        select key_id from machines where key_id is not null and state <> 'deleted'
      ),
      array(select distinct pepper_version from phones)
  $$;

revoke execute on function applied_migrations(), keys_in_use() from public;
grant execute on function applied_migrations(), keys_in_use() to agentctl_app, agentctl_jobs;
