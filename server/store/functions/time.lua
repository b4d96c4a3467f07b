-- Part 4: what time and returning units bring about: expiry, ends of fences, forgetting, the turns
-- of those who queue; and what is told at the end of a command, and of a call.

local function expire(r)
  local due = due_of(r)
  if not due or due > S.now then
    return
  end
  if r.state == 'O' then
    unfence(r)
  end
  if r.expires <= S.now then
    close(r, 'X')
  end
end

-- Ends a fence that passed, and expires a reservation whose time has run out.
local function expire_if_due(id)
  local row = row_of(id)
  if row and (sub(row, 1, 1) == 'R' or sub(row, 1, 1) == 'O') then
    change(id, expire)
  end
end

local function expire_due()
  write_due()
  local due = call('ZRANGEBYSCORE', K[DUE], '-inf', S.now, 'LIMIT', 0, LIMITS.step)
  fetch(K[ROWS], due, S.rows)
  for _, id in ipairs(due) do
    expire_if_due(id)
  end
  S.due_unsure = true
  soonest_due()
end

local function end_fences()
  local ended = call('ZRANGEBYSCORE', K[FENCES], '-inf', S.now)
  for _, fence in ipairs(ended) do
    local id = sub(fence, 9)
    local l = listing_of(id)
    if l and l.fence >= 0 and l.until_ <= S.now then
      l.fence = -1
      touch(id)
    end
  end
  in_chunks('ZREM', K[FENCES], ended)
  S.fence = first_score(K[FENCES])
end

local function is_forgettable(closed_at)
  return S.now - closed_at >= LIMITS.retention_ms or S.closed > LIMITS.closed
end

