//! `dx-py snapshot`: what is pending, and what becomes of it.

mod review;
pub mod shown;
pub mod unused;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;
use dx_py_catalog::Catalog;
use dx_py_core::{RelPath, RunSummary, SnapshotName, SnapshotSummary};
use dx_py_snapshot::{ACCEPTED, Entry, FOLDER, PENDING, SnapshotError, Store, text};
use globset::Glob;
use ignore::WalkBuilder;
use serde_json::json;

use crate::args::{PatternArgs, SnapshotAction, TestArgs};
use crate::database;
use crate::report::style::{Look, Style, count, one_line};
use crate::run::exit;
use crate::session::Session;
use crate::settings::Project;
use shown::Change;

/// Runs `dx-py snapshot`; gives the exit code.
///
/// # Errors
/// If the project can't be found, or snapshots can't be read or written.
pub fn snapshot(action: &SnapshotAction, out: &mut dyn Write) -> anyhow::Result<u8> {
    let snapshots = Snapshots::open()?;
    match action {
        SnapshotAction::Review(args) => {
            let found = snapshots.pending(args)?;
            review::review(&snapshots, &found, out)
        }
        SnapshotAction::Accept(args) => snapshots.decide(args, true, out),
        SnapshotAction::Reject(args) => snapshots.decide(args, false, out),
        SnapshotAction::List(args) => snapshots.list(args.json, out),
        SnapshotAction::Prune => snapshots.prune(out),
    }
}

/// Ends a run, as far as snapshots go: writes what an update has left to do, keeps what no test uses, and lets `--ci` fail for it.
///
/// # Errors
/// If the catalog can't be written. What else goes wrong is told in the summary.
pub fn end(session: &mut Session, args: &TestArgs, summary: &mut RunSummary) -> anyhow::Result<()> {
    let told = &mut summary.snapshots;
    leave_out_settled(&session.project, told);
    if args.update_snapshots {
        accept_inline(&session.project, told);
    }
    unused::keep(&mut session.catalog, &session.project.root, &told.unused)?;
    if args.ci && !told.unused.is_empty() && summary.exit_code == 0 {
        summary.exit_code = exit::FAILED;
    }
    Ok(())
}

/// Forgets those that a test said were pending and that are no more: heard again, alone, it may have passed.
fn leave_out_settled(project: &Project, told: &mut SnapshotSummary) {
    let store = Store::new(&project.root, &project.dx_dir());
    let files: BTreeSet<String> = told.pending.iter().map(|(file, _)| file.clone()).collect();
    for file in files {
        if let Ok(entries) = store.entries(&project.root.join(&file)) {
            told.pending
                .retain(|(other, name)| *other != file || entries.contains_key(name));
        }
    }
}

