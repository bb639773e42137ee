-- Where a credential's secret comes from, in words; nothing where it is stored here. What opens the source is sealed like a secret.
ALTER TABLE credentials ADD COLUMN source TEXT;
