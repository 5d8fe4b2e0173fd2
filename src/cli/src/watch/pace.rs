//! When to run, given what changed and when: a state machine without a clock of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long nothing more may change before a run: editors write several files, and one in several steps.
pub const QUIET: Duration = Duration::from_millis(50);
/// How long a run waits for the end of changes that don't stop, as of a branch that is moved to.
pub const PATIENCE: Duration = Duration::from_millis(1_000);

/// Changes that no run has seen.
#[derive(Debug, Default)]
pub struct Pace {
    paths: BTreeSet<PathBuf>,
    times: Option<(Instant, Instant)>,
}

impl Pace {
    /// Something changed.
    pub fn changed(&mut self, path: PathBuf, now: Instant) {
        self.paths.insert(path);
        let first = self.times.map_or(now, |(first, _)| first);
        self.times = Some((first, now));
    }

    /// When the next run is due; none if nothing has changed.
    pub fn due(&self) -> Option<Instant> {
        let (first, last) = self.times?;
        Some((last + QUIET).min(first + PATIENCE))
    }

    /// What the run that begins now is for.
    pub fn take(&mut self) -> BTreeSet<PathBuf> {
        self.times = None;
        std::mem::take(&mut self.paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Property 9: watch mode filtering
        #[test]
        fn every_change_is_in_the_run_that_follows_it_and_runs_begin_only_for_changes(
            waits in prop::collection::vec((0u64..400, 0usize..5), 0..60),
        ) {
            let mut pace = Pace::default();
            let mut now = Instant::now();
            let mut open: BTreeSet<PathBuf> = BTreeSet::new();
            let mut oldest: Option<Instant> = None;
            for (wait, file) in waits {
                let next = now + Duration::from_millis(wait);
                if let Some(due) = pace.due().filter(|due| *due <= next) {
                    // A change waits no longer than it must, and no shorter than others need to follow it.
                    let first = oldest.take().unwrap();
                    prop_assert!(due <= first + PATIENCE);
                    prop_assert!(due >= now + QUIET || due == first + PATIENCE);
                    prop_assert_eq!(pace.take(), std::mem::take(&mut open));
                    prop_assert!(pace.due().is_none());
                }
                now = next;
                let path = PathBuf::from(file.to_string());
                pace.changed(path.clone(), now);
                open.insert(path);
                oldest.get_or_insert(now);
            }
            prop_assert_eq!(pace.due().is_some(), !open.is_empty());
            prop_assert_eq!(pace.take(), open);
        }
    }
}
