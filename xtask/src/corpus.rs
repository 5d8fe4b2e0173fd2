//! `cargo xtask corpus`: the suites of real projects, by pytest several times and by dx-py in five ways; every outcome is compared.
//!
//! The projects come from two lists, the shared one and `testdata/corpus.toml`, and are prepared by the shared script: it fetches
//! their sources and makes their environments. Nothing of theirs is kept in the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::outcomes::{Difference, Oracle, Outcomes};
use crate::place::DxRun;
use crate::project;
use crate::suite::{self, Suite};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct CorpusArgs {
    /// The projects; all of the lists without
    names: Vec<String>,
    /// A list; by default the shared one, if it is there, and testdata/corpus.toml
    #[arg(long)]
    file: Vec<PathBuf>,
    /// How many runs of pytest must agree on a test's outcome
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where the projects are
    #[arg(long)]
    home: Option<PathBuf>,
}

/// How dx-py is run.
struct Way {
    title: &'static str,
    args: &'static [&'static str],
    /// Whether a failure that xdist has too needs no other explanation.
    as_xdist: bool,
    /// Whether an interpreter is kept warm, which has imported what the tests import.
    is_warm: bool,
}

const WAYS: [Way; 5] = [
    Way {
        title: "parallel, one opinion",
        args: &["--all", "--no-second-opinion"],
        as_xdist: true,
        is_warm: false,
    },
    Way {
        title: "-n 1, one opinion",
        args: &["--all", "-n", "1", "--no-second-opinion"],
        as_xdist: false,
        is_warm: false,
    },
    Way {
        title: "-n 1",
        args: &["--all", "-n", "1"],
        as_xdist: false,
        is_warm: false,
    },
    Way {
        title: "warm",
        args: &["--all", "--no-second-opinion"],
        as_xdist: true,
        is_warm: true,
    },
    // Last, since it is what users run, and the run right after it is looked at.
    Way {
        title: "parallel",
        args: &["--all"],
        as_xdist: false,
        is_warm: false,
    },
];
const SHOWN: usize = 12;

/// Where projects are listed, prepared and kept.
pub struct Corpus {
    /// The projects that were asked for.
    pub suites: Vec<Suite>,
    script: PathBuf,
    home: PathBuf,
}

impl Corpus {
    /// Reads the lists: those given, else the shared one, if it is there, and testdata/corpus.toml. Of no names all projects are meant.
    ///
    /// # Errors
    /// If a list can't be read, or none has one of the names.
    pub fn read(names: &[String], files: &[PathBuf], home: Option<&Path>) -> Result<Self> {
        let shared = project::root().join("../shared/corpus");
        let home = match home {
            Some(home) => home.to_path_buf(),
            None => {
                Path::new(&std::env::var_os("HOME").context("no HOME")?).join(".cache/dx-corpus")
            }
        };
        let mut lists = files.to_vec();
        if lists.is_empty() {
            lists.extend(Some(shared.join("corpus.toml")).filter(|list| list.exists()));
            lists.push(project::root().join("testdata/corpus.toml"));
        }
        let mut suites = Vec::new();
        for list in &lists {
            suites.extend(suite::read_list(list, &home)?);
        }
        if let Some(unknown) = names
            .iter()
            .find(|name| suites.iter().all(|suite| suite.name != **name))
        {
            bail!("no list has a project {unknown}");
        }
        suites.retain(|suite| names.is_empty() || names.contains(&suite.name));
        let script = shared.join("corpus");
        if !script.exists() {
            println!(
                "{} isn't there, so nothing can be prepared: what is prepared in {} is run",
                script.display(),
                home.display()
            );
        }
        Ok(Self {
            suites,
            script,
            home,
        })
    }

    /// Makes a project ready to be run.
    ///
    /// # Errors
    /// If it can't be made ready.
    pub fn prepare(&self, suite: &Suite) -> Result<()> {
        if !suite.is_ready() && self.script.exists() {
            println!("  preparing …");
            Command::new("python3")
                .arg(&self.script)
                .arg("prepare")
                .arg("--file")
                .arg(&suite.list)
                .arg("--home")
                .arg(&self.home)
                .arg(&suite.name)
                .status()
                .context("can't start python3")?;
        }
        if !suite.is_ready() {
            bail!("{} isn't prepared", suite.name);
        }
        Ok(())
    }
}

/// Runs it.
///
/// # Errors
/// If a project can't be run, or a difference is left that nothing explains.
pub fn corpus(args: &CorpusArgs) -> Result<()> {
    let corpus = Corpus::read(&args.names, &args.file, args.home.as_deref())?;
    let dx = project::build()?;
    let (mut rows, mut left) = (Vec::new(), Vec::new());
    for suite in &corpus.suites {
        match examine(&corpus, suite, &dx, args.runs) {
            Ok((row, unexplained)) => {
                rows.push(row);
                if unexplained > 0 {
                    left.push(format!("{} ({unexplained})", suite.name));
                }
            }
            Err(error) => {
                println!("  {error:#}");
                rows.push(format!("| {} | could not be run |", suite.name));
                left.push(suite.name.clone());
            }
        }
    }
    let titles: Vec<&str> = WAYS.iter().map(|way| way.title).collect();
    println!(
        "\nEach way: differences · second opinions that overturned a failure · seconds\n\n| project | tests | unstable | pytest s | {} | run again |\n|{}",
        titles.join(" | "),
        "---|".repeat(titles.len() + 5)
    );
    for row in rows {
        println!("{row}");
    }
    if !left.is_empty() {
        bail!("left unexplained: {}", left.join(", "));
    }
    Ok(())
}

