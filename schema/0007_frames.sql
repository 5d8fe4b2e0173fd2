-- What frames of sources were made of, by their fingerprints, as `discovery::parsed` writes it: facts about frames tell only that one has
-- changed, and this in which names.
CREATE TABLE frames (
    digest  BLOB PRIMARY KEY,
    layout  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
