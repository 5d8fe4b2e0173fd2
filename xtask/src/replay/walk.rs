//! One state of a walk: the files are brought there, dx-py runs with its selection, pytest runs everything, and both are compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::compare::{Changes, Finding, Sort, compare};
use super::environment::{Environment, Needs};
use super::history::{Commit, History, WorkCopy};
use super::journal::{Record, TestmonRun};
use super::reasons::kind_of;
use super::states::{Files, Kind};
use crate::outcomes::{Oracle, Outcomes, Run};
use crate::place::{DxRun, Place};
use crate::project::replace;

/// How often pytest runs once more where both disagree, before that counts.
const MORE_RUNS: usize = 2;

/// A work copy of the project, with an environment of its own.
#[derive(Debug)]
pub struct Copy {
    files: WorkCopy,
    environment: Environment,
    /// Where and how the suite is run.
    pub place: Place,
}

impl Copy {
    /// The copy in `home`; commands are run in `place.source` of it.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open(
        history: &History,
        home: &Path,
        environment: Environment,
        place: Place,
    ) -> Result<Self> {
        fs::create_dir_all(&place.scratch)?;
        Ok(Self {
            files: WorkCopy::open(history, &home.join("work"))?,
            environment,
            place,
        })
    }

    /// Installs the project if that is due; gives whether it was.
    fn install(&self, needs: &Needs) -> Result<bool> {
        self.environment.install(needs, &self.place.source)
    }

    /// pytest's cache lies elsewhere: where the tests are, dx-py keeps it. A file that can't be collected keeps no others from
    /// running, as with dx-py.
    fn pytest(&self, more: &[&str]) -> Result<Run> {
        let cache = self.place.scratch.join("pytest_cache");
        let cache = format!("cache_dir={}", cache.display());
        let own = ["--continue-on-collection-errors", "-o", cache.as_str()];
        self.place.try_pytest(&[&own[..], more].concat(), &[])
    }

    /// The end of what pytest printed, in one line.
    fn said(&self) -> String {
        let log = fs::read(self.place.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let is_telling = |line: &&str| {
            let line = line.trim();
            line.starts_with("E ") || line.starts_with("ERROR") || line.contains("Error: ")
        };
        let last = log.lines().rev().find(is_telling);
        let last = last.or_else(|| log.lines().rev().find(|line| !line.trim().is_empty()));
        last.unwrap_or("nothing").trim().to_owned()
    }
}

/// What pytest said of a state, as it is kept for the next.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Truth {
    /// The state's number.
    at: usize,
    outcomes: Outcomes,
}

/// What goes from state to state.
#[derive(Debug)]
pub struct Walker {
    /// Where everything lies.
    pub home: PathBuf,
    /// The project's history.
    pub history: History,
    /// The binary.
    pub dx: PathBuf,
    /// How often pytest runs.
    pub runs: usize,
    /// What dx-py is told to select by.
    pub select: Option<String>,
    /// The folder in the sources that the tests are run from; empty for their root.
    pub subdir: String,
    /// The copy that dx-py and pytest work in.
    pub copy: Copy,
    /// The copy that pytest-testmon works in.
    pub testmon: Option<Copy>,
}

impl Walker {
    /// Ends the interpreter that is kept warm, if there is one.
    ///
    /// # Errors
    /// If dx-py can't be started.
    pub fn end(&self) -> Result<()> {
        let mut command = self.copy.place.dx_command(&self.dx)?;
        command.args(["daemon", "stop"]).stdout(Stdio::null());
        command.status().context("dx-py daemon stop")?;
        Ok(())
    }

    /// Forgets everything that runs recorded.
    ///
    /// # Errors
    /// If something can't be deleted.
    pub fn forget(&self) -> Result<()> {
        let own = ["begun", "truth.json", "truth-before.json"].map(|name| self.home.join(name));
        self.recorded()
            .chain(own)
            .try_for_each(|path| delete(&path))
    }

