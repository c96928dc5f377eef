-- Three roles share the database. The owner of the tables migrates and does nothing else; row-level security does
-- not bind an owner, so the service itself never connects as one. `agentctl_app` answers requests and sees only
-- rows that its caller may see. `agentctl_jobs` does work that belongs to no caller (machines, retention, routing)
-- and has only the grants that this work needs.
do $$
declare
  role_name text;
begin
  foreach role_name in array array['agentctl_app', 'agentctl_jobs'] loop
    begin
      execute format('create role %I nologin nosuperuser nobypassrls', role_name);
    exception when duplicate_object or unique_violation then
      null; -- Roles belong to the whole cluster; another database's migration was first.
    end;
    execute format('grant %I to current_user', role_name);
    execute format('grant usage on schema public to %I', role_name);
  end loop;
end $$;

-- Who is asking, set for one transaction by the server. Without it nothing matches.
create function current_account() returns text language sql stable parallel safe as
  $$ select nullif(current_setting('app.account_id', true), '') $$;

-- The hash of what the caller has shown: a token, a phone's HMAC, a wallet, a code. A row that is found by it may
-- be read before anybody is logged in.
create function presented() returns text language sql stable parallel safe as
  $$ select nullif(current_setting('app.presented', true), '') $$;
