//! `cargo xtask mutate`: changes one place of a project, lets the selection and everything run, and compares.
//!
//! A miss is a test that the selection calls fresh and whose outcome in a full run is another one; a difference is one that ran in both, with
//! outcomes that differ each time, as when something is collected as garbage later where more runs. The project is changed in place; a journal
//! beside it brings it back, even after a crash.

mod shadows;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::project::{self, Project, Random, Report, replace};
use tally::Tally;

const SCRIPT: &str = include_str!("mutate.py");

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct MutateArgs {
    /// The project; it is changed in place and brought back
    #[arg(long)]
    project: PathBuf,
    /// Its interpreter or virtual environment
    #[arg(long)]
    python: Option<PathBuf>,
    /// How many mutants that change an outcome
    #[arg(long, default_value_t = 25)]
    count: usize,
    /// Where the random choices start
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What dx-py is told to select by
    #[arg(long, value_name = "LEVEL")]
    select: Option<String>,
    /// Only mutants of this kind, as the table names it
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// The binary; a release build of this tree without
    #[arg(long, value_name = "PATH")]
    dx: Option<PathBuf>,
    /// Arguments for pytest
    #[arg(last = true)]
    args: Vec<String>,
}

/// Where it is kept what is to be brought back: beside the project, since tests may look at the names in its root.
fn journal_of(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".dx-mutation");
    dir.with_file_name(name)
}

/// A change that is taken back when it goes out of scope.
struct Mutant {
    path: PathBuf,
    original: Option<Vec<u8>>,
    journal: PathBuf,
    made_dir: Option<PathBuf>,
    /// What was changed: `operator`, `deleted statement`, `data file` …
    kind: String,
    /// Where.
    place: String,
}

impl Drop for Mutant {
    fn drop(&mut self) {
        let restored = match &self.original {
            Some(content) => fs::write(&self.path, content),
            None => fs::remove_file(&self.path),
        };
        if let Err(error) = restored {
            eprintln!(
                "can't bring back {}: {error}; its content is in {}",
                self.path.display(),
                self.journal.display()
            );
            return;
        }
        if let Some(dir) = &self.made_dir {
            let _ = fs::remove_dir_all(dir);
        }
        let _ = fs::remove_dir_all(&self.journal);
    }
}

struct Mutator<'a> {
    dir: &'a Path,
    python: PathBuf,
    random: Random,
    /// A time for each write: caches of bytecode go by seconds and size, and would not see two writes in one second.
    clock: u64,
    sources: Vec<PathBuf>,
    tests: Vec<PathBuf>,
    conftests: Vec<PathBuf>,
    data: Vec<PathBuf>,
    /// Modules of the standard library that a file can hide.
    hideable: Vec<String>,
}

