-- What policies read of a lease beside who it is for: they are asked again as long as it lasts.
ALTER TABLE leases ADD COLUMN program TEXT;
ALTER TABLE leases ADD COLUMN address TEXT;
