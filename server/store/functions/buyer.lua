-- Part 5: what buyers ask. Each function takes one command, whose first byte names it, and gives
-- its answer; the answers' bytes are in `answers.rs`. Core's `hot/buyer.rs`, check by check.
local take_early -- the ledger and the show settle early orders, too
local reserve, reserve_quickly, reserve_for_order, extend, release
local begin_checkout, end_checkout, join_waitlist, leave_waitlist
do -- a chunk has at most 200 locals

local function answer_row(row, repeated)
  return repeated and 'r' .. row or row
end

-- The same id again: the first answer, unless it was another request's.
local function repeated(row, buyer, listing, quantity)
  if buyer_in(row) ~= buyer or listing_in(row) ~= listing or quantity_in(row) ~= quantity then
    return refuse(KEY_REUSED)
  end
  return answer_row(row, true)
end

local function refuse_quantity(quantity)
  if quantity < 1 or quantity > LIMITS.quantity then
    return refuse(QUANTITY, quantity)
  end
  return nil
end

local function refuse_beyond_limit(l, units, quantity)
  if units + quantity > l.per_buyer then
    return refuse(BUYER_LIMIT, l.per_buyer, units)
  end
  return nil
end

-- Nobody overtakes a queue, even when its head waits for more units than are free.
local function refuse_unless_free(l, quantity)
  if l.waiting > 0 then
    return refuse(WAITLIST_FIRST, l.waiting)
  end
  local free = available(l)
  if free == 0 then
    return refuse(SOLD_OUT)
  elseif free < quantity then
    return refuse(TOO_FEW, free)
  end
  return nil
end

local function refuse_if_full(buyer)
  if S.open >= LIMITS.open then
    return refuse(SHOW_FULL)
  end
  local open = #person_of(buyer)[1] / 16
  if open >= LIMITS.open_per_buyer then
    return refuse(BUYER_FULL, open)
  end
  return nil
end

-- The order that has settled a reservation whose row was not known, taken out.
function take_early(id)
  if S.early == 0 then
    return nil
  end
  local member = call('ZRANGEBYLEX', K[EARLY], '[' .. id, '[' .. id .. string.rep('\255', 17),
    'LIMIT', 0, 1)[1]
  if not member then
    return nil
  end
  call('ZREM', K[EARLY], member)
  S.early = S.early - 1
  return sub(member, 17)
end

-- R: a wish, see rows.lua.
function reserve(command)
  local id, listing, buyer = sub(command, 2, 17), sub(command, 18, 33), sub(command, 34, 49)
  local quantity = unpack_bytes('>I4', command, 50)
  local known = row_of(id)
  if known then
    return repeated(known, buyer, listing, quantity)
  end
  local why = refuse_quantity(quantity)
  if why then
    return why
  end
  local l = listing_of(listing)
  if not l then
    return NOT_LOADED
  end
  local order = take_early(id)
  if order then
    -- The row was lost, the ledger has its order: no second reservation of it.
    local r = read_row(S.fresh .. l.price .. sub(command, 2))
    r.order, r.seated = order, false
    close(r, 'C')
    return answer_row(add_row(r), true)
  end
  if S.over then
    return refuse(NOT_LIVE)
  end
  why = refuse_beyond_limit(l, units_of(listing, buyer), quantity)
    or refuse_unless_free(l, quantity) or refuse_if_full(buyer)
  if why then
    return why
  end
  local row = S.fresh .. l.price .. sub(command, 2)
  tell_of(row)
  add(row, id, S.now + S.ttl, true)
  return answer_row(row, false)
end

