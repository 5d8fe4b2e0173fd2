//! A project's history, and a copy of its files that is brought from state to state. Everything is asked of the program `git`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::paths::touches_code;
use super::states::Files;

/// A commit of the main line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its ID, 40 digits.
    pub id: String,
    /// The first line of its message.
    pub title: String,
}

/// What people call a commit by: the first digits of its ID.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// The history of a project; the repository may be a bare one.
#[derive(Debug)]
pub struct History {
    repo: PathBuf,
}

impl History {
    /// The history in a repository, which is only read.
    pub fn new(repo: &Path) -> Self {
        Self {
            repo: repo.to_path_buf(),
        }
    }

    /// The ID of a revision.
    ///
    /// # Errors
    /// If there is no such commit.
    pub fn resolve(&self, revision: &str) -> Result<String> {
        let commit = format!("{revision}^{{commit}}");
        let id = git(&self.repo, &["rev-parse", "--verify", "--quiet", &commit])
            .with_context(|| format!("{} has no commit {revision}", self.repo.display()))?;
        Ok(id.trim().to_owned())
    }

    /// The last `count` commits up to a revision that touch code, along first parents, the oldest first.
    ///
    /// # Errors
    /// If git can't tell.
    pub fn commits(&self, until: &str, count: usize) -> Result<Vec<Commit>> {
        let mut looked_at = count.max(8) * 4;
        loop {
            let limit = format!("--max-count={looked_at}");
            let log = git(
                &self.repo,
                &[
                    "-c",
                    "core.quotePath=false",
                    "log",
                    "--first-parent",
                    "--diff-merges=first-parent",
                    "--no-renames",
                    "--name-only",
                    &limit,
                    "--format=%x01%H %s",
                    until,
                ],
            )?;
            let all: Vec<&str> = log.split('\u{1}').skip(1).collect();
            let mut commits: Vec<Commit> = all
                .iter()
                .filter_map(|text| code_commit(text))
                .take(count)
                .collect();
            if commits.len() == count || all.len() < looked_at {
                commits.reverse();
                return Ok(commits);
            }
            looked_at *= 4;
        }
    }

    /// The files of a commit.
    ///
    /// # Errors
    /// If git can't tell.
    pub fn files(&self, commit: &str) -> Result<Files> {
        let list = git(&self.repo, &["ls-tree", "-r", "-z", "--full-tree", commit])?;
        let entries = list.split('\0').filter_map(|entry| {
            let (about, path) = entry.split_once('\t')?;
            let mut about = about.split(' ');
            let (mode, _, object) = (about.next()?, about.next()?, about.next()?);
            Some((path.to_owned(), (mode.to_owned(), object.to_owned())))
        });
        Ok(entries.collect())
    }

    /// The content of a file.
    ///
    /// # Errors
    /// If there is no such object, or it isn't text.
    pub fn content(&self, object: &str) -> Result<String> {
        git(&self.repo, &["cat-file", "blob", object])
    }

    /// What a commit changed, in one line for each file.
    ///
    /// # Errors
    /// If git can't tell.
    pub fn changes(&self, commit: &str) -> Result<String> {
        let asked = ["show", "--diff-merges=first-parent", "--format="];
        git(
            &self.repo,
            &[&asked[..], &["--stat=100", "--no-renames", commit]].concat(),
        )
    }
}

/// A commit from its paragraph of the log, if it touches code.
fn code_commit(text: &str) -> Option<Commit> {
    let mut lines = text.lines();
    let (id, title) = lines.next()?.split_once(' ')?;
    lines
        .any(|path| !path.is_empty() && touches_code(path.trim_matches('"')))
        .then(|| Commit {
            id: id.to_owned(),
            title: title.to_owned(),
        })
}

/// A copy of the project's files.
#[derive(Debug)]
pub struct WorkCopy {
    dir: PathBuf,
}

