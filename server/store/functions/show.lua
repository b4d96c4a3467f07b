-- Part 7: the functions that change a show. KEYS, the first ARGV and the result's beginning are
-- the same for all of them, see wire.lua. Each is one atomic step: what is decided and what others
-- hear of it must never part.
local apply -- a bench calls it, too
do -- a chunk has at most 200 locals

local DECIDE = {
  R = reserve, O = reserve_for_order, E = extend, L = release, B = begin_checkout,
  D = end_checkout, J = join_waitlist, V = leave_waitlist, F = fence_total,
}
-- From the ledger and the show: welcome before the state is loaded.
local TAKE = { M = mirror, Z = restore, C = close_selling, S = set_times, T = function() end }

-- Core's `ShowStock::apply`. `log` is called before the step's own notices of queues are told.
local function step(command, log)
  pass_time()
  give_turns()
  local kind, answer = sub(command, 1, 1), NOT_LOADED
  if TAKE[kind] then
    answer = TAKE[kind](command)
  elseif not DECIDE[kind] then
    error('a command that this version does not know: ' .. byte(kind))
  elseif S.loaded then
    answer = DECIDE[kind](command)
  end
  give_turns()
  if log then
    log()
  end
  tell_moved()
  if kind == 'T' then
    local due = next_due()
    return 't' .. char(due >= 0 and due <= S.now and 1 or 0)
  end
  return answer
end

-- Appends a listing as a whole; `words` is price, limit per buyer and the rest, as it is kept.
local function log_listing(id, l, words, position)
  l.logged = view(l)
  call('HSET', K[WORDS], id, words)
  item('L', pack('>I4', position) .. l.logged, words)
end

local function place_in(run, id)
  for at = 1, #run, 16 do
    if sub(run, at, at + 15) == id then
      return (at - 1) / 16
    end
  end
  return #run / 16
end

local function run_of_show()
  return call('HGET', K[WORDS], 'run') or ''
end

