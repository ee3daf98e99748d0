-- A correction counts for ever, or somebody's bill would change without a trace: the keeper may delete one only with the
-- call it corrects, whose day it has noted as dropped.
create policy keeper_drops_the_old on costspan.correction as restrictive for delete to costspan_keeper
using (at < (select max(kept_since)::timestamp at time zone 'UTC' from costspan.retention));
