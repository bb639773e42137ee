-- A secret that was given before the last one, while it may have been that one which arrived.
ALTER TABLE devices ADD COLUMN secret_also TEXT;
