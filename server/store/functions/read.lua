-- Part 8: the functions that only read a show. KEYS, the first ARGV and the result's beginning as
-- in wire.lua; the time is the one of the last step, and nothing expires by being read.
do -- a chunk has at most 200 locals

local READS = { 'no-writes' }

-- Rows of these ids that are known, one after the other.
local function rows_of(ids)
  fetch(K[ROWS], ids, S.rows)
  local rows = {}
  for _, id in ipairs(ids) do
    rows[#rows + 1] = S.rows[id] or nil
  end
  return concat(rows)
end

-- vetrina_status. Result: 'ok', status.
on_show('vetrina_status', function(args)
  set_now(args)
  return { 'ok', status() }
end, READS)

-- vetrina_mine. ARGV 4: buyer. Result: 'ok', status, rows of open reservations, places in queues
-- (listing, quantity, position), both in no order.
on_show('vetrina_mine', function(args)
  local buyer = args[4]
  local person = person_of(buyer)
  local ids, taken = {}, {}
  for at = 1, #person[1], 16 do
    ids[#ids + 1] = sub(person[1], at, at + 15)
  end
  for at = 1, #person[2], 16 do
    local listing = sub(person[2], at, at + 15)
    local waited = call('HGET', K[WAITING], listing .. buyer)
    local before = before_in_queue(listing, sub(waited, 1, 8))
    local quantity = unpack_bytes('>I4', waited, 57)
    taken[#taken + 1] = listing .. pack('>I4I4', quantity, before + 1)
  end
  return { 'ok', status(), rows_of(ids), concat(taken) }
end, READS)

-- vetrina_rows. ARGV 4: a time. Result: 'ok', status, rows of the open reservations that are due
-- then or later, so many; when the last of them is due, '' for none.
on_show('vetrina_rows', function(args)
  local from = unpack_bytes('>d', args[4])
  local found = call('ZRANGE', K[DUE], digits(from), '+inf', 'BYSCORE', 'LIMIT', 0, LIMITS.desk,
    'WITHSCORES')
  local ids = {}
  for i = 1, #found, 2 do
    ids[#ids + 1] = found[i]
  end
  return { 'ok', status(), rows_of(ids), found[#found] or '' }
end, READS)

-- vetrina_desk. Result: 'ok', status, rows of the open reservations that are due first.
on_show('vetrina_desk', function()
  return { 'ok', status(), rows_of(call('ZRANGE', K[DUE], 0, LIMITS.desk - 1)) }
end, READS)

end
