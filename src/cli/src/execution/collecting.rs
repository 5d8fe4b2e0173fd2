//! What the workers of a run collect: which paths, whose items each of them makes, what is rewritten beforehand, and for how many workers
//! there is something to do.

use std::collections::HashSet;
use std::time::Duration;

use dx_py_core::{RelPath, TestId};
use dx_py_executor::longest_first;

use super::Execution;
use crate::jobs::{UNKNOWN, WORTHWHILE};
use crate::plan::Plan;
use crate::session::Session;
use crate::settings::Project;

/// These paths, which are relative to the project's root, as pytest takes them: from the working directory, or absolute.
pub(super) fn for_pytest(project: &Project, paths: &[String]) -> Vec<String> {
    let absolute = paths.iter().map(|path| project.root.join(path));
    absolute.map(|path| project.argument(&path)).collect()
}

/// In how many files pytest looks for tests, if it starts from some places and they tell; at least one.
pub(super) fn files_at_start(session: &Session, asked: &Execution<'_>) -> Option<usize> {
    let points = session
        .start
        .as_ref()
        .filter(|_| !asked.invocation.paths.is_empty())?;
    let project = &session.project;
    let is_test_file = |path: &RelPath| project.is_test_file(path);
    let files = session.sources.scan.files.iter();
    let files = files.filter(|file| session.starts_around(&file.path) && is_test_file(&file.path));
    let others = points.iter();
    let others =
        others.filter(|point| !is_test_file(point) && point.to_path(&project.root).is_file());
    Some(files.count() + others.count()).filter(|files| *files > 0)
}

/// Which files' items each of several workers makes, by their node IDs, so that not each makes all. None if it isn't known which files
/// there are, or if somebody wants to hear of all tests. The files go to the workers as their tests would, by what they are expected to
/// take, the longest first.
pub(super) fn shares(session: &Session, plan: &Plan, workers: usize) -> Vec<Vec<String>> {
    let list = session.file_list.as_ref();
    let is_known = list.is_some_and(|list| list.broken.is_empty()) && session.wide.is_empty();
    let is_heard = session.arrangement.controller;
    if workers < 2 || plan.ask_pytest || !is_known || is_heard {
        return Vec::new();
    }
    if session.arrangement.keeps_together(plan.collected_files()) {
        return Vec::new();
    }
    let asked: HashSet<&String> = plan.collected_files().collect();
    let dirty: HashSet<&TestId> = plan.dirty.iter().map(|(test, _)| test).collect();
    let files = session.state.files.iter();
    let files: Vec<(&String, Duration)> = files
        .filter(|file| asked.contains(&file.file))
        .map(|file| {
            let tests = file.tests.iter();
            let tests = tests.filter(|test| dirty.contains(&test.id));
            let expected = tests.map(|test| test.elapsed.unwrap_or(UNKNOWN) + MAKING);
            (&file.file, expected.sum())
        })
        .collect();
    let all: Duration = files.iter().map(|(_, expected)| *expected).sum();
    let is_too_long = |(file, expected): &(&String, Duration)| {
        *expected > all / workers as u32 + WORTHWHILE
            && list.is_some_and(|list| list.divisible.contains(*file))
    };
    if files.len() != asked.len() || files.len() < workers || files.iter().any(is_too_long) {
        return Vec::new();
    }
    let expected: Vec<Duration> = files.iter().map(|(_, expected)| *expected).collect();
    let mut shares = vec![Vec::new(); workers];
    for ((file, _), slot) in files.iter().zip(longest_first(&expected, workers)) {
        shares[slot].push((*file).clone());
    }
    shares
}

/// The files that are shared out and whose import leaves nothing behind, by their node IDs, with what must be imported already for that.
pub(super) fn inert(session: &Session, shares: &[Vec<String>]) -> Vec<(String, String)> {
    let shared: HashSet<&String> = shares.iter().flatten().collect();
    let files = session.state.files.iter();
    let files = files.filter(|file| shared.contains(&file.file));
    files
        .filter_map(|file| {
            let node = session
                .sources
                .graph
                .file(&RelPath::from_text(&file.path)?)?;
            let needs = node.imports.inert.as_ref()?;
            Some((file.file.clone(), needs.join(" ")))
        })
        .collect()
}

/// About what it takes to make the item of a test.
const MAKING: Duration = Duration::from_micros(50);

/// How long a divisible file must be expected to run before it is worth another worker, which costs as much as starting pytest does.
const WORTH_A_WORKER: Duration = Duration::from_secs(1);

/// Whether one of the files that are to run can be divided, and is worth another worker.
pub(super) fn has_long_divisible_file(session: &Session, plan: &Plan) -> bool {
    let Some(list) = &session.file_list else {
        return false;
    };
    let dirty: HashSet<&TestId> = plan.dirty.iter().map(|(test, _)| test).collect();
    let mut files = session.state.files.iter();
    files.any(|file| {
        let expected = || -> Duration {
            let tests = file.tests.iter().filter(|test| dirty.contains(&test.id));
            tests.filter_map(|test| test.elapsed).sum()
        };
        plan.dirty_files.contains(&file.file)
            && list.divisible.contains(&file.file)
            && expected() > WORTH_A_WORKER
    })
}

/// The test modules that no earlier run has seen with this content, if several workers would each rewrite all of them.
pub(super) fn modules_to_rewrite(
    session: &Session,
    plan: &Plan,
    workers: usize,
    narrow: bool,
) -> Vec<String> {
    if workers == 1 {
        return Vec::new();
    }
    let project = &session.project;
    let paths: HashSet<&str> = plan.paths.iter().map(String::as_str).collect();
    let collected = |file: &&RelPath| {
        session.starts_around(file)
            && (!narrow || paths.contains(file.as_str()))
            && project.is_test_file(file)
    };
    let new = session.sources.new.iter().filter(collected);
    new.map(|file| file.to_path(&project.root).display().to_string())
        .collect()
}
