-- From this moment on the subject burns this rate; zero: nothing. The same again changes nothing. A moment that a run
-- has already charged for stays charged. What ran on after its account had nothing left was charged to nobody and never
-- will be: its interval ends where the credits ended, so that usage adds up to what was charged.
create or replace function meter_set(
  p_subject text, p_account text, p_namespace text, p_rate bigint, p_at timestamptz
) returns boolean language plpgsql security definer set search_path = public as $$
declare
  watermark timestamptz;
  moment timestamptz := date_trunc('second', p_at);
  ending timestamptz;
  open meters;
  last meters;
begin
  select upto into watermark from meter_watermark for share;
  select * into open from meters where subject = p_subject and to_at is null for update;
  if found then
    if open.rate_micros = p_rate and open.ledger_account_id = p_account then return false; end if;
    moment := greatest(moment, open.from_at);
    if open.opened_upto < watermark then moment := greatest(moment, watermark); end if;
    -- While the flag is up no run has taken anything: a credit takes it down before there is something to take.
    select greatest(open.from_at, least(moment, depleted_at)) into ending
      from ledger_balances where ledger_account_id = open.ledger_account_id;
    update meters set to_at = ending, counted_until = greatest(ending, opened_upto + interval '1 second')
      where id = open.id;
  end if;
  if p_rate = 0 then return open.id is not null; end if;
  select * into last from meters where subject = p_subject order by from_at desc, id desc limit 1;
  insert into meters (ledger_account_id, subject, namespace_id, rate_micros, carry, from_at, opened_upto)
  values (p_account, p_subject, p_namespace, p_rate,
    coalesce((last.carry + last.rate_micros * extract(epoch from last.to_at - last.from_at)::bigint) % 3600, 0),
    greatest(moment, last.to_at), watermark);
  return true;
end $$;
