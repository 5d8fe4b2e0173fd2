//! Which files the interpreter can't compile.
//!
//! A file that parses may still be no program (`break` outside of a loop, two parameters of one name), and then nobody can import it, whatever
//! functions they reach. That only the interpreter knows.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use dx_py_core::Input;

use crate::world::World;

/// Reads paths from its input, each ended by a zero byte, and prints those that can't be compiled in the same form. What only warns is among
/// them, since a project may make errors of warnings.
const SCRIPT: &str = r"
import sys, warnings
warnings.simplefilter('error')
for path in sys.stdin.buffer.read().split(b'\0')[:-1]:
    try:
        with open(path, 'rb') as file:
            compile(file.read(), path, 'exec', dont_inherit=True)
    except BaseException:
        sys.stdout.buffer.write(path + b'\0')
";

/// Under what it is kept that a content can be compiled, by the digest of the interpreter that said so.
const WHAT: &str = "compiles";

/// The files among these, which are keys of inputs, that this interpreter can't compile; a content that it could isn't asked for again.
pub fn broken<'a>(
    interpreter: &Path,
    world: &World,
    files: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let mark = world.digest(&Input::Interpreter).0;
    let unknown = files.filter(|file| {
        world
            .found(file, WHAT)
            .is_none_or(|found| *found != mark[..])
    });
    let unknown: Vec<&str> = unknown.collect();
    let broken = not_compiling(interpreter, world.root(), &unknown);
    for file in unknown {
        // The interpreter has read what the digest is of, if that is there still.
        if !broken.iter().any(|broken| broken == file) && world.content(file).is_some() {
            world.keep_found(file, WHAT, mark.to_vec());
        }
    }
    broken
}

/// Those that the interpreter can't compile; all if it can't be asked.
fn not_compiling(interpreter: &Path, root: &Path, files: &[&str]) -> Vec<String> {
    if files.is_empty() {
        return Vec::new();
    }
    match ask(interpreter, root, files) {
        Ok(said) => said
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect(),
        Err(_) => files.iter().map(|file| (*file).to_owned()).collect(),
    }
}

fn ask(interpreter: &Path, root: &Path, files: &[&str]) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new(interpreter)
        .args(["-I", "-S", "-c", SCRIPT])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // It reads all before it writes.
    if let Some(mut input) = child.stdin.take() {
        for file in files {
            input.write_all(file.as_bytes())?;
            input.write_all(b"\0")?;
        }
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(std::io::Error::other("the interpreter failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_that_cannot_be_asked_vouches_for_nothing() {
        let files = ["a.py", "b.py"];
        let (python, root) = (Path::new("/there/is/no/python"), Path::new("/"));
        assert_eq!(not_compiling(python, root, &files), files);
        assert!(not_compiling(python, root, &[]).is_empty());
    }
}
