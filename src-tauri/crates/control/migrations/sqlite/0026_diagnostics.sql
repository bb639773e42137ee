-- Diagnostics that administrators ask devices for, and what came of it. A row goes with what it is about.
CREATE TABLE diagnostics (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    device      TEXT NOT NULL REFERENCES devices (id),
    asked_by    TEXT NOT NULL,
    shown_by    TEXT,
    reason      TEXT NOT NULL,
    asked_at    INTEGER NOT NULL,
    until_at    INTEGER NOT NULL,
    state       TEXT NOT NULL,
    ended_at    INTEGER,
    answered_by TEXT,
    sha256      TEXT,
    bytes       INTEGER,
    sealed      BLOB
) STRICT;
CREATE UNIQUE INDEX diagnostics_that_wait ON diagnostics (device) WHERE state = 'open';
