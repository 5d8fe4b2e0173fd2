//! Finds the Python files of a project, in parallel.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use dx_py_core::{FileStat, RelPath};
use globset::{Glob, GlobSet, GlobSetBuilder};
use ignore::{WalkBuilder, WalkState};

/// Where not to look.
#[derive(Clone, Debug, Default)]
pub struct WalkOptions {
    /// Globs of folder names that are passed over: pytest's `norecursedirs`.
    pub no_recurse: Vec<String>,
}

/// The folders that no project keeps sources in.
const NEVER: [&str; 3] = ["__pycache__", "node_modules", "CVS"];

/// The Python files below `root`, in the order of their paths. `.gitignore` isn't honoured, since pytest doesn't; hidden folders,
/// caches and virtual environments are passed over. What can't be read is left out.
pub fn walk(root: &Path, options: &WalkOptions) -> Vec<(RelPath, FileStat)> {
    let skipped = globs(&options.no_recurse);
    let found = Mutex::new(Vec::new());
    let walker = WalkBuilder::new(root)
        .standard_filters(false)
        .follow_links(true)
        .filter_entry(move |entry| {
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            if entry.depth() == 0 || !is_dir {
                return true;
            }
            let name = entry.file_name().to_string_lossy();
            !is_passed_over(entry.path()) && !skipped.is_match(&*name)
        })
        .build_parallel();
    walker.run(|| {
        let found = &found;
        Box::new(move |entry| {
            if let Ok(entry) = entry
                && entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "py")
                && let Ok(meta) = entry.metadata()
                && meta.is_file()
                && let Some(path) = RelPath::new(root, entry.path())
                && let Ok(mut found) = found.lock()
            {
                found.push((path, FileStat::from(&meta)));
            }
            WalkState::Continue
        })
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The folders below `root`, itself included, in which files can be that matter.
pub fn folders(root: &Path) -> Vec<PathBuf> {
    let walker = WalkBuilder::new(root)
        .standard_filters(false)
        .follow_links(true)
        .filter_entry(|entry| {
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            is_dir && (entry.depth() == 0 || !is_passed_over(entry.path()))
        })
        .build();
    walker.flatten().map(ignore::DirEntry::into_path).collect()
}

/// Whether nobody looks into a folder: hidden ones, caches, virtual environments.
pub fn is_passed_over(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || NEVER.contains(&&*name) || is_environment(folder)
}

/// Whether a folder is a virtual environment, by pytest's rule.
fn is_environment(folder: &Path) -> bool {
    folder.join("pyvenv.cfg").is_file() || folder.join("conda-meta").is_dir()
}

/// A set of globs; invalid ones, which pytest would match as text that nothing has, are left out.
fn globs(patterns: &[String]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for glob in patterns
        .iter()
        .filter_map(|pattern| Glob::new(pattern).ok())
    {
        builder.add(glob);
    }
    builder.build().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn environments_hidden_folders_and_excluded_ones_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            "a.py",
            "b/c.py",
            ".h/d.py",
            "venv2/pyvenv.cfg",
            "venv2/e.py",
            "build/f.py",
            "b/g.txt",
            ".gitignore",
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "b/\n").unwrap();
        }
        let options = WalkOptions {
            no_recurse: vec!["build".into()],
        };
        let names: Vec<String> = walk(dir.path(), &options)
            .iter()
            .map(|(path, _)| path.to_string())
            .collect();
        assert_eq!(names, ["a.py", "b/c.py"]);
    }
}
