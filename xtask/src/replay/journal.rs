//! The journal of a walk: JSON lines, the first of which says what is walked, and each other what a state came to. A walk that was
//! interrupted goes on after the last whole line.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::compare::{Changes, Finding};
use super::environment::Recipe;
use super::states::Kind;

/// What is walked, with what. Another walk has a journal of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// The repository.
    pub repo: PathBuf,
    /// The ID of the last commit.
    pub until: String,
    /// How many commits.
    pub commits: usize,
    /// Whether commits are crossed.
    pub crossed: bool,
    /// Whether pytest-testmon is measured beside.
    pub testmon: bool,
    /// What is installed.
    pub recipe: Recipe,
    /// Arguments for pytest.
    pub args: Vec<String>,
    /// How often pytest runs.
    pub runs: usize,
    /// What dx-py is told to select by, if it isn't left to it.
    pub select: Option<String>,
    /// Whether no interpreter is kept warm between the states.
    pub cold: bool,
    /// The binary of dx-py: its size, and the seconds since 1970 of its last change.
    pub binary: (u64, u64),
}

/// A run of pytest-testmon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestmonRun {
    /// How many tests it ran.
    pub ran: usize,
    /// Wall time.
    pub seconds: f64,
}

/// What a state came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The commit.
    pub commit: String,
    /// The first line of its message.
    pub title: String,
    /// What the state is made of.
    pub kind: Kind,
    /// Why nothing could be compared.
    pub skipped: Option<String>,
    /// Whether the project was installed for it.
    pub installed: bool,
    /// How many tests pytest has.
    pub tests: usize,
    /// Those of which its runs say different things.
    pub unstable: Vec<String>,
    /// What changed since the state before, if pytest could run there.
    pub changes: Option<Changes>,
    /// How many tests dx-py ran.
    pub ran: usize,
    /// How many it called fresh.
    pub fresh: usize,
    /// Why tests ran, by kinds of reasons.
    pub reasons: BTreeMap<String, usize>,
    /// How many failures a second opinion overturned.
    pub overturned: usize,
    /// Wall time of pytest's fastest run.
    pub pytest_seconds: f64,
    /// Wall time of dx-py.
    pub dx_seconds: f64,
    /// What pytest-testmon did.
    pub testmon: Option<TestmonRun>,
    /// Where dx-py and pytest disagree.
    pub findings: Vec<Finding>,
}

/// The journal, open for more.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// The states that were done.
    pub records: Vec<Record>,
}

impl Journal {
    /// Opens the journal of a walk: what an earlier run of the same walk wrote counts, but for a line that was cut. That of another
    /// walk is set aside, under the same name with `.old`. Gives whether there was one to go on from.
    ///
    /// # Errors
    /// If it can't be read or written.
    pub fn open(path: &Path, walk: &Walk) -> Result<(Self, bool)> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context(format!("can't read {}", path.display())),
        };
        let (goes_on, records) = match parse(&text) {
            Some((kept, records)) if kept == *walk => (true, records),
            _ => (false, Vec::new()),
        };
        if !goes_on && !text.is_empty() {
            fs::rename(path, path.with_extension("jsonl.old"))?;
        }
        // Anew, since a line that was cut would spoil the next.
        let mut lines = serde_json::to_string(walk)? + "\n";
        for record in &records {
            lines += &(serde_json::to_string(record)? + "\n");
        }
        let written = path.with_extension("jsonl.new");
        fs::write(&written, lines)?;
        fs::rename(&written, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok((Self { file, records }, goes_on))
    }

    /// Adds a state.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn add(&mut self, record: Record) -> Result<()> {
        let line = serde_json::to_string(&record)? + "\n";
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.records.push(record);
        Ok(())
    }
}

/// What a journal holds, up to the first line that isn't whole; none if it doesn't even say what is walked.
fn parse(text: &str) -> Option<(Walk, Vec<Record>)> {
    let mut lines = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    let walk = serde_json::from_str(lines.next()?).ok()?;
    let records = lines.map_while(|line| serde_json::from_str(line).ok());
    Some((walk, records.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(commits: usize) -> Walk {
        Walk {
            repo: "/repo".into(),
            until: "0".repeat(40),
            commits,
            crossed: true,
            testmon: false,
            recipe: Recipe {
                python: "3.13".into(),
                requires: vec!["pytest==9.2.0".into()],
                given: None,
            },
            args: Vec::new(),
            runs: 2,
            select: None,
            cold: false,
            binary: (1, 2),
        }
    }

    fn record(commit: &str) -> Record {
        Record {
            commit: commit.to_owned(),
            title: "title\nof two lines".into(),
            kind: Kind::NewSource,
            skipped: None,
            installed: false,
            tests: 3,
            unstable: Vec::new(),
            changes: None,
            ran: 1,
            fresh: 2,
            reasons: BTreeMap::new(),
            overturned: 0,
            pytest_seconds: 1.5,
            dx_seconds: 0.25,
            testmon: None,
            findings: Vec::new(),
        }
    }

    #[test]
    fn a_walk_goes_on_after_the_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let (mut journal, goes_on) = Journal::open(&path, &walk(3)).unwrap();
        assert!(!goes_on);
        journal.add(record("a")).unwrap();
        journal.add(record("b")).unwrap();
        drop(journal);
        let text = fs::read_to_string(&path).unwrap();
        for cut in [text.len() - 1, text.len() - 30] {
            fs::write(&path, &text[..cut]).unwrap();
            let (mut journal, goes_on) = Journal::open(&path, &walk(3)).unwrap();
            assert!(goes_on);
            assert_eq!(journal.records, [record("a")]);
            journal.add(record("c")).unwrap();
            drop(journal);
            let (journal, _) = Journal::open(&path, &walk(3)).unwrap();
            assert_eq!(journal.records, [record("a"), record("c")]);
        }
    }

    #[test]
    fn another_walk_begins_anew_and_the_old_journal_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let (mut journal, _) = Journal::open(&path, &walk(3)).unwrap();
        journal.add(record("a")).unwrap();
        drop(journal);
        let (journal, goes_on) = Journal::open(&path, &walk(4)).unwrap();
        assert!(!goes_on && journal.records.is_empty());
        let old = fs::read_to_string(dir.path().join("journal.jsonl.old")).unwrap();
        assert_eq!(parse(&old).unwrap().1.len(), 1);
    }

    #[test]
    fn a_journal_that_is_no_journal_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        fs::write(&path, b"\xff\xfe not JSON").unwrap();
        let (journal, goes_on) = Journal::open(&path, &walk(3)).unwrap();
        assert!(!goes_on && journal.records.is_empty());
    }
}
