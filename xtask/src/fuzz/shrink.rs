//! Makes a sequence of states that shows a difference smaller.

use std::collections::BTreeSet;

use anyhow::Result;

use super::run::{Runner, Way};
use super::sample::{Part, Sample};

/// How often the two sides are run for one difference.
const MOST_TRIES: usize = 80;

/// A project and its edits: the states that it goes through, each with the way in which dx-py runs it.
pub type History = Vec<(Sample, Way)>;

/// The first difference that a history shows, and at which state.
///
/// # Errors
/// If a project can't be written or run.
pub fn replay(runner: &mut Runner, history: &[(Sample, Way)]) -> Result<Option<(usize, String)>> {
    let dir = runner.folder()?;
    let mut before = None;
    for (at, (sample, way)) in history.iter().enumerate() {
        sample.write(before, dir.path())?;
        if let Some(difference) = runner.difference(sample, dir.path(), way, at == 0)? {
            return Ok(Some((at, difference)));
        }
        before = Some(sample);
    }
    Ok(None)
}

/// A smaller history that shows a difference as well, and that difference. Parts are taken out in ever smaller groups, as in Zeller and
/// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002).
///
/// # Errors
/// If a project can't be written or run.
pub fn shrink(runner: &mut Runner, history: &History) -> Result<(History, Option<String>)> {
    let mut tries = 0;
    let mut small = history.clone();
    let mut told = None;
    // The last state alone says whether the edits matter.
    if let Some(last) = history.last().filter(|_| history.len() > 1) {
        let alone = vec![last.clone()];
        if let Some((_, difference)) = replay(runner, &alone)? {
            (small, told) = (alone, Some(difference));
        }
    }
    let mut parts: Vec<Part> = parts_of(&small);
    let mut size = parts.len().div_ceil(2);
    while size > 0 && tries < MOST_TRIES {
        let mut at = 0;
        while at < parts.len() && tries < MOST_TRIES {
            let gone: BTreeSet<Part> = parts[at..parts.len().min(at + size)]
                .iter()
                .cloned()
                .collect();
            let smaller: History = small
                .iter()
                .map(|(sample, way)| (sample.without(&gone), *way))
                .collect();
            tries += 1;
            match replay(runner, &smaller)? {
                Some((last, difference)) => {
                    small = smaller[..=last].to_vec();
                    told = Some(difference);
                    let left = parts_of(&small);
                    parts.retain(|part| left.contains(part));
                }
                None => at += size,
            }
        }
        size /= 2;
    }
    Ok((small, told))
}

fn parts_of(history: &History) -> Vec<Part> {
    let all: BTreeSet<Part> = history
        .iter()
        .flat_map(|(sample, _)| sample.parts())
        .collect();
    all.into_iter().collect()
}
