//! `cargo xtask crash`: kills runs at random moments and checks that the next run goes on from what was recorded.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::project::{self, Project, Random};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct CrashArgs {
    /// The project; its `.dx/` is deleted
    #[arg(long)]
    project: PathBuf,
    /// Its interpreter or virtual environment
    #[arg(long)]
    python: Option<PathBuf>,
    /// How many times
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Where the random choices start
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Arguments for pytest
    #[arg(last = true)]
    args: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// If something is lost, or the project can't be run.
pub fn crash(args: &CrashArgs) -> Result<()> {
    let dir = args
        .project
        .canonicalize()
        .with_context(|| format!("{} isn't there", args.project.display()))?;
    let project = Project {
        dx: project::build()?,
        dir: dir.clone(),
        python: args.python.clone(),
        select: None,
        args: args.args.clone(),
    };
    let scratch = tempfile::tempdir()?;
    let json = scratch.path().join("report.json");
    let clean = || match std::fs::remove_dir_all(dir.join(".dx")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    clean()?;
    let began = Instant::now();
    let oracle = project.test(&["--all"], &json)?;
    let whole = began.elapsed();
    println!(
        "oracle: {} tests in {:.1} s; seed {}",
        oracle.outcomes.len(),
        whole.as_secs_f64(),
        args.seed
    );
    let mut random = Random(args.seed);
    let mut wrong = 0;
    for round in 1..=args.times {
        clean()?;
        let delay = Duration::from_millis(random.below(whole.as_millis() as usize) as u64);
        let mut child = project.command(&[], &json).spawn()?;
        std::thread::sleep(delay);
        child.kill()?;
        child.wait()?;
        let _ = std::fs::remove_file(&json);
        let after = project.test(&[], &json)?;
        let aside = std::fs::read_dir(dir.join(".dx"))?
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("damaged"));
        let different = oracle
            .outcomes
            .iter()
            .filter(|(id, outcome)| after.outcomes.get(*id) != Some(outcome))
            .count()
            + after.outcomes.len().saturating_sub(oracle.outcomes.len());
        let bad = aside || different > 0 || after.code != oracle.code;
        wrong += usize::from(bad);
        println!(
            "{round:>3} killed after {:>5} ms: then {} fresh, {} ran, {different} differ{}{}",
            delay.as_millis(),
            after.fresh,
            after.ran,
            if aside {
                ", the catalog was damaged"
            } else {
                ""
            },
            if bad { " — WRONG" } else { "" }
        );
    }
    if wrong > 0 {
        bail!("{wrong} of {} rounds went wrong", args.times);
    }
    println!("{} rounds, nothing lost", args.times);
    Ok(())
}