    /// What runs recorded, in the work copies.
    fn recorded(&self) -> impl Iterator<Item = PathBuf> {
        let own = self.copy.place.source.join(".dx");
        let testmon = self.testmon.iter();
        let testmon = testmon.map(|copy| copy.place.source.join(".testmondata"));
        [own].into_iter().chain(testmon)
    }

    /// Keeps what was recorded before the state, or brings that back if the state had begun already and was cut.
    fn keep_or_bring_back(&self, at: usize) -> Result<()> {
        let (begun, number) = (self.home.join("begun"), at.to_string());
        let was_cut = fs::read_to_string(&begun).is_ok_and(|kept| kept == number);
        if !was_cut {
            delete(&begun)?;
        }
        for (index, path) in self.recorded().enumerate() {
            let kept = self.home.join(format!("before-{index}"));
            let (from, to) = if was_cut {
                (&kept, &path)
            } else {
                (&path, &kept)
            };
            delete(to)?;
            if from.is_dir() {
                replace(from, to)?;
            } else if from.exists() {
                fs::copy(from, to)?;
            }
        }
        Ok(fs::write(&begun, number)?)
    }

    /// Does the state with this number. Where nothing can be compared the record says why.
    ///
    /// # Errors
    /// If git fails, or a file can't be read or written.
    pub fn state(&self, at: usize, commit: &Commit, kind: Kind, files: &Files) -> Result<Record> {
        self.keep_or_bring_back(at)?;
        let mut record = Record::new(commit, kind);
        let needs = self.needs(files)?;
        self.copy.files.go_to(&commit.id, files)?;
        match self.copy.install(&needs) {
            Ok(installed) => record.installed = installed,
            Err(error) => {
                record.skipped = Some(format!("{error:#}"));
                return Ok(record);
            }
        }
        let mut own = vec!["-n", "2"];
        own.extend(
            self.select
                .iter()
                .flat_map(|level| ["--select", level.as_str()]),
        );
        let dx = self.copy.place.dx(&self.dx, &own);
        let runs: Result<Vec<Run>> = (0..self.runs).map(|_| self.copy.pytest(&[])).collect();
        let mut runs = match runs {
            Ok(runs) => runs,
            Err(error) => {
                record.skipped = Some(format!("{error:#}"));
                return Ok(record);
            }
        };
        if let Some(run) = runs.iter().find(|run| !run.has_run()) {
            let said = self.copy.said();
            record.skipped = Some(format!("pytest ended with {}: {said}", run.code));
            record
                .findings
                .extend(dx.ok().and_then(|dx| unseen(&dx, run)));
            return Ok(record);
        }
        let mut oracle = Oracle::new(&runs);
        match dx {
            Ok(dx) => {
                record.findings = compare(&oracle, &dx);
                if !record.findings.is_empty() {
                    for _ in 0..MORE_RUNS {
                        runs.extend(self.copy.pytest(&[]).into_iter().filter(Run::has_run));
                    }
                    oracle = Oracle::new(&runs);
                    record.findings = compare(&oracle, &dx);
                }
                record.take(&dx);
            }
            Err(error) => record.findings.push(Finding {
                sort: Sort::Difference,
                test: "the whole run".into(),
                told: Some(format!("{error:#}")),
                truth: Some("outcomes of all tests".into()),
            }),
        }
        record.pytest_seconds = oracle.seconds;
        record.tests = oracle.counts().0;
        record.unstable = oracle.wavering.iter().cloned().collect();
        record.unstable.extend(oracle.passing_by.iter().cloned());
        let before = self.truth_before(at)?;
        record.changes = before.map(|before| Changes::between(&before, &oracle.stable));
        self.keep_truth(at, oracle.stable)?;
        if kind == Kind::Plain {
            record.testmon = self.run_testmon(commit, files, &needs)?;
        }
        Ok(record)
    }

