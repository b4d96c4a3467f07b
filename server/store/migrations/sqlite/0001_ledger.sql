-- The ledger. Ids are hyphenated UUIDs in lower case, moments are milliseconds since 1970, money is
-- integer minor units beside its ISO 4217 code. The CHECKs repeat what the code decides: a bug
-- there fails a transaction here instead of overselling.

CREATE TABLE sellers (
  id          TEXT NOT NULL PRIMARY KEY,
  name        TEXT NOT NULL,
  last_order  INTEGER NOT NULL DEFAULT 1000            -- number of the newest order
) STRICT, WITHOUT ROWID;

CREATE TABLE pictures (
  id           TEXT NOT NULL PRIMARY KEY,
  seller       TEXT NOT NULL REFERENCES sellers (id),
  content_type TEXT NOT NULL,
  bytes        INTEGER NOT NULL CHECK (bytes > 0),
  created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE products (
  id          TEXT NOT NULL PRIMARY KEY,
  seller      TEXT NOT NULL REFERENCES sellers (id),
  title       TEXT NOT NULL,
  description TEXT,
  picture     TEXT REFERENCES pictures (id),
  created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX products_of_seller ON products (seller, created_at DESC, id DESC);

CREATE TABLE skus (
  id          TEXT NOT NULL PRIMARY KEY,
  product     TEXT NOT NULL REFERENCES products (id),
  seller      TEXT NOT NULL REFERENCES sellers (id),
  place       INTEGER NOT NULL,                        -- within the product
  code        TEXT NOT NULL,
  variant     TEXT,
  price_minor INTEGER NOT NULL CHECK (price_minor > 0),
  currency    TEXT NOT NULL,
  inventory   INTEGER NOT NULL,
  allocated   INTEGER NOT NULL DEFAULT 0,
  UNIQUE (seller, code),
  CHECK (allocated BETWEEN 0 AND inventory)
) STRICT, WITHOUT ROWID;
CREATE INDEX skus_of_product ON skus (product, place);

CREATE TABLE shows (
  id                TEXT NOT NULL PRIMARY KEY,
  seller            TEXT NOT NULL REFERENCES sellers (id),
  title             TEXT NOT NULL,
  state             TEXT NOT NULL
                    CHECK (state IN ('scheduled', 'live', 'interrupted', 'ended', 'replay')),
  currency          TEXT NOT NULL,
  starts_at         INTEGER,
  live_at           INTEGER,
  ended_at          INTEGER,
  poster            TEXT REFERENCES pictures (id),
  reservation_ttl_s INTEGER NOT NULL,
  order_deadline_s  INTEGER NOT NULL,
  released          INTEGER NOT NULL DEFAULT 0 CHECK (released IN (0, 1)), -- unsold units are back
  created_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX shows_by_age ON shows (created_at DESC, id DESC);
CREATE INDEX shows_of_seller ON shows (seller, created_at DESC, id DESC);
CREATE INDEX shows_going ON shows (id) WHERE released = 0 AND state <> 'scheduled';

CREATE TABLE listings (
  id          TEXT NOT NULL PRIMARY KEY,
  show        TEXT NOT NULL REFERENCES shows (id),
  sku         TEXT NOT NULL REFERENCES skus (id),
  place       INTEGER NOT NULL,                        -- in the run of show
  price_minor INTEGER NOT NULL CHECK (price_minor > 0),
  currency    TEXT NOT NULL,
  per_buyer   INTEGER NOT NULL CHECK (per_buyer > 0),
  total       INTEGER NOT NULL,
  claimed     INTEGER NOT NULL DEFAULT 0,
  paid        INTEGER NOT NULL DEFAULT 0,
  version     INTEGER NOT NULL DEFAULT 1,
  UNIQUE (show, sku),
  CHECK (claimed BETWEEN 0 AND total),
  CHECK (paid BETWEEN 0 AND claimed)
) STRICT, WITHOUT ROWID;
CREATE INDEX listings_of_sku ON listings (sku);

-- Creations that happened, by the seller's idempotency key.
CREATE TABLE once (
  seller TEXT NOT NULL REFERENCES sellers (id),
  key    TEXT NOT NULL,
  body   TEXT NOT NULL,                                -- SHA-256, hexadecimal
  made   TEXT NOT NULL,                                -- id of what was made
  PRIMARY KEY (seller, key)
) STRICT, WITHOUT ROWID;

-- With row numbers, so that rows are appended; only narrow indexes take the random ids.
CREATE TABLE orders (
  id          TEXT NOT NULL PRIMARY KEY,
  seller      TEXT NOT NULL REFERENCES sellers (id),
  number      INTEGER NOT NULL,
  show        TEXT NOT NULL REFERENCES shows (id),
  buyer       TEXT NOT NULL,
  buyer_name  TEXT NOT NULL,
  key         TEXT NOT NULL,
  body        TEXT NOT NULL,                           -- SHA-256 of the request, hexadecimal
  phase       TEXT NOT NULL,
  pay_by      INTEGER NOT NULL,
  paid_at     INTEGER,
  version     INTEGER NOT NULL,
  total_minor INTEGER NOT NULL CHECK (total_minor > 0),
  currency    TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  provider    TEXT,
  intent      TEXT,
  pay_url     TEXT,
  delivery    TEXT,                                    -- JSON; the only personal data of the ledger
  UNIQUE (buyer, key),
  UNIQUE (seller, number)
) STRICT;
CREATE INDEX orders_of_show ON orders (show, created_at DESC, id DESC);
CREATE INDEX orders_of_seller ON orders (seller, created_at DESC, id DESC);
CREATE INDEX orders_payable ON orders (pay_by, id) WHERE phase IN ('pending', 'declined');
CREATE INDEX orders_awaiting ON orders (created_at, id)
  WHERE phase NOT IN ('paid', 'expired', 'canceled', 'refunded');

-- One reservation makes one line, ever.
CREATE TABLE order_lines (
  reservation TEXT NOT NULL PRIMARY KEY,
  order_id    TEXT NOT NULL REFERENCES orders (id),
  place       INTEGER NOT NULL,
  listing     TEXT NOT NULL REFERENCES listings (id),
  title       TEXT NOT NULL,                           -- as sold
  variant     TEXT,
  quantity    INTEGER NOT NULL CHECK (quantity > 0),
  price_minor INTEGER NOT NULL
) STRICT;
CREATE INDEX lines_of_order ON order_lines (order_id, place);

-- Reservations that were made again for a late payment and became claims.
CREATE TABLE order_seats (
  reservation TEXT NOT NULL PRIMARY KEY,
  order_id    TEXT NOT NULL REFERENCES orders (id),
  listing     TEXT NOT NULL REFERENCES listings (id)
) STRICT, WITHOUT ROWID;

-- Units of pending and paid orders per buyer.
CREATE TABLE buyer_units (
  listing TEXT NOT NULL REFERENCES listings (id),
  buyer   TEXT NOT NULL,
  units   INTEGER NOT NULL CHECK (units >= 0),
  PRIMARY KEY (listing, buyer)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_seen (
  provider TEXT NOT NULL,
  event    TEXT NOT NULL,
  order_id TEXT NOT NULL REFERENCES orders (id),
  PRIMARY KEY (provider, event)
) STRICT, WITHOUT ROWID;

-- Work that follows from an order, until it is done. The same work waits once.
CREATE TABLE outbox (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  kind         TEXT NOT NULL,
  order_id     TEXT NOT NULL REFERENCES orders (id),
  due_at       INTEGER NOT NULL,
  attempts     INTEGER NOT NULL DEFAULT 0,
  worker       TEXT,
  leased_until INTEGER NOT NULL DEFAULT 0,
  UNIQUE (order_id, kind)
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at, id);

CREATE TABLE codes (
  hash       TEXT NOT NULL PRIMARY KEY,                -- SHA-256, hexadecimal
  good_for   TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The log of every show. An epoch starts where the archive of the one before ends.
CREATE TABLE log_epochs (
  show         TEXT NOT NULL REFERENCES shows (id),
  epoch        INTEGER NOT NULL,
  first_offset INTEGER NOT NULL,
  opened_at    INTEGER NOT NULL,
  PRIMARY KEY (show, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  show    TEXT NOT NULL REFERENCES shows (id),
  offset_ INTEGER NOT NULL,
  epoch   INTEGER NOT NULL,
  version INTEGER NOT NULL,                            -- of the event's form
  at      INTEGER NOT NULL,
  event   TEXT NOT NULL,                               -- JSON as on the wire
  PRIMARY KEY (show, offset_)
) STRICT, WITHOUT ROWID;

-- The journal: what brings reservations and queues back after a crash. No promise is made of it.
CREATE TABLE journal_reservations (
  id              TEXT NOT NULL PRIMARY KEY,
  show            TEXT NOT NULL,
  listing         TEXT NOT NULL,
  buyer           TEXT NOT NULL,
  buyer_name      TEXT NOT NULL,
  quantity        INTEGER NOT NULL,
  price_minor     INTEGER NOT NULL,
  currency        TEXT NOT NULL,
  state           TEXT NOT NULL,
  expires_at      INTEGER NOT NULL,
  extensions_used INTEGER NOT NULL,
  from_waitlist   INTEGER NOT NULL,
  media_time      TEXT,                                -- 64 bits without a sign
  order_id        TEXT,
  fence_at        INTEGER,
  seated          INTEGER NOT NULL,
  closed_at       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_reservations_of_show ON journal_reservations (show);

CREATE TABLE journal_waitlist (
  listing     TEXT NOT NULL,
  buyer       TEXT NOT NULL,
  show        TEXT NOT NULL,
  sequence    INTEGER NOT NULL,
  buyer_name  TEXT NOT NULL,
  quantity    INTEGER NOT NULL,
  reservation TEXT NOT NULL,
  PRIMARY KEY (listing, buyer)
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_waitlist_of_show ON journal_waitlist (show);
