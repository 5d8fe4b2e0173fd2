//! Faults planted in the worker, to see that the fuzzer finds them. The product holds no fault code: a fault is a change of the text of
//! the Python files that the binary unpacks, made where it has unpacked them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::run::Runner;
use super::{Counts, history, shrink};
use crate::project;

const FAULTS: &str = include_str!("faults.toml");
/// Within so many projects a fault must be found.
const MOST_PROJECTS: u64 = 200;

/// A fault: the text of a file of the worker's that is replaced, and what by.
struct Fault {
    name: String,
    file: String,
    from: String,
    to: String,
}

fn faults() -> Result<Vec<Fault>> {
    let document: toml::Table = toml::from_str(FAULTS)?;
    let document: Value = serde_json::to_value(document)?;
    let list = document["fault"]
        .as_array()
        .context("faults.toml has no faults")?;
    list.iter()
        .map(|fault| {
            let text = |key: &str| {
                let value = fault[key].as_str();
                value
                    .map(str::to_owned)
                    .with_context(|| format!("a fault has no `{key}`: {fault}"))
            };
            Ok(Fault {
                name: text("name")?,
                file: text("file")?,
                from: text("from")?,
                to: text("to")?,
            })
        })
        .collect()
}

impl Fault {
    /// Puts the fault into a copy of the worker's files.
    fn plant(&self, pristine: &Path, faulty: &Path) -> Result<()> {
        project::replace(pristine, faulty)?;
        let path = faulty.join("dx_py_test_runner").join(&self.file);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("fault `{}`: can't read {}", self.name, path.display()))?;
        if text.matches(&self.from).count() != 1 {
            bail!(
                "fault `{}`: {} doesn't hold its text exactly once any more:\n{}",
                self.name,
                self.file,
                self.from
            );
        }
        fs::write(path, text.replacen(&self.from, &self.to, 1))?;
        Ok(())
    }
}

/// Lets the binary unpack the worker's files, and gives their folder.
fn unpacked(runner: &Runner, dir: &Path) -> Result<std::path::PathBuf> {
    fs::write(dir.join("pytest.ini"), "[pytest]\n")?;
    fs::write(dir.join("test_one.py"), "def test_one(): pass\n")?;
    let (dx, python) = runner.programs();
    Command::new(dx)
        .current_dir(dir)
        .env("DX_PY_DAEMON", "0")
        .args(["test", "-q", "--python"])
        .arg(python)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    for entry in fs::read_dir(dir.join(".dx"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("worker-") {
            return Ok(entry.path());
        }
    }
    bail!("the binary has unpacked no worker in {}", dir.display())
}

/// Plants each fault, and tells how many projects it takes to find it.
///
/// # Errors
/// If a fault isn't found, or no longer fits the worker's files.
pub fn plant(runner: &mut Runner, seed: u64, edits: usize, only: Option<&str>) -> Result<()> {
    let place = tempfile::tempdir()?;
    let sound = place.path().join("sound");
    fs::create_dir(&sound)?;
    let pristine = unpacked(runner, &sound)?;
    let name = pristine
        .file_name()
        .context("the worker's folder has a name")?;
    let faulty = place.path().join(name);
    let all = faults()?;
    for fault in &all {
        fault.plant(&pristine, &faulty)?;
    }
    let mut missed = 0;
    for fault in all
        .iter()
        .filter(|fault| only.is_none_or(|only| fault.name.contains(only)))
    {
        fault.plant(&pristine, &faulty)?;
        runner.worker = Some(faulty.clone());
        let mut found = None;
        for number in 0..MOST_PROJECTS {
            let (history, _) = history(seed + number, edits, &mut Counts::new());
            if let Some((_, difference)) = shrink::replay(runner, &history)? {
                found = Some((number + 1, difference));
                break;
            }
        }
        match found {
            Some((number, difference)) => {
                let shown = difference.lines().nth(1).unwrap_or_default().trim();
                let shown: String = shown.chars().take(100).collect();
                println!("{number:4} projects: {} ({shown})", fault.name);
            }
            None => {
                missed += 1;
                println!("not found: {}", fault.name);
            }
        }
    }
    if missed > 0 {
        bail!("{missed} faults were not found within {MOST_PROJECTS} projects");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_fits_the_worker() {
        let worker = project::root().join("worker");
        let place = tempfile::tempdir().unwrap();
        for fault in faults().unwrap() {
            fault.plant(&worker, &place.path().join("worker")).unwrap();
        }
    }
}