impl Mutator<'_> {
    fn tick(&mut self, path: &Path) -> Result<()> {
        self.clock += 2;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.clock);
        File::options().write(true).open(path)?.set_modified(time)?;
        Ok(())
    }

    /// Sees that what is changed is what tests import, and not the project's sources elsewhere, as an editable installation has them.
    fn check_imports(&self) -> Result<()> {
        let names: BTreeSet<String> = self
            .sources
            .iter()
            .filter_map(|source| {
                let inner = source.strip_prefix(self.dir).ok()?;
                let inner = inner.strip_prefix("src").unwrap_or(inner);
                let package = inner.components().next()?;
                let is_package =
                    inner.file_name()? == "__init__.py" && inner.components().count() == 2;
                let name = package.as_os_str().to_str()?;
                is_package.then(|| name.to_owned())
            })
            .collect();
        for name in names {
            let found = Command::new(&self.python)
                .current_dir(self.dir)
                .args(["-c", "import importlib.util, sys; spec = importlib.util.find_spec(sys.argv[1]); print(spec.origin if spec else '')"])
                .arg(&name)
                .output()?;
            let found = String::from_utf8_lossy(&found.stdout).trim().to_owned();
            if !found.is_empty() && !Path::new(&found).starts_with(self.dir) {
                bail!(
                    "{name} is imported from {found}, so that to change it in {} changes nothing\n\
                     Install the project from there, or name the folder in PYTHONPATH.",
                    self.dir.display()
                );
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        path: PathBuf,
        new: Option<Vec<u8>>,
        kind: &str,
        place: String,
    ) -> Result<Mutant> {
        let journal = journal_of(self.dir);
        let original = fs::read(&path).ok();
        fs::create_dir(&journal).with_context(|| {
            format!(
                "{} is left over: bring its file back first",
                journal.display()
            )
        })?;
        fs::write(journal.join("path"), path.display().to_string())?;
        if let Some(content) = &original {
            fs::write(journal.join("content"), content)?;
        }
        let made_dir = path
            .parent()
            .filter(|parent| !parent.exists())
            .map(Path::to_path_buf);
        if let Some(dir) = &made_dir {
            fs::create_dir_all(dir)?;
        }
        let mutant = Mutant {
            path: path.clone(),
            original,
            journal,
            made_dir,
            kind: kind.to_owned(),
            place,
        };
        match new {
            Some(content) => {
                fs::write(&path, content)?;
                self.tick(&path)?;
            }
            None => fs::remove_file(&path)?,
        }
        Ok(mutant)
    }

    fn python(&mut self, file: PathBuf, tally: &Tally) -> Result<Option<Mutant>> {
        let seed = self.random.next();
        let output = Command::new(&self.python)
            .args(["-I", "-c", SCRIPT])
            .arg(&file)
            .arg(seed.to_string())
            .args(tally.rarest_first())
            .output()?;
        let Ok(found) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
            return Ok(None);
        };
        let place = format!("{}:{}", self.name(&file), found["line"]);
        let text = found["text"]
            .as_str()
            .unwrap_or_default()
            .as_bytes()
            .to_vec();
        let kind = found["kind"].as_str().unwrap_or("?");
        self.write(file, Some(text), kind, place).map(Some)
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.dir)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// The next one, of a kind of which there are few so far where there is a choice.
    fn next(&mut self, tally: &Tally) -> Result<Option<Mutant>> {
        let choice = self.random.below(100);
        let from = |list: &[PathBuf], random: &mut Random| random.pick(list).cloned();
        match choice {
            0..60 => match from(&self.sources, &mut self.random) {
                Some(file) => self.python(file, tally),
                None => Ok(None),
            },
            60..75 => match from(&self.tests, &mut self.random) {
                Some(file) => self.python(file, tally),
                None => Ok(None),
            },
            75..81 => match from(&self.conftests, &mut self.random) {
                Some(file) => self.python(file, tally),
                None => Ok(None),
            },
            81..87 => {
                let Some(file) = from(&self.data, &mut self.random) else {
                    return Ok(None);
                };
                let mut content = fs::read(&file)?;
                let half = content.len() / 2;
                content.truncate(half);
                let place = self.name(&file);
                self.write(file, Some(content), "data file", place)
                    .map(Some)
            }
            87..91 => {
                let list = if self.random.below(2) == 0 {
                    &self.sources
                } else {
                    &self.tests
                };
                let Some(file) = self.random.pick(list).cloned() else {
                    return Ok(None);
                };
                let place = self.name(&file);
                self.write(file, None, "deleted file", place).map(Some)
            }
            91..95 => {
                let Some(file) = from(&self.sources, &mut self.random) else {
                    return Ok(None);
                };
                let init = file.with_extension("").join("__init__.py");
                if init.exists() || file.file_stem().is_some_and(|stem| stem == "__init__") {
                    return Ok(None);
                }
                let place = self.name(&init);
                self.write(
                    init,
                    Some(b"shadowed = True\n".to_vec()),
                    "shadowing package",
                    place,
                )
                .map(Some)
            }
            95..98 => {
                let Some(file) = from(&self.tests, &mut self.random) else {
                    return Ok(None);
                };
                let new = file.with_file_name("test_added_by_mutation.py");
                let place = self.name(&new);
                self.write(
                    new,
                    Some(b"def test_added():\n    assert True\n".to_vec()),
                    "added file",
                    place,
                )
                .map(Some)
            }
            _ => {
                // Beside tests, or where the project's packages are: both are looked into before the standard library is.
                let beside = from(&self.tests, &mut self.random);
                let above =
                    from(&self.sources, &mut self.random).and_then(|file| place_of_packages(&file));
                let place = match self.random.below(2) {
                    0 => beside.and_then(|file| file.parent().map(Path::to_path_buf)),
                    _ => above,
                };
                let name = self.random.pick(&self.hideable).cloned();
                let Some(new) = place
                    .zip(name)
                    .map(|(place, name)| place.join(format!("{name}.py")))
                else {
                    return Ok(None);
                };
                if new.exists() {
                    return Ok(None);
                }
                let place = self.name(&new);
                self.write(
                    new,
                    Some(b"shadowed = True\n".to_vec()),
                    "shadowing the standard library",
                    place,
                )
                .map(Some)
            }
        }
    }
}

