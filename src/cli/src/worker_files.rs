//! The worker's Python sources and its compiled part, which the binary carries, put where an interpreter can read them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dx_py_core::Hasher;

macro_rules! carried {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../worker/dx_py_test_runner/", $name)))),*]
    };
}

const FILES: &[(&str, &str)] = carried![
    "__init__.py",
    "__main__.py",
    "boot.py",
    "ahead.py",
    "bytecode.py",
    "children.py",
    "collect.py",
    "command.py",
    "compared.py",
    "compiled.py",
    "controller.py",
    "coverage_data.py",
    "deselect.py",
    "economy.py",
    "errors.py",
    "file_states.py",
    "fixture_inputs.py",
    "fixture_key.py",
    "fixture_store.py",
    "forked.py",
    "functions.py",
    "leftovers.py",
    "objects.py",
    "fixtures.py",
    "gate.py",
    "idle.py",
    "internals.py",
    "items.py",
    "kept_code.py",
    "lean.py",
    "mould.py",
    "needs.py",
    "observe.py",
    "outcome.py",
    "plain_arguments.py",
    "plain_records.py",
    "plain_selection.py",
    "plugin.py",
    "preload.py",
    "preloadable.py",
    "probes.py",
    "queries.py",
    "readers.py",
    "rewriting.py",
    "running.py",
    "say.py",
    "scopes.py",
    "search_path.py",
    "scene.py",
    "serialise.py",
    "session.py",
    "share.py",
    "shortcuts.py",
    "snapshot_diff.py",
    "snapshot_end.py",
    "snapshot_index.py",
    "snapshot_inline.py",
    "snapshot_redact.py",
    "snapshot_session.py",
    "snapshot_store.py",
    "snapshot_text.py",
    "snapshots.py",
    "spares.py",
    "speech.py",
    "temporary.py",
    "trace.py",
    "trial.py",
    "usual.py",
    "variables.py",
    "warning_messages.py",
    "wide_fixtures.py",
    "wire.py",
    "zygote.py",
];

/// The compiled part of the workers, as the build script has made it for this platform; nothing if they do without it here.
const COMPILED: (&str, &[u8]) = (
    "_probes.so",
    include_bytes!(concat!(env!("OUT_DIR"), "/probes.so")),
);

/// What makes the folder look like a virtual environment, to pytest 8 and to earlier ones: whatever a project's `norecursedirs` says, none
/// collects from these files then. With `--doctest-modules` it would, and run the examples.
const KEPT_FROM_COLLECTION: [&str; 2] = ["pyvenv.cfg", "bin/activate"];

/// The folder below `dx` that holds the package of this very version; written if it isn't there yet.
///
/// # Errors
/// If it can't be written.
pub fn unpack(dx: &Path) -> io::Result<PathBuf> {
    // More than half a megabyte, and a run asks more than once.
    static NAME: OnceLock<String> = OnceLock::new();
    let (compiled, content) = COMPILED;
    let name = NAME.get_or_init(|| {
        let mut hasher = Hasher::new();
        for (name, text) in FILES.iter().copied() {
            hasher.field(name).field(text);
        }
        hasher.field(compiled).field(content);
        for name in KEPT_FROM_COLLECTION {
            hasher.field(name);
        }
        format!("worker-{}", hasher.finish())
    });
    let folder = dx.join(name);
    if folder.join("dx_py_test_runner").is_dir() {
        return Ok(folder);
    }
    let temporary = tempfile::Builder::new().prefix("worker-").tempdir_in(dx)?;
    let package = temporary.path().join("dx_py_test_runner");
    fs::create_dir(&package)?;
    for (name, text) in FILES.iter().copied() {
        fs::write(package.join(name), text)?;
    }
    if !content.is_empty() {
        fs::write(package.join(compiled), content)?;
    }
    for name in KEPT_FROM_COLLECTION {
        let path = temporary.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(temporary.path()))?;
        fs::write(path, "# No virtual environment: pytest looks into none.\n")?;
    }
    match fs::rename(temporary.path(), &folder) {
        Ok(()) => {
            let _ = temporary.keep();
            Ok(folder)
        }
        // Another process was faster.
        Err(_) if folder.join("dx_py_test_runner").is_dir() => Ok(folder),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_worker_is_of_the_version_of_the_binary() {
        let line = format!("__version__ = \"{}\"\n", env!("CARGO_PKG_VERSION"));
        let package = FILES.iter().find(|(name, _)| *name == "__init__.py");
        assert!(package.is_some_and(|(_, text)| text.contains(&line)));
    }

    #[test]
    fn every_file_of_the_worker_is_carried() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../worker/dx_py_test_runner");
        let there: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".py"))
            .collect();
        let carried: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(carried, there);
    }
}
