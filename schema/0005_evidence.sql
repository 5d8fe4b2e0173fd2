-- The commit that was checked out when a run began, and a fingerprint of all that a test depended on when it ran: outcomes that differ
-- although it is the same are evidence that the test is flaky.
ALTER TABLE runs ADD COLUMN commit_id TEXT;
ALTER TABLE outcomes ADD COLUMN inputs INTEGER;
