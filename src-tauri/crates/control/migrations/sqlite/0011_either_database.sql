-- What one of the two databases could only ask in words of its own.

-- A session's person by e-mail address, as its subject has it.
ALTER TABLE sessions ADD COLUMN email TEXT;
UPDATE sessions SET email = json_extract(subject, '$.email');

-- Questions are numbered in the order in which they came. Those that wait are forgotten: who asked asks again.
DROP TABLE saml_questions;
CREATE TABLE saml_questions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The SHA-256 of the relay state.
    relay      TEXT NOT NULL UNIQUE,
    -- What was asked, and for whom (JSON, with a format version).
    question   TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX saml_questions_by_expiry ON saml_questions (expires_at);