impl WorkCopy {
    /// The copy in a folder, made there if it isn't. It borrows the repository's objects.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open(history: &History, dir: &Path) -> Result<Self> {
        if !dir.join(".git").exists() {
            fs::create_dir_all(dir)?;
            let repo = history.repo.canonicalize()?;
            let (repo, to) = (repo.to_string_lossy(), dir.to_string_lossy());
            git(
                dir,
                &["clone", "--quiet", "--shared", "--no-checkout", &repo, &to],
            )?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    /// Brings the files to a state. As with any checkout, only those that differ are written, and have the time of now.
    ///
    /// # Errors
    /// If git can't.
    pub fn go_to(&self, commit: &str, files: &Files) -> Result<()> {
        let lock = self.dir.join(".git/index.lock");
        if lock.exists() {
            // What was left by a run that was cut. No other run works in this folder.
            fs::remove_file(lock)?;
        }
        let tree = self.tree(files)?;
        git(&self.dir, &["update-ref", "--no-deref", "HEAD", commit])?;
        git(&self.dir, &["read-tree", "--reset", "-u", &tree])?;
        Ok(())
    }

    /// The tree that holds the files.
    fn tree(&self, files: &Files) -> Result<String> {
        let index = self.dir.join(".git/index-of-state");
        let _ = fs::remove_file(&index);
        let list: String = files
            .iter()
            .map(|(path, (mode, object))| format!("{mode} {object}\t{path}\0"))
            .collect();
        let mut command = command(&self.dir, &["update-index", "-z", "--index-info"]);
        let mut child = command
            .env("GIT_INDEX_FILE", &index)
            .stdin(Stdio::piped())
            .spawn()
            .context("can't start git")?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(list.as_bytes())?;
        }
        if !child.wait()?.success() {
            bail!("git can't make a tree of {} files", files.len());
        }
        let mut command = command_with_output(&self.dir, &["write-tree"]);
        command.env("GIT_INDEX_FILE", &index);
        Ok(output(&mut command)?.trim().to_owned())
    }
}

fn git(dir: &Path, args: &[&str]) -> Result<String> {
    output(&mut command_with_output(dir, args))
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(args);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command
}

fn command_with_output(dir: &Path, args: &[&str]) -> Command {
    let mut command = command(dir, args);
    command.stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().context("can't start git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {}", output.status, said.trim());
    }
    // A path or a title that isn't UTF-8 is as good with a substitute.
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q", "-b", "main"]).unwrap();
        (dir, repo)
    }

    fn commit(repo: &Path, files: &[(&str, &str)], title: &str) -> String {
        for (name, text) in files {
            let path = repo.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        git(repo, &["add", "-A"]).unwrap();
        let who = ["-c", "user.name=N", "-c", "user.email=n@example.org"];
        git(repo, &[&who[..], &["commit", "-q", "-m", title]].concat()).unwrap();
        git(repo, &["rev-parse", "HEAD"]).unwrap().trim().to_owned()
    }

    #[test]
    fn commits_that_touch_code_are_walked_oldest_first() {
        let (_dir, repo) = repository();
        let first = commit(&repo, &[("a.py", "1"), ("README.md", "1")], "first");
        commit(&repo, &[("README.md", "2"), ("docs/conf.py", "1")], "prose");
        let third = commit(&repo, &[("tests/ü.txt", "1")], "third");
        let history = History::new(&repo);
        let until = history.resolve("main").unwrap();
        let ids = |count| -> Vec<String> {
            let commits = history.commits(&until, count).unwrap();
            commits.into_iter().map(|commit| commit.id).collect()
        };
        assert_eq!(ids(5), [first, third.clone()]);
        assert_eq!(ids(1), [third]);
        assert!(history.resolve("no-such-branch").is_err());
    }

    #[test]
    fn a_state_writes_only_what_differs_and_deletes_what_is_gone() {
        let (dir, repo) = repository();
        let first = commit(&repo, &[("a.py", "1"), ("b.py", "1"), ("c/d.py", "1")], "1");
        let history = History::new(&repo);
        let mut files = history.files(&first).unwrap();
        assert_eq!(files.len(), 3);
        assert_eq!(history.content(&files["a.py"].1).unwrap(), "1");
        let to = dir.path().join("copy");
        let copy = WorkCopy::open(&history, &to).unwrap();
        copy.go_to(&first, &files).unwrap();
        let modified = |name: &str| fs::metadata(to.join(name)).unwrap().modified().unwrap();
        let before = modified("b.py");
        let second = commit(&repo, &[("a.py", "2")], "2");
        let other = history.files(&second).unwrap();
        files.insert("a.py".into(), other["a.py"].clone());
        files.remove("c/d.py");
        copy.go_to(&second, &files).unwrap();
        assert_eq!(fs::read_to_string(to.join("a.py")).unwrap(), "2");
        assert_eq!(modified("b.py"), before);
        assert!(!to.join("c").exists());
        // What a test wrote where the next state has a file gives way.
        fs::create_dir(to.join("c")).unwrap();
        fs::write(to.join("c/d.py"), "left over").unwrap();
        copy.go_to(&second, &other).unwrap();
        assert_eq!(fs::read_to_string(to.join("c/d.py")).unwrap(), "1");
    }
}
