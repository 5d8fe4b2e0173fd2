-- Outcomes lie in the order of runs, so that a run of all tests adds a few pages to the end. In the order of tests each outcome had a page of
-- its own to be rewritten. The history of a test is looked up run by run, which is as fast.
ALTER TABLE outcomes RENAME TO outcomes_by_test;

DROP INDEX outcomes_by_run;

CREATE TABLE outcomes (
    run             INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    -- A row of `test_names`. A foreign key would be looked up with each outcome.
    test_name       INTEGER NOT NULL,
    status          INTEGER NOT NULL,
    duration        INTEGER NOT NULL,
    message         TEXT NOT NULL,
    second_opinion  INTEGER NOT NULL,
    inputs          INTEGER,
    PRIMARY KEY (run, test_name)
) STRICT, WITHOUT ROWID;

INSERT INTO outcomes (run, test_name, status, duration, message, second_opinion, inputs)
SELECT run, test_name, status, duration, message, second_opinion, inputs FROM outcomes_by_test ORDER BY run, test_name;

DROP TABLE outcomes_by_test;
