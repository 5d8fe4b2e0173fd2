//! End-to-end tests: the built program on small projects, with real pytest as the oracle.

mod insides;
mod outcomes;
mod parallel;
mod plugins;
mod selection;
mod support;
