//! Decides which tests are fresh and which are dirty, and why.
