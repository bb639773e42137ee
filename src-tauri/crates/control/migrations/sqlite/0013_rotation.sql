-- Until when a lease goes on although its secret was rotated: calls that are under way with the earlier one may finish.
ALTER TABLE leases ADD COLUMN retires_at INTEGER;
