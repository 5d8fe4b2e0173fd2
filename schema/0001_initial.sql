-- Files, tests, inputs, outcomes and runs. Digests are 32 bytes; times are milliseconds since 1970, durations nanoseconds.

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY,
    started     INTEGER NOT NULL,
    wall        INTEGER,
    exit_code   INTEGER,
    ran         INTEGER NOT NULL DEFAULT 0,
    fresh       INTEGER NOT NULL DEFAULT 0,
    stopped     TEXT,
    command     TEXT NOT NULL
) STRICT;

-- One for each way of invoking pytest and each interpreter: tests of one say nothing about those of another.
CREATE TABLE universes (
    id      INTEGER PRIMARY KEY,
    key     BLOB NOT NULL UNIQUE,
    used    INTEGER NOT NULL
) STRICT;

CREATE TABLE collections (
    id          INTEGER PRIMARY KEY,
    universe    INTEGER NOT NULL REFERENCES universes(id) ON DELETE CASCADE,
    file        TEXT NOT NULL,
    path        TEXT NOT NULL,
    UNIQUE (universe, file)
) STRICT;

CREATE TABLE tests (
    id          INTEGER PRIMARY KEY,
    collection  INTEGER NOT NULL REFERENCES collections(id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    position    INTEGER NOT NULL,
    function    TEXT NOT NULL,
    class       TEXT,
    line        INTEGER NOT NULL,
    keywords    BLOB NOT NULL,
    markers     BLOB NOT NULL,
    status      INTEGER,
    duration    INTEGER,
    UNIQUE (collection, name)
) STRICT;

CREATE TABLE inputs (
    id      INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    UNIQUE (kind, key)
) STRICT;

CREATE TABLE facts (
    id      INTEGER PRIMARY KEY,
    input   INTEGER NOT NULL REFERENCES inputs(id),
    digest  BLOB NOT NULL,
    UNIQUE (input, digest)
) STRICT;

-- A set of facts: the fact IDs in ascending order, each as the difference from the one before, in LEB128.
CREATE TABLE input_sets (
    id      INTEGER PRIMARY KEY,
    hash    BLOB NOT NULL UNIQUE,
    facts   BLOB NOT NULL
) STRICT;

CREATE TABLE passes (
    id          INTEGER PRIMARY KEY,
    test        INTEGER NOT NULL REFERENCES tests(id) ON DELETE CASCADE,
    input_set   INTEGER NOT NULL REFERENCES input_sets(id),
    status      INTEGER NOT NULL,
    duration    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    UNIQUE (test, input_set)
) STRICT;

-- History is kept by the test's ID, so that it outlives a test that is lost and found.
CREATE TABLE test_names (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE outcomes (
    run             INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    test_name       INTEGER NOT NULL REFERENCES test_names(id),
    status          INTEGER NOT NULL,
    duration        INTEGER NOT NULL,
    message         TEXT NOT NULL,
    second_opinion  INTEGER NOT NULL,
    PRIMARY KEY (test_name, run)
) STRICT, WITHOUT ROWID;

CREATE INDEX outcomes_by_run ON outcomes(run);

CREATE TABLE file_stats (
    path        TEXT PRIMARY KEY,
    size        INTEGER NOT NULL,
    mtime       INTEGER NOT NULL,
    ctime       INTEGER NOT NULL,
    inode       INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    checked     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
    key     TEXT PRIMARY KEY,
    value   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
