-- Part 2: one call's view of a show. `begin` reads the meta row, the functions below read and
-- change rows through tables of this call, `finish` writes what changed and tells it.

-- epoch, last offset, archived offset, now, last notice, reservation time, open reservations,
-- closed ones, moment of the first closed, early ones, soonest due, soonest fence (-1: none),
-- listings, loaded, selling closed, length of the identity; then identity and listings whose
-- queue's head may have its turn.
local META = '>ddddddddddddI4BBI2'
-- total, claimed, paid, per buyer, price, version, reserved, fenced total (-1: none) and until
-- when, waiting, last sequence, buyers, in the log; then the stock that the log was last told.
local LISTING = '>I4I4I4I4c11dI4ddI4dI4B'

local K -- the keys of this call
local S -- the state of this call

local function clock_of(text)
  if text ~= '' then
    return tonumber(text)
  end
  local time = call('TIME')
  return time[1] * 1000 + floor(time[2] / 1000)
end

local function read_meta(meta)
  local s, length, at, loaded, over = {}, nil, nil, nil, nil
  s.epoch, s.last, s.archived, s.now, s.notice, s.ttl, s.open, s.closed, s.closed_head, s.early,
    s.due, s.fence, s.known, loaded, over, length, at = unpack_bytes(META, meta)
  s.loaded, s.over = loaded == 1, over == 1
  s.identity = sub(meta, at, at + length - 1)
  s.turns = {}
  for place = at + length, #meta, 16 do
    s.turns[sub(meta, place, place + 15)] = true
  end
  return s
end

