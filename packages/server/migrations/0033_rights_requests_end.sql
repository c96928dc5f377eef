-- Requests about personal data are kept for five years after they were answered, which is how long somebody may ask how
-- they were, and then deleted. Whoever deletes them, and whoever says that one is overdue, works for nobody in particular.
grant select, delete on rights_requests to agentctl_jobs;
create policy expire on rights_requests to agentctl_jobs using (true);
comment on column rights_requests.account_id is 'class=account.id; purpose=notify; retention=5y; export=yes; erase=unlink';
