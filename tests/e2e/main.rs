//! End-to-end tests: the built program on small projects, with real pytest as the oracle.

mod book;
mod configuration;
mod daemon;
mod fixtures;
mod frames;
mod functions;
mod fuzzed;
mod insides;
mod installed;
mod lean;
mod looks;
mod outcomes;
mod parallel;
mod plugin_mode;
mod plugins;
mod preloads;
mod projects;
mod pytest_cache;
mod reporting;
mod samples;
mod selection;
mod slices;
mod snapshots;
mod support;
mod temporary;
mod watch;
