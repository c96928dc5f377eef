-- What concerns the account itself needs a proof of who is there that is not older than ten minutes. A login is one;
-- a session that is older may be proved anew in place.
alter table sessions add column proved_at timestamptz;
comment on column sessions.proved_at is 'class=session; purpose=authenticate; retention=90d; export=yes; erase=delete';
