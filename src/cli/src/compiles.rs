//! Which files the interpreter can't compile.
//!
//! A file that parses may still be no program (`break` outside of a loop, two parameters of one name), and then nobody can import it, whatever
//! functions they reach. That only the interpreter knows.

use std::convert::Infallible;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use dx_py_core::{Input, RelPath};
use dx_py_daemon::{LaunchSpec, Zygotes};

use crate::daemon::any_worker;
use crate::settings::Project;
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

/// Of how many files it may be asked before it is known which of them matter.
const MOST_AHEAD: usize = 8;

/// Who is asked.
struct Compiler {
    interpreter: PathBuf,
    root: PathBuf,
    /// The interpreters that are kept warm, and what one of them has to be for: it has compiled a file before another one has started.
    warm: Option<(Zygotes, LaunchSpec)>,
}

impl Compiler {
    /// For the files of a project. Most runs have nothing to ask, and no use for one.
    fn new(project: &Project, interpreter: &Path) -> Self {
        let warm = || {
            let zygotes = project.zygotes()?;
            Some((zygotes, any_worker(project, interpreter.to_owned()).ok()?))
        };
        Self {
            interpreter: interpreter.to_owned(),
            root: project.root.clone(),
            warm: warm(),
        }
    }

    /// The files that it can't compile; all if it can't be asked.
    fn not_compiling(&self, files: &[&str]) -> Vec<String> {
        if files.is_empty() {
            return Vec::new();
        }
        let said = self.warm_says(files);
        said.unwrap_or_else(|| self.new_says(files))
    }

    /// The files that the interpreter that is kept warm can't compile. `None` if it can't be asked.
    fn warm_says(&self, files: &[&str]) -> Option<Vec<String>> {
        let (zygotes, spec) = self.warm.as_ref()?;
        let paths: Vec<PathBuf> = files.iter().map(|file| self.root.join(file)).collect();
        let said = zygotes.not_compiling(spec, &paths)?;
        let is_among = |path: &PathBuf| said.contains(path);
        let broken = files.iter().zip(&paths).filter(|(_, path)| is_among(path));
        Some(broken.map(|(file, _)| (*file).to_owned()).collect())
    }

    /// Those that a new interpreter can't compile; all if there is none.
    fn new_says(&self, files: &[&str]) -> Vec<String> {
        match ask(&self.interpreter, &self.root, files) {
            Ok(said) => said
                .split(|byte| *byte == 0)
                .filter(|path| !path.is_empty())
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .collect(),
            Err(_) => files.iter().map(|file| (*file).to_owned()).collect(),
        }
    }
}

/// What the interpreter is asked while other things are looked up: of files that have changed, and of which it is likely to matter.
pub struct Ahead {
    files: Vec<String>,
    broken: Option<JoinHandle<Vec<String>>>,
    /// Ends when the interpreter that is kept warm has said what it can, and has kept what it compiled for workers.
    kept: Option<Receiver<Infallible>>,
}

impl Ahead {
    /// Asks of these files; of none if there are many.
    pub fn ask(project: &Project, interpreter: &Path, files: &[RelPath]) -> Self {
        let mut ahead = Self::of(|| Compiler::new(project, interpreter), files);
        // pytest compiles files of tests in its own way.
        if files.iter().all(|file| project.is_test_file(file)) {
            ahead.kept = None;
        }
        ahead
    }

    fn of(compiler: impl FnOnce() -> Compiler, files: &[RelPath]) -> Self {
        let files = if files.len() > MOST_AHEAD { &[] } else { files };
        let files: Vec<String> = files.iter().map(|file| file.as_str().to_owned()).collect();
        if files.is_empty() {
            return Self {
                files,
                broken: None,
                kept: None,
            };
        }
        let (compiler, asked) = (compiler(), files.clone());
        let (says, kept) = mpsc::channel();
        let broken = std::thread::spawn(move || {
            let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
            let said = compiler.warm_says(&asked);
            drop(says);
            said.unwrap_or_else(|| compiler.new_says(&asked))
        });
        Self {
            files,
            broken: Some(broken),
            kept: Some(kept),
        }
    }

    /// Waits until the code of modules that have changed is kept. A worker that is to import one and is let go before compiles it by itself,
    /// which takes longer: it begins later.
    fn wait_for_code(&mut self) {
        if let Some(kept) = self.kept.take() {
            _ = kept.recv();
        }
    }

    /// Those of `files` of which it wasn't asked, and of the others those that it can't compile.
    fn answer<'a>(self, files: &[&'a str]) -> (Vec<&'a str>, Vec<String>) {
        let is_asked = |file: &&&str| self.files.iter().any(|asked| asked == **file);
        let rest: Vec<&str> = files
            .iter()
            .filter(|file| !is_asked(file))
            .copied()
            .collect();
        let broken = match self.broken {
            Some(broken) if rest.len() < files.len() => broken.join().unwrap_or(self.files),
            _ => Vec::new(),
        };
        let is_meant = |file: &String| files.contains(&file.as_str());
        (rest, broken.into_iter().filter(is_meant).collect())
    }
}

/// The files among these, which are keys of inputs, that this interpreter can't compile; a content that it could isn't asked for again.
pub fn broken<'a>(
    project: &Project,
    interpreter: &Path,
    world: &World,
    files: impl Iterator<Item = &'a str>,
    mut ahead: Ahead,
) -> Vec<String> {
    ahead.wait_for_code();
    let mark = world.digest(&Input::Interpreter).0;
    let unknown = files.filter(|file| {
        world
            .found(file, WHAT)
            .is_none_or(|found| *found != mark[..])
    });
    let unknown: Vec<&str> = unknown.collect();
    let (rest, mut broken) = ahead.answer(&unknown);
    if !rest.is_empty() {
        broken.extend(Compiler::new(project, interpreter).not_compiling(&rest));
    }
    for file in unknown {
        // The interpreter has read what the digest is of, if that is there still.
        if !broken.iter().any(|broken| broken == file) && world.content(file).is_some() {
            world.keep_found(file, WHAT, mark.to_vec());
        }
    }
    broken
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

    fn nobody() -> Compiler {
        Compiler {
            interpreter: "/there/is/no/python".into(),
            root: "/".into(),
            warm: None,
        }
    }

    #[test]
    fn an_interpreter_that_cannot_be_asked_vouches_for_nothing() {
        let files = ["a.py", "b.py"];
        assert_eq!(nobody().not_compiling(&files), files);
        assert!(nobody().not_compiling(&[]).is_empty());
        let ahead = Ahead::of(nobody, &[RelPath::from_text("a.py").unwrap()]);
        assert_eq!(
            ahead.answer(&files),
            (vec!["b.py"], vec!["a.py".to_owned()])
        );
    }

    #[test]
    fn what_was_asked_ahead_and_does_not_matter_is_not_told() {
        let paths: Vec<RelPath> = (0..9)
            .filter_map(|number| RelPath::from_text(&format!("{number}.py")))
            .collect();
        let ask = |count| Ahead::of(nobody, &paths[..count]);
        assert_eq!(ask(2).answer(&["1.py"]), (vec![], vec!["1.py".to_owned()]));
        assert_eq!(ask(2).answer(&["7.py"]), (vec!["7.py"], vec![]));
        // After many changes it is asked of those alone that matter.
        assert_eq!(ask(9).answer(&["7.py"]), (vec!["7.py"], vec![]));
    }
}