/// Runs it.
///
/// # Errors
/// If there is a miss or a difference, or the project can't be run.
pub fn mutate(args: &MutateArgs) -> Result<()> {
    let dir = args
        .project
        .canonicalize()
        .with_context(|| format!("{} isn't there", args.project.display()))?;
    let journal = journal_of(&dir);
    if journal.exists() {
        bail!(
            "{} is left over from a run that was killed: its `content` belongs at its `path`",
            journal.display()
        );
    }
    let python = match &args.python {
        Some(path) if path.is_dir() => path.join("bin/python"),
        Some(path) => path.clone(),
        None => PathBuf::from("python3"),
    };
    let project = Project {
        dx: match &args.dx {
            Some(path) => path.canonicalize().context("no binary")?,
            None => project::build()?,
        },
        dir: dir.clone(),
        python: args.python.as_ref().map(|_| python.clone()),
        select: args.select.clone(),
        args: args.args.clone(),
    };
    let scratch = tempfile::tempdir()?;
    let json = scratch.path().join("report.json");
    let (dx, saved) = (dir.join(".dx"), scratch.path().join("dx"));
    println!("baseline of {} …", dir.display());
    let first = project.test(&["--all"], &json)?;
    let second = project.test(&["--all"], &json)?;
    let settled = project.test(&[], &json)?;
    println!(
        "{} tests, {} run again when nothing changed",
        first.outcomes.len(),
        settled.ran
    );
    replace(&dx, &saved)?;
    let stable: BTreeMap<&String, &String> = first
        .outcomes
        .iter()
        .filter(|(id, outcome)| second.outcomes.get(*id) == Some(outcome))
        .collect();
    let unstable = |id: &String| {
        !stable.contains_key(id)
            && (first.outcomes.contains_key(id) || second.outcomes.contains_key(id))
    };
    let mut mutator = Mutator {
        dir: &dir,
        python,
        random: Random(args.seed),
        clock: 1_500_000_000,
        sources: Vec::new(),
        tests: Vec::new(),
        conftests: Vec::new(),
        data: Vec::new(),
        hideable: Vec::new(),
    };
    gather(&dir, &mut mutator)?;
    let all = mutator
        .sources
        .iter()
        .chain(&mutator.tests)
        .chain(&mutator.conftests);
    mutator.hideable = shadows::hideable(&mutator.python, all)?;
    println!(
        "{} sources, {} test files, {} conftests, {} data files; seed {}",
        mutator.sources.len(),
        mutator.tests.len(),
        mutator.conftests.len(),
        mutator.data.len(),
        args.seed
    );
    if mutator.sources.is_empty() && mutator.tests.is_empty() {
        bail!("{} has no Python files to change", dir.display());
    }
    mutator.check_imports()?;
    let (mut tally, mut ran, mut total, mut drawn) = (Tally::default(), 0, 0, 0);
    while tally.changing() < args.count && tally.tried() < args.count * 8 {
        let Some(mutant) = mutator.next(&tally)? else {
            continue;
        };
        if !args.kind.is_empty() && !args.kind.contains(&mutant.kind) {
            drawn += 1;
            if drawn > 1000 * args.count {
                bail!(
                    "no more mutants of the kind {} in {}",
                    args.kind.join(", "),
                    dir.display()
                );
            }
            continue;
        }
        let selected = project.test(&[], &json)?;
        replace(&saved, &dx)?;
        let all = project.test(&["--all"], &json)?;
        let changed = stable
            .iter()
            .filter(|(id, before)| all.outcomes.get(**id) != Some(before))
            .count()
            + all
                .outcomes
                .keys()
                .filter(|id| id.contains("added_by_mutation"))
                .count();
        let mut wrong = differences(&selected, &all, &unstable);
        if !wrong.is_empty() {
            // A test that was called fresh counts if everything run again says the same. One that ran counts if it differs each time:
            // a mutant may make a test depend on the order or the garbage collector. IDs that hold the time of day exist in one run
            // only, and a test that ran did exist.
            for _ in 0..2 {
                replace(&saved, &dx)?;
                let once_more = project.test(&[], &json)?;
                replace(&saved, &dx)?;
                let again = project.test(&["--all"], &json)?;
                wrong.retain(|(id, got, outcome)| {
                    let in_one_run_only = outcome.is_none() && !stable.contains_key(id);
                    again.outcomes.get(id) == outcome.as_ref()
                        && (!selected.ran_tests.contains(id)
                            || once_more.outcomes.get(id) == got.as_ref() && !in_one_run_only)
                });
            }
        }
        let path = mutant.path.clone();
        let description = format!("{}: {}", mutant.kind, mutant.place);
        let is_fresh = |(id, ..): &Difference| !selected.ran_tests.contains(id);
        let is_missed = wrong.iter().any(is_fresh);
        tally.add(&mutant.kind, changed > 0, is_missed, !wrong.is_empty());
        drop(mutant);
        if path.exists() {
            mutator.tick(&path)?;
        }
        replace(&saved, &dx)?;
        ran += selected.ran;
        total += selected.ran + selected.fresh;
        println!(
            "{:>4} {description}: {changed} changed, {} ran, {} fresh{}",
            tally.tried(),
            selected.ran,
            selected.fresh,
            match (wrong.is_empty(), is_missed) {
                (true, _) => "",
                (false, true) => " — MISS",
                (false, false) => " — DIFFERENCE",
            }
        );
        for (id, got, expected) in wrong.iter().take(5) {
            println!(
                "       {id}: selection says {}, a full run says {}",
                got.as_deref().unwrap_or("nothing"),
                expected.as_deref().unwrap_or("nothing")
            );
        }
    }
    println!("\n{tally}");
    let misses = tally.missed();
    println!(
        "{} mutants, {} change an outcome, {misses} misses, {} differences; {:.0} % of the tests ran",
        tally.tried(),
        tally.changing(),
        tally.differing(),
        100.0 * ran as f64 / total.max(1) as f64
    );
    let differences = tally.differing();
    if misses + differences > 0 {
        bail!("{misses} misses, {differences} differences");
    }
    Ok(())
}