local function forget_closed()
  if S.closed == 0 or not is_forgettable(S.closed_head) then
    return
  end
  write_closed()
  local entries = call('LRANGE', K[CLOSED], 0, LIMITS.step - 1)
  local taken = 0
  for _, entry in ipairs(entries) do
    if not is_forgettable((unpack_bytes('>d', entry))) then
      break
    end
    taken = taken + 1
    S.closed = S.closed - 1
    local id = sub(entry, 9)
    local row = row_of(id)
    local r = row and read_row(row)
    if r and r.seated then
      -- Claimed, and the mirror has not come: without the ledger's word its units stay.
      S.closed = S.closed + 1
      S.newly_closed[#S.newly_closed + 1] = pack('>d', S.now) .. id
    elseif r and not is_open(r) then
      put_row(id, false)
    end
  end
  call('LPOP', K[CLOSED], taken)
  write_closed()
  local first = call('LINDEX', K[CLOSED], 0)
  S.closed_head = first and unpack_bytes('>d', first) or 0
end

local function pass_time()
  if S.due >= 0 and S.due <= S.now then
    expire_due()
  end
  if S.fence >= 0 and S.fence <= S.now then
    end_fences()
  end
  forget_closed()
end

-- The places of one queue, from `from` (counted from 0), at most `count` of them.
local function places(listing, from, count)
  return call('ZRANGEBYLEX', K[QUEUE], '[' .. listing, '[' .. listing .. '\255', 'LIMIT', from,
    count)
end

-- How many stand before one place of a queue.
local function before_in_queue(listing, sequence)
  return call('ZLEXCOUNT', K[QUEUE], '[' .. listing, '(' .. listing .. sequence)
end

local function join_queue(l, sequence, tail)
  local listing, buyer = sub(tail, 17, 32), sub(tail, 33, 48)
  call('ZADD', K[QUEUE], 0, listing .. sequence .. buyer)
  call('HSET', K[WAITING], listing .. buyer, sequence .. tail)
  l.waiting = l.waiting + 1
  local person = person_of(buyer)
  person[2] = person[2] .. listing
  S.people_changed[buyer] = true
end

local function tell_place(buyer, listing, quantity, position)
  note('W', buyer .. listing, pack('>I4I4', quantity, position))
end

-- Takes a buyer out of a queue and tells them; those behind move up. False: was not in it.
local function take_out(listing, buyer)
  local l = listing_of(listing)
  local waited = l and call('HGET', K[WAITING], listing .. buyer)
  if not waited then
    return false
  end
  local sequence = sub(waited, 1, 8)
  local before = before_in_queue(listing, sequence)
  call('ZREM', K[QUEUE], listing .. sequence .. buyer)
  call('HDEL', K[WAITING], listing .. buyer)
  l.waiting = l.waiting - 1
  local person = person_of(buyer)
  person[2] = without(person[2], listing)
  S.people_changed[buyer] = true
  tell_place(buyer, listing, 0, 0)
  if before < LIMITS.noticed then
    S.moved[listing] = min(before, S.moved[listing] or before)
  end
  touch(listing)
  return true
end

local function units_of(listing, buyer)
  local count = count_of(listing .. buyer)
  return count[1] + count[2]
end

local function offer(l, tail)
  local row = S.fresh:sub(1, 46) .. '\1' .. l.price .. tail
  take_out(sub(tail, 17, 32), sub(tail, 33, 48))
  note('O', row)
  add(row, sub(tail, 1, 16), S.now + S.ttl, true)
end

-- Whether the head of a queue had its turn, or lost it.
local function turn(listing)
  local l = listing_of(listing)
  if not l or l.waiting == 0 then
    return false
  end
  local head = places(listing, 0, 1)[1]
  if not head then
    return false
  end
  local buyer = sub(head, 25, 40)
  local tail = sub(call('HGET', K[WAITING], listing .. buyer), 9)
  local quantity = unpack_bytes('>I4', tail, 49)
  if units_of(listing, buyer) + quantity > l.per_buyer or row_of(sub(tail, 1, 16)) then
    take_out(listing, buyer)
    return true
  end
  -- Strictly first in, first out: a head that needs more than is free blocks those behind.
  if available(l) < quantity then
    return false
  end
  offer(l, tail)
  return true
end

local function first_of(set)
  local first
  for id in pairs(set) do
    if not first or comes_before(id, first) then
      first = id
    end
  end
  return first
end

-- Gives turns, at most `LIMITS.step` in one step; what is left over is due at once.
local function give_turns()
  local budget = LIMITS.step
  while true do
    local listing = first_of(S.turns)
    if not listing then
      return
    end
    repeat
      if budget == 0 then
        return
      end
      local went_on = turn(listing)
      if went_on then
        budget = budget - 1
      end
    until not went_on
    S.turns[listing] = nil
  end
end

local function sorted(set)
  local ids = {}
  for id in pairs(set) do
    ids[#ids + 1] = id
  end
  if #ids > 1 then
    table.sort(ids, comes_before)
  end
  return ids
end

-- The first of a queue that moved hear of their places, from `from` (counted from 0) on.
local function tell_places(listing, from)
  local members = places(listing, from, LIMITS.noticed - from)
  for i, member in ipairs(members) do
    local buyer = sub(member, 25, 40)
    local waited = call('HGET', K[WAITING], listing .. buyer)
    tell_place(buyer, listing, unpack_bytes('>I4', waited, 57), from + i)
  end
end

-- Ends a step: the places of the first in queues that moved.
local function tell_moved()
  if S.loaded and next(S.moved) then
    for _, listing in ipairs(sorted(S.moved)) do
      tell_places(listing, S.moved[listing])
    end
    S.moved = {}
  end
end

-- Ends a call: the stock that looks different now. Viewers are shown the last state of a call, and
-- the log holds what they are shown.
local function tell_stock()
  if not S.loaded or not next(S.touched) then
    return
  end
  for _, id in ipairs(sorted(S.touched)) do
    local l = listing_of(id)
    if l and l.logged then
      local now = view(l)
      if now ~= l.logged then
        l.logged = now
        item('S', id, now)
      end
    end
  end
end

-- Tells and writes everything that this call changed. Gives the status.
local function finish()
  tell_stock()
  write_rows()
  write_people()
  write_counts()
  write_due()
  write_closed()
  write_listings()
  write_streams()
  local now_status = status()
  call('SET', K[META_KEY], write_meta(S))
  return now_status
end
