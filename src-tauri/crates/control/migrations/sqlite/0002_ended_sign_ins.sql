-- Which sign-in at the identity provider a session comes from, so that it ends with it.
ALTER TABLE sessions ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN person TEXT NOT NULL DEFAULT '';
-- The provider's own session (the claim `sid`), where it names one.
ALTER TABLE sessions ADD COLUMN sid TEXT;
-- When the person authenticated, as the provider's clock has it. 0 for sessions from before this column.
ALTER TABLE sessions ADD COLUMN signed_in_at INTEGER NOT NULL DEFAULT 0;
-- The SHA-256 of the nonce, which is another for each sign-in on a device.
ALTER TABLE sessions ADD COLUMN nonce TEXT;
UPDATE sessions SET issuer = json_extract(subject, '$.issuer'), person = json_extract(subject, '$.subject');
CREATE INDEX sessions_by_person ON sessions (issuer, person);
CREATE INDEX sessions_by_sid ON sessions (issuer, sid) WHERE sid IS NOT NULL;

-- Sign-ins that were ended: none of them opens a session again.
CREATE TABLE ended_sign_ins (
    issuer TEXT NOT NULL,
    -- person: a person's, up to `before`; unnamed: the same, of those only that name no session of the provider;
    -- sid: one session of the provider; nonce: one sign-in on one device.
    kind   TEXT NOT NULL CHECK (kind IN ('person', 'unnamed', 'sid', 'nonce')),
    value  TEXT NOT NULL,
    before INTEGER NOT NULL,
    -- When it was noted here.
    at     INTEGER NOT NULL,
    PRIMARY KEY (issuer, kind, value)
) STRICT;
CREATE INDEX ended_sign_ins_by_time ON ended_sign_ins (at);

-- Logout tokens that were obeyed: each is good once.
CREATE TABLE logout_tokens (
    digest     TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX logout_tokens_by_expiry ON logout_tokens (expires_at);

-- An event may concern one session: who signs in anew is not told of the end of what was before.
ALTER TABLE events ADD COLUMN session TEXT;
