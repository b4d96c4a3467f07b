-- Whether a publisher's video was there by the last word of a node: what a crash left behind is
-- recognised by it.
ALTER TABLE shows ADD COLUMN has_video BIGINT NOT NULL DEFAULT 0 CHECK (has_video IN (0, 1));

-- The bytes of pictures: every node serves them, so they cannot lie in a folder of one.
CREATE TABLE picture_bytes (
  id    UUID PRIMARY KEY,
  bytes BYTEA NOT NULL
);
-- Pictures are compressed already.
ALTER TABLE picture_bytes ALTER COLUMN bytes SET STORAGE EXTERNAL;
