//! End-to-end tests: the built program on small projects, with real pytest as the oracle.

mod apart;
mod book;
mod children;
mod collected;
mod configuration;
mod daemon;
mod deselection;
mod fixtures;
mod frames;
mod functions;
mod fuzzed;
mod insides;
mod installed;
mod lean;
mod leftovers;
mod looks;
mod outcomes;
mod parallel;
mod places;
mod plugin_mode;
mod plugins;
mod preloads;
mod projects;
mod pytest_cache;
mod reporting;
mod samples;

mod search_path;
mod selection;
mod slices;
mod snapshots;
mod support;
mod temporary;
mod watch;
