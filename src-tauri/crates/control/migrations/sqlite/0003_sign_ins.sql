-- Each sign-in at the identity provider that ever opened a session, for as long as a provider could renew it: sessions are
-- short, and a sign-in that is ended while none is open must not open another.
CREATE TABLE sign_ins (
    issuer       TEXT NOT NULL,
    -- The SHA-256 of the nonce, which is another for each sign-in on a device.
    nonce        TEXT NOT NULL,
    person       TEXT NOT NULL,
    -- The provider's own session (the claim `sid`), where it ever named one.
    sid          TEXT,
    -- When the person authenticated, as the first ID token of this sign-in has it.
    signed_in_at INTEGER NOT NULL,
    -- When it last opened a session here.
    seen_at      INTEGER NOT NULL,
    PRIMARY KEY (issuer, nonce)
) STRICT;
CREATE INDEX sign_ins_by_person ON sign_ins (issuer, person);
CREATE INDEX sign_ins_by_sid ON sign_ins (issuer, sid) WHERE sid IS NOT NULL;
CREATE INDEX sign_ins_by_time ON sign_ins (seen_at);
INSERT OR IGNORE INTO sign_ins (issuer, nonce, person, sid, signed_in_at, seen_at)
    SELECT issuer, nonce, person, sid, signed_in_at, opened_at FROM sessions WHERE nonce IS NOT NULL ORDER BY opened_at;
