-- The caller's key serves to find the page again when the same request is repeated, which nobody does after a day.
alter table checkouts alter column request_key drop not null;
comment on column checkouts.request_key is 'class=request; purpose=pay; retention=1d; export=no; erase=expire';
create index checkouts_keyed on checkouts (created_at) where request_key is not null;
