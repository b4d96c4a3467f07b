-- Part 6: what the ledger and the show tell: mirrors, fences of totals, restored rows, times.
-- Core's `hot/ledger.rs`. Layouts as in `commands.rs`.

-- Buyers without units of a listing that has very many are forgotten. As this reads all counts, it
-- is done when their number passes a step, not with every mirror.
local PRUNE_STEP = 10000

local function prune_counts(id, l, before)
  local steps = floor(l.buyers / PRUNE_STEP)
  if l.buyers <= LIMITS.buyers or steps == floor(before / PRUNE_STEP) then
    return
  end
  local pattern = id:gsub('[%*%?%[%]%\\%^%-]', '\\%0') .. '*'
  local cursor = '0'
  repeat
    local page = call('HSCAN', K[COUNTS], cursor, 'MATCH', pattern, 'COUNT', CHUNK)
    cursor = page[1]
    local idle = {}
    for i = 1, #page[2], 2 do
      local reserved, owned = unpack_bytes('>I4I4', page[2][i + 1])
      if reserved == 0 and owned == 0 then
        idle[#idle + 1] = page[2][i]
      end
    end
    in_chunks('HDEL', K[COUNTS], idle)
    l.buyers = l.buyers - #idle
  until cursor == '0'
end

local function settle_row(r, order)
  r.order, r.seated = order, false
  close(r, 'C')
end

local function put_early(id, order)
  if not take_early(id) then
    -- A new one: the smallest makes room.
    if S.early >= LIMITS.open then
      call('ZADD', K[EARLY], 0, id .. order)
      call('ZPOPMIN', K[EARLY])
      return
    end
  end
  call('ZADD', K[EARLY], 0, id .. order)
  S.early = S.early + 1
end

local function own_units(listing, command, at, version)
  local count
  count, at = unpack_bytes('>I4', command, at)
  local buyers, keys = {}, {}
  for i = 1, count do
    local buyer, units
    buyer, units, at = unpack_bytes('>c16I4', command, at)
    buyers[i], keys[i] = units, listing .. buyer
  end
  fetch(K[COUNTS], keys, S.counts)
  for i, key in ipairs(keys) do
    local known = count_of(key)
    if version >= known[3] then
      known[2], known[3] = buyers[i], version
      S.counts_changed[key] = true
    end
  end
  return at
end

local function settle_all(command, at)
  local count
  count, at = unpack_bytes('>I4', command, at)
  local ids, orders = {}, {}
  for i = 1, count do
    ids[i], orders[i], at = unpack_bytes('>c16c16', command, at)
  end
  fetch(K[ROWS], ids, S.rows)
  for i, id in ipairs(ids) do
    if not change(id, settle_row, orders[i]) then
      put_early(id, orders[i])
    end
  end
end

local function take_mirror(l, m)
  if m.version > l.version then
    l.total, l.claimed, l.paid, l.per_buyer = m.total, m.claimed, m.paid, m.per_buyer
    l.price, l.version = m.price, m.version
    -- A newer version may be of a claim just before the total was written: only the total itself
    -- ends its fence early.
    if l.fence >= 0 and m.total <= l.fence then
      l.fence = -1
    end
  end
end

-- A listing that is new here. What the log was told of it may be known from the archive.
local function new_listing(id, m)
  local told = call('HGET', K[WORDS], 's' .. id)
  local l = {
    total = m.total, claimed = m.claimed, paid = m.paid, per_buyer = m.per_buyer, price = m.price,
    version = m.version, reserved = 0, fence = -1, until_ = 0, waiting = 0, sequence = 0,
    buyers = 0, logged = told or false,
  }
  if told then
    call('HDEL', K[WORDS], 's' .. id)
  end
  S.listings[id] = l
  S.known = S.known + 1
  return l
end

local function read_mirror(command)
  local m, at = {}, nil
  m.listing, m.total, m.claimed, m.paid, m.per_buyer, m.price, m.version, at =
    unpack_bytes('>c16I4I4I4I4c11d', command, 2)
  return m, at
end

-- M: a mirror, its buyers' units, what it settled.
local function mirror(command)
  local m, at = read_mirror(command)
  local l = listing_of(m.listing)
  if not l and S.known >= LIMITS.listings then
    return refuse(LISTINGS_FULL)
  end
  l = l or new_listing(m.listing, m)
  take_mirror(l, m)
  settle_all(command, own_units(m.listing, command, at, m.version))
  touch(m.listing)
  return DONE
end

-- F: listing, total, fence.
local function fence_total(command)
  local listing, total, fence_ms = unpack_bytes('>c16I4d', command, 2)
  local l = listing_of(listing)
  if not l then
    return NOT_LOADED
  end
  local committed = l.reserved + l.claimed
  if total < committed then
    return refuse(BELOW_COMMITTED, committed)
  end
  l.fence, l.until_ = total, S.now + fence_ms
  call('ZADD', K[FENCES], l.until_, pack('>d', l.until_) .. listing)
  if S.fence < 0 or l.until_ < S.fence then
    S.fence = l.until_
  end
  touch(listing)
  return DONE
end

-- S: reservation time.
local function set_times(command)
  set_ttl((unpack_bytes('>d', command, 2)))
  return DONE
end

-- C: nothing more.
local function close_selling()
  S.over = true
  for _, member in ipairs(call('ZRANGE', K[QUEUE], 0, -1)) do
    take_out(sub(member, 1, 16), sub(member, 25, 40))
  end
  return DONE
end

-- What this state knows already is newer than what is restored.
local function restore_row(row)
  local id = id_in(row)
  if row_of(id) then
    return
  end
  local r = read_row(row)
  local is_old = r.closed and S.now - r.closed >= LIMITS.retention_ms
  if is_old or not listing_of(listing_in(row)) then
    return
  end
  local order = take_early(id)
  if order then
    r.order = order
    close(r, 'C')
  end
  -- The mirror that came before has every claim among its claimed units.
  r.seated = is_open(r)
  add_row(r)
end

local function restore_place(sequence, tail)
  local listing, buyer = sub(tail, 17, 32), sub(tail, 33, 48)
  local l = listing_of(listing)
  if not l or S.over or row_of(sub(tail, 1, 16)) then
    return
  end
  if call('HEXISTS', K[WAITING], listing .. buyer) == 1 then
    return
  end
  local bytes = pack('>d', sequence)
  local from, to = listing .. bytes, listing .. bytes .. string.rep('\255', 17)
  if call('ZLEXCOUNT', K[QUEUE], '[' .. from, '[' .. to) > 0 then
    return
  end
  l.sequence = max(l.sequence, sequence)
  join_queue(l, bytes, tail)
end

-- A wish or a row that ends at `at` plus its fixed length plus its name.
local function cut(command, at, fixed)
  local name = unpack_bytes('>I2', command, at + fixed)
  local after = at + fixed + 2 + name
  return sub(command, at, after - 1), after
end

-- Z: reservation time, selling closed, rows (sorted), places in queues (sorted).
local function restore(command)
  local ttl, over, rows, at = unpack_bytes('>dBI4', command, 2)
  set_ttl(ttl)
  S.over = S.over or over == 1
  for _ = 1, rows do
    local row
    row, at = cut(command, at, 119)
    restore_row(row)
  end
  local count
  count, at = unpack_bytes('>I4', command, at)
  for _ = 1, count do
    local sequence, tail
    sequence, at = unpack_bytes('>d', command, at)
    tail, at = cut(command, at, 61)
    restore_place(sequence, tail)
  end
  S.loaded = true
  for _, id in ipairs(all_listings()) do
    touch(id)
  end
  return DONE
end
