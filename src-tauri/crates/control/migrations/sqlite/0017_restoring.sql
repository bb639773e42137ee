-- The lives of this database: one more with each restoring. What was signed before it began is not good in it.
CREATE TABLE epochs (
    number            INTEGER PRIMARY KEY,
    began_at          INTEGER NOT NULL,
    -- The newest manifest that is known to have been published before: nothing older comes into force.
    manifest_epoch    INTEGER NOT NULL,
    manifest_version  INTEGER NOT NULL
) STRICT;

-- In which epoch a device's last secret was given, and how many were given to it before.
ALTER TABLE devices ADD COLUMN secret_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN secret_count INTEGER NOT NULL DEFAULT 0;
