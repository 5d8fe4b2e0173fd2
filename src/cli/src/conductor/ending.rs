//! The end of a run: what is learned from it, and its totals.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use dx_py_core::{Event, RunSummary, TestStatus};
use dx_py_executor::Outcome;

use super::Conductor;
use crate::file_list::Renewal;
use crate::record::Recorder;
use crate::report::{Reporter, emit};
use crate::run::exit;

impl<'scope, 'a: 'scope> Conductor<'scope, 'a> {
    /// Ends the run: writes what is left, and makes up the totals.
    ///
    /// # Errors
    /// The first error that the run met: what it recorded before is kept.
    pub fn end(mut self, outcome: &Outcome, began: Instant) -> anyhow::Result<RunSummary> {
        let (results, reports) = self.alone.release();
        for result in results {
            self.tell(Box::new(result))?;
        }
        for report in reports {
            self.tell_collection_report(report)?;
        }
        self.learn(outcome)?;
        self.keep_renewal(outcome);
        let controller_code = self.end_controller(outcome)?;
        if let Err(error) = self.cache.write() {
            self.note(error.to_string())?;
        }
        let fallback = self.fallback();
        let missing: Vec<String> = self.named.missing().map(str::to_owned).collect();
        let (recorder, recorded) = self.recorder.end();
        if let Some(error) = self.failure {
            return Err(error);
        }
        recorded?;
        tell_uncacheable(self.reporters, recorder.uncacheable)?;
        let summary = &mut self.summary;
        summary.workers = self.intent.workers;
        summary.one_worker = fallback;
        summary.not_run = outcome.not_run.len();
        summary.stopped = outcome.stopped.clone();
        summary.wall = began.elapsed();
        summary.exit_code = exit_code(summary, outcome, controller_code);
        if summary.exit_code == exit::NO_TESTS && self.intent.selection.may_be_empty() {
            summary.exit_code = 0;
        }
        if summary.exit_code == 0 && summary.verified.1 > 0 {
            summary.exit_code = exit::FAILED;
        }
        let is_complete = matches!(summary.exit_code, 0 | exit::FAILED | exit::NO_TESTS);
        if is_complete && summary.collection_errors == 0 && !missing.is_empty() {
            summary.exit_code = exit::USAGE;
            for name in missing {
                emit(self.reporters, &Event::Note(format!("not found: {name}")))?;
            }
        }
        Ok(self.summary)
    }

    /// Keeps the list of files with those that are new, now that all have been collected.
    fn keep_renewal(&mut self, outcome: &Outcome) {
        let is_complete = outcome.stopped.is_none() && outcome.failed_start.is_none();
        let Some(Renewal { mut list, new }) = self.intent.renewal.take().filter(|_| is_complete)
        else {
            return;
        };
        let key = self.intent.file_list_key.clone();
        let broken = self.broken.clone();
        self.recorder.later(move |recorder| {
            for path in new {
                let is_broken = broken.iter().any(|broken| recorder.key(broken) == path);
                if let Some(file) = recorder.collected_from(&path) {
                    list.insert(file);
                } else if !is_broken {
                    let Some(facts) = recorder.facts_without_tests(&path) else {
                        return Ok(());
                    };
                    list.facts.extend(facts);
                }
                if is_broken {
                    list.broken.push(path);
                }
            }
            list.facts.sort();
            list.facts.dedup();
            recorder.keep_note(&key, &list)
        });
    }

    /// Keeps what later runs do otherwise because of this one, and says so.
    fn learn(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let arrangement = &mut self.intent.arrangement;
        let mut reasons = Vec::new();
        if let Some(reason) = self.alone.overturned_by_order() {
            let runs = arrangement.learn_order(&reason);
            reasons.push((runs, format!("{reason}, and tests failed without it")));
        }
        if let Some(test) = self.alone.waited_in_vain() {
            let runs = arrangement.learn_vain_wait(test.as_str());
            reasons.push((runs, arrangement.one_worker.clone()));
        }
        if let Some(text) = &outcome.failed_start {
            let runs = arrangement.learn_failed_start(text);
            reasons.push((runs, arrangement.one_worker.clone()));
        }
        if reasons.is_empty() {
            arrangement.went_well(self.intent.workers);
        }
        for (runs, reason) in reasons {
            self.note(format!("one worker in the next {runs} runs: {reason}"))?;
        }
        let (new, learned) = self.alone.learned();
        for (file, why, runs) in &new {
            self.note(format!(
                "{file} runs alone in the next {runs} runs: {why} (`serial = [\"{file}\"]` in dx-py.toml says so for good, and to everyone)"
            ))?;
        }
        if let Some(learned) = learned {
            self.keep_note(&self.intent.learned_note, learned);
        }
        self.keep_leftovers();
        let arrangement = self.intent.arrangement.clone();
        self.keep_note(&self.intent.arrangement_note, arrangement);
        if self.busyness.is_better_than(self.intent.busyness.as_ref()) {
            self.keep_note(&self.intent.busyness_note, self.busyness.clone());
        }
        Ok(())
    }

    /// Keeps what tests left. Fresh ones that may find what is new there, and haven't run for it, run next time.
    fn keep_leftovers(&mut self) {
        self.take_finders();
        if self.has_new_leftovers {
            self.keep_note(&self.intent.leftovers_note, self.intent.leftovers.clone());
            self.recorder.later(Recorder::keep_bearings);
        }
    }

    /// Ends the controller, lets it say what it has to say, and gives the exit code that it, or a hook in the only worker, decided on.
    fn end_controller(&mut self, outcome: &Outcome) -> anyhow::Result<Option<u8>> {
        let Some(end) = self.listener.end(outcome.interrupted) else {
            let failed = self.listener.has_failed().then_some(exit::INTERNAL);
            return Ok(outcome.decided_code.or(failed));
        };
        if !end.text.trim().is_empty() {
            emit(self.reporters, &Event::Section(end.text))?;
        }
        if end.decided_code == Some(exit::INTERNAL) {
            self.note(end.errors)?;
        }
        Ok(end.decided_code)
    }
}

