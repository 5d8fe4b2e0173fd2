-- The facts of a set are those of its base and its own: what the tests of a file share is kept once.
ALTER TABLE input_sets ADD COLUMN base INTEGER REFERENCES input_sets(id);
