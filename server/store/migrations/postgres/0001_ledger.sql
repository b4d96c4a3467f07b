-- The ledger: the same tables as SQLite's. Moments are milliseconds since 1970, money is integer
-- minor units beside its ISO 4217 code, flags are 0 or 1, so that one statement serves both. The
-- CHECKs repeat what the code decides: a bug there fails a transaction here instead of overselling.

CREATE TABLE sellers (
  id          UUID PRIMARY KEY,
  name        TEXT NOT NULL,
  last_order  BIGINT NOT NULL DEFAULT 1000             -- number of the newest order
) WITH (fillfactor = 50);                              -- written by every batch of claims

CREATE TABLE pictures (
  id           UUID PRIMARY KEY,
  seller       UUID NOT NULL REFERENCES sellers (id),
  content_type TEXT NOT NULL,
  bytes        BIGINT NOT NULL CHECK (bytes > 0),
  created_at   BIGINT NOT NULL
);

CREATE TABLE products (
  id          UUID PRIMARY KEY,
  seller      UUID NOT NULL REFERENCES sellers (id),
  title       TEXT NOT NULL,
  description TEXT,
  picture     UUID REFERENCES pictures (id),
  created_at  BIGINT NOT NULL
);
CREATE INDEX products_of_seller ON products (seller, created_at DESC, id DESC);

CREATE TABLE skus (
  id          UUID PRIMARY KEY,
  product     UUID NOT NULL REFERENCES products (id),
  seller      UUID NOT NULL REFERENCES sellers (id),
  place       BIGINT NOT NULL,                         -- within the product
  code        TEXT NOT NULL,
  variant     TEXT,
  price_minor BIGINT NOT NULL CHECK (price_minor > 0),
  currency    TEXT NOT NULL,
  inventory   BIGINT NOT NULL,
  allocated   BIGINT NOT NULL DEFAULT 0,
  UNIQUE (seller, code),
  CHECK (allocated BETWEEN 0 AND inventory)
);
CREATE INDEX skus_of_product ON skus (product, place);

CREATE TABLE shows (
  id                UUID PRIMARY KEY,
  seller            UUID NOT NULL REFERENCES sellers (id),
  title             TEXT NOT NULL,
  state             TEXT NOT NULL
                    CHECK (state IN ('scheduled', 'live', 'interrupted', 'ended', 'replay')),
  currency          TEXT NOT NULL,
  starts_at         BIGINT,
  live_at           BIGINT,
  ended_at          BIGINT,
  poster            UUID REFERENCES pictures (id),
  reservation_ttl_s BIGINT NOT NULL,
  order_deadline_s  BIGINT NOT NULL,
  released          BIGINT NOT NULL DEFAULT 0 CHECK (released IN (0, 1)), -- unsold units are back
  created_at        BIGINT NOT NULL
);
CREATE INDEX shows_by_age ON shows (created_at DESC, id DESC);
CREATE INDEX shows_of_seller ON shows (seller, created_at DESC, id DESC);
CREATE INDEX shows_going ON shows (id) WHERE released = 0 AND state <> 'scheduled';

CREATE TABLE listings (
  id          UUID PRIMARY KEY,
  show        UUID NOT NULL REFERENCES shows (id),
  sku         UUID NOT NULL REFERENCES skus (id),
  place       BIGINT NOT NULL,                         -- in the run of show
  price_minor BIGINT NOT NULL CHECK (price_minor > 0),
  currency    TEXT NOT NULL,
  per_buyer   BIGINT NOT NULL CHECK (per_buyer > 0),
  total       BIGINT NOT NULL,
  claimed     BIGINT NOT NULL DEFAULT 0,
  paid        BIGINT NOT NULL DEFAULT 0,
  version     BIGINT NOT NULL DEFAULT 1,
  UNIQUE (show, sku),
  CHECK (claimed BETWEEN 0 AND total),
  CHECK (paid BETWEEN 0 AND claimed)
) WITH (fillfactor = 50);                              -- written by every batch of claims
CREATE INDEX listings_of_sku ON listings (sku);

-- Creations that happened, by the seller's idempotency key.
CREATE TABLE once (
  seller UUID NOT NULL REFERENCES sellers (id),
  key    TEXT NOT NULL,
  body   TEXT NOT NULL,                                -- SHA-256, hexadecimal
  made   TEXT NOT NULL,                                -- id of what was made
  PRIMARY KEY (seller, key)
);

