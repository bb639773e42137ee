-- When the last record of a device came: one that is here and sends none is a finding.
ALTER TABLE heads ADD COLUMN received_at BIGINT;
