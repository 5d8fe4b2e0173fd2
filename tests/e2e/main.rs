//! End-to-end tests: the built program on small projects, with real pytest as the oracle.

mod outcomes;
mod parallel;
mod plugins;
mod projects;
mod selection;
mod support;
