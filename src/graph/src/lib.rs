//! What imports what: the import graph of a project, and what a change reaches.
