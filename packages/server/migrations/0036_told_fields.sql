-- Policy 3. What those who work for us may be told and were told, by every process of ours: each knows its own calls
-- alone, and whoever asks for the evidence asks one of them.
create table told_fields (
  processor text not null,
  -- Its name; * for a process that would tell anything.
  field text not null,
  -- Whether the process had it on its list of what may be told.
  declared boolean not null,
  told boolean not null,
  seen_at timestamptz not null,
  primary key (processor, field)
);
comment on table told_fields is 'Names of the fields that those who work for us may be told and were told.';
comment on column told_fields.processor is 'class=operation; purpose=debug; retention=90d; export=no; erase=expire';
comment on column told_fields.field is 'class=operation; purpose=debug; retention=90d; export=no; erase=expire';
comment on column told_fields.declared is 'class=operation; purpose=debug; retention=90d; export=no; erase=expire';
comment on column told_fields.told is 'class=operation; purpose=debug; retention=90d; export=no; erase=expire';
comment on column told_fields.seen_at is 'class=operation; purpose=debug; retention=90d; export=no; erase=expire';
alter table told_fields enable row level security;
grant select, insert, update, delete on told_fields to agentctl_jobs;
create policy work on told_fields to agentctl_jobs using (true);

-- Policy 3d. Machines of ours that the provider lists in another region, as the sweeper saw them last.
create function machines_elsewhere() returns bigint
  language sql stable set search_path = public, pg_temp as $$
  select coalesce(sum((step_data ->> 'elsewhere')::bigint), 0)::bigint from operations
  where kind = 'sweep' and state = 'pending'
$$;
revoke execute on function machines_elsewhere from public;
grant execute on function machines_elsewhere to agentctl_jobs;
