-- What the control plane keeps. Times are microseconds since 1970 UTC; digests and ids are text.

-- What it believes of its own organisation: the trust ratchet (JSON).
CREATE TABLE trust (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    ratchet TEXT NOT NULL
) STRICT;

-- The signed documents, by their path below the configuration URL.
CREATE TABLE documents (
    path   TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    body   BLOB NOT NULL
) STRICT;

CREATE TABLE devices (
    id          TEXT PRIMARY KEY,
    thumbprint  TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    platform    TEXT NOT NULL,
    app_version TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    label       TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;

-- Sessions by the SHA-256 of their token.
CREATE TABLE sessions (
    token_digest TEXT PRIMARY KEY,
    device       TEXT NOT NULL REFERENCES devices (id),
    subject      TEXT NOT NULL,
    opened_at    INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    revoked_at   INTEGER
) STRICT;
CREATE INDEX sessions_by_device ON sessions (device);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Proofs that were used: each is good once.
CREATE TABLE proofs (
    digest     TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX proofs_by_expiry ON proofs (expires_at);

-- What desktops are told. Without a device: all of them.
CREATE TABLE events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    device TEXT,
    what   TEXT NOT NULL
) STRICT;

-- Shared secrets, sealed.
CREATE TABLE credentials (
    id         TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- Audit records as they were written, line by line: the devices' and the control plane's own.
CREATE TABLE records (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    device      TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    digest      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    subject     TEXT,
    connector   TEXT,
    credential  TEXT,
    call        TEXT,
    line        TEXT NOT NULL,
    UNIQUE (device, epoch, seq)
) STRICT;
CREATE INDEX records_by_time ON records (at);
CREATE INDEX records_by_credential ON records (credential, at) WHERE credential IS NOT NULL;
CREATE INDEX records_by_call ON records (call) WHERE call IS NOT NULL;

-- How far each device's chain is stored.
CREATE TABLE heads (
    device TEXT PRIMARY KEY,
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;

-- How far records were passed on, by receiver.
CREATE TABLE relays (
    receiver TEXT PRIMARY KEY,
    last_id  INTEGER NOT NULL
) STRICT;

-- The control plane's own id among the devices.
CREATE TABLE identity (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    device TEXT NOT NULL
) STRICT;
