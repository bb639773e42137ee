-- What records can be asked for beside whom, where and with what: the tool, prompt or resource of a call or the kind of an event; the
-- virtual server; the rules that decided, and those that are only observed, each on a line of its own.
ALTER TABLE records ADD COLUMN about TEXT;
ALTER TABLE records ADD COLUMN server TEXT;
ALTER TABLE records ADD COLUMN rules TEXT;
ALTER TABLE records ADD COLUMN observed TEXT;
CREATE INDEX records_by_about ON records (about, at) WHERE about IS NOT NULL;
-- Those that were stored before this could be asked; they are read anew at the next start.
CREATE INDEX records_unread ON records (id) WHERE about IS NULL AND kind IN ('intent', 'outcome', 'denial', 'event');