/// Runs one project in all ways; gives its row of the table, and how many differences nothing explains.
fn examine(corpus: &Corpus, suite: &Suite, dx: &Path, runs: usize) -> Result<(String, usize)> {
    println!("\n── {}", suite.name);
    corpus.prepare(suite)?;
    let oracle = Oracle::new(&suite.oracle(runs)?);
    let (tests, unstable) = oracle.counts();
    println!(
        "  pytest: {tests} tests, {unstable} unstable in {runs} runs, {:.1} s",
        oracle.seconds
    );
    for test in oracle.wavering.iter().chain(&oracle.passing_by).take(SHOWN) {
        println!("    unstable: {test}");
    }
    let mut row = format!(
        "| {} | {tests} | {unstable} | {:.1} |",
        suite.name, oracle.seconds
    );
    let mut unexplained = 0;
    let mut last = DxRun::default();
    for way in &WAYS {
        suite.forget()?;
        let run = if way.is_warm {
            run_warm(suite, dx, way.args)?
        } else {
            suite.place.dx(dx, way.args)?
        };
        let mut different = oracle.differences(&run.outcomes);
        if different.is_empty() && !oracle.codes.contains(&run.code) {
            let codes: Vec<String> = oracle.codes.iter().map(i32::to_string).collect();
            different.push(Difference {
                test: "exit code".into(),
                expected: Some(codes.join(" or ")),
                got: Some(run.code.to_string()),
            });
        }
        println!(
            "  {}: {} differ, {} overturned, {:.1} s",
            way.title,
            different.len(),
            run.second_opinions.len(),
            run.seconds
        );
        for said in &run.how {
            println!("    {said}");
        }
        let xdist = if way.as_xdist && !different.is_empty() {
            suite.xdist().unwrap_or_else(|error| {
                println!("    xdist: {error:#}");
                Vec::new()
            })
        } else {
            Vec::new()
        };
        let explained = different.iter().filter(|one| xdist_agrees(one, &xdist));
        unexplained += different.len() - explained.count();
        show(&different, &xdist);
        row.push_str(&format!(
            " {} · {} · {:.1} |",
            different.len(),
            run.second_opinions.len(),
            run.seconds
        ));
        last = run;
    }
    row.push_str(&format!(" {} |", run_again(suite, dx, &last)?));
    Ok((row, unexplained))
}

/// Runs a project on forks of an interpreter that has learned in a run before what to import ahead.
fn run_warm(suite: &Suite, dx: &Path, args: &[&str]) -> Result<DxRun> {
    let mut place = suite.place.clone();
    place.env.push(("DX_PY_DAEMON".into(), "1".into()));
    let daemon = |action| -> Result<()> {
        let mut command = place.dx_command(dx)?;
        let ended = command.args(["daemon", action]).output()?;
        if !ended.status.success() {
            bail!("{}", String::from_utf8_lossy(&ended.stderr));
        }
        Ok(())
    };
    place.dx(dx, args)?;
    daemon("start")?;
    let run = place.dx(dx, args)?;
    daemon("stop")?;
    Ok(run)
}

/// Whether one of xdist's runs has the outcome that dx-py has.
fn xdist_agrees(one: &Difference, xdist: &[Outcomes]) -> bool {
    one.got.is_some()
        && xdist
            .iter()
            .any(|run| run.get(&one.test) == one.got.as_ref())
}

fn show(different: &[Difference], xdist: &[Outcomes]) {
    for one in different.iter().take(SHOWN) {
        let said = |outcome: &Option<String>| outcome.clone().unwrap_or_else(|| "-".into());
        let too = match xdist {
            [] => "",
            runs if xdist_agrees(one, runs) => ", and so xdist",
            _ => ", xdist as pytest",
        };
        println!(
            "    {}: pytest {}, dx-py {}{too}",
            one.test,
            said(&one.expected),
            said(&one.got)
        );
    }
    if different.len() > SHOWN {
        println!("    … and {} more", different.len() - SHOWN);
    }
}

/// Runs it once more with nothing changed, and tells which tests ran although they hadn't failed.
fn run_again(suite: &Suite, dx: &Path, before: &DxRun) -> Result<String> {
    let again = suite.place.dx(dx, &["--explain"])?;
    let failed = |test: &String| {
        matches!(
            before.outcomes.get(test).map(String::as_str),
            Some("failed" | "error")
        )
    };
    let (had_failed, others): (Vec<&String>, Vec<&String>) =
        again.ran.iter().partition(|test| failed(test));
    println!(
        "  run again: {} ran that had failed, {} others, {:.1} s",
        had_failed.len(),
        others.len(),
        again.seconds
    );
    for test in others.iter().take(SHOWN) {
        println!("    {test}");
    }
    if !others.is_empty() {
        let files: Vec<&str> = others
            .iter()
            .map(|test| test.split("::").next().unwrap_or(test))
            .collect();
        // The lines of --explain begin with the file; those of the progress do too, and say less.
        let reasons = again
            .text
            .lines()
            .take_while(|line| !line.starts_with("dx-py "))
            .filter(|line| line.contains(": ") && files.iter().any(|file| line.starts_with(file)));
        for line in reasons.take(SHOWN) {
            println!("    why: {line}");
        }
    }
    Ok(format!(
        "{} + {} of {}",
        had_failed.len(),
        others.len(),
        again.outcomes.len()
    ))
}