CREATE TABLE orders (
  id          UUID PRIMARY KEY,
  seller      UUID NOT NULL REFERENCES sellers (id),
  number      BIGINT NOT NULL,
  show        UUID NOT NULL REFERENCES shows (id),
  buyer       UUID NOT NULL,
  buyer_name  TEXT NOT NULL,
  key         TEXT NOT NULL,
  body        TEXT NOT NULL,                           -- SHA-256 of the request, hexadecimal
  phase       TEXT NOT NULL,
  pay_by      BIGINT NOT NULL,
  paid_at     BIGINT,
  version     BIGINT NOT NULL,
  total_minor BIGINT NOT NULL CHECK (total_minor > 0),
  currency    TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  provider    TEXT,
  intent      TEXT,
  pay_url     TEXT,
  delivery    TEXT,                                    -- JSON; the only personal data of the ledger
  UNIQUE (buyer, key),
  UNIQUE (seller, number)
);
CREATE INDEX orders_of_show ON orders (show, created_at DESC, id DESC);
CREATE INDEX orders_of_seller ON orders (seller, created_at DESC, id DESC);
CREATE INDEX orders_payable ON orders (pay_by, id) WHERE phase IN ('pending', 'declined');
CREATE INDEX orders_awaiting ON orders (created_at, id)
  WHERE phase NOT IN ('paid', 'expired', 'canceled', 'refunded');

-- One reservation makes one line, ever.
CREATE TABLE order_lines (
  reservation UUID PRIMARY KEY,
  order_id    UUID NOT NULL REFERENCES orders (id),
  place       BIGINT NOT NULL,
  listing     UUID NOT NULL REFERENCES listings (id),
  title       TEXT NOT NULL,                           -- as sold
  variant     TEXT,
  quantity    BIGINT NOT NULL CHECK (quantity > 0),
  price_minor BIGINT NOT NULL
);
CREATE INDEX lines_of_order ON order_lines (order_id, place);

-- Reservations that were made again for a late payment and became claims.
CREATE TABLE order_seats (
  reservation UUID PRIMARY KEY,
  order_id    UUID NOT NULL REFERENCES orders (id),
  listing     UUID NOT NULL REFERENCES listings (id)
);

-- Units of pending and paid orders per buyer.
CREATE TABLE buyer_units (
  listing UUID NOT NULL REFERENCES listings (id),
  buyer   UUID NOT NULL,
  units   BIGINT NOT NULL CHECK (units >= 0),
  PRIMARY KEY (listing, buyer)
);

CREATE TABLE webhook_seen (
  provider TEXT NOT NULL,
  event    TEXT NOT NULL,
  order_id UUID NOT NULL REFERENCES orders (id),
  PRIMARY KEY (provider, event)
);

-- Work that follows from an order, until it is done. The same work waits once.
CREATE TABLE outbox (
  id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         TEXT NOT NULL,
  order_id     UUID NOT NULL REFERENCES orders (id),
  due_at       BIGINT NOT NULL,
  attempts     BIGINT NOT NULL DEFAULT 0,
  worker       TEXT,
  leased_until BIGINT NOT NULL DEFAULT 0,
  UNIQUE (order_id, kind)
);
CREATE INDEX outbox_due ON outbox (due_at, id);

CREATE TABLE codes (
  hash       TEXT PRIMARY KEY,                         -- SHA-256, hexadecimal
  good_for   TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);

-- The log of every show. An epoch starts where the archive of the one before ends.
CREATE TABLE log_epochs (
  show         UUID NOT NULL REFERENCES shows (id),
  epoch        BIGINT NOT NULL,
  first_offset BIGINT NOT NULL,
  opened_at    BIGINT NOT NULL,
  PRIMARY KEY (show, epoch)
);

CREATE TABLE events (
  show    UUID NOT NULL REFERENCES shows (id),
  offset_ BIGINT NOT NULL,
  epoch   BIGINT NOT NULL,
  version BIGINT NOT NULL,                             -- of the event's form
  at      BIGINT NOT NULL,
  event   TEXT NOT NULL,                               -- JSON as on the wire
  PRIMARY KEY (show, offset_)
);

-- The journal: what brings reservations and queues back after a crash. No promise is made of it.
CREATE TABLE journal_reservations (
  id              UUID PRIMARY KEY,
  show            UUID NOT NULL,
  listing         UUID NOT NULL,
  buyer           UUID NOT NULL,
  buyer_name      TEXT NOT NULL,
  quantity        BIGINT NOT NULL,
  price_minor     BIGINT NOT NULL,
  currency        TEXT NOT NULL,
  state           TEXT NOT NULL,
  expires_at      BIGINT NOT NULL,
  extensions_used BIGINT NOT NULL,
  from_waitlist   BIGINT NOT NULL,
  media_time      TEXT,                                -- 64 bits without a sign
  order_id        UUID,
  fence_at        BIGINT,
  seated          BIGINT NOT NULL,
  closed_at       BIGINT
);
CREATE INDEX journal_reservations_of_show ON journal_reservations (show);

CREATE TABLE journal_waitlist (
  listing     UUID NOT NULL,
  buyer       UUID NOT NULL,
  show        UUID NOT NULL,
  sequence    BIGINT NOT NULL,
  buyer_name  TEXT NOT NULL,
  quantity    BIGINT NOT NULL,
  reservation UUID NOT NULL,
  PRIMARY KEY (listing, buyer)
);
CREATE INDEX journal_waitlist_of_show ON journal_waitlist (show);
