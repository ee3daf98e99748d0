-- name: session
select * from costspan.session_calls(%(session)s, %(limit)s, %(before)s, %(before_id)s)

-- name: trace
select * from costspan.trace_calls(%(trace)s, %(limit)s, %(before)s, %(before_id)s)

-- name: newest
select * from costspan.newest_calls(%(start)s, %(end)s, %(limit)s, %(before)s, %(before_id)s)

-- name: dearest
select * from costspan.dearest_calls(%(start)s, %(end)s, %(limit)s)

-- name: call
select * from costspan.call(%(id)s::bigint, %(at)s::timestamptz)

-- name: lines
select * from costspan.call_lines(%(id)s::bigint, %(at)s::timestamptz)
