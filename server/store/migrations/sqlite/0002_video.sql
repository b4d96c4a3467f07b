-- Whether a publisher's video was there by the last word of a node: what a crash left behind is
-- recognised by it.
ALTER TABLE shows ADD COLUMN has_video INTEGER NOT NULL DEFAULT 0 CHECK (has_video IN (0, 1));
