-- Part 9: what nodes share besides stock and log. Time is that of Redis; a `clock` that is
-- not empty is a test's. Each is atomic because it reads before it writes what others write, too.
do -- a chunk has at most 200 locals

-- Registers a function that is about no show.
local function shared(name, work, flags)
  redis.register_function({ function_name = name, flags = flags or {},
    callback = function(keys, args)
      wake()
      return work(keys, args)
    end,
  })
end

-- Keeps a key for at least `ms` more, so that what nobody prolongs goes away by itself.
local function keep(key, ms)
  if call('PTTL', key) < ms then
    call('PEXPIRE', key, digits(ms))
  end
end

-- vetrina_lease. KEYS 1: leases (hash: name -> until, holder). ARGV: name, holder, ms, clock.
-- Result: whether the caller has it now (1, 0), who has it, milliseconds left.
shared('vetrina_lease', function(keys, args)
  local now, ms = clock_of(args[4]), tonumber(args[3])
  local lease = call('HGET', keys[1], args[1])
  if lease and sub(lease, 9) ~= args[2] then
    local ends = unpack_bytes('>d', lease)
    if ends > now then
      return { 0, sub(lease, 9), ends - now }
    end
  end
  call('HSET', keys[1], args[1], pack('>d', now + ms) .. args[2])
  keep(keys[1], ms)
  return { 1, args[2], ms }
end)

-- vetrina_release_lease. KEYS 1: leases. ARGV: name, holder. Result: 1, or 0 when it is another's.
shared('vetrina_release_lease', function(keys, args)
  local lease = call('HGET', keys[1], args[1])
  if not lease or sub(lease, 9) ~= args[2] then
    return 0
  end
  call('HDEL', keys[1], args[1])
  return 1
end)

-- The nodes whose lease holds, and the sum of their viewers.
local function count_viewers(key, now)
  local all = call('HGETALL', key)
  local ended, nodes, sum = {}, 0, 0
  for i = 1, #all, 2 do
    local viewers, ends = unpack_bytes('>I4d', all[i + 1])
    if ends > now then
      nodes, sum = nodes + 1, sum + viewers
    else
      ended[#ended + 1] = all[i]
    end
  end
  return sum, nodes, ended
end

-- vetrina_presence. KEYS 1: viewers (hash: node -> viewers, until). ARGV: node, viewers, ms, clock.
-- Result: viewers on all nodes whose lease holds. Zero viewers end the node's lease.
shared('vetrina_presence', function(keys, args)
  local now, viewers, ms = clock_of(args[4]), tonumber(args[2]), tonumber(args[3])
  call('HDEL', keys[1], args[1])
  local sum, nodes, ended = count_viewers(keys[1], now)
  if #ended > 0 then
    call('HDEL', keys[1], unpack(ended))
  end
  if viewers > 0 and nodes < LIMITS.nodes then
    call('HSET', keys[1], args[1], pack('>I4d', viewers, now + ms))
    keep(keys[1], ms)
    sum = sum + viewers
  end
  return sum
end)

-- vetrina_viewers. KEYS 1: viewers. ARGV: clock. Result: viewers on all nodes whose lease holds.
shared('vetrina_viewers', function(keys, args)
  return (count_viewers(keys[1], clock_of(args[1])))
end, { 'no-writes' })

-- vetrina_remember. KEYS 1: an idempotency key's name. ARGV: answer, ms that it is kept.
-- Result: the answer that was kept before, which stays; nil when there was none.
shared('vetrina_remember', function(keys, args)
  return call('SET', keys[1], args[1], 'NX', 'GET', 'PX', args[2])
end)

-- vetrina_recall. KEYS 1: an idempotency key's name. Result: the answer that is kept, or nil.
shared('vetrina_recall', function(keys)
  return call('GET', keys[1])
end, { 'no-writes' })

-- Parts of a token: as in core's `TokenBucket`, so that `per_minute` of them flow each millisecond.
local PARTS = 60000

-- vetrina_take. KEYS 1: a bucket (string: parts, moment of the last filling). ARGV: burst, tokens
-- per minute, tokens to take, clock. Result: 0 when they were taken, else milliseconds to wait.
shared('vetrina_take', function(keys, args)
  local flow, now = max(tonumber(args[2]), 1), clock_of(args[4])
  local capacity = max(tonumber(args[1]), 1) * PARTS
  local parts, filled = capacity, now
  local bucket = call('GET', keys[1])
  if bucket then
    parts, filled = unpack_bytes('>dd', bucket)
    -- A clock that went back fills nothing and is not believed.
    if now > filled then
      parts, filled = parts + (now - filled) * flow, now
    end
    parts = min(parts, capacity)
  end
  local wanted, wait = tonumber(args[3]) * PARTS, 0
  if parts >= wanted then
    parts = parts - wanted
  else
    wait = max(math.ceil((min(wanted, capacity) - parts) / flow), 1)
  end
  -- A full bucket needs no memory.
  local full_in = math.ceil((capacity - parts) / flow) + 1000
  call('SET', keys[1], pack('>dd', parts, filled), 'PX', digits(full_in))
  return wait
end)

-- vetrina_version. No KEYS, no ARGV. Result: the version of this library.
shared('vetrina_version', function()
  return VERSION
end, { 'no-writes' })

end
