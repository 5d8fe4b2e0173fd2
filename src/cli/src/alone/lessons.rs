//! What was learned of files that need to run alone, which costs a phase of its own with everything collected. While a file is tried
//! beside others again a failure costs a second opinion and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobSet;
use serde::{Deserialize, Serialize};

use crate::lesson::Lesson;

/// The files that were found to need to run alone, by their node IDs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned(BTreeMap<String, Lesson>);

impl Learned {
    /// Whether a file runs alone.
    pub fn includes(&self, file: &str) -> bool {
        self.0.get(file).is_some_and(Lesson::is_heeded)
    }

    /// Whether a file is tried beside others, after it was found to need to run alone.
    pub fn tries(&self, file: &str) -> bool {
        self.0.get(file).is_some_and(|lesson| !lesson.is_heeded())
    }

    /// Takes in what a run has shown: which files ran alone, which were tried beside others, and of which files tests have another outcome
    /// alone. Gives for how many runs each of these runs alone now.
    pub fn take_in(
        &mut self,
        alone: &BTreeSet<String>,
        tried: &BTreeSet<String>,
        overturned: &BTreeMap<String, String>,
    ) -> BTreeMap<String, u32> {
        for file in alone {
            if let Some(lesson) = self.0.get_mut(file) {
                lesson.was_heeded();
            }
        }
        for file in tried.iter().filter(|file| !overturned.contains_key(*file)) {
            if let Some(lesson) = self.0.get_mut(file) {
                lesson.went_well();
            }
        }
        self.0.retain(|_, lesson| !lesson.is_over());
        let learn = |file: &String| {
            let lesson = self.0.entry(file.clone()).or_default();
            (file.clone(), lesson.went_wrong())
        };
        overturned.keys().map(learn).collect()
    }
}

/// The files that run alone.
#[derive(Clone, Debug, Default)]
pub struct Serial {
    /// Those that the configuration names.
    pub configured: GlobSet,
    /// Those that were found to need it.
    pub learned: Learned,
}

impl Serial {
    /// Whether a file, by its node ID, is one of them.
    pub fn includes(&self, file: &str) -> bool {
        self.learned.includes(file) || self.configured.is_match(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn overturned(names: &[&str]) -> BTreeMap<String, String> {
        files(names)
            .into_iter()
            .map(|name| (name, String::from("why")))
            .collect()
    }

    /// Lets a file go wrong beside others, and gives in how many runs it is alone after that.
    fn goes_wrong(learned: &mut Learned) -> u32 {
        let tried = if learned.tries("a.py") {
            files(&["a.py"])
        } else {
            files(&[])
        };
        let told = learned.take_in(&files(&[]), &tried, &overturned(&["a.py"]))["a.py"];
        let mut runs = 0;
        while learned.includes("a.py") {
            learned.take_in(&files(&["a.py"]), &files(&[]), &overturned(&[]));
            runs += 1;
        }
        assert_eq!(told, runs);
        runs
    }

    #[test]
    fn who_goes_wrong_each_time_is_tried_ever_more_seldom() {
        let mut learned = Learned::default();
        let runs: Vec<u32> = (0..9).map(|_| goes_wrong(&mut learned)).collect();
        assert_eq!(runs, [8, 16, 32, 64, 128, 256, 512, 512, 512]);
        assert!(learned.tries("a.py") && !learned.tries("b.py"));
    }

    #[test]
    fn who_goes_well_is_forgotten() {
        let mut learned = Learned::default();
        goes_wrong(&mut learned);
        goes_wrong(&mut learned);
        let well = |learned: &mut Learned| {
            learned.take_in(
                &files(&[]),
                &files(&["a.py", "b.py"]),
                &overturned(&["c.py"]),
            )
        };
        assert_eq!(well(&mut learned), BTreeMap::from([("c.py".into(), 8)]));
        assert!(learned.tries("a.py"));
        well(&mut learned);
        assert!(!learned.tries("a.py") && !learned.includes("a.py"));
        assert_eq!(goes_wrong(&mut learned), 8);
    }
}
