-- The function library of the hot store, part 1: the state of one show, key by key, and its bytes.
--
-- The library decides about the stock of a show exactly as core's `ShowStock` does, one call at a
-- time: what is decided and what is told of it (log, notices) is one atomic step of Redis. A call
-- reads what it needs once, decides up to 64 commands on Lua values, and writes what changed.
--
-- KEYS of all functions on a show, always these and in this order (all with the show's hash tag):
--   1 meta      string  see `META` in step.lua; without it the show is not open
--   2 listings  hash    listing -> `LISTING` in step.lua: the counters of core's `ListingStock`
--   3 rows      hash    reservation -> row, see rows.lua
--   4 counts    hash    listing .. buyer -> units reserved, units owned, version of the mirror
--   5 people    hash    buyer -> ids of open reservations, ids of listings queued for
--   6 due       zset    reservation by the moment that changes it
--   7 closed    list    moment .. reservation, first closed first, to be forgotten
--   8 queue     zset    (by name) listing .. sequence .. buyer: all queues, in order
--   9 waiting   hash    listing .. buyer -> sequence .. the end of the reservation's row
--  10 early     zset    (by name) reservation .. order: settled before their row was known
--  11 fences    zset    moment .. listing by moment: ends of fences of totals
--  12 words     hash    listing -> what the log says of it; `run` -> the run of show
--  13 log       stream  public events; `entries.rs` reads it
--  14 notices   stream  private facts; `entries.rs` reads it
-- Only `vetrina_open` has two more: 15 viewers and 16 leases, see shared.lua.
--
-- ARGV of all functions on a show begin with: 1 identity, the incarnation of Redis that the caller
-- believes in; 2 epoch, or empty for any; 3 clock, a test's milliseconds, or empty for the time of
-- Redis. Result: an array that begins with 'ok' and the status (`status` in step.lua), or one that
-- says why nothing was done: {'missing'}, {'identity'}, {'epoch', the show's epoch}.
-- Errors: a function that fails half-way forgets the meta key, so that nobody trusts what it left
-- behind, and answers an error that begins with VETRINA.
--
-- Bytes: big endian. Ids are 16 bytes, units I4, times, versions and offsets doubles, prices 11
-- bytes (amount and currency) that are never looked into.
local META_KEY, LISTINGS, ROWS, COUNTS, PEOPLE, DUE, CLOSED = 1, 2, 3, 4, 5, 6, 7
local QUEUE, WAITING, EARLY, FENCES, WORDS, LOG, NOTICES = 8, 9, 10, 11, 12, 13, 14
local VIEWERS, LEASES = 15, 16

-- While a library is loaded, Redis shows it no globals: every function begins with `wake`.
local call, pack, unpack_bytes, sub, byte, char, concat, floor, max, min
local function wake()
  call, pack, unpack_bytes = redis.call, struct.pack, struct.unpack
  sub, byte, char, concat = string.sub, string.byte, string.char, table.concat
  floor, max, min = math.floor, math.max, math.min
end

-- Most arguments of one command that are built from a list.
local CHUNK = 2000

-- Answers: a row, which begins with its state, or one of these letters and what belongs to it:
-- r row repeated, b bag, w place, d done, t ticked, n not loaded, x refused. The numbers of
-- refusals stand in `answers.rs` too.
local DONE, NOT_LOADED = 'd', 'n'
local KEY_REUSED, NOT_LIVE, QUANTITY, BUYER_LIMIT, WAITLIST_FIRST = 1, 2, 3, 4, 5
local SOLD_OUT, TOO_FEW, SHOW_FULL, BUYER_FULL, BAG, UNKNOWN = 6, 7, 8, 9, 10, 11
local EXTENSION_LIMIT, UNITS_FREE, QUEUE_FULL, ALREADY_WAITING = 12, 17, 18, 19
local NOT_WAITING, BELOW_COMMITTED, LISTINGS_FULL = 20, 21, 22
local CLOSED_AS = { O = 13, C = 14, L = 15, X = 16 }

local function refuse(number, first, second)
  return 'x' .. char(number) .. pack('>I4I4', first or 0, second or 0)
end

-- Whether one id comes before another. Lua's `<` goes by the server's locale.
local function comes_before(a, b)
  local a1, a2, a3 = unpack_bytes('>I6I6I4', a)
  local b1, b2, b3 = unpack_bytes('>I6I6I4', b)
  if a1 ~= b1 then return a1 < b1 end
  if a2 ~= b2 then return a2 < b2 end
  return a3 < b3
end

-- Whole numbers beyond what `tostring` writes out.
local function digits(number)
  return string.format('%.0f', number)
end
