//! Writes the reference chapters of the book into the folder that is given.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(std::io::Error::other(
            "give the folder of the book's chapters, docs/src",
        ));
    };
    for (name, text) in dx_py_cli::reference::chapters() {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
