-- The facts about parts of files, which are only looked at when the file has changed: numbered as in `facts`, and kept apart from them so that
-- a run in which nothing changed doesn't read them.
ALTER TABLE input_sets ADD COLUMN parts BLOB;