    fn needs(&self, files: &Files) -> Result<Needs> {
        let path = Path::new(&self.subdir).join("pyproject.toml");
        let file = files.get(&*path.to_string_lossy());
        let text = file.map(|(_, object)| self.history.content(object));
        Ok(Needs::new(
            files,
            &self.subdir,
            text.transpose()?.as_deref(),
        ))
    }

    /// What pytest said of the last state before this one that it could run.
    fn truth_before(&self, at: usize) -> Result<Option<Outcomes>> {
        for name in ["truth.json", "truth-before.json"] {
            let Ok(text) = fs::read_to_string(self.home.join(name)) else {
                continue;
            };
            let truth: Truth = serde_json::from_str(&text).unwrap_or_default();
            if truth.at < at && !truth.outcomes.is_empty() {
                return Ok(Some(truth.outcomes));
            }
        }
        Ok(None)
    }

    /// Keeps what pytest said. That of the state before stays, since this one may be cut before it is in the journal.
    fn keep_truth(&self, at: usize, outcomes: Outcomes) -> Result<()> {
        let path = self.home.join("truth.json");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let kept: Truth = serde_json::from_str(&text).unwrap_or_default();
        if kept.at < at && path.exists() {
            fs::rename(&path, self.home.join("truth-before.json"))?;
        }
        let truth = Truth { at, outcomes };
        Ok(fs::write(path, serde_json::to_vec(&truth)?)?)
    }

    fn run_testmon(
        &self,
        commit: &Commit,
        files: &Files,
        needs: &Needs,
    ) -> Result<Option<TestmonRun>> {
        let Some(copy) = &self.testmon else {
            return Ok(None);
        };
        copy.files.go_to(&commit.id, files)?;
        let run = copy
            .install(needs)
            .and_then(|_| copy.pytest(&["--testmon"]));
        Ok(match run {
            // With nothing to run it ends as pytest does without tests.
            Ok(run) if run.has_run() || run.code == 5 => Some(TestmonRun {
                ran: run.outcomes.len(),
                seconds: run.seconds,
            }),
            Ok(run) => {
                println!(
                    "      pytest-testmon ended with {}: {}",
                    run.code,
                    copy.said()
                );
                None
            }
            Err(error) => {
                println!("      pytest-testmon: {error:#}");
                None
            }
        })
    }
}

/// pytest can't run anything, while dx-py calls tests fresh and says that all is well: then it missed why.
fn unseen(dx: &DxRun, run: &Run) -> Option<Finding> {
    let fresh = dx.outcomes.len() - dx.ran.len();
    (dx.code == 0 && fresh > 0).then(|| Finding {
        sort: Sort::Miss,
        test: "the whole suite".into(),
        told: Some(format!("{fresh} tests are fresh")),
        truth: Some(format!("exit code {}", run.code)),
    })
}

impl Record {
    fn new(commit: &Commit, kind: Kind) -> Self {
        Self {
            commit: commit.id.clone(),
            title: commit.title.clone(),
            kind,
            skipped: None,
            installed: false,
            tests: 0,
            unstable: Vec::new(),
            changes: None,
            ran: 0,
            fresh: 0,
            reasons: std::collections::BTreeMap::new(),
            overturned: 0,
            pytest_seconds: 0.0,
            dx_seconds: 0.0,
            testmon: None,
            findings: Vec::new(),
        }
    }

    /// Takes in what dx-py did.
    fn take(&mut self, dx: &DxRun) {
        self.ran = dx.ran.len();
        self.fresh = dx.outcomes.len() - dx.ran.len();
        self.overturned = dx.second_opinions.len();
        self.dx_seconds = dx.seconds;
        for test in &dx.ran {
            let kind = kind_of(dx.reasons.get(test).map(String::as_str));
            *self.reasons.entry(kind.to_owned()).or_default() += 1;
        }
    }
}

/// Deletes a file or a folder, if it is there.
fn delete(path: &Path) -> Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    } else if path.exists() {
        fs::remove_file(path)?;
    }
    Ok(())
}