-- Says what `words` say otherwise than the log.
local function log_difference(id, l, words)
  local known = call('HGET', K[WORDS], id)
  if not known then
    local run = run_of_show()
    call('HSET', K[WORDS], 'run', run .. id)
    log_listing(id, l, words, #run / 16)
  elseif sub(known, 12) ~= sub(words, 12) then
    log_listing(id, l, words, place_in(run_of_show(), id))
  elseif sub(known, 1, 11) ~= sub(words, 1, 11) then
    call('HSET', K[WORDS], id, words)
    item('P', id, sub(words, 1, 11))
  end
end

-- A mirror that is newer than what is known changes price and limit in the log, too.
local function step_of_mirror(command)
  local m = read_mirror(command)
  local before = listing_of(m.listing)
  local is_newer = m.version > (before and before.version or 0)
  return step(command, function()
    local l = listing_of(m.listing)
    local known = is_newer and l and call('HGET', K[WORDS], m.listing)
    if known then
      log_difference(m.listing, l, m.price .. pack('>I4', m.per_buyer) .. sub(known, 16))
    end
  end)
end

local RESERVE, JOIN, EXTEND, RELEASE, MIRROR = 82, 74, 69, 76, 77 -- R, J, E, L, M

-- Reads at once what the wishes of a batch need. Gives, wish by wish, their reservations, their
-- listings with their buyers, and their buyers: strings are dear to make.
local function prefetch(args)
  local ids, keys, buyers, others, wishes = {}, {}, {}, {}, 0
  for i = 4, #args do
    local command = args[i]
    local kind = byte(command)
    if kind == RESERVE or kind == JOIN then
      wishes = wishes + 1
      ids[wishes] = sub(command, 2, 17)
      keys[wishes] = sub(command, 18, 49)
      buyers[wishes] = sub(command, 34, 49)
    elseif kind == EXTEND or kind == RELEASE then
      others[#others + 1] = sub(command, 2, 17)
    end
  end
  read_all(K[ROWS], ids, S.rows)
  read_all(K[ROWS], others, S.rows)
  read_all(K[COUNTS], keys, S.counts)
  read_all(K[PEOPLE], buyers, S.people)
  return ids, keys, buyers
end

-- Nothing happens before the next command: no time, no turn, no early order.
local function is_quiet()
  return S.loaded and not S.over and S.early == 0 and not next(S.turns)
    and (S.due < 0 or S.due > S.now) and (S.fence < 0 or S.fence > S.now)
    and (S.closed == 0 or not is_forgettable(S.closed_head))
end

apply = function(args)
  set_now(args)
  local ids, keys, buyers = prefetch(args)
  local answers = { 'ok', '' }
  local quiet, wish = is_quiet(), 0
  for i = 4, #args do
    local command = args[i]
    local kind = byte(command)
    if kind == RESERVE or kind == JOIN then
      wish = wish + 1
    end
    -- A quick reservation leaves a quiet show quiet.
    local answer = kind == RESERVE and quiet
      and reserve_quickly(command, ids[wish], keys[wish], buyers[wish])
    if not answer then
      answer = kind == MIRROR and step_of_mirror(command) or step(command)
      quiet = is_quiet()
    end
    answers[i - 1] = answer
  end
  answers[2] = finish()
  return answers
end

-- vetrina_apply. ARGV 4...: commands, as `commands.rs` writes them.
-- Result: 'ok', status, one answer for each.
on_show('vetrina_apply', apply)

-- vetrina_publish. ARGV 4: a mirror as in `vetrina_apply`; 5: what the ledger says of the listing:
-- price, limit per buyer, words. Result: 'ok', status, answer; no answer: a newer row is known.
on_show('vetrina_publish', function(args)
  set_now(args)
  local m = read_mirror(args[4])
  local before = listing_of(m.listing)
  if before and before.version > m.version then
    return { 'ok', finish() }
  end
  local answer = step(args[4], function()
    local l = listing_of(m.listing)
    if l then
      log_difference(m.listing, l, args[5])
    end
  end)
  return { 'ok', finish(), answer }
end)

-- The run of show after a host named some listings: those first, the others behind, in the order
-- they had. Naming one twice changes nothing.
local function order_run(named)
  local run = run_of_show()
  local first, seen = {}, {}
  for at = 1, #named, 16 do
    local id = sub(named, at, at + 15)
    if call('HEXISTS', K[WORDS], id) == 1 then
      if seen[id] then
        return
      end
      seen[id] = true
      first[#first + 1] = id
    end
  end
  for at = 1, #run, 16 do
    local id = sub(run, at, at + 15)
    if not seen[id] then
      first[#first + 1] = id
    end
  end
  call('HSET', K[WORDS], 'run', concat(first))
end

local function append(args, from)
  set_now(args)
  local first = S.last + 1
  local ends = false
  for i = from, #args do
    local kind = sub(args[i], 1, 1)
    local length = unpack_bytes('>I4', args[i], 2)
    item('E', sub(args[i], 2, 5 + length))
    if kind == 'O' then
      order_run(sub(args[i], 6 + length))
    end
    ends = ends or kind == 'C'
  end
  if ends then
    step('C')
  end
  local now_status = finish()
  return { 'ok', now_status, pack('>dd', first, S.last) }
end

-- vetrina_append. ARGV 4...: one byte (E; C: this one ends the show; O: the run of show has a new
-- order), the event with its length, for O the listings' ids.
-- Result: 'ok', status, offsets of the first event and of the last that followed from them.
on_show('vetrina_append', function(args)
  return append(args, 4)
end)

-- vetrina_append_after. ARGV 4: an offset; 5...: events as in `vetrina_append`. What corrects the
-- log must know all of it. Result: as `vetrina_append`; only the status when the log has moved on.
on_show('vetrina_append_after', function(args)
  if unpack_bytes('>d', args[4]) ~= S.last then
    return { 'ok', finish() }
  end
  return append(args, 5)
end)

-- vetrina_notify. ARGV 4: E, buyer, name, event. Result: 'ok', status.
on_show('vetrina_notify', function(args)
  set_now(args)
  note('E', sub(args[4], 2))
  return { 'ok', finish() }
end)

-- S: seated again; X: it has run out; D: it does not fit, which is told like an expiry; K: known
-- already; N: nothing to be seated.
local function reseat_row(row)
  local id, listing, buyer = id_in(row), listing_in(row), buyer_in(row)
  if row_of(id) then
    return 'K'
  end
  local l = listing_of(listing)
  local r = read_row(row)
  if not l or not is_open(r) then
    return 'N'
  end
  local order = take_early(id)
  if order then
    r.order, r.seated = order, false
    close(r, 'C')
    add_row(r)
    return 'K'
  end
  r.seated = true
  expire(r)
  local quantity = quantity_in(row)
  local fate = is_open(r) and 'S' or 'X'
  local fits = quantity <= available(l)
    and units_of(listing, buyer) + quantity <= l.per_buyer
  if fate == 'S' and not fits then
    close(r, 'X')
    fate = 'D'
  end
  tell_of(add_row(r))
  return fate
end

-- vetrina_reseat. ARGV 4...: rows. Result: 'ok', status, a letter for each, see above.
on_show('vetrina_reseat', function(args)
  set_now(args)
  pass_time()
  give_turns()
  local fates = {}
  for i = 4, #args do
    fates[i - 3] = reseat_row(args[i])
  end
  give_turns()
  tell_moved()
  return { 'ok', finish(), concat(fates) }
end)

-- vetrina_trim. ARGV 4: last archived offset, events to be kept whatever is archived.
-- Result: 'ok', status. Its time is that of Redis: a leader who asks goes by it, also in a show to
-- which no command comes.
on_show('vetrina_trim', function(args)
  set_now(args)
  local archived, kept = unpack_bytes('>dd', args[4])
  S.archived = max(S.archived, min(archived, S.last))
  local from = min(S.archived, S.last - kept) + 1
  if from > 1 then
    call('XTRIM', K[LOG], 'MINID', '~', digits(from) .. '-0')
  end
  return { 'ok', finish() }
end)

local function drop_state(keys)
  call('UNLINK', unpack(keys, META_KEY, NOTICES))
end

-- vetrina_close. ARGV 4: the log's end as the caller has archived it.
-- Result: 'ok', 1 when the show was dropped, 0 when its log has moved on.
on_show('vetrina_close', function(args)
  local last = unpack_bytes('>d', args[4])
  if last ~= S.last then
    return { 'ok', status(), 0 }
  end
  local now_status = status()
  drop_state(K)
  return { 'ok', now_status, 1 }
end)

-- vetrina_open. Two more KEYS: 15 viewers, 16 leases. ARGV 2 is ignored; 4: who opens, the holder
-- of the lease `open`; 5: epoch, last archived offset, version that notices are above, a count, and
-- of each listing in the log, in the run of show's order: id, stock, words.
-- Result: 'ok' or 'already' and the status; 'leased' when somebody else has the lease.
-- Atomic, or two nodes would drop each other's state.
local function open(keys, args)
  wake()
  K = keys
  local epoch, archived, notice, count, at = unpack_bytes('>dddI4', args[5])
  local now = clock_of(args[3])
  local lease = call('HGET', keys[LEASES], 'open')
  if not lease or sub(lease, 9) ~= args[4] or unpack_bytes('>d', lease) <= now then
    return { 'leased' }
  end
  local meta = call('GET', keys[META_KEY])
  if meta then
    local old = read_meta(meta)
    if old.identity == args[1] and old.epoch >= epoch then
      begin(keys, { args[1], '', args[3] })
      return { 'already', status() }
    end
    now, notice = max(now, old.now), max(notice, old.notice)
  end
  drop_state(keys)
  local run = {}
  for i = 1, count do
    local id, stock, length
    id, stock, length, at = unpack_bytes('>c16c24I4', args[5], at)
    call('HSET', keys[WORDS], id, sub(args[5], at, at + length - 1), 's' .. id, stock)
    run[i], at = id, at + length
  end
  call('HSET', keys[WORDS], 'run', concat(run))
  call('SET', keys[META_KEY], write_meta({
    epoch = epoch, last = archived, archived = archived, now = now, notice = notice,
    ttl = LIMITS.ttl_ms, open = 0, closed = 0, closed_head = 0, early = 0, due = -1, fence = -1,
    known = 0, loaded = false, over = false, identity = args[1], turns = {},
  }))
  begin(keys, { args[1], '', args[3] })
  return { 'ok', status() }
end
redis.register_function('vetrina_open', open)

end
