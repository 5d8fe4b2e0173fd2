//! `cargo xtask bench`: pytest, pytest-xdist and dx-py on synthetic suites, interleaved in one run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::project::{build, root};
use crate::{demo, suites};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// How often each is run
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Which suite: trivial, typical or all
    #[arg(long, default_value = "all")]
    suite: String,
}

struct Case<'a> {
    name: &'static str,
    program: &'a Path,
    args: Vec<&'static str>,
    prepare: fn(&Path, usize) -> Result<()>,
}

fn nothing(_: &Path, _: usize) -> Result<()> {
    Ok(())
}

fn without_database(dir: &Path, _: usize) -> Result<()> {
    let dx = dir.join(".dx");
    if dx.exists() {
        fs::remove_dir_all(dx)?;
    }
    Ok(())
}

/// Changes one file: a source where the suite has some, else a test.
fn edited(dir: &Path, round: usize) -> Result<()> {
    let source = dir.join("src/shop/part3.py");
    let path = if source.exists() {
        source
    } else {
        dir.join("tests/test_100.py")
    };
    let text = fs::read_to_string(&path)?;
    let kept: String = text
        .lines()
        .filter(|line| !line.starts_with("EDIT = "))
        .map(|line| format!("{line}\n"))
        .collect();
    Ok(fs::write(
        path,
        format!("{kept}EDIT = {round}{}\n", std::process::id()),
    )?)
}

/// Runs it.
///
/// # Errors
/// If something can't be run.
pub fn bench(args: &BenchArgs) -> Result<()> {
    let dx = build()?;
    let venv = demo::environment("bench", "requirements.txt")?;
    let python = venv.join("bin/python");
    let mut report = String::new();
    for (name, make) in [
        ("trivial", suites::trivial as fn(&Path) -> Result<()>),
        ("typical", suites::typical),
    ] {
        if args.suite != "all" && args.suite != name {
            continue;
        }
        let dir = root().join("target/bench").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        make(&dir)?;
        report.push_str(&suite(name, &dir, &dx, &python, &venv, args.runs)?);
    }
    println!("{report}");
    let results = root().join("benches/results");
    fs::create_dir_all(&results)?;
    let date = String::from_utf8(Command::new("date").arg("+%Y-%m-%d").output()?.stdout)?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let path = results.join(format!("{}.md", date.trim()));
    fs::write(
        &path,
        format!(
            "# Benchmarks of {}\n\n{cores} cores, {} runs each, interleaved; medians. Made by `cargo xtask bench`.\n\n{report}",
            date.trim(),
            args.runs
        ),
    )?;
    println!("written to {}", path.display());
    Ok(())
}

fn suite(
    name: &str,
    dir: &Path,
    dx: &Path,
    python: &Path,
    venv: &Path,
    runs: usize,
) -> Result<String> {
    let cases = [
        Case {
            name: "pytest",
            program: python,
            args: vec!["-m", "pytest", "-q", "-p", "no:xdist"],
            prepare: nothing,
        },
        Case {
            name: "pytest -n 2",
            program: python,
            args: vec!["-m", "pytest", "-q", "-n", "2"],
            prepare: nothing,
        },
        Case {
            name: "dx-py, first run",
            program: dx,
            args: vec!["test", "-q"],
            prepare: without_database,
        },
        Case {
            name: "dx-py, nothing changed",
            program: dx,
            args: vec!["test", "-q"],
            prepare: nothing,
        },
        Case {
            name: "dx-py, one edit",
            program: dx,
            args: vec!["test", "-q"],
            prepare: edited,
        },
        Case {
            name: "dx-py --all",
            program: dx,
            args: vec!["test", "-q", "--all"],
            prepare: nothing,
        },
    ];
    let mut times: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    let mut counts: BTreeMap<usize, String> = BTreeMap::new();
    // One round that doesn't count fills the caches of bytecode for all.
    for round in 0..=runs {
        for (number, case) in cases.iter().enumerate() {
            (case.prepare)(dir, round)?;
            let began = Instant::now();
            let output = Command::new(case.program)
                .args(&case.args)
                .current_dir(dir)
                .env("VIRTUAL_ENV", venv)
                .env_remove("CI")
                .stdin(Stdio::null())
                .output()?;
            if round > 0 {
                times.entry(number).or_default().push(began.elapsed());
            }
            let text = String::from_utf8_lossy(&output.stdout);
            counts.insert(
                number,
                text.lines()
                    .last()
                    .unwrap_or_default()
                    .trim_matches(['=', ' ', '✓'])
                    .to_owned(),
            );
        }
        eprintln!("{name}: round {round} of {runs}");
    }
    let median = |number: usize| {
        let mut all = times[&number].clone();
        all.sort();
        all[all.len() / 2].as_secs_f64()
    };
    let mut table = format!(
        "## {name}\n\n| runner | median s | pytest ÷ it | its last line |\n| --- | ---: | ---: | --- |\n"
    );
    for (number, case) in cases.iter().enumerate() {
        let time = median(number);
        table.push_str(&format!(
            "| {} | {time:.3} | {:.2} | {} |\n",
            case.name,
            median(0) / time,
            counts[&number]
        ));
    }
    table.push('\n');
    Ok(table)
}
