//! The `.dx/` folder.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Rewritten modules that nobody has used for so long are removed; their users note it once a day.
const BYTECODE_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes the folder with what keeps it out of version control and backups.
///
/// # Errors
/// If it can't be made.
pub fn prepare(dx: &Path) -> io::Result<()> {
    fs::create_dir_all(dx)?;
    let files = [
        (".gitignore", "*\n"),
        (
            "CACHEDIR.TAG",
            "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is the database of dx-py; see https://bford.info/cachedir/\n",
        ),
    ];
    for (name, text) in files {
        let path = dx.join(name);
        if !path.exists() {
            fs::write(path, text)?;
        }
    }
    Ok(())
}

/// Removes rewritten modules that are out of use. What can't be removed stays: it is only a cache.
pub fn prune_bytecode(dx: &Path) {
    let Ok(entries) = fs::read_dir(dx.join("bytecode")) else {
        return;
    };
    let now = SystemTime::now();
    for entry in entries.flatten() {
        let used = entry.metadata().and_then(|metadata| metadata.modified());
        let age = used.ok().and_then(|used| now.duration_since(used).ok());
        if age.is_some_and(|age| age > BYTECODE_AGE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
