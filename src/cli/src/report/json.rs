//! The JSON report.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::PathBuf;

use dx_py_core::{
    Event, PhaseReport, RunSummary, SnapshotName, SnapshotSummary, TestId, TestResult, TestStatus,
};
use serde_json::{Map, Value, json};

use super::{Reporter, write_report};

/// Writes one JSON document at the end of the run.
#[derive(Debug)]
pub struct JsonReporter {
    target: PathBuf,
    tests: Vec<Value>,
    /// Where fresh ones are among them: one may run after all.
    fresh: HashMap<TestId, usize>,
    errors: Vec<Value>,
    skipped: Vec<Value>,
    warnings: Vec<Value>,
    known_warnings: HashSet<(String, String)>,
    notes: Vec<String>,
    contradictions: Vec<Value>,
    reasons: HashMap<TestId, String>,
}

impl JsonReporter {
    /// A report to `target`; `-` is standard output.
    pub fn new(target: PathBuf) -> Self {
        Self {
            target,
            tests: Vec::new(),
            fresh: HashMap::new(),
            errors: Vec::new(),
            skipped: Vec::new(),
            warnings: Vec::new(),
            known_warnings: HashSet::new(),
            notes: Vec::new(),
            contradictions: Vec::new(),
            reasons: HashMap::new(),
        }
    }

    fn warned(&mut self, node: &str, text: &str) {
        // Each worker collects, and meets the warnings of the collection.
        let key = (node.to_owned(), text.to_owned());
        if self.known_warnings.insert(key) {
            self.warnings.push(json!({"node": node, "text": text}));
        }
    }

    fn document(&self, summary: &RunSummary) -> Value {
        let mut totals = Map::new();
        for status in TestStatus::ALL {
            let code = usize::from(status.code());
            totals.insert(
                status.as_str().into(),
                json!(summary.ran[code] + summary.fresh[code]),
            );
        }
        totals.insert("ran".into(), json!(summary.ran_total()));
        totals.insert("fresh".into(), json!(summary.fresh_total()));
        totals.insert("not_run".into(), json!(summary.not_run));
        totals.insert("verified".into(), json!(summary.verified.0));
        totals.insert("deselected".into(), json!(summary.deselected));
        totals.insert("collection_errors".into(), json!(summary.collection_errors));
        totals.insert("wall".into(), json!(summary.wall.as_secs_f64()));
        totals.insert("recorded".into(), json!(summary.recorded.as_secs_f64()));
        totals.insert("workers".into(), json!(summary.workers));
        totals.insert("lean".into(), json!(summary.lean));
        totals.insert("full_protocol".into(), json!(summary.full_protocol));
        let fallbacks: Vec<&String> = Some(&summary.one_worker)
            .filter(|reason| !reason.is_empty())
            .into_iter()
            .collect();
        totals.insert("fallbacks".into(), json!(fallbacks));
        totals.insert("stopped".into(), json!(summary.stopped));
        totals.insert("exit_code".into(), json!(summary.exit_code));
        let mut document = json!({
            "tests": self.tests,
            "collection_errors": self.errors,
            "collection_skipped": self.skipped,
            "warnings": self.warnings,
            "notes": self.notes,
            "contradictions": self.contradictions,
            "summary": totals,
        });
        let told = &summary.snapshots;
        if **told != SnapshotSummary::default() {
            let named = |names: &BTreeSet<SnapshotName>| -> Vec<Value> {
                let names = names.iter();
                names
                    .map(|(file, name)| json!({"file": file, "name": name}))
                    .collect()
            };
            document["snapshots"] = json!({
                "pending": named(&told.pending),
                "accepted": named(&told.accepted),
                "unused": named(&told.unused),
                "problems": told.problems,
            });
        }
        document
    }
}

fn reports(result: &TestResult) -> Vec<Value> {
    let report = |report: &PhaseReport| {
        json!({
            "phase": report.phase.as_str(),
            "outcome": report.status.as_str(),
            "message": report.message,
            "text": report.text,
        })
    };
    result.reports.iter().map(report).collect()
}

fn pairs(pairs: &[(String, String)], one: &str, other: &str) -> Vec<Value> {
    pairs
        .iter()
        .map(|(first, second)| json!({one: first, other: second}))
        .collect()
}

impl Reporter for JsonReporter {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Dirty(tests) => self.reasons.extend(tests.iter().cloned()),
            Event::TestFinished(result) => {
                let mut test = json!({
                    "id": result.id.as_str(),
                    "outcome": result.status.as_str(),
                    "duration": result.duration.as_secs_f64(),
                    "status": "ran",
                    "worker": result.worker,
                });
                if let Some(reason) = self.reasons.get(&result.id) {
                    test["reason"] = json!(reason);
                }
                if !result.message().is_empty() {
                    test["message"] = json!(result.message());
                }
                if result.second_opinion {
                    test["second_opinion"] = json!(true);
                }
                for (key, list) in [
                    ("reports", reports(result)),
                    ("sections", pairs(&result.sections, "title", "text")),
                    ("properties", pairs(&result.properties, "name", "value")),
                ] {
                    if !list.is_empty() {
                        test[key] = list.into();
                    }
                }
                match self.fresh.remove(&result.id) {
                    Some(place) => self.tests[place] = test,
                    None => self.tests.push(test),
                }
            }
            Event::TestFresh {
                id,
                status,
                duration,
            } => {
                self.fresh.insert(id.clone(), self.tests.len());
                self.tests.push(json!({
                    "id": id.as_str(),
                    "outcome": status.as_str(),
                    "duration": duration.as_secs_f64(),
                    "status": "fresh",
                }));
            }
            Event::CollectionFailed {
                node,
                text,
                sections,
            } => {
                let mut error = json!({"node": node, "text": text});
                if !sections.is_empty() {
                    error["sections"] = pairs(sections, "title", "text").into();
                }
                self.errors.push(error);
            }
            Event::CollectionSkipped { node, reason } => {
                self.skipped.push(json!({"node": node, "reason": reason}))
            }
            Event::WarningRecorded { node, text } => self.warned(node, text),
            Event::Contradicted {
                id,
                recorded,
                status,
            } => self.contradictions.push(json!({
                "id": id.as_str(),
                "recorded": recorded.as_str(),
                "outcome": status.as_str(),
            })),
            Event::Note(text) => self.notes.push(text.clone()),
            Event::Finished(summary) => {
                let mut text = serde_json::to_vec_pretty(&self.document(summary))?;
                text.push(b'\n');
                write_report(&self.target, &text)?;
            }
            _ => {}
        }
        Ok(())
    }
}
