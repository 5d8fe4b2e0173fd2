//! What has changed since a revision of git, and which tests that reaches.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;

use dx_py_core::{Input, RelPath, TestId};

use crate::session::Session;

/// The changes can't be found out.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// There is no git.
    #[error("can't run git, which --changed-since needs")]
    NoGit(#[source] std::io::Error),
    /// The project isn't in a repository.
    #[error("{0} is not in a git repository, which --changed-since needs")]
    NoRepository(String),
    /// There is no such revision.
    #[error(
        "git knows no revision `{0}`\nIn a shallow clone, fetch it first: `git fetch origin {0}`."
    )]
    Unknown(String),
    /// git says something else.
    #[error("git failed: {0}")]
    Git(String),
}

fn git(root: &Path, arguments: &[&str]) -> Result<Option<Vec<u8>>, ChangesError> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .map_err(ChangesError::NoGit)?;
    Ok(output.status.success().then_some(output.stdout))
}

/// The ID of the commit that is checked out; none outside of a repository, before the first commit, or without git.
pub fn head(root: &Path) -> Option<String> {
    // Where there is no repository git needn't be started to say so.
    root.ancestors()
        .any(|folder| folder.join(".git").exists())
        .then(|| git(root, &["rev-parse", "--verify", "--quiet", "HEAD"]).ok()?)
        .flatten()
        .map(|id| String::from_utf8_lossy(&id).trim().to_owned())
}

/// The same, asked while other things are done: git takes as long to start as a short test to run.
pub struct Head(JoinHandle<Option<String>>);

impl Head {
    /// Asks which commit is checked out.
    pub fn ask(root: &Path) -> Self {
        let root = root.to_owned();
        Self(std::thread::spawn(move || head(&root)))
    }

    /// Its ID, as [`head`] gives it.
    pub fn answer(self) -> Option<String> {
        self.0.join().ok().flatten()
    }
}

/// What differs from a revision.
#[derive(Debug, Default)]
pub struct Changes {
    /// The files, and those that git doesn't know.
    files: BTreeSet<RelPath>,
    /// The folders in which, or below which, some have come or gone.
    folders: BTreeSet<RelPath>,
}

impl Changes {
    fn add(&mut self, name: &[u8], is_there_in_both: bool) {
        let Some(path) = RelPath::from_text(&String::from_utf8_lossy(name)) else {
            return;
        };
        if !is_there_in_both {
            self.folders.extend(path.ancestors());
        }
        self.files.insert(path);
    }
}

/// The files below `root` that differ from `revision`, and those that git doesn't know.
///
/// # Errors
/// If git can't tell.
pub fn since(revision: &str, root: &Path) -> Result<Changes, ChangesError> {
    if git(root, &["rev-parse", "--git-dir"])?.is_none() {
        return Err(ChangesError::NoRepository(root.display().to_string()));
    }
    let commit = format!("{revision}^{{commit}}");
    if git(
        root,
        &[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ],
    )?
    .is_none()
    {
        return Err(ChangesError::Unknown(revision.to_owned()));
    }
    let told = |query: &[&str]| git(root, query)?.ok_or_else(|| ChangesError::Git(query.join(" ")));
    let differing = told(&[
        "diff",
        "--name-status",
        "--no-renames",
        "--relative",
        "-z",
        &commit,
        "--",
    ])?;
    let unknown = told(&["ls-files", "--others", "--exclude-standard", "-z"])?;
    let mut found = Changes::default();
    let mut words = differing.split(|byte| *byte == 0);
    while let (Some(status), Some(name)) = (words.next(), words.next()) {
        found.add(name, status == b"M");
    }
    let names = unknown.split(|byte| *byte == 0);
    for name in names.filter(|name| !name.is_empty()) {
        found.add(name, false);
    }
    Ok(found)
}

/// The tests that these changes reach, by what their passes recorded, and the files that reach them by their imports.
pub fn reached(session: &Session, changed: &Changes) -> (BTreeSet<TestId>, BTreeSet<RelPath>) {
    let files = session.sources.graph.dependents(changed.files.iter());
    let keys: BTreeSet<&str> = changed.files.iter().map(RelPath::as_str).collect();
    let folders: BTreeSet<&str> = changed.folders.iter().map(RelPath::as_str).collect();
    let mut tests = BTreeSet::new();
    for test in session.state.files.iter().flat_map(|file| &file.tests) {
        // Without a pass nothing is known of what it depends on: when in doubt, it is reached.
        let by_record = test.passes.first().is_none_or(|pass| {
            session
                .sets
                .facts_of(pass.set)
                .any(|fact| match &fact.input {
                    Input::File(key) | Input::PytestSection(key) => keys.contains(key.as_str()),
                    Input::Existence(key) => {
                        keys.contains(key.as_str()) || folders.contains(key.as_str())
                    }
                    Input::Listing(key) => folders.contains(key.as_str()),
                    Input::Project => true,
                    _ => false,
                })
        });
        if by_record {
            tests.insert(test.id.clone());
        }
    }
    (tests, files.union(&changed.files).cloned().collect())
}
