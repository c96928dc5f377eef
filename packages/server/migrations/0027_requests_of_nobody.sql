-- Which of these accounts there are. Whoever erases one waits for whoever asks, and the other way round: what is written
-- in the same transaction is erased with the account, or has not heard of it.
create function known_accounts(p_accounts text[]) returns setof text
language sql security definer set search_path = public, pg_temp as $$
  select id from accounts where id = any(p_accounts) order by id for key share
$$;
revoke all on function known_accounts(text[]) from public;
grant execute on function known_accounts(text[]) to agentctl_jobs;