fn exit_code(summary: &RunSummary, outcome: &Outcome, controller_code: Option<u8>) -> u8 {
    let bad = TestStatus::ALL
        .iter()
        .any(|status| status.is_bad() && summary.ran[usize::from(status.code())] > 0);
    // A test that should have run and didn't, although nothing stopped the run, must not look like a success.
    let bad = bad || summary.not_run > 0 && summary.stopped.is_none();
    let unusual = outcome
        .exit_codes
        .iter()
        .copied()
        .find(|code| !matches!(code, 0..=2 | 5));
    match &outcome.fatal {
        Some((code, _)) => *code,
        None if outcome.interrupted => exit::INTERRUPTED,
        None if controller_code.is_some() => controller_code.unwrap_or_default(),
        None => match unusual {
            Some(code) => code,
            None if bad || summary.collection_errors > 0 => exit::FAILED,
            None if outcome.stopped.is_some() => exit::INTERRUPTED,
            None if summary.ran_total() + summary.fresh_total() == 0 => exit::NO_TESTS,
            None => 0,
        },
    }
}

/// Says what leaves no pass that can be used again.
fn tell_uncacheable(
    reporters: &mut [Box<dyn Reporter>],
    uncacheable: HashMap<String, String>,
) -> anyhow::Result<()> {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (what, reason) in uncacheable {
        reasons.entry(reason).or_default().push(what);
    }
    for (reason, what) in reasons {
        let first = what.iter().min().cloned().unwrap_or_default();
        let more = if what.len() > 1 {
            format!(" and {} more", what.len() - 1)
        } else {
            String::new()
        };
        let note = Event::Note(format!("{first}{more} will run again: {reason}"));
        emit(reporters, &note)?;
    }
    Ok(())
}
