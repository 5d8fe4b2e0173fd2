//! `--dry-run`: what would run, and why, told to a person or as JSON.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use dx_py_core::TestCase;
use serde_json::json;

use crate::plan::Plan;
use crate::report::write_report;
use crate::selection::{Candidate, Names, Selection};
use crate::session::Session;

/// What a run would do.
#[derive(Debug)]
pub struct Forecast {
    tests: Vec<Expected>,
    /// Files that would be collected again, with reasons.
    files: Vec<(String, String)>,
    /// Why pytest would be asked which tests there are, if so.
    asked: Option<String>,
    fresh: usize,
}

#[derive(Debug)]
struct Expected {
    id: String,
    reason: String,
    /// Whether only its source tells of the test.
    is_predicted: bool,
}

impl Forecast {
    /// What the run of a plan would do.
    pub fn of(session: &Session, plan: &Plan, selection: &Selection) -> Self {
        let dirty = plan.dirty.iter().map(|(test, reason)| Expected {
            id: test.as_str().to_owned(),
            reason: reason.clone(),
            is_predicted: false,
        });
        let mut tests: Vec<Expected> = dirty.collect();
        let new = session.renewal.as_ref().map(|renewal| &renewal.new);
        if plan.ask_pytest || new.is_some() {
            let is_new = |path: &str| new.is_none_or(|new| new.iter().any(|file| file == path));
            tests.extend(predicted(session, selection, &is_new));
        }
        Self {
            tests,
            files: plan.stale.clone(),
            asked: plan
                .ask_pytest
                .then(|| session.file_list_reason.to_string()),
            fresh: plan.fresh.values().map(Vec::len).sum(),
        }
    }

    /// Tells a person.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let (predicted, dirty): (Vec<_>, Vec<_>) =
            self.tests.iter().partition(|test| test.is_predicted);
        for test in dirty {
            writeln!(out, "{}: {}", test.id, test.reason)?;
        }
        for (file, reason) in &self.files {
            writeln!(out, "{file}: {reason}; it would be collected")?;
        }
        for test in predicted {
            writeln!(
                out,
                "{}: {} (predicted from the source)",
                test.id, test.reason
            )?;
        }
        if let Some(reason) = &self.asked {
            writeln!(out, "pytest would be asked which tests there are: {reason}")?;
        }
        writeln!(
            out,
            "{} would run, {} are fresh; nothing was run",
            self.tests.len(),
            self.fresh
        )?;
        out.flush()
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write_json(&self, target: &Path) -> io::Result<()> {
        let test = |test: &Expected| json!({"id": test.id, "reason": test.reason, "predicted": test.is_predicted});
        let file = |(file, reason): &(String, String)| json!({"file": file, "reason": reason});
        let document = json!({
            "would_run": self.tests.iter().map(test).collect::<Vec<_>>(),
            "would_collect": self.files.iter().map(file).collect::<Vec<_>>(),
            "would_ask_pytest": self.asked,
            "fresh": self.fresh,
        });
        let mut text = serde_json::to_vec_pretty(&document)?;
        text.push(b'\n');
        write_report(target, &text)
    }
}

/// The tests in the sources of new files that are on no record, as far as they are selected.
fn predicted(
    session: &Session,
    selection: &Selection,
    is_new: &dyn Fn(&str) -> bool,
) -> Vec<Expected> {
    let collected = session.project.collected();
    let known = session.state.files.iter();
    let known: HashSet<&str> = known.map(|file| file.path.as_str()).collect();
    let mut found = Vec::new();
    for file in &session.sources.scan.files {
        if known.contains(file.path.as_str()) || !is_new(file.path.as_str()) {
            continue;
        }
        let wanted = |test: &&TestCase| {
            // `-k` looks at the names of folders, file, classes and function.
            let parts = test.id.as_str().split("::");
            let names: Vec<String> = parts
                .flat_map(|part| part.split('/'))
                .map(str::to_owned)
                .collect();
            collected.test(&file.path, test)
                && selection.includes(&Candidate {
                    id: &test.id,
                    keywords: Names::Listed(&names),
                    markers: &test.markers,
                    last: None,
                })
        };
        let tests = file.tests();
        let tests = tests.iter().filter(wanted);
        found.extend(tests.map(|test| Expected {
            id: test.id.as_str().to_owned(),
            reason: "it never ran".to_owned(),
            is_predicted: true,
        }));
    }
    found
}
