-- The inputs under which a file was collected with exactly the tests that are recorded of it. Of a file without any that holds nobody
-- can say which tests it has now.
CREATE TABLE collection_sets (
    collection  INTEGER NOT NULL REFERENCES collections(id) ON DELETE CASCADE,
    input_set   INTEGER NOT NULL REFERENCES input_sets(id),
    at          INTEGER NOT NULL,
    PRIMARY KEY (collection, input_set)
) STRICT, WITHOUT ROWID;
