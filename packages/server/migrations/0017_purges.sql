-- One row for each period of the retention table: evidence that what has had its time is deleted.
create table purges (
  name text primary key,
  ran_at timestamptz not null,
  -- When something was last found to delete.
  purged_at timestamptz,
  purged_count bigint not null
);
comment on table purges is 'When what has had its time was last looked for, and how much has gone.';
comment on column purges.name is 'class=operation; purpose=debug; retention=account; export=no; erase=keep';
comment on column purges.ran_at is 'class=operation; purpose=debug; retention=account; export=no; erase=keep';
comment on column purges.purged_at is 'class=operation; purpose=debug; retention=account; export=no; erase=keep';
comment on column purges.purged_count is 'class=operation; purpose=debug; retention=account; export=no; erase=keep';
alter table purges enable row level security;
grant select, insert, update on purges to agentctl_jobs;
create policy work on purges to agentctl_jobs using (true);

-- One work deletes for all rooms now.
delete from operations where state = 'pending' and kind in ('expire-identity', 'expire-acts', 'expire-billing');
