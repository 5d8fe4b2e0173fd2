//! The pool of Python interpreters that run tests.
