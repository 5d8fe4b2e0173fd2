//! Finds tests in Python sources without starting an interpreter, and keeps what it found in the binary test index.
