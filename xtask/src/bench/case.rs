//! The rows of each suite's table: which runner, in which state of its records, held to what.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::counts::Expect;
use super::peers::Peer;
use super::suites;

/// One row: a runner in one situation.
#[derive(Debug)]
pub struct Case {
    /// Which runner.
    pub peer: Peer,
    /// The situation, if the runner's name alone doesn't tell.
    pub title: String,
    /// More arguments.
    pub more: &'static [&'static str],
    /// How many workers.
    pub workers: usize,
    /// Brings the situation about, in the given round.
    pub prepare: fn(&Path, usize) -> Result<()>,
    /// What its outcomes are held to.
    pub expect: Expect,
    /// Whether it is measured in the first round only, since it takes long and isn't what the suite is for.
    pub once: bool,
    /// Whether an interpreter is warm already, as in all runs of a user's but the first. It has a copy of the suite to itself.
    pub warm: bool,
}

/// What a suite is made of, with its size.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// So many files with so many tests that do nothing.
    Trivial(usize, usize),
    /// So many groups of files with tests as projects have them.
    Typical(usize),
    /// So many files with tests that compute.
    Cpu(usize),
}

impl Content {
    /// Writes it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(self, dir: &Path) -> Result<()> {
        match self {
            Self::Trivial(files, tests) => suites::trivial(dir, files, tests),
            Self::Typical(groups) => suites::typical(dir, groups),
            Self::Cpu(files) => suites::cpu(dir, files),
        }
    }
}

/// A suite and its rows.
#[derive(Debug)]
pub struct Suite {
    /// Its name, for `--suite` and as a heading.
    pub name: &'static str,
    /// What it is.
    pub title: String,
    /// What is in it.
    pub content: Content,
    /// Its rows; the first is pytest's, which the others are compared with.
    pub cases: Vec<Case>,
}

/// The names of all suites.
pub const NAMES: [&str; 6] = [
    "trivial",
    "typical",
    "cpu",
    "null-100",
    "null-1000",
    "null-10000",
];

fn nothing(_: &Path, _: usize) -> Result<()> {
    Ok(())
}

fn without_records(dir: &Path, _: usize) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == ".dx" {
            fs::remove_dir_all(entry.path())?;
        } else if name.starts_with(".testmondata") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Changes one file: a source where the suite has some, else a test.
fn edited(dir: &Path, round: usize) -> Result<()> {
    let source = dir.join("src/shop/part0.py");
    let path = if source.exists() {
        source
    } else {
        dir.join("tests/test_000.py")
    };
    let text = fs::read_to_string(&path)?;
    let kept: String = text
        .lines()
        .filter(|line| !line.starts_with("EDIT = "))
        .map(|line| format!("{line}\n"))
        .collect();
    Ok(fs::write(
        path,
        format!("{kept}EDIT = \"{round} {}\"\n", std::process::id()),
    )?)
}

/// Changes the body of a function of one source, which still gives the same.
fn edited_within(dir: &Path, round: usize) -> Result<()> {
    let path = dir.join("src/shop/part0.py");
    let text = fs::read_to_string(&path)?;
    let edit = format!("    edit = \"{round} {}\"\n", std::process::id());
    let mut kept: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    kept.retain(|line| !line.starts_with("    edit = "));
    let of_function = kept.iter().position(|line| line.starts_with("def "));
    kept.insert(of_function.context("there is a function")? + 1, edit);
    Ok(fs::write(path, kept.concat())?)
}

impl Case {
    fn new(peer: Peer, title: &str, workers: usize) -> Self {
        Self {
            peer,
            title: title.to_owned(),
            more: &[],
            workers,
            prepare: nothing,
            expect: Expect::All,
            once: false,
            warm: false,
        }
    }

    fn first(peer: Peer, workers: usize) -> Self {
        Self {
            prepare: without_records,
            ..Self::new(peer, "first-ever run", workers)
        }
    }

    fn unchanged(peer: Peer, workers: usize) -> Self {
        Self {
            // dx-py tells the outcomes of tests that it didn't run; testmon doesn't.
            expect: if peer == Peer::Testmon {
                Expect::Nothing
            } else {
                Expect::All
            },
            ..Self::new(peer, "nothing changed", workers)
        }
    }

    fn edit(peer: Peer, workers: usize) -> Self {
        Self {
            prepare: edited,
            expect: Expect::Part,
            ..Self::new(peer, "one edit", workers)
        }
    }

    fn edit_within(peer: Peer, workers: usize) -> Self {
        Self {
            prepare: edited_within,
            expect: Expect::Part,
            ..Self::new(peer, "one function edited", workers)
        }
    }

    fn all(workers: usize) -> Self {
        Self {
            more: &["--all"],
            ..Self::new(Peer::Dx, "--all, with records", workers)
        }
    }

    fn once(self) -> Self {
        Self { once: true, ..self }
    }

    fn kept_warm(self) -> Self {
        Self {
            title: format!("{}, interpreter kept warm", self.title),
            warm: true,
            ..self
        }
    }

    /// Its heading in a table.
    pub fn heading(&self) -> String {
        if self.title.is_empty() {
            self.peer.name().to_owned()
        } else {
            format!("{}, {}", self.peer.name(), self.title)
        }
    }
}

