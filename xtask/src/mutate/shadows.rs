//! Modules of the standard library that a file of the project's can hide.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Prints the modules of the standard library that pytest leaves for others to import first, by names that begin with no underscore.
const FREE: &str = "import contextlib, io, os, sys, tempfile
import pytest
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    os.chdir(folder)
    pytest.main(['--collect-only', '-p', 'no:cacheprovider'])
    os.chdir(os.sep)
names = getattr(sys, 'stdlib_module_names', ('calendar', 'csv', 'decimal', 'html', 'json', 'pprint', 'sqlite3', 'uuid'))
print(*sorted(name for name in names if name not in sys.modules and name[0] != '_' and name not in sys.builtin_module_names))
";

/// The modules that these sources import, and that pytest doesn't before them: a file of that name, in a folder where modules are looked for
/// first, hides them.
///
/// # Errors
/// If the interpreter can't be run, or a source can't be read.
pub fn hideable<'a>(
    python: &Path,
    sources: impl Iterator<Item = &'a PathBuf>,
) -> Result<Vec<String>> {
    let output = Command::new(python)
        .args(["-I", "-c", FREE])
        .output()
        .with_context(|| format!("can't run {}", python.display()))?;
    let free = String::from_utf8_lossy(&output.stdout).into_owned();
    let free: BTreeSet<&str> = free.split_whitespace().collect();
    let mut found = BTreeSet::new();
    for source in sources {
        let content = fs::read(source)?;
        let text = String::from_utf8_lossy(&content);
        found.extend(text.lines().flat_map(imported).map(str::to_owned));
    }
    found.retain(|name| free.contains(&**name));
    Ok(found.into_iter().collect())
}

/// The first parts of the names of modules that a line imports.
fn imported(line: &str) -> impl Iterator<Item = &str> {
    let line = line.trim_start();
    let names = match (line.strip_prefix("import "), line.strip_prefix("from ")) {
        (Some(names), _) => names,
        (_, Some(rest)) => rest.split(" import ").next().unwrap_or_default(),
        _ => "",
    };
    let first = |name: &'_ str| {
        name.trim()
            .split([' ', '.'])
            .next()
            .unwrap_or_default()
            .len()
    };
    names
        .split(',')
        .map(move |name| &name.trim()[..first(name)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_imports_what_it_names() {
        let of = |line| {
            imported(line)
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("import json"), ["json"]);
        assert_eq!(of("    import os.path as p, csv"), ["os", "csv"]);
        assert_eq!(
            of("from collections.abc import Mapping, Set"),
            ["collections"]
        );
        assert_eq!(of("from . import json"), Vec::<&str>::new());
        assert_eq!(of("importlib.reload(x)"), Vec::<&str>::new());
    }
}
