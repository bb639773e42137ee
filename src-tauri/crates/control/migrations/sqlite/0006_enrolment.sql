-- What shows that a machine is the organisation's, by the SHA-256 of the token. Without uses: any number.
CREATE TABLE enrolment_tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    digest     TEXT NOT NULL UNIQUE,
    made_by    TEXT NOT NULL,
    made_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses       INTEGER,
    used       INTEGER NOT NULL DEFAULT 0,
    revoked_at INTEGER
) STRICT;

-- What keeps a device's key, as it says itself; with which enrolment token it came.
ALTER TABLE devices ADD COLUMN key_protection TEXT;
ALTER TABLE devices ADD COLUMN enrolment_token INTEGER REFERENCES enrolment_tokens (id);

-- The secret that a device shows when it opens a session and gets anew each time: the digest of the last that was given, and of
-- the last that was shown. Two that hold one key cannot both follow.
ALTER TABLE devices ADD COLUMN secret_given TEXT;
ALTER TABLE devices ADD COLUMN secret_shown TEXT;
ALTER TABLE devices ADD COLUMN suspended_at INTEGER;
