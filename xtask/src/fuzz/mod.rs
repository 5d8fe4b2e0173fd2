//! `cargo xtask fuzz-pytest`: random small projects, run by pytest and by dx-py, and edited; every outcome is compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::demo;
use crate::project::{self, Project, Random};
use crate::sample::{self, Sample};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct FuzzArgs {
    /// Where the random choices start; each project has the next number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many projects
    #[arg(long, default_value_t = 50)]
    count: u64,
    /// How often each is edited
    #[arg(long, default_value_t = 2)]
    edits: usize,
    /// The interpreter; by default one in an environment with the pinned pytest
    #[arg(long)]
    python: Option<PathBuf>,
}

const ORACLE: &str = include_str!("../../testdata/oracle_of_dx.py");

type Outcomes = BTreeMap<String, String>;

struct Fuzzer {
    dx: PathBuf,
    python: PathBuf,
    scratch: PathBuf,
}

/// How a project is run by dx-py.
const WAYS: [&[&str]; 2] = [
    &["-n", "2", "--no-second-opinion"],
    &["-n", "1", "--no-second-opinion", "--all"],
];

impl Fuzzer {
    fn pytest(&self, dir: &Path) -> Result<(i32, Outcomes)> {
        let out = self.scratch.join("oracle.json");
        let _ = fs::remove_file(&out);
        let status = Command::new(&self.python)
            .args(["-m", "pytest", "-q", "-p", "oracle_of_dx"])
            .args(["-p", "no:cacheprovider", "--continue-on-collection-errors"])
            .current_dir(dir)
            .env("PYTHONPATH", &self.scratch)
            .env("ORACLE_OUT", &out)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        let text = fs::read_to_string(&out).unwrap_or_else(|_| "{}".into());
        Ok((status.code().unwrap_or(-1), serde_json::from_str(&text)?))
    }

    /// What differs, if anything does.
    fn difference(&self, dir: &Path, ways: &[&[&str]]) -> Result<Option<String>> {
        let (code, expected) = self.pytest(dir)?;
        for way in ways {
            let project = Project {
                dx: self.dx.clone(),
                dir: dir.to_path_buf(),
                python: Some(self.python.clone()),
                args: vec!["-p".into(), "no:cacheprovider".into()],
            };
            let json = self.scratch.join("dx.json");
            let report = project
                .test(way, &json)
                .with_context(|| format!("dx-py {way:?} in {}", dir.display()))?;
            let ids = expected.keys().chain(report.outcomes.keys());
            let mut lines: Vec<String> = ids
                .filter(|id| expected.get(*id) != report.outcomes.get(*id))
                .map(|id| {
                    let of = |outcomes: &Outcomes| {
                        outcomes.get(id).cloned().unwrap_or_else(|| "-".into())
                    };
                    format!(
                        "  {id}: pytest {}, dx-py {}",
                        of(&expected),
                        of(&report.outcomes)
                    )
                })
                .collect();
            lines.sort();
            lines.dedup();
            if lines.is_empty() && report.code != code {
                lines.push(format!("  exit code: pytest {code}, dx-py {}", report.code));
            }
            if !lines.is_empty() {
                return Ok(Some(format!(
                    "dx-py test {}\n{}",
                    way.join(" "),
                    lines.join("\n")
                )));
            }
        }
        Ok(None)
    }

    /// Makes a project that differs smaller: pieces and files go as long as the difference stays.
    fn shrink(&self, sample: &Sample) -> Result<Sample> {
        let differs = |sample: &Sample| -> Result<bool> {
            let dir = tempfile::tempdir_in(&self.scratch)?;
            sample::write(sample, None, dir.path())?;
            Ok(self.difference(dir.path(), &WAYS)?.is_some())
        };
        let mut small = sample.clone();
        loop {
            let mut smaller = None;
            'search: for (path, pieces) in &small.files {
                let mut without = small.clone();
                without.files.remove(path);
                if path != "pytest.ini" && differs(&without)? {
                    smaller = Some(without);
                    break 'search;
                }
                for at in 1..pieces.len() {
                    let mut without = small.clone();
                    if let Some(pieces) = without.files.get_mut(path) {
                        pieces.remove(at);
                    }
                    if differs(&without)? {
                        smaller = Some(without);
                        break 'search;
                    }
                }
            }
            match smaller {
                Some(sample) => small = sample,
                None => return Ok(small),
            }
        }
    }

    fn one(&self, seed: u64, edits: usize) -> Result<Option<String>> {
        let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let mut sample = sample::generate(&mut random);
        let dir = tempfile::tempdir_in(&self.scratch)?;
        sample::write(&sample, None, dir.path())?;
        if let Some(difference) = self.difference(dir.path(), &WAYS)? {
            let small = self.shrink(&sample)?;
            let kept = self.keep(&small, seed)?;
            return Ok(Some(format!(
                "{difference}\n  a smaller project: {}",
                kept.display()
            )));
        }
        let mut done = Vec::new();
        for _ in 0..edits {
            let before = sample.clone();
            done.push(sample::edit(&mut random, &mut sample));
            sample::write(&sample, Some(&before), dir.path())?;
            if let Some(difference) = self.difference(dir.path(), &[&["-n", "2"]])? {
                let kept = self.keep(&before, seed)?;
                return Ok(Some(format!(
                    "after: {}\n{difference}\n  before the last edit: {}",
                    done.join("; "),
                    kept.display()
                )));
            }
        }
        Ok(None)
    }

    fn keep(&self, sample: &Sample, seed: u64) -> Result<PathBuf> {
        let dir = project::root().join("target/fuzz").join(seed.to_string());
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        sample::write(sample, None, &dir)?;
        Ok(dir)
    }
}

/// Runs it.
///
/// # Errors
/// If there was a difference, or something can't be run.
pub fn fuzz(args: &FuzzArgs) -> Result<()> {
    let dx = project::build()?;
    let python = match &args.python {
        Some(python) => python.clone(),
        None => demo::environment("ci", "requirements.txt")?.join("bin/python"),
    };
    let scratch = tempfile::tempdir()?;
    fs::write(scratch.path().join("oracle_of_dx.py"), ORACLE)?;
    let fuzzer = Fuzzer {
        dx,
        python,
        scratch: scratch.path().to_path_buf(),
    };
    let mut different = 0;
    for seed in args.seed..args.seed + args.count {
        if let Some(difference) = fuzzer.one(seed, args.edits)? {
            different += 1;
            println!("seed {seed}: {difference}");
        }
    }
    println!("{} projects, {different} with a difference", args.count);
    if different > 0 {
        bail!("{different} projects differ");
    }
    Ok(())
}
