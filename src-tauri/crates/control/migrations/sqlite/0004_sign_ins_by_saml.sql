-- Where the control plane is the desktops' OpenID provider, because people sign in by SAML.

-- Questions to the identity provider that wait for an answer: each is answered once.
CREATE TABLE saml_questions (
    -- The SHA-256 of the relay state.
    relay      TEXT PRIMARY KEY,
    -- What was asked, and for whom (JSON, with a format version).
    question   TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX saml_questions_by_expiry ON saml_questions (expires_at);

-- Responses and assertions that were believed: each is good once.
CREATE TABLE saml_believed (
    digest     TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX saml_believed_by_expiry ON saml_believed (expires_at);

-- Sign-ins that desktops hold: a code first, then refresh tokens, one after the other. Codes and tokens by their SHA-256.
CREATE TABLE grants (
    id          TEXT PRIMARY KEY,
    -- Who it is and what it was given for (JSON, with a format version).
    granted     TEXT NOT NULL,
    code        TEXT NOT NULL UNIQUE,
    code_until  INTEGER NOT NULL,
    -- The refresh token that is good; none before the code was redeemed.
    refresh     TEXT,
    -- The one before it, which is good until its successor is used: its answer may have been lost.
    previous    TEXT,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX grants_by_expiry ON grants (expires_at);
