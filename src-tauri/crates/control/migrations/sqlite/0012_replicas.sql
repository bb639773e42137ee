-- The control planes that share this database: their ids among the devices, a digest of what all must have alike, and when they were
-- last heard of. The one of `identity` was known before there could be several.
CREATE TABLE replicas (
    device  TEXT PRIMARY KEY,
    setup   TEXT NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
