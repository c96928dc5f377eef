-- Policy 10a. What is told to everybody is one row, however many accounts there are: who has read it says a row of its
-- own. Accounts that were made at or after `effective_at` are told nothing: they know no other state.
create table announcements (
  id text primary key check (id ~ '^ann_'),
  kind text not null,
  message text not null,
  next text,
  announced_at timestamptz not null,
  effective_at timestamptz not null check (effective_at > announced_at)
);
comment on table announcements is 'Service messages to every account, for a year.';
comment on column announcements.id is 'class=catalogue; purpose=provision; retention=1y; export=no; erase=keep';
comment on column announcements.kind is 'class=catalogue; purpose=provision; retention=1y; export=no; erase=keep';
comment on column announcements.message is 'class=catalogue; purpose=provision; retention=1y; export=no; erase=keep';
comment on column announcements.next is 'class=catalogue; purpose=provision; retention=1y; export=no; erase=keep';
comment on column announcements.announced_at is 'class=catalogue; purpose=provision; retention=1y; export=no; erase=keep';
comment on column announcements.effective_at is 'class=catalogue; purpose=provision; retention=1y; export=no; erase=keep';
alter table announcements enable row level security;
grant select on announcements to agentctl_app;
grant select, insert, update, delete on announcements to agentctl_jobs;
create policy told on announcements for select to agentctl_app using (current_account() is not null);
create policy work on announcements to agentctl_jobs using (true);

create table announcement_reads (
  account_id text not null references accounts on delete cascade,
  announcement_id text not null,
  read_at timestamptz not null,
  primary key (account_id, announcement_id)
);
create index announcement_reads_at on announcement_reads (read_at);
comment on table announcement_reads is 'Which messages to everybody an account has read.';
comment on column announcement_reads.account_id is 'class=account.id; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column announcement_reads.announcement_id is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
comment on column announcement_reads.read_at is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete';
alter table announcement_reads enable row level security;
grant select, insert on announcement_reads to agentctl_app;
grant select, delete on announcement_reads to agentctl_jobs;
create policy own on announcement_reads to agentctl_app using (account_id = current_account());
create policy work on announcement_reads to agentctl_jobs using (true);
insert into account_tables (name, position, is_own) values ('announcement_reads', 35, 'account_id = $1');
