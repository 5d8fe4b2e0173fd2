//! What a run comes to, as far as the records tell: which tests are fresh, which are dirty and why, and what to ask pytest.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Write};
use std::time::Duration;

use dx_py_catalog::CatalogError;
use dx_py_core::{TestId, TestStatus, Verdict};

use crate::file_list::by_place;
use crate::selection::{Candidate, Names, Selection};
use crate::session::Session;
use crate::verification::Sample;

/// What is to be run, as far as the records tell.
pub struct Plan {
    /// Fresh tests: their IDs, outcomes and durations, by file.
    pub fresh: BTreeMap<String, Vec<(TestId, TestStatus, Duration)>>,
    /// Dirty tests with reasons, in pytest's order.
    pub dirty: Vec<(TestId, String)>,
    /// Those of them that are fresh, and run to see whether they deserve it: with their recorded outcomes.
    pub verified: HashMap<TestId, TestStatus>,
    /// The node IDs of files with dirty tests.
    pub dirty_files: BTreeSet<String>,
    /// The node IDs of files of which isn't known which tests they hold now, though none of those that are known is dirty; with
    /// reasons.
    pub stale: Vec<(String, String)>,
    /// Files that hold dirty tests, or that must be collected, as paths for pytest.
    pub paths: Vec<String>,
    /// How many files are known.
    pub known_files: usize,
    /// Tests that were left out by the selection, but for those of files that are collected again.
    pub deselected: usize,
    /// Whether pytest must be asked which files there are.
    pub ask_pytest: bool,
}

impl Plan {
    /// The node IDs of the files that are collected: those with dirty tests, and those of which isn't known which tests they hold now.
    pub fn collected_files(&self) -> impl Iterator<Item = &String> {
        let stale = self.stale.iter().map(|(file, _)| file);
        self.dirty_files.iter().chain(stale)
    }
}

/// Compares every known test with the world. Of those that are fresh a sample is `verified`.
pub fn make_plan(
    session: &Session,
    selection: &Selection,
    forced: Option<&str>,
    verified: Sample,
) -> Result<Plan, CatalogError> {
    let mut plan = Plan {
        fresh: BTreeMap::new(),
        dirty: Vec::new(),
        verified: HashMap::new(),
        dirty_files: BTreeSet::new(),
        stale: Vec::new(),
        paths: Vec::new(),
        known_files: 0,
        deselected: 0,
        ask_pytest: session.file_list.is_none(),
    };
    let listed: Option<HashMap<&str, usize>> = session.file_list.as_ref().map(|list| {
        list.files
            .iter()
            .enumerate()
            .map(|(at, file)| (file.as_str(), at))
            .collect()
    });
    let mut files: Vec<_> = session
        .state
        .files
        .iter()
        .filter(|file| {
            listed
                .as_ref()
                .is_none_or(|listed| listed.contains_key(file.file.as_str()))
        })
        .collect();
    if let Some(listed) = &listed {
        files.sort_by_key(|file| listed.get(file.file.as_str()));
    }
    let recorded = match selection.asks_for_keywords() {
        true => session.catalog.keywords(session.universe)?,
        false => HashMap::new(),
    };
    for file in files {
        plan.known_files += 1;
        let dirty_before = plan.dirty.len();
        let mut fresh = Vec::with_capacity(file.tests.len());
        let reach = session.reach(&file.path);
        let (mut dirty, mut deselected) = (false, 0);
        for test in &file.tests {
            let candidate = Candidate {
                id: &test.id,
                keywords: Names::Recorded(recorded.get(&test.id)),
                markers: &test.markers,
                last: test.last,
            };
            if !selection.includes(&candidate) {
                deselected += 1;
                continue;
            }
            match reach.verdict(test, forced) {
                Verdict::Fresh { status, .. } if verified.includes(&test.id) => {
                    dirty = true;
                    let reason = "it is fresh, which is verified".to_owned();
                    plan.dirty.push((test.id.clone(), reason));
                    plan.verified.insert(test.id.clone(), status);
                }
                Verdict::Fresh { status, duration } => {
                    fresh.push((test.id.clone(), status, duration));
                }
                Verdict::Dirty { reason } => {
                    dirty = true;
                    plan.dirty.push((test.id.clone(), reason));
                }
            }
        }
        if dirty {
            plan.paths.push(file.path.clone());
            plan.dirty_files.insert(file.file.clone());
            if session.serial.includes(&file.file) && !fresh.is_empty() {
                // What its tests leave behind for each other is why it runs alone.
                let fresh = std::mem::take(&mut fresh);
                let unit = |(test, _, _)| (test, "its file runs as one unit".to_owned());
                plan.dirty.extend(fresh.into_iter().map(unit));
                let order: HashMap<&TestId, usize> = file
                    .tests
                    .iter()
                    .enumerate()
                    .map(|(at, test)| (&test.id, at))
                    .collect();
                plan.dirty[dirty_before..].sort_by_key(|(test, _)| order.get(test));
            }
        }
        if !fresh.is_empty() {
            plan.fresh.insert(file.file.clone(), fresh);
        }
        // A test that was left out, or that nobody knows, may be among those that are meant since the file changed.
        let stale = if dirty || !selection.may_include_file(&file.file) {
            None
        } else {
            reach.staleness(file)
        };
        if let Some(reason) = stale {
            plan.paths.push(file.path.clone());
            plan.stale.push((file.file.clone(), reason));
        } else if !dirty {
            plan.deselected += deselected;
        }
    }
    for path in session.renewal.iter().flat_map(|renewal| &renewal.new) {
        if selection.may_include_file(path) {
            plan.paths.push(path.clone());
            plan.stale.push((path.clone(), "it is new".to_owned()));
        }
    }
    if session.renewal.is_some() {
        // pytest collects in the order in which it is told to.
        plan.paths.sort_by(|a, b| by_place(a, b));
    }
    if let Some(list) = &session.file_list {
        let again: HashSet<&str> = plan.collected_files().map(String::as_str).collect();
        let rest = list.deselected.iter();
        let rest = rest.filter(|(file, _)| !again.contains(file.as_str()));
        plan.deselected += selection.count_of(rest);
        let broken = list
            .broken
            .iter()
            .filter(|path| selection.may_include_file(path));
        plan.paths.extend(broken.cloned());
    }
    Ok(plan)
}

/// Tells for each dirty test why it runs; tests of a file with the same reason are told together.
///
/// # Errors
/// If it can't be written.
pub fn explain(plan: &Plan, session: &Session, out: &mut dyn Write) -> io::Result<()> {
    let mut groups: BTreeMap<(&str, &str), Vec<&TestId>> = BTreeMap::new();
    for (test, reason) in &plan.dirty {
        groups.entry((test.file(), reason)).or_default().push(test);
    }
    for ((file, reason), tests) in groups {
        if let [test] = tests[..] {
            writeln!(out, "{test}: {reason}")?;
        } else {
            writeln!(out, "{file} ({} tests): {reason}", tests.len())?;
        }
    }
    for (file, reason) in &plan.stale {
        writeln!(out, "{file}: {reason}; it is collected")?;
    }
    if plan.ask_pytest {
        writeln!(out, "all files are collected: {}", session.file_list_reason)?;
    }
    out.flush()
}
