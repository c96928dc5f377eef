-- The sweeper looks at private networks and firewall groups as well.
alter table orphan_sightings drop constraint orphan_sightings_kind_check;
alter table orphan_sightings
  add constraint orphan_sightings_kind_check check (kind in ('machine', 'snapshot', 'vpc', 'firewall', 'hostname'));