-- `reserve` for the commonest cases: nothing is due, nobody queues, the buyer is new to the listing
-- and to the show; or there is too little left. Gives nil when it is another case. Everything was
-- read before.
function reserve_quickly(command, id, key, buyer)
  if S.rows[id] ~= false or S.counts[key] ~= false or S.people[buyer] ~= false then
    return nil
  end
  local listing = sub(key, 1, 16)
  local l = listing_of(listing)
  local quantity = unpack_bytes('>I4', command, 50)
  if not l or l.waiting > 0 or quantity < 1 or quantity > LIMITS.quantity
    or quantity > l.per_buyer or S.open >= LIMITS.open then
    return nil
  end
  local free = available(l)
  if free < quantity then
    return free == 0 and refuse(SOLD_OUT) or refuse(TOO_FEW, free)
  end
  local row = S.fresh .. l.price .. sub(command, 2)
  local list = S.new_rows
  local length = #list
  list[length + 1], list[length + 2] = id, row
  list = S.new_people
  list[length + 1], list[length + 2] = buyer, '\0\1' .. id
  list = S.new_counts
  list[length + 1], list[length + 2] = key, pack('>I4I4d', quantity, 0, 0)
  list = S.new_due
  length = #list
  list[length + 1], list[length + 2] = S.expiry, id
  S.rows[id], S.people[buyer] = row, S.new_people[#S.new_people]
  S.counts[key] = S.new_counts[#S.new_counts]
  if S.due < 0 then
    S.due = S.now + S.ttl
  end
  S.due = min(S.due, S.now + S.ttl)
  S.open, l.reserved, l.buyers = S.open + 1, l.reserved + quantity, l.buyers + 1
  note('R', row)
  S.touched[listing] = true
  return row
end

-- The row, if it is this buyer's; expired here and now if its time has run out.
local function own(id, buyer)
  expire_if_due(id)
  local row = row_of(id)
  return row and buyer_in(row) == buyer and row or nil
end

local function extend_row(r)
  local why = refuse_unless_reserved(r)
  if why then
    return why
  end
  if r.extensions >= LIMITS.extensions then
    return refuse(EXTENSION_LIMIT)
  end
  r.extensions = r.extensions + 1
  r.expires = max(r.expires, S.now + S.ttl)
  return nil
end

-- E: reservation, buyer.
function extend(command)
  local id = sub(command, 2, 17)
  if not own(id, sub(command, 18, 33)) then
    return refuse(UNKNOWN)
  end
  local _, why = change(id, extend_row)
  return why or answer_row(row_of(id), false)
end

-- L: reservation, buyer.
function release(command)
  local id = sub(command, 2, 17)
  local row = own(id, sub(command, 18, 33))
  if not row then
    return refuse(UNKNOWN)
  end
  local state = sub(row, 1, 1)
  if state == 'L' then
    return answer_row(row, true)
  elseif state ~= 'R' then
    return refuse(CLOSED_AS[state])
  end
  change(id, close, 'L')
  return answer_row(row_of(id), false)
end

-- Ids of a bag: a count and as many ids.
local function read_bag(command, at)
  local count = unpack_bytes('>I4', command, at)
  local bag = {}
  for i = 1, count do
    bag[i] = sub(command, at + 4 + (i - 1) * 16, at + 3 + i * 16)
  end
  return bag
end

local function refuse_bag(bag)
  local seen = {}
  for _, id in ipairs(bag) do
    if seen[id] then
      return refuse(BAG)
    end
    seen[id] = true
  end
  if #bag < 1 or #bag > LIMITS.bag then
    return refuse(BAG)
  end
  return nil
end

local function answer_bag(bag)
  local rows = {}
  for _, id in ipairs(bag) do
    rows[#rows + 1] = row_of(id) or nil
  end
  return 'b' .. concat(rows)
end

local function fence_row(r, order, fence)
  if is_open(r) then
    r.state, r.order = 'O', order
    r.fence = max(fence, r.fence or fence)
  end
end

local function begin_bag(order, buyer, fence_ms, bag)
  local why = refuse_bag(bag)
  if why then
    return why
  end
  for _, id in ipairs(bag) do
    local row = own(id, buyer)
    if not row then
      return refuse(UNKNOWN)
    end
    local r = read_row(row)
    local is_retry = (r.state == 'O' or r.state == 'C') and r.order == order
    why = not is_retry and refuse_unless_reserved(r)
    if why then
      return why
    end
  end
  for _, id in ipairs(bag) do
    change(id, fence_row, order, S.now + fence_ms)
  end
  return answer_bag(bag)
end

-- B: order, buyer, fence, bag.
function begin_checkout(command)
  local order, buyer, fence_ms = unpack_bytes('>c16c16d', command, 2)
  return begin_bag(order, buyer, fence_ms, read_bag(command, 42))
end

local function end_row(r, order, is_claimed)
  if is_claimed then
    -- The order is a fact. Units that are seated stay so until the mirror has them.
    if r.state ~= 'C' then
      r.order = order
      close(r, 'C')
    end
  elseif r.state == 'O' and r.order == order then
    unfence(r)
  end
end

-- D: order, whether it was claimed, bag.
function end_checkout(command)
  local order, is_claimed = unpack_bytes('>c16B', command, 2)
  local bag = read_bag(command, 19)
  for i = 1, min(#bag, LIMITS.bag) do
    change(bag[i], end_row, order, is_claimed == 1)
    expire_if_due(bag[i])
  end
  return answer_bag(bag)
end

-- Lines of an order: a count; reservation, listing, quantity, price of each. Then the name.
local function read_lines(command, at)
  local count = unpack_bytes('>I4', command, at)
  local lines, bag = {}, {}
  at = at + 4
  for i = 1, count do
    local line = {}
    line.id, line.listing, line.quantity, line.price, at = unpack_bytes('>c16c16I4c11', command, at)
    lines[i], bag[i] = line, line.id
  end
  return lines, bag, sub(command, at)
end

-- The sums wanted of each listing; first what no quantity may be.
local function sum_lines(lines)
  local wanted = {}
  for _, line in ipairs(lines) do
    local why = refuse_quantity(line.quantity)
    if why then
      return nil, why
    end
    wanted[line.listing] = (wanted[line.listing] or 0) + line.quantity
  end
  return wanted
end

local function seat_line(line, order, buyer, fence, name)
  local r = {
    state = 'O', extensions = 0, expires = S.now, fence = fence, closed = false, order = order,
    seated = true,
  }
  -- It has no time of its own: what the ledger does not claim returns at once.
  r.rest = '\0' .. line.price .. line.id .. line.listing .. buyer .. pack('>I4', line.quantity)
    .. string.rep('\0', 9) .. name
  tell_of(write_row(r))
  add_row(r)
end

-- O: order, buyer, fence, lines, name.
function reserve_for_order(command)
  local order, buyer, fence_ms = unpack_bytes('>c16c16d', command, 2)
  local lines, bag, name = read_lines(command, 42)
  local why = refuse_bag(bag)
  if why then
    return why
  end
  for _, line in ipairs(lines) do
    if not listing_of(line.listing) then
      return NOT_LOADED
    end
  end
  for _, id in ipairs(bag) do
    if row_of(id) then
      return begin_bag(order, buyer, fence_ms, bag)
    end
  end
  local wanted
  wanted, why = sum_lines(lines)
  if why then
    return why
  end
  for _, listing in ipairs(sorted(wanted)) do
    local l = listing_of(listing)
    why = refuse_beyond_limit(l, units_of(listing, buyer), wanted[listing])
      or refuse_unless_free(l, wanted[listing])
    if why then
      return why
    end
  end
  for _, line in ipairs(lines) do
    seat_line(line, order, buyer, S.now + fence_ms, name)
  end
  return answer_bag(bag)
end

local function answer_place(listing, quantity, position, is_repeated)
  return 'w' .. char(is_repeated and 1 or 0) .. listing .. pack('>I4I4', quantity, position)
end

local function already_waiting(waited, listing, id, quantity)
  local same_id = sub(waited, 9, 24) == id
  if same_id and unpack_bytes('>I4', waited, 57) == quantity then
    local before = before_in_queue(listing, sub(waited, 1, 8))
    return answer_place(listing, quantity, before + 1, true)
  end
  return refuse(same_id and KEY_REUSED or ALREADY_WAITING)
end

-- J: a wish, see rows.lua.
function join_waitlist(command)
  local id, listing, buyer = sub(command, 2, 17), sub(command, 18, 33), sub(command, 34, 49)
  local quantity = unpack_bytes('>I4', command, 50)
  local known = row_of(id)
  if known then
    return repeated(known, buyer, listing, quantity)
  end
  local why = refuse_quantity(quantity)
  if why then
    return why
  end
  local l = listing_of(listing)
  if not l then
    return NOT_LOADED
  end
  local waited = l.waiting > 0 and call('HGET', K[WAITING], listing .. buyer)
  if waited then
    return already_waiting(waited, listing, id, quantity)
  end
  if S.over then
    return refuse(NOT_LIVE)
  end
  why = refuse_beyond_limit(l, units_of(listing, buyer), quantity)
  if why then
    return why
  end
  if l.waiting == 0 and available(l) > 0 then
    return refuse(UNITS_FREE, available(l))
  end
  if l.waiting >= LIMITS.queue then
    return refuse(QUEUE_FULL)
  end
  l.sequence = l.sequence + 1
  join_queue(l, pack('>d', l.sequence), sub(command, 2))
  tell_place(buyer, listing, quantity, l.waiting)
  touch(listing)
  return answer_place(listing, quantity, l.waiting, false)
end

-- V: buyer, listing.
function leave_waitlist(command)
  if take_out(sub(command, 18, 33), sub(command, 2, 17)) then
    return DONE
  end
  return refuse(NOT_WAITING)
end

end
