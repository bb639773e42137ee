-- Administrators whom the identity provider vouched for, by the SHA-256 of their token.
CREATE TABLE administrators (
    token_digest TEXT PRIMARY KEY,
    thumbprint   TEXT NOT NULL,
    issuer       TEXT NOT NULL,
    person       TEXT NOT NULL,
    sid          TEXT,
    subject      TEXT NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
