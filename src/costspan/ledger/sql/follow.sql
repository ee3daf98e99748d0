-- name: now
-- Milliseconds since 2020 by the ledger's own clock, as the ids of calls have them.
select (extract(epoch from clock_timestamp()) * 1000)::bigint - 1577836800000

-- name: written
-- The calls with larger ids, in the order of their writing. That they were made lately spares looking at all days.
select * from costspan.readable(array(
    select written::costspan.call
    from (
        select * from costspan.call where at >= now() - %(made_within)s and id > %(after)s order by id limit %(limit)s
    ) as written
))
order by id
