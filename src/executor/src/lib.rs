//! Hands test files to workers, steals work, and accounts for every test.
//!
//! [`run`] drives one run. Each worker slot has a driver ([`driver`]) that keeps one interpreter alive and serves its requests;
//! the drivers share the queues ([`queue`]) and the account of tests ([`ledger`]). Nothing here knows the catalog or the terminal:
//! what happens is told as [`RunnerEvent`]s.

mod connection;
mod driver;
mod head_start;
mod job_control;
mod ledger;
mod patience;
mod queue;
mod run;
mod standby;

pub use connection::{Connection, Launcher, Processes};
pub use head_start::HeadStart;
pub use ledger::Ledger;
pub use patience::{Patience, was_idle};
pub use queue::{Job, Queues, longest_first};
pub use run::{ExecutorError, Handler, Outcome, RunPlan, RunnerEvent, run};
pub use standby::{Foreseen, Standby};
