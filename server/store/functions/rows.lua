-- Part 3: reservations, row by row, and everything that hangs on them.
--
-- A row, byte by byte: 1 state (R reserved, O checking out, C claimed, L released, X expired),
-- 2 flags (1 order, 2 fence, 4 seated, 8 closed), 3 extensions used, 7 expires at, 15 fence at,
-- 23 closed at, 31 order; then what never changes: 47 from the waitlist, 48 price, 59 id,
-- 75 listing, 91 buyer, 107 quantity, 111 media time (flag and 8 bytes), 120 name (length, text).
-- What follows byte 59 is a wish: commands bring it in this form.

local HEAD = '>c1BI4dddc16'
local NO_ORDER = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'

local function read_row(row)
  local r, flags = {}, nil
  r.state, flags, r.extensions, r.expires, r.fence, r.closed, r.order = unpack_bytes(HEAD, row)
  r.fence = flags % 4 >= 2 and r.fence or false
  r.closed = flags >= 8 and r.closed or false
  r.order = flags % 2 == 1 and r.order or false
  r.seated = flags % 8 >= 4
  r.rest = sub(row, 47)
  return r
end

local function write_row(r)
  local flags = (r.order and 1 or 0) + (r.fence and 2 or 0) + (r.seated and 4 or 0)
    + (r.closed and 8 or 0)
  return pack(HEAD, r.state, flags, r.extensions, r.expires, r.fence or 0, r.closed or 0,
    r.order or NO_ORDER) .. r.rest
end

local function id_in(row) return sub(row, 59, 74) end
local function listing_in(row) return sub(row, 75, 90) end
local function buyer_in(row) return sub(row, 91, 106) end
local function quantity_in(row) return (unpack_bytes('>I4', row, 107)) end

local function is_open(r)
  return r.state == 'R' or r.state == 'O'
end

-- Core's `due_at`.
local function due_of(r)
  if r.state == 'R' then
    return r.expires
  elseif r.state == 'O' then
    return r.fence or r.expires
  end
  return false
end

local function unfence(r)
  r.state, r.order, r.fence = 'R', false, false
end

local function close(r, state)
  r.state, r.fence = state, false
  r.closed = r.closed or S.now
  if state ~= 'C' then
    r.order, r.seated = false, false
  end
end

-- Why it is not simply reserved; nil: it is.
local function refuse_unless_reserved(r)
  if r.state ~= 'R' then
    return refuse(CLOSED_AS[r.state])
  end
  return nil
end

local function tell_of(row)
  note('R', row)
end

local function seat(listing, buyer, quantity)
  local l = listing_of(listing)
  if l then
    l.reserved = l.reserved + quantity
    local key = listing .. buyer
    local count = count_of(key)
    count[1] = count[1] + quantity
    S.counts_changed[key] = true
  end
end

local function unseat(listing, buyer, quantity)
  local l = listing_of(listing)
  if l then
    l.reserved = max(0, l.reserved - quantity)
    local key = listing .. buyer
    local count = count_of(key)
    count[1] = max(0, count[1] - quantity)
    S.counts_changed[key] = true
  end
end

-- Adds a row that was not there. `due` is false for a closed one, `closed` for an open one.
local function add(row, id, due, seated, closed)
  put_row(id, row)
  local listing, buyer = listing_in(row), buyer_in(row)
  if due then
    set_due(id, due)
    local person = person_of(buyer)
    person[1] = person[1] .. id
    S.people_changed[buyer] = true
    S.open = S.open + 1
  else
    push_closed(closed or S.now, id)
  end
  if seated then
    seat(listing, buyer, quantity_in(row))
    touch(listing)
  end
end

local function add_row(r)
  local row = write_row(r)
  add(row, id_in(row), due_of(r), r.seated, r.closed)
  return row
end

local function forget_open(row, id)
  local buyer = buyer_in(row)
  local person = person_of(buyer)
  local rest = without(person[1], id)
  if #rest < #person[1] then
    S.open = S.open - 1
  end
  person[1] = rest
  S.people_changed[buyer] = true
end

-- Changes one row by `edit(row, a, b)` and keeps everything in step: core's `change`. Gives whether
-- the row is known, and what `edit` gave. The only way a known row changes.
local function change(id, edit, a, b)
  local before = row_of(id)
  if not before then
    return false
  end
  local r = read_row(before)
  local was_open, was_due, was_seated = is_open(r), due_of(r), r.seated
  local state, expires, extensions = r.state, r.expires, r.extensions
  local order = r.state == 'C' and r.order
  local result = edit(r, a, b)
  local row = write_row(r)
  if row == before then
    return true, result
  end
  put_row(id, row)
  local due = due_of(r)
  if was_due and was_due ~= due then
    unset_due(id, was_due)
  end
  if due and due ~= was_due then
    set_due(id, due)
  end
  if was_open and not is_open(r) then
    forget_open(row, id)
    push_closed(S.now, id)
  end
  if was_seated and not r.seated then
    local listing = listing_in(row)
    unseat(listing, buyer_in(row), quantity_in(row))
    touch(listing)
  end
  local most = LIMITS.extensions
  if state ~= r.state or expires ~= r.expires or order ~= (r.state == 'C' and r.order)
    or min(extensions, most) ~= min(r.extensions, most) then
    tell_of(row)
  end
  return true, result
end
