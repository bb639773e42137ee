-- Shared credentials that were lent to devices.
CREATE TABLE leases (
    id          TEXT PRIMARY KEY,
    credential  TEXT NOT NULL,
    version     BIGINT NOT NULL,
    connector   TEXT NOT NULL,
    server      TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    client_name TEXT NOT NULL,
    device      TEXT NOT NULL REFERENCES devices (id),
    issuer      TEXT NOT NULL,
    person      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    issued_at   BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    why         TEXT
);
CREATE INDEX leases_by_expiry ON leases (expires_at) WHERE ended_at IS NULL;

-- Since when a credential's secret may be known to somebody who must not use it any more: it was lent, and the lease was ended.
ALTER TABLE credentials ADD COLUMN exposed_at BIGINT;
