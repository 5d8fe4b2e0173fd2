//! Hands test files to workers, steals work, and accounts for every test.