type Difference = (String, Option<String>, Option<String>);

fn differences(
    selected: &Report,
    all: &Report,
    unstable: &impl Fn(&String) -> bool,
) -> Vec<Difference> {
    let mut ids: Vec<&String> = selected
        .outcomes
        .keys()
        .chain(all.outcomes.keys())
        .collect();
    ids.sort();
    ids.dedup();
    ids.into_iter()
        .filter(|id| !unstable(id))
        .map(|id| {
            (
                id.clone(),
                selected.outcomes.get(id).cloned(),
                all.outcomes.get(id).cloned(),
            )
        })
        .filter(|(_, got, expected)| got != expected)
        .collect()
}

/// The folder that holds the outermost package of a source.
fn place_of_packages(source: &Path) -> Option<PathBuf> {
    let mut folders = source.ancestors().skip(1);
    folders
        .find(|folder| !folder.join("__init__.py").exists())
        .map(Path::to_path_buf)
}

/// Sorts the project's files by what a change of them means.
fn gather(dir: &Path, mutator: &mut Mutator<'_>) -> Result<()> {
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        entries.sort();
        for path in entries {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let in_tests = path.strip_prefix(dir).is_ok_and(|inner| {
                inner.components().any(|part| {
                    matches!(
                        part.as_os_str().to_str(),
                        Some("tests" | "testing" | "test")
                    )
                })
            });
            if name.starts_with('.')
                || matches!(
                    &*name,
                    "__pycache__"
                        | "docs"
                        | "doc"
                        | "examples"
                        | "build"
                        | "dist"
                        | "node_modules"
                        | "setup.py"
                        | "noxfile.py"
                        | "conf.py"
                )
                || name.ends_with(".egg-info")
            {
                continue;
            }
            if path.is_dir() {
                if !path.join("pyvenv.cfg").exists() {
                    folders.push(path);
                }
            } else if name == "conftest.py" {
                mutator.conftests.push(path);
            } else if name.ends_with(".py") {
                if in_tests {
                    mutator.tests.push(path)
                } else {
                    mutator.sources.push(path)
                }
            } else if in_tests && fs::metadata(&path)?.len() > 1 {
                mutator.data.push(path);
            }
        }
    }
    Ok(())
}