local function write_meta(s)
  local turns = {}
  for listing in pairs(s.turns) do
    turns[#turns + 1] = listing
  end
  return pack(META, s.epoch, s.last, s.archived, s.now, s.notice, s.ttl, s.open, s.closed,
    s.closed_head, s.early, s.due, s.fence, s.known, s.loaded and 1 or 0, s.over and 1 or 0,
    #s.identity) .. s.identity .. concat(turns)
end

-- Opens the call. Gives the answer when the show is not open as the caller believes.
local function begin(keys, args)
  wake()
  K = keys
  local meta = call('GET', keys[META_KEY])
  if not meta then
    return { 'missing' }
  end
  S = read_meta(meta)
  if S.identity ~= args[1] then
    return { 'identity' }
  end
  if args[2] ~= '' and tonumber(args[2]) ~= S.epoch then
    return { 'epoch', pack('>d', S.epoch) }
  end
  S.listings, S.rows, S.counts, S.people = {}, {}, {}, {}
  S.rows_changed, S.counts_changed, S.people_changed = {}, {}, {}
  S.due_changed, S.due_unsure, S.newly_closed = {}, false, {}
  S.items, S.itemed, S.notes, S.noted, S.touched, S.moved = {}, 0, {}, 0, {}, {}
  -- Arguments of writes that nobody looks up again: see `reserve_quickly`.
  S.new_rows, S.new_counts, S.new_people, S.new_due = {}, {}, {}, {}
  return nil
end

local function set_ttl(ttl)
  S.ttl = ttl
  -- What all reservations made now begin with: reserved, seated, nothing else.
  S.expiry = digits(S.now + S.ttl)
  S.fresh = pack('>c1BI4dddI8I8B', 'R', 4, 0, S.now + S.ttl, 0, 0, 0, 0, 0)
end

-- The time of the step: never backwards.
local function set_now(args)
  S.now = max(S.now, clock_of(args[3]))
  set_ttl(S.ttl)
end

-- Calls `command` on `key` with the list's values, a chunk at a time.
local function in_chunks(command, key, list)
  for first = 1, #list, CHUNK do
    call(command, key, unpack(list, first, min(first + CHUNK - 1, #list)))
  end
end

-- Reads fields of a hash into a table of this call that does not have them yet.
local function read_all(key, fields, into)
  for first = 1, #fields, CHUNK do
    local last = min(first + CHUNK - 1, #fields)
    local values = call('HMGET', key, unpack(fields, first, last))
    for i = first, last do
      into[fields[i]] = values[i - first + 1]
    end
  end
end

-- The same for a table that may have some of them.
local function fetch(key, fields, into)
  local missing, asked = {}, {}
  for _, field in ipairs(fields) do
    if into[field] == nil and not asked[field] then
      asked[field] = true
      missing[#missing + 1] = field
    end
  end
  read_all(key, missing, into)
end

local function read_listing(bytes)
  local l, logged, at = {}, nil, nil
  l.total, l.claimed, l.paid, l.per_buyer, l.price, l.version, l.reserved, l.fence, l.until_,
    l.waiting, l.sequence, l.buyers, logged, at = unpack_bytes(LISTING, bytes)
  l.logged = logged == 1 and sub(bytes, at) or false
  return l
end

local function listing_of(id)
  local l = S.listings[id]
  if l == nil then
    local bytes = call('HGET', K[LISTINGS], id)
    l = bytes and read_listing(bytes)
    S.listings[id] = l
  end
  return l
end

-- All listings, in no order.
local function all_listings()
  local all = call('HGETALL', K[LISTINGS])
  for i = 1, #all, 2 do
    if S.listings[all[i]] == nil then
      S.listings[all[i]] = read_listing(all[i + 1])
    end
  end
  local ids = {}
  for id, l in pairs(S.listings) do
    if l then
      ids[#ids + 1] = id
    end
  end
  return ids
end

local function total_now(l)
  return l.fence >= 0 and min(l.fence, l.total) or l.total
end

local function available(l)
  return max(0, total_now(l) - l.reserved - l.claimed)
end

-- As everybody sees it: core's `ListingStock::view`.
local function view(l)
  local total = max(total_now(l), l.claimed)
  local reserved = min(l.reserved, total - l.claimed)
  return pack('>I4I4I4I4I4I4', total, reserved, l.claimed, min(l.paid, l.claimed),
    total - l.claimed - reserved, l.waiting)
end

-- Units of one buyer of one listing: { reserved, owned, version, was there }.
local function count_of(key)
  local count = S.counts[key]
  if count == nil then
    count = call('HGET', K[COUNTS], key)
  end
  if type(count) == 'table' then
    return count
  end
  if count then
    local reserved, owned, version = unpack_bytes('>I4I4d', count)
    count = { reserved, owned, version, true }
  else
    count = { 0, 0, 0, false }
  end
  S.counts[key] = count
  return count
end

-- { ids of open reservations, ids of listings queued for }
local function person_of(buyer)
  local person = S.people[buyer]
  if person == nil then
    person = call('HGET', K[PEOPLE], buyer)
  end
  if type(person) == 'table' then
    return person
  end
  if person then
    local open, at = unpack_bytes('>I2', person)
    person = { sub(person, at, at + open * 16 - 1), sub(person, at + open * 16) }
  else
    person = { '', '' }
  end
  S.people[buyer] = person
  return person
end

-- A list of ids without one of them.
local function without(ids, id)
  for at = 1, #ids, 16 do
    if sub(ids, at, at + 15) == id then
      return sub(ids, 1, at - 1) .. sub(ids, at + 16)
    end
  end
  return ids
end

local function row_of(id)
  local row = S.rows[id]
  if row == nil then
    row = call('HGET', K[ROWS], id)
    S.rows[id] = row
  end
  return row
end

-- `false` forgets it.
local function put_row(id, row)
  S.rows[id] = row
  S.rows_changed[id] = true
end

local function touch(id)
  S.touched[id] = true
  local l = S.listings[id]
  if l and l.waiting > 0 then
    S.turns[id] = true
  end
end

-- What time will change. `S.due` is never later than the truth, and exact unless `due_unsure`.
local function set_due(id, at)
  S.due_changed[id] = at
  if S.due < 0 or at < S.due then
    S.due = at
  end
end

local function unset_due(id, at)
  S.due_changed[id] = false
  if at <= S.due then
    S.due_unsure = true
  end
end

local function write_due()
  in_chunks('ZADD', K[DUE], S.new_due)
  S.new_due = {}
  local adds, removes = {}, {}
  for id, at in pairs(S.due_changed) do
    if at then
      adds[#adds + 1] = at
      adds[#adds + 1] = id
    else
      removes[#removes + 1] = id
    end
  end
  in_chunks('ZADD', K[DUE], adds)
  in_chunks('ZREM', K[DUE], removes)
  S.due_changed = {}
end

local function first_score(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or -1
end

local function soonest_due()
  if S.due_unsure then
    write_due()
    S.due, S.due_unsure = first_score(K[DUE]), false
  end
  return S.due
end

-- Core's `next_due`; -1: not before another command.
local function next_due()
  if next(S.turns) then
    return S.now
  end
  local due, fence = soonest_due(), S.fence
  if due < 0 or fence < 0 then
    return max(due, fence)
  end
  return min(due, fence)
end

local function push_closed(at, id)
  if S.closed == 0 then
    S.closed_head = at
  end
  S.closed = S.closed + 1
  S.newly_closed[#S.newly_closed + 1] = pack('>d', at) .. id
end

local function write_closed()
  in_chunks('RPUSH', K[CLOSED], S.newly_closed)
  S.newly_closed = {}
end

-- For the notices: a letter and up to two strings.
local function note(kind, first, second)
  local notes = S.notes
  local length = #notes
  notes[length + 1], notes[length + 2] = kind, first
  notes[length + 3] = second
  S.noted = S.noted + 1
end

-- For the log: a letter and up to two strings.
local function item(kind, first, second)
  local items = S.items
  local length = #items
  items[length + 1], items[length + 2] = kind, first
  items[length + 3] = second
  S.itemed = S.itemed + 1
end

-- Numbers the notices and events of this call and appends them, one entry to each stream.
local function write_streams()
  if S.itemed > 0 then
    S.last = S.last + S.itemed
    call('XADD', K[LOG], digits(S.last) .. '-0', 'e',
      pack('>ddI4', S.epoch, S.now, S.itemed) .. concat(S.items))
  end
  if S.noted > 0 then
    local before = S.notice
    local first = max(max(S.now, 0) * 1000, before + 1)
    S.notice = first + S.noted - 1
    call('XADD', K[NOTICES], 'MAXLEN', '~', LIMITS.notices_entries, digits(S.notice) .. '-0', 'n',
      pack('>dd', before, first) .. concat(S.notes))
  end
end

local function write_listings()
  local sets = {}
  for id, l in pairs(S.listings) do
    if l then
      sets[#sets + 1] = id
      sets[#sets + 1] = pack(LISTING, l.total, l.claimed, l.paid, l.per_buyer, l.price, l.version,
        l.reserved, l.fence, l.until_, l.waiting, l.sequence, l.buyers, l.logged and 1 or 0)
        .. (l.logged or '')
    end
  end
  in_chunks('HSET', K[LISTINGS], sets)
end

local function write_rows()
  local sets, removes = {}, {}
  local rows = S.rows
  for id in pairs(S.rows_changed) do
    local row = rows[id]
    if row then
      sets[#sets + 1] = id
      sets[#sets + 1] = row
    else
      removes[#removes + 1] = id
    end
  end
  in_chunks('HSET', K[ROWS], S.new_rows)
  in_chunks('HSET', K[ROWS], sets)
  in_chunks('HDEL', K[ROWS], removes)
end

local function write_people()
  local sets, removes = {}, {}
  for buyer in pairs(S.people_changed) do
    local person = S.people[buyer]
    local open, queued = person[1], person[2]
    if open == '' and queued == '' then
      removes[#removes + 1] = buyer
    else
      sets[#sets + 1] = buyer
      sets[#sets + 1] = pack('>I2', #open / 16) .. open .. queued
    end
  end
  in_chunks('HSET', K[PEOPLE], S.new_people)
  in_chunks('HSET', K[PEOPLE], sets)
  in_chunks('HDEL', K[PEOPLE], removes)
end

-- A buyer with no units is kept for the mirror's version only.
local function write_counts()
  local sets, removes = {}, {}
  for key in pairs(S.counts_changed) do
    local count = S.counts[key]
    local l = S.listings[sub(key, 1, 16)]
    if count[1] == 0 and count[2] == 0 and count[3] == 0 then
      if count[4] then
        removes[#removes + 1] = key
        l.buyers = l.buyers - 1
      end
    else
      sets[#sets + 1] = key
      sets[#sets + 1] = pack('>I4I4d', count[1], count[2], count[3])
      if not count[4] then
        l.buyers = l.buyers + 1
      end
    end
  end
  in_chunks('HSET', K[COUNTS], S.new_counts)
  in_chunks('HSET', K[COUNTS], sets)
  in_chunks('HDEL', K[COUNTS], removes)
end

local function status()
  local due = next_due()
  return pack('>dddddBBd', S.epoch, S.last, S.archived, S.now, S.notice, S.loaded and 1 or 0,
    due >= 0 and 1 or 0, due)
end

-- Registers a function on an open show. What a failure left behind is not to be trusted.
local function on_show(name, work, flags)
  local function guarded(keys, args)
    local why = begin(keys, args)
    if why then
      return why
    end
    local done, result = pcall(work, args)
    if done then
      return result
    end
    if not flags then
      redis.call('DEL', keys[META_KEY])
    end
    local text = type(result) == 'table' and result.err or tostring(result)
    return redis.error_reply('VETRINA ' .. name .. ': ' .. text)
  end
  redis.register_function({ function_name = name, callback = guarded, flags = flags or {} })
end
