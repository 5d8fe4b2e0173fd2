//! The `.dx/` folder.

use std::fs;
use std::io;
use std::path::Path;

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