/// Everything runs, and then what the runners that keep records make of them.
fn usual(cores: usize) -> Vec<Case> {
    let mut cases: Vec<Case> = [
        Peer::Pytest,
        Peer::Xdist,
        Peer::Karva,
        Peer::Rustest,
        Peer::Tiderace,
    ]
    .into_iter()
    .map(|peer| Case::new(peer, "", cores))
    .collect();
    cases.extend([
        Case::first(Peer::Dx, cores),
        Case::unchanged(Peer::Dx, cores),
        Case::edit(Peer::Dx, cores),
        Case::all(cores),
        Case::all(cores).kept_warm(),
        Case::first(Peer::Testmon, cores).once(),
        Case::unchanged(Peer::Testmon, cores),
        Case::edit(Peer::Testmon, cores),
    ]);
    cases
}

/// How the time falls with the number of workers.
fn scaling(cores: usize) -> Vec<Case> {
    let mut cases = vec![Case::new(Peer::Pytest, "", 1)];
    for peer in [
        Peer::Xdist,
        Peer::Karva,
        Peer::Rustest,
        Peer::Tiderace,
        Peer::Dx,
    ] {
        for workers in [1, 2, 4] {
            let plural = if workers == 1 { "" } else { "s" };
            let beyond = if workers > cores {
                ": more than cores, not judged"
            } else {
                ""
            };
            let title = format!("{workers} worker{plural}{beyond}");
            let more: &[&str] = if peer == Peer::Dx { &["--all"] } else { &[] };
            cases.push(Case {
                more,
                ..Case::new(peer, &title, workers)
            });
        }
    }
    cases
}

/// Nothing has changed since everything ran.
fn null(cores: usize, with_testmon: bool) -> Vec<Case> {
    let mut cases = vec![
        Case::new(Peer::Pytest, "", cores).once(),
        Case::first(Peer::Dx, cores).once(),
        Case::unchanged(Peer::Dx, cores),
    ];
    if with_testmon {
        cases.push(Case::first(Peer::Testmon, cores).once());
        cases.push(Case::unchanged(Peer::Testmon, cores));
    }
    cases
}

/// All suites, or small ones of the same kinds.
pub fn suites(cores: usize, quick: bool) -> Vec<Suite> {
    let size = |full: usize, small: usize| if quick { small } else { full };
    let (files, tests) = (size(200, 10), size(50, 10));
    let mut all = vec![Suite {
        name: "trivial",
        title: format!("{files} files, {} trivial tests", files * tests),
        content: Content::Trivial(files, tests),
        cases: usual(cores),
    }];
    let groups = size(10, 2);
    all.push(Suite {
        name: "typical",
        title: format!(
            "{} files, {} typical tests: fixtures of all scopes, parametrisation, a chain of conftests, marks, sources on `pythonpath`",
            groups * 10,
            groups * 200
        ),
        content: Content::Typical(groups),
        cases: usual(cores)
            .into_iter()
            .chain([
                Case::edit_within(Peer::Dx, cores),
                Case::edit_within(Peer::Dx, cores).kept_warm(),
                Case::edit_within(Peer::Testmon, cores),
            ])
            .collect(),
    });
    let files = size(20, 4);
    all.push(Suite {
        name: "cpu",
        title: format!(
            "{files} files, {} tests that each need 20 ms of CPU time",
            files * 10
        ),
        content: Content::Cpu(files),
        cases: scaling(cores),
    });
    for (name, full, small, with_testmon) in [
        ("null-100", 100, 10, true),
        ("null-1000", 1_000, 20, true),
        ("null-10000", 10_000, 40, false),
    ] {
        let files = size(full, small);
        all.push(Suite {
            name,
            title: format!("{files} files, {} tests, nothing changed", files * 10),
            content: Content::Trivial(files, 10),
            cases: null(cores, with_testmon),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_their_names_and_begin_with_pytest() {
        for quick in [false, true] {
            let all = suites(2, quick);
            assert!(all.iter().map(|suite| suite.name).eq(NAMES));
            assert!(all.iter().all(|suite| suite.cases[0].peer == Peer::Pytest));
        }
    }

    #[test]
    fn an_edit_changes_the_file_each_time_and_leaves_it_valid() {
        let dir = tempfile::tempdir().unwrap();
        suites::trivial(dir.path(), 1, 1).unwrap();
        let read = || fs::read_to_string(dir.path().join("tests/test_000.py")).unwrap();
        edited(dir.path(), 0).unwrap();
        let first = read();
        edited(dir.path(), 1).unwrap();
        assert_ne!(first, read());
        assert_eq!(first.lines().count(), read().lines().count());
        assert!(read().contains("EDIT = \"1 "));
    }

    #[test]
    fn an_edit_of_a_function_changes_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        suites::typical(dir.path(), 1).unwrap();
        let read = || fs::read_to_string(dir.path().join("src/shop/part0.py")).unwrap();
        let before = read();
        let mut texts = Vec::new();
        for round in 0..2 {
            edited_within(dir.path(), round).unwrap();
            let text = read();
            let kept: Vec<&str> = text.lines().filter(|line| !line.contains("edit")).collect();
            assert!(kept.iter().copied().eq(before.lines()));
            texts.push(text);
        }
        assert_ne!(texts[0], texts[1]);
    }
}
