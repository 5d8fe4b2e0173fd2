//! `cargo xtask fuzz-pytest`: random small projects, run by pytest and by dx-py, and edited; everything that both tell is compared.

mod generate;
mod plant;
mod run;
mod sample;
mod shrink;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::demo;
use crate::project::{self, Random};
use run::{Runner, Way};
use shrink::History;

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
    /// Plant faults in the worker instead, one after the other, and tell how many projects it takes to find each
    #[arg(long)]
    plant: bool,
    /// With --plant, only faults whose name contains this
    #[arg(long, requires = "plant")]
    fault: Option<String>,
    /// Don't look for smaller projects that show a difference
    #[arg(long)]
    no_shrink: bool,
    /// The interpreter; by default one in an environment with the pinned pytest
    #[arg(long)]
    python: Option<PathBuf>,
}

/// How dx-py is run first, and after edits: each second project the other way round. Second opinions would hide what goes wrong in a
/// worker; after an edit they are part of what a user sees.
const WAYS: [(Way, Way); 2] = [
    (&["-n", "2", "--no-second-opinion"], &["-n", "1"]),
    (&["-n", "1", "--no-second-opinion"], &["-n", "2"]),
];

/// How everything is run once more.
const EVERYTHING: Way = &["-n", "2", "--all", "--no-second-opinion"];

/// How often something was generated.
type Counts = BTreeMap<String, usize>;

/// Makes the project of a seed and its edits.
fn history(seed: u64, edits: usize, counts: &mut Counts) -> (History, Vec<String>) {
    let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let (first, later) = WAYS[(seed % 2) as usize];
    let mut sample = generate::generate(&mut random);
    let mut history = vec![(sample.clone(), first)];
    let mut done = Vec::new();
    for _ in 0..edits {
        let (kind, what) = generate::edit(&mut random, &mut sample);
        *counts.entry(format!("edit: {kind}")).or_default() += 1;
        done.push(format!("{kind} ({what})"));
        history.push((sample.clone(), later));
    }
    // Some projects go back to where they began, which needs no run of what passed there.
    if edits > 0 && random.below(4) == 0 {
        *counts
            .entry("edit: back to the beginning".into())
            .or_default() += 1;
        done.push("back to the beginning".into());
        history.push((history[0].0.clone(), later));
    }
    // Some are run as a whole again, where workers share what is known to be there.
    if edits > 0 && random.below(2) == 0 {
        *counts.entry("edit: everything again".into()).or_default() += 1;
        done.push("everything again".into());
        let newest = history[history.len() - 1].0.clone();
        history.push((newest, EVERYTHING));
    }
    for (sample, _) in &history {
        for feature in sample.features() {
            *counts.entry(feature.to_owned()).or_default() += 1;
        }
    }
    (history, done)
}

/// Writes the states of a history where a person can look at them.
fn keep(history: &History, seed: u64) -> Result<PathBuf> {
    let dir = project::root().join("target/fuzz").join(seed.to_string());
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    for (at, (sample, way)) in history.iter().enumerate() {
        let state = dir.join(at.to_string());
        sample.write(None, &state)?;
        let how = format!(
            "dx-py test {} {}\nenvironment: {:?}\n",
            way.join(" "),
            sample.arguments.join(" "),
            sample.environment
        );
        fs::write(dir.join(format!("{at}.txt")), how)?;
    }
    Ok(dir)
}

/// Runs it.
///
/// # Errors
/// If there was a difference, a fault wasn't found, or something can't be run.
pub fn fuzz(args: &FuzzArgs) -> Result<()> {
    let dx = project::build_for_development()?;
    let python = match &args.python {
        Some(python) => python.clone(),
        None => demo::environment("ci", "requirements.txt")?.join("bin/python"),
    };
    let scratch = tempfile::tempdir()?;
    let mut runner = Runner::new(dx, python, scratch.path())?;
    if args.plant {
        return plant::plant(&mut runner, args.seed, args.edits, args.fault.as_deref());
    }
    let mut counts: Counts = generate::templates()
        .map(|(name, _)| (name.to_owned(), 0))
        .collect();
    let mut different = 0;
    for seed in args.seed..args.seed + args.count {
        let done = seed - args.seed;
        if done > 0 && done.is_multiple_of(50) {
            println!("{done} projects, {different} with a difference so far");
        }
        runner.warm = seed.is_multiple_of(4);
        let (history, done) = history(seed, args.edits, &mut counts);
        let Some((at, difference)) = shrink::replay(&mut runner, &history)? else {
            continue;
        };
        different += 1;
        println!("seed {seed}: after {:?}: {difference}", &done[..at]);
        if !args.no_shrink {
            let failing = history[..=at].to_vec();
            let (small, told) = shrink::shrink(&mut runner, &failing)?;
            let kept = keep(&small, seed)?;
            println!("  a smaller project: {}", kept.display());
            if let Some(told) = told {
                println!("  {told}");
            }
        }
    }
    println!("features, by the number of states of projects that have them:");
    for (feature, count) in &counts {
        println!("  {count:5} {feature}");
    }
    println!("outcomes: {:?}", runner.outcomes);
    println!("{} projects, {different} with a difference", args.count);
    if different > 0 {
        bail!("{different} projects differ");
    }
    Ok(())
}
