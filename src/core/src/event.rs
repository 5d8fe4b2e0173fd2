//! What happens in a run, as the reporters are told it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{TestId, TestResult, TestStatus};

/// What selection says of one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// A stored pass matches every digest now: the test needn't run, and this is its recorded outcome.
    Fresh {
        /// The recorded outcome.
        status: TestStatus,
        /// Its recorded duration.
        duration: Duration,
    },
    /// The test must run, for this reason.
    Dirty {
        /// A phrase that a user understands, such as `src/a.py changed`.
        reason: String,
    },
}

/// Something that happened in a run. The runner emits events; reporters render them; neither knows the other.
#[derive(Clone, Debug)]
pub enum Event {
    /// A run begins that has something to execute.
    Started {
        /// Tests known to be dirty by now; files that were never collected can add more.
        dirty: usize,
        /// Tests that are fresh.
        fresh: usize,
        /// Workers that were started.
        workers: usize,
        /// The interpreter and pytest, for the header: `Python 3.13.0, pytest-9.2.0`.
        python: String,
    },
    /// Why tests run that were known to be dirty when the run began; sent before all else.
    Dirty(Vec<(TestId, String)>),
    /// How pytest's own options, wherever they stand, ask for the report.
    Asked {
        /// The outcomes that the short summary names, by the letters of pytest's `-r`.
        report_chars: String,
        /// How many of the slowest phases to list; 0 for all.
        durations: Option<usize>,
    },
    /// So many tests are known now; sent when collection has ended, and only ever growing.
    Planned {
        /// All that will run.
        total: usize,
    },
    /// A test began.
    TestStarted {
        /// The test.
        id: TestId,
        /// The worker, from 0.
        worker: u32,
    },
    /// A worker has been busy with the same thing for long. Sent again each time that as much time has passed.
    Slow {
        /// The worker, from 0.
        worker: u32,
        /// With what.
        doing: Doing,
        /// For how long.
        elapsed: Duration,
    },
    /// A test ended.
    TestFinished(Box<TestResult>),
    /// A test wasn't run, since its recorded outcome still holds.
    TestFresh {
        /// The test.
        id: TestId,
        /// The recorded outcome.
        status: TestStatus,
        /// The recorded duration.
        duration: Duration,
    },
    /// A test that was called fresh ran all the same, and came to another outcome.
    Contradicted {
        /// The test.
        id: TestId,
        /// The recorded outcome.
        recorded: TestStatus,
        /// The outcome now.
        status: TestStatus,
    },
    /// A file couldn't be collected: an error (a syntax error, say).
    CollectionFailed {
        /// The collector's node ID, mostly a file.
        node: String,
        /// The error as pytest renders it.
        text: String,
        /// Captured output: pytest's section titles with their text.
        sections: Vec<(String, String)>,
    },
    /// A file skipped itself as a whole while it was imported.
    CollectionSkipped {
        /// The collector's node ID.
        node: String,
        /// The reason.
        reason: String,
    },
    /// pytest recorded a warning.
    WarningRecorded {
        /// Where: a test ID, or empty.
        node: String,
        /// The warning as pytest renders it.
        text: String,
    },
    /// Something about the run that the user should know: a worker died, a file changed while running …
    Note(String),
    /// What a plugin has to say at the end, as it would print it.
    Section(String),
    /// The last event.
    Finished(RunSummary),
}

/// What a worker is busy with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Its start, and collection: what modules do when they are imported.
    Collecting,
    /// A test.
    Test(TestId),
    /// What is set up or torn down for several tests.
    BetweenTests,
    /// The end of its session.
    Ending,
}

/// A snapshot: the file that holds it, relative to the root, and its name.
pub type SnapshotName = (String, String);

/// What a run came to, as far as snapshots go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// Those that are new or differ, and wait to be accepted.
    pub pending: BTreeSet<SnapshotName>,
    /// Those that the run accepted.
    pub accepted: BTreeSet<SnapshotName>,
    /// Those that no test uses.
    pub unused: BTreeSet<SnapshotName>,
    /// What couldn't be done.
    pub problems: BTreeSet<String>,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunSummary {
    /// Tests of each status that ran, indexed by [`TestStatus::code`].
    pub ran: [usize; 6],
    /// Fresh tests of each recorded status.
    pub fresh: [usize; 6],
    /// Selected tests that never ran, since the run was stopped.
    pub not_run: usize,
    /// Fresh tests that ran all the same, to see whether they deserve it; and how many of them didn't.
    pub verified: (usize, usize),
    /// Files that couldn't be collected.
    pub collection_errors: usize,
    /// Tests that `-k`, `-m`, patterns or the like left out.
    pub deselected: usize,
    /// Wall time of the whole run.
    pub wall: Duration,
    /// The recorded durations of all selected tests, fresh ones included: what running all of them one after the other would take.
    pub recorded: Duration,
    /// How many workers there were; 0 if nothing had to run.
    pub workers: usize,
    /// Why there was only one, if several were wanted; else empty.
    pub one_worker: String,
    /// How many tests the lean engine ran.
    pub lean: usize,
    /// Why tests went through pytest's whole protocol, and how many did.
    pub full_protocol: BTreeMap<String, usize>,
    /// What there is to tell of snapshots.
    pub snapshots: Box<SnapshotSummary>,
    /// Why the run stopped early, if it did: `stopping after 1 failure`, `interrupted`.
    pub stopped: Option<String>,
    /// pytest's exit code for it.
    pub exit_code: u8,
}

impl RunSummary {
    /// How many tests ran.
    pub fn ran_total(&self) -> usize {
        self.ran.iter().sum()
    }

    /// How many tests were fresh.
    pub fn fresh_total(&self) -> usize {
        self.fresh.iter().sum()
    }

    /// Counts one test that ran.
    pub fn count_ran(&mut self, status: TestStatus) {
        self.ran[usize::from(status.code())] += 1;
    }

    /// Counts one fresh test.
    pub fn count_fresh(&mut self, status: TestStatus) {
        self.fresh[usize::from(status.code())] += 1;
    }

    /// Takes it back that a test is fresh.
    pub fn uncount_fresh(&mut self, status: TestStatus) {
        let count = &mut self.fresh[usize::from(status.code())];
        *count = count.saturating_sub(1);
    }
}
