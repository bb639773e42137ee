-- When what was made for a lease was ended at its source. A credential is exposed as long as that is missing for one that was ended.
ALTER TABLE leases ADD COLUMN secret_ended_at INTEGER;
