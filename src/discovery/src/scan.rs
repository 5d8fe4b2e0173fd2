//! Brings what is known of a project's sources up to date: only files that changed are read and parsed.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use dx_py_core::{Digest, FileStat, RelPath, TestCase};
use rayon::prelude::*;
use tree_sitter::Tree;

use crate::index::{self, Index, IndexError};
use crate::parse;
use crate::walk::{WalkOptions, walk};

/// A Python file and the tests in it.
#[derive(Clone, Debug)]
pub struct ScannedFile {
    /// Where it is.
    pub path: RelPath,
    /// Its stat.
    pub stat: FileStat,
    /// The digest of its content.
    pub digest: Digest,
    /// Why it couldn't be read, if so.
    pub problem: Option<String>,
    pub(crate) tests: Tests,
}

/// Where the tests of a file are: few runs ask for those that the index has, which for 100,000 take as much memory as their records.
#[derive(Clone, Debug)]
pub(crate) enum Tests {
    Parsed(Vec<TestCase>),
    Indexed(Arc<Index>, usize),
}

impl ScannedFile {
    /// Its tests.
    pub fn tests(&self) -> Cow<'_, [TestCase]> {
        match &self.tests {
            Tests::Parsed(tests) => Cow::Borrowed(tests),
            // The index was checked as a whole when it was opened.
            Tests::Indexed(index, number) => {
                Cow::Owned(index.tests_of(*number).unwrap_or_default())
            }
        }
    }
}

/// The Python files of a project.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The files in the order of their paths.
    pub files: Vec<ScannedFile>,
    /// How many of them were parsed, not taken from the index.
    pub parsed: usize,
    /// How many had to be read.
    pub read: usize,
    scanned_ns: i64,
}

/// Called with the path, tree and source of each file that is parsed, on several threads.
pub type Visitor<'a> = &'a (dyn Fn(&RelPath, &Tree, &[u8]) + Sync);

enum How {
    Known,
    Read,
    Parsed,
}

/// Scans the project at `root`. A file whose stat is that of the index, and which wasn't modified as late as the index was
/// made (git's rule for racy entries), is taken from it; one that has the same digest keeps its tests; others are parsed, and
/// `visit` is called for them. `now_ns` is the file system's time.
pub fn scan(
    root: &Path,
    options: &WalkOptions,
    old: Option<&Arc<Index>>,
    now_ns: i64,
    visit: Visitor<'_>,
) -> Scan {
    let results: Vec<(ScannedFile, How)> = walk(root, options)
        .into_par_iter()
        .map(|(path, stat)| scan_file(root, path, stat, old, visit))
        .collect();
    let parsed = results
        .iter()
        .filter(|(_, how)| matches!(how, How::Parsed))
        .count();
    let known = results
        .iter()
        .filter(|(_, how)| matches!(how, How::Known))
        .count();
    Scan {
        read: results.len() - known,
        parsed,
        files: results.into_iter().map(|(file, _)| file).collect(),
        scanned_ns: now_ns,
    }
}

fn scan_file(
    root: &Path,
    path: RelPath,
    stat: FileStat,
    old: Option<&Arc<Index>>,
    visit: Visitor<'_>,
) -> (ScannedFile, How) {
    let entry = old.and_then(|index| Some((index, index.find(&path)?)));
    let indexed = |index: &Arc<Index>, number| Tests::Indexed(Arc::clone(index), number);
    let file = |path, digest, tests, problem| ScannedFile {
        path,
        stat,
        digest,
        tests,
        problem,
    };
    if let Some((index, (number, known, digest))) = entry
        && known == stat
        && stat.latest_ns() < index.scanned_ns()
    {
        return (file(path, digest, indexed(index, number), None), How::Known);
    }
    let source = match fs::read(path.to_path(root)) {
        Ok(source) => source,
        Err(error) => {
            let problem = Some(error.to_string());
            let tests = Tests::Parsed(Vec::new());
            return (file(path, Digest::ABSENT, tests, problem), How::Read);
        }
    };
    let digest = Digest::of(&source);
    if let Some((index, (number, _, known))) = entry
        && known == digest
    {
        return (file(path, digest, indexed(index, number), None), How::Read);
    }
    let tree = parse::parse(&source);
    let tests = tree
        .as_ref()
        .map(|tree| parse::tests(&path, tree, &source))
        .unwrap_or_default();
    if let Some(tree) = tree {
        visit(&path, &tree, &source);
        if entry.is_some() {
            parse::keep(source, tree);
        }
    }
    (file(path, digest, Tests::Parsed(tests), None), How::Parsed)
}

impl Scan {
    /// Replaces the index at `path` by what this scan found.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write_index(&self, path: &Path) -> Result<(), IndexError> {
        index::write(path, &self.files, self.scanned_ns)
    }
}

#[cfg(test)]
mod unit {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn age(path: &Path, seconds: u64) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
            .unwrap();
    }

    #[test]
    fn only_what_changed_is_parsed_again() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index.dxti");
        for name in ["a.py", "b.py"] {
            fs::write(dir.path().join(name), "def test_x(): pass\n").unwrap();
            age(&dir.path().join(name), 100);
        }
        let later = || {
            i64::try_from(
                SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap()
                    .as_nanos(),
            )
            .unwrap()
                + 1_000_000_000
        };
        let run = |now: i64| {
            let old = Index::open(&index).ok().map(Arc::new);
            let scan = scan(
                dir.path(),
                &WalkOptions::default(),
                old.as_ref(),
                now,
                &|_, _, _| {},
            );
            scan.write_index(&index).unwrap();
            (
                scan.read,
                scan.parsed,
                scan.files
                    .iter()
                    .map(|file| file.tests().len())
                    .sum::<usize>(),
            )
        };
        assert_eq!(run(later()), (2, 2, 2));
        assert_eq!(run(later()), (0, 0, 2));
        age(&dir.path().join("a.py"), 50);
        assert_eq!(
            run(later()),
            (1, 0, 2),
            "a touched file is read, and its digest is the same"
        );
        fs::write(
            dir.path().join("a.py"),
            "def test_y(): pass\ndef test_z(): pass\n",
        )
        .unwrap();
        assert_eq!(run(later()), (1, 1, 3));
        fs::write(&index, "damaged").unwrap();
        assert_eq!(run(later()), (2, 2, 3));
    }

    #[test]
    fn a_file_changed_as_late_as_the_scan_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.py"), "def test_x(): pass\n").unwrap();
        let first = scan(dir.path(), &WalkOptions::default(), None, 1, &|_, _, _| {});
        let index = Index::from_bytes(index::to_bytes(&first.files, 1).unwrap());
        let index = Arc::new(index.unwrap());
        let second = scan(
            dir.path(),
            &WalkOptions::default(),
            Some(&index),
            2,
            &|_, _, _| {},
        );
        assert_eq!((second.read, second.parsed), (1, 0));
    }
}
