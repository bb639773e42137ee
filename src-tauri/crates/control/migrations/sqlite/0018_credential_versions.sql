-- The number that a credential's last secret had, also where it was removed since: no other secret gets it.
CREATE TABLE credential_versions (
    id    TEXT PRIMARY KEY,
    last  INTEGER NOT NULL
) STRICT;
INSERT INTO credential_versions (id, last)
SELECT id, max(version) FROM (SELECT id, version FROM credentials UNION ALL SELECT credential, version FROM leases) AS known
GROUP BY id;
