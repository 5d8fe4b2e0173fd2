//! What has changed since a revision of git, and which tests that reaches.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

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

/// The files below `root` that differ from `revision`, and those that git doesn't know.
///
/// # Errors
/// If git can't tell.
pub fn since(revision: &str, root: &Path) -> Result<BTreeSet<RelPath>, ChangesError> {
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
    let mut found = BTreeSet::new();
    let queries: [&[&str]; 2] = [
        &[
            "diff",
            "--name-only",
            "--no-renames",
            "--relative",
            "-z",
            &commit,
            "--",
        ],
        &["ls-files", "--others", "--exclude-standard", "-z"],
    ];
    for query in queries {
        let output = git(root, query)?.ok_or_else(|| ChangesError::Git(query.join(" ")))?;
        let names = output
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty());
        found.extend(names.filter_map(|name| RelPath::from_text(&String::from_utf8_lossy(name))));
    }
    Ok(found)
}

/// The tests that these changes reach, by what their passes recorded, and the files that reach them by their imports.
pub fn reached(
    session: &Session,
    changed: &BTreeSet<RelPath>,
) -> (BTreeSet<TestId>, BTreeSet<RelPath>) {
    let files = session.sources.graph.dependents(changed.iter());
    let keys: BTreeSet<&str> = changed.iter().map(RelPath::as_str).collect();
    let mut tests = BTreeSet::new();
    for test in session.state.files.iter().flat_map(|file| &file.tests) {
        // Without a pass nothing is known of what it depends on: when in doubt, it is reached.
        let by_record = test.passes.first().is_none_or(|pass| {
            session.facts_of(pass.set).any(|fact| match &fact.input {
                Input::File(key) | Input::PytestSection(key) => keys.contains(key.as_str()),
                Input::Project => true,
                _ => false,
            })
        });
        if by_record {
            tests.insert(test.test.id.clone());
        }
    }
    (tests, files.union(changed).cloned().collect())
}
