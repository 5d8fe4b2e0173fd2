-- What was found in a source ('slices', 'symbols'), as `discovery::parsed` writes it, when its content had that digest: a file is parsed
-- once for each content.
CREATE TABLE parsed (
    path    TEXT NOT NULL,
    what    TEXT NOT NULL,
    digest  BLOB NOT NULL,
    found   BLOB NOT NULL,
    PRIMARY KEY (path, what)
) STRICT;
