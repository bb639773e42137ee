-- Calls that count towards a limit, by what they are counted as: a digest. Those of the last second, minute or hour, one by one.
CREATE TABLE counted_calls (
    counter TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX counted_calls_by_counter ON counted_calls (counter, at);
CREATE INDEX counted_calls_by_time ON counted_calls (at);
-- And how many in the day or the month that begins then.
CREATE TABLE call_quotas (
    counter TEXT PRIMARY KEY NOT NULL,
    begins INTEGER NOT NULL,
    calls INTEGER NOT NULL
);