/// Accepts the pending inline snapshots of a run that updates: several processes may have run the tests of one source file, so it is
/// written once, after all of them.
fn accept_inline(project: &Project, told: &mut SnapshotSummary) {
    let store = Store::new(&project.root, &project.dx_dir());
    let files: BTreeSet<String> = told.pending.iter().map(|(file, _)| file.clone()).collect();
    for file in files {
        let path = project.root.join(&file);
        let accepted = store.entries(&path).and_then(|entries| {
            let is_inline = |name: &str| {
                entries
                    .get(name)
                    .is_some_and(|entry| !entry.inline.is_empty())
            };
            store.accept(&path, &is_inline)
        });
        match accepted {
            Ok(names) => {
                for name in names {
                    let name = (file.clone(), name);
                    told.pending.remove(&name);
                    told.accepted.insert(name);
                }
            }
            Err(error) => {
                told.problems.insert(chain(&error));
            }
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// A pending snapshot.
pub struct Pending {
    /// The file that holds it.
    pub path: PathBuf,
    /// The same, relative to the root.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Itself.
    pub entry: Entry,
}

/// The snapshots of the project.
pub struct Snapshots {
    project: Project,
    store: Store,
    style: Style,
}

impl Snapshots {
    fn open() -> anyhow::Result<Self> {
        let project = Project::find()?;
        let dx = project.dx_dir();
        database::prepare(&dx)?;
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Ok(Self {
            store: Store::new(&project.root, &dx),
            project,
            style: Style {
                color: io::stdout().is_terminal() && !no_color,
            },
        })
    }

    /// All files of snapshots whose names end so, in order.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut walk = WalkBuilder::new(&self.project.root);
        // Pending ones are mostly ignored by git, and are what is looked for.
        walk.standard_filters(false).hidden(true);
        walk.filter_entry(|entry| {
            let path = entry.path();
            let passed_over = ["node_modules", "__pycache__"].map(Some);
            !passed_over.contains(&entry.file_name().to_str()) && !path.join("pyvenv.cfg").exists()
        });
        let is_one = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            let folder = path.parent().and_then(Path::file_name);
            folder.is_some_and(|name| name == FOLDER)
                && name.is_some_and(|name| name.ends_with(ending))
        };
        let mut found: Vec<PathBuf> = walk
            .build()
            .flatten()
            .map(ignore::DirEntry::into_path)
            .filter(|path| is_one(path))
            .collect();
        found.sort();
        found
    }

    fn relative(&self, path: &Path) -> String {
        RelPath::new(&self.project.root, path)
            .map_or_else(|| path.display().to_string(), |path| path.to_string())
    }

    /// The pending snapshots that the patterns mean, or all of them.
    fn pending(&self, args: &PatternArgs) -> anyhow::Result<Vec<Pending>> {
        let matchers: Vec<_> = args
            .patterns
            .iter()
            .map(|pattern| {
                (
                    pattern,
                    Glob::new(pattern).ok().map(|glob| glob.compile_matcher()),
                )
            })
            .collect();
        let mut found = Vec::new();
        for path in self.files(PENDING) {
            let file = self.relative(&path);
            let source = self.relative(&self.store.source_of(&path)?);
            for (name, entry) in self.store.entries(&path)? {
                let id = format!("{source}::{name}");
                let is_meant = matchers.iter().any(|(text, glob)| {
                    id.contains(*text)
                        || name.contains(*text)
                        || glob.as_ref().is_some_and(|glob| glob.is_match(&id))
                });
                if matchers.is_empty() || is_meant {
                    let (path, file) = (path.clone(), file.clone());
                    found.push(Pending {
                        path,
                        file,
                        name,
                        entry,
                    });
                }
            }
        }
        if found.is_empty() && !matchers.is_empty() {
            bail!("no pending snapshot matches {}", args.patterns.join(" "));
        }
        Ok(found)
    }

    /// Accepts or rejects what the patterns mean.
    fn decide(&self, args: &PatternArgs, accept: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
        let mut by_file: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
        for pending in self.pending(args)? {
            by_file
                .entry(pending.path)
                .or_default()
                .insert(pending.name);
        }
        let word = if accept { "accepted" } else { "rejected" };
        let (mut total, mut failed) = (0, false);
        for (path, names) in by_file {
            match self.settle(&path, &|name| names.contains(name), accept) {
                Ok(done) => {
                    total += done.len();
                    let file = self.relative(&path);
                    for name in done {
                        writeln!(out, "{word} {}: {}", one_line(&file), one_line(&name))?;
                    }
                }
                Err(error) => {
                    failed = true;
                    eprintln!("dx-py: {}", chain(&error));
                }
            }
        }
        writeln!(out, "{} {word}", count(total, "snapshot"))?;
        Ok(if failed { exit::FAILED } else { 0 })
    }

    fn settle(
        &self,
        path: &Path,
        wanted: &dyn Fn(&str) -> bool,
        accept: bool,
    ) -> Result<Vec<String>, SnapshotError> {
        match accept {
            true => self.store.accept(path, wanted),
            false => self.store.reject(path, wanted),
        }
    }

    /// What a pending snapshot would change.
    fn change(&self, pending: &Pending) -> Result<Change, SnapshotError> {
        if !pending.entry.inline.is_empty() {
            let old = pending
                .entry
                .inline
                .split_once(' ')
                .map_or("", |(_, old)| old);
            return Ok(Change::between(
                Some(old.as_bytes()),
                pending.entry.content.as_bytes(),
                false,
            ));
        }
        let accepted = self.store.accepted_of(&pending.path)?;
        let old = match self.store.entries(&accepted)?.get(&pending.name) {
            Some(entry) => Some(self.store.content(&accepted, entry)?),
            None => None,
        };
        let new = self.store.content(&pending.path, &pending.entry)?;
        let is_bytes = pending.entry.kind == text::BYTES;
        Ok(Change::between(old.as_deref(), &new, is_bytes))
    }

    fn list(&self, as_json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
        let pending = self.pending(&PatternArgs::default())?;
        let unused = self.unused()?;
        let accepted = self.files(ACCEPTED);
        let mut total = 0;
        for path in &accepted {
            total += self.store.entries(path)?.len();
        }
        let row = |file: &str, name: &str, state: &str| json!({"file": file, "name": name, "state": state});
        if as_json {
            let rows: Vec<_> = pending
                .iter()
                .map(|each| row(&each.file, &each.name, self.state_of(each)))
                .chain(unused.iter().map(|(file, name)| row(file, name, "unused")))
                .collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
            return Ok(0);
        }
        for each in &pending {
            let state = self.style.paint(Look::Yellow, self.state_of(each));
            writeln!(
                out,
                "{state:<8} {}: {}",
                one_line(&each.file),
                one_line(&each.name)
            )?;
        }
        for (file, name) in &unused {
            let state = self.style.paint(Look::Dim, "unused");
            writeln!(out, "{state:<8} {}: {}", one_line(file), one_line(name))?;
        }
        writeln!(
            out,
            "{} pending, {} unused, {total} accepted in {}",
            pending.len(),
            unused.len(),
            count(accepted.len(), "file")
        )?;
        Ok(0)
    }

    fn state_of(&self, pending: &Pending) -> &'static str {
        if !pending.entry.inline.is_empty() {
            return "inline";
        }
        let accepted = self.store.accepted_of(&pending.path);
        let entries = accepted.and_then(|path| self.store.entries(&path));
        match entries.is_ok_and(|entries| entries.contains_key(&pending.name)) {
            true => "changed",
            false => "new",
        }
    }

    /// The accepted snapshots that no test uses: those whose test file is gone, and those that the last run of their tests didn't use.
    fn unused(&self) -> anyhow::Result<BTreeSet<SnapshotName>> {
        let mut found = BTreeSet::new();
        for path in self.files(ACCEPTED) {
            if !self.store.source_of(&path)?.exists() {
                let file = self.relative(&path);
                let names = self.store.entries(&path)?.into_keys();
                found.extend(names.map(|name| (file.clone(), name)));
            }
        }
        let catalog = self.project.dx_dir().join("catalog.db");
        if catalog.exists() {
            let (catalog, _) = Catalog::open(&catalog)?;
            found.extend(unused::known(&catalog, &self.project.root)?);
        }
        Ok(found)
    }

    fn prune(&self, out: &mut dyn Write) -> anyhow::Result<u8> {
        let mut by_file: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (file, name) in self.unused()? {
            by_file.entry(file).or_default().insert(name);
        }
        let mut total = 0;
        for (file, names) in by_file {
            let path = self.project.root.join(&file);
            for name in self.store.remove(&path, &|name| names.contains(name))? {
                total += 1;
                writeln!(out, "removed {}: {}", one_line(&file), one_line(&name))?;
            }
        }
        // What is pending for tests that are gone will never be reviewed.
        for path in self.files(PENDING) {
            if !self.store.source_of(&path)?.exists() {
                for name in self.store.reject(&path, &|_| true)? {
                    writeln!(
                        out,
                        "rejected {}: {}",
                        one_line(&self.relative(&path)),
                        one_line(&name)
                    )?;
                }
            }
        }
        writeln!(out, "{} removed", count(total, "snapshot"))?;
        Ok(0)
    }
}
