//! `cargo xtask replay`: walks a project's history, and compares what dx-py reports of each commit, having recorded those before, with
//! a full run of pytest.
//!
//! A *miss* is a test that dx-py called fresh and whose outcome pytest says is another. The walk lies in `~/.cache/dx-replay`: a work
//! copy, an environment, what dx-py recorded, and a journal, so that a walk that was interrupted goes on where it was.

mod compare;
mod environment;
mod history;
mod journal;
mod paths;
mod reasons;
mod states;
mod table;
mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::corpus::Corpus;
use crate::place::{LIMIT, Place};
use crate::project;
use crate::suite::Suite;
use compare::Sort;
use environment::{Environment, Recipe};
use history::{Commit, History, short};
use journal::{Journal, Record, Walk};
use states::{Files, Kind, states_of};
use table::{Figures, markdown};
use walk::{Copy, Walker};

/// What may be measured beside dx-py.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Peer {
    Testmon,
}

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The project's repository, which is only read; a bare one will do
    #[arg(long)]
    repo: PathBuf,
    /// The last commit
    #[arg(long, default_value = "HEAD")]
    until: String,
    /// How many commits that touch code, along first parents
    #[arg(long, default_value_t = 20)]
    commits: usize,
    /// Also each commit's source with the tests before it, and its tests with the source before it
    #[arg(long)]
    crossed: bool,
    /// Measure another selection beside, in a work copy and an environment of its own
    #[arg(long, value_enum)]
    against: Option<Peer>,
    /// The project's name in the lists of the corpus, which say how it is installed; by default the repository's
    #[arg(long)]
    name: Option<String>,
    /// A virtual environment that has all that the tests need; the project is installed into it
    #[arg(long, value_name = "VENV")]
    python: Option<PathBuf>,
    /// A requirement beside those that the list names
    #[arg(long, value_name = "REQUIREMENT")]
    requires: Vec<String>,
    /// How often pytest runs, to know which tests it is sure of
    #[arg(long, default_value_t = 2)]
    runs: usize,
    /// The binary; a release build of this tree without
    #[arg(long, value_name = "PATH")]
    dx: Option<PathBuf>,
    /// What dx-py is told to select by; a walk for each level is kept
    #[arg(long, value_name = "LEVEL")]
    select: Option<String>,
    /// A run that takes longer, of dx-py or of pytest, is ended, and its state skipped: old sources with new tests may never end
    #[arg(long, value_name = "SECONDS", default_value_t = LIMIT.as_secs())]
    limit: u64,
    /// Keep no interpreter warm between the states, as in CI
    #[arg(long)]
    cold: bool,
    /// Where to write the table, as markdown
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Go no further: only tell what an unfinished walk came to so far
    #[arg(long)]
    so_far: bool,
    /// Where walks are kept; by default ~/.cache/dx-replay
    #[arg(long)]
    home: Option<PathBuf>,
    /// Arguments for pytest beside those that the list names
    #[arg(last = true)]
    args: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// If there is a miss, or dx-py knows of other tests than pytest, or the walk can't be done.
pub fn replay(args: &ReplayArgs) -> Result<()> {
    let repo = args.repo.canonicalize();
    let repo = repo.with_context(|| format!("no repository {}", args.repo.display()))?;
    let name = args.name.clone().unwrap_or_else(|| name_of(&repo));
    let history = History::new(&repo);
    let until = history.resolve(&args.until)?;
    let commits = history.commits(&until, args.commits)?;
    if commits.is_empty() {
        bail!("no commit up to {until} touches code");
    }
    let dx = match &args.dx {
        Some(path) => path.canonicalize().context("no binary")?,
        None => project::build()?,
    };
    let folder = match &args.select {
        Some(level) => format!("{name}-{level}"),
        None => name.clone(),
    };
    let home = home(args)?.join(folder);
    fs::create_dir_all(&home)?;
    let lock = fs::File::create(home.join("lock"))?;
    if lock.try_lock().is_err() {
        bail!("another walk works in {}", home.display());
    }
    let suite = listed(&name)?;
    let requires = requires(suite.as_ref(), &args.requires);
    let recipe = Recipe {
        python: suite
            .as_ref()
            .map_or_else(|| "3.13".to_owned(), |suite| suite.python.clone()),
        requires: match &args.python {
            Some(_) => Vec::new(),
            None => requires.clone(),
        },
        given: args.python.clone(),
    };
    let mut pytest_args = suite
        .as_ref()
        .map_or_else(Vec::new, |suite| suite.place.args.clone());
    pytest_args.extend(args.args.iter().cloned());
    let subdir = suite.as_ref().map_or("", |suite| &suite.subdir);
    let mut env = suite
        .as_ref()
        .map_or_else(Vec::new, |suite| suite.place.env.clone());
    env.push(("DX_PY_DAEMON".to_owned(), u8::from(!args.cold).to_string()));
    let copy = |home: &Path, recipe: &Recipe| {
        let environment = Environment::new(recipe.clone(), home);
        let place = Place {
            name: name.clone(),
            source: home.join("work").join(subdir),
            venv: environment.venv().to_path_buf(),
            scratch: home.join("out"),
            args: pytest_args.clone(),
            env: env.clone(),
            limit: Duration::from_secs(args.limit),
        };
        Copy::open(&history, home, environment, place)
    };
    let walk = Walk {
        repo,
        until,
        commits: args.commits,
        crossed: args.crossed,
        testmon: args.against.is_some(),
        recipe: recipe.clone(),
        args: pytest_args.clone(),
        runs: args.runs.max(1),
        select: args.select.clone(),
        cold: args.cold,
        binary: stamp(&dx)?,
    };
    let own = copy(&home, &recipe)?;
    let testmon = match args.against {
        None => None,
        Some(Peer::Testmon) => {
            let requires = requires.into_iter().chain(["pytest-testmon".to_owned()]);
            let recipe = Recipe {
                requires: requires.collect(),
                given: None,
                ..recipe
            };
            Some(copy(&home.join("testmon"), &recipe)?)
        }
    };
    let walker = Walker {
        home: home.clone(),
        history: History::new(&walk.repo),
        dx,
        runs: walk.runs,
        select: walk.select.clone(),
        subdir: subdir.to_owned(),
        copy: own,
        testmon,
    };
    let (journal, goes_on) = Journal::open(&home.join("journal.jsonl"), &walk)?;
    if goes_on {
        println!("going on after {} states", journal.records.len());
    } else {
        walker.forget()?;
    }
    let records = if args.so_far {
        journal.records
    } else {
        go(&walker, &commits, args.crossed, journal)?
    };
    report(&name, &walk, &records, args.results.as_deref())
}

/// Goes through the states that aren't in the journal; gives all of them.
fn go(
    walker: &Walker,
    commits: &[Commit],
    crossed: bool,
    mut journal: Journal,
) -> Result<Vec<Record>> {
    let (mut at, mut before): (usize, Option<Files>) = (0, None);
    for (number, commit) in commits.iter().enumerate() {
        let files = walker.history.files(&commit.id)?;
        for (kind, state) in states_of(before.as_ref(), &files, crossed) {
            if at >= journal.records.len() {
                let record = walker.state(at + 1, commit, kind, &state)?;
                println!("[{:>3}/{}] {}", number + 1, commits.len(), line(&record));
                for finding in &record.findings {
                    println!("      {finding}");
                }
                if !record.findings.is_empty() {
                    for line in walker.history.changes(&commit.id)?.lines() {
                        println!("      {line}");
                    }
                }
                journal.add(record)?;
            }
            at += 1;
        }
        before = Some(files);
    }
    walker.end()?;
    Ok(journal.records)
}

/// A state in one line.
fn line(record: &Record) -> String {
    let commit = short(&record.commit);
    let title: String = record.title.chars().take(50).collect();
    let kind = match record.kind {
        Kind::Plain => String::new(),
        kind => format!(" ({kind})"),
    };
    if let Some(reason) = &record.skipped {
        return format!("{commit} {title}{kind}: skipped: {reason}");
    }
    let changes = record.changes.map_or_else(
        || "first".to_owned(),
        |changes| {
            format!(
                "{} changed, {} new, {} gone",
                changes.changed, changes.new, changes.gone
            )
        },
    );
    let testmon = record.testmon.as_ref().map_or_else(String::new, |run| {
        format!(", testmon {} in {:.1} s", run.ran, run.seconds)
    });
    let total = record.ran + record.fresh;
    format!(
        "{commit} {title}{kind}: {changes}; {} of {total} ran{}; pytest {:.1} s, dx-py {:.1} s{testmon}{}",
        record.ran,
        if record.installed { ", installed" } else { "" },
        record.pytest_seconds,
        record.dx_seconds,
        if record.findings.is_empty() {
            ""
        } else {
            " — THEY DISAGREE"
        },
    )
}

fn report(name: &str, walk: &Walk, records: &[Record], results: Option<&Path>) -> Result<()> {
    let walked: BTreeSet<&String> = records.iter().map(|record| &record.commit).collect();
    let count = walked.len();
    let end = |record: Option<&Record>| record.map_or("none", |one| short(&one.commit)).to_owned();
    let (first, last) = (end(records.first()), end(records.last()));
    let requires = walk.recipe.requires.join(", ");
    let about = format!(
        "{count} commits that touch code, from {first} to {last}, Python {}, {}. At each: dx-py on two workers{} with what it recorded at those before, then \
         everything by pytest, and where they disagree everything again.{}",
        walk.recipe.python,
        if requires.is_empty() {
            "an environment that was given"
        } else {
            &requires
        },
        if walk.cold {
            ""
        } else {
            " and a warm interpreter"
        },
        match &walk.select {
            Some(level) => format!(" With `--select {level}`."),
            None => String::new(),
        },
    );
    let text = markdown(name, &about, records);
    println!("\n{text}");
    if let Some(path) = results {
        fs::write(path, &text).with_context(|| format!("can't write {}", path.display()))?;
    }
    let figures = Figures::new(records);
    if figures.wrong() > 0 {
        bail!(
            "{} misses of {} tests, {} tests that dx-py doesn't know of, {} that pytest doesn't have",
            figures.count(Sort::Miss),
            figures.missed.len(),
            figures.count(Sort::Unknown),
            figures.count(Sort::Lost)
        );
    }
    Ok(())
}

/// The project's name, from the place of its repository: `click` of `click`, `click/.git`, `click.git` and `pallets+click/repo`.
fn name_of(repo: &Path) -> String {
    let names = repo.iter().rev().map(|name| name.to_string_lossy());
    let mut names = names.filter(|name| !matches!(&**name, "repo" | ".git"));
    let name = names.next().unwrap_or_default();
    let name = name.rsplit('+').next().unwrap_or_default();
    name.strip_suffix(".git").unwrap_or(name).to_owned()
}

/// What the lists of the corpus say of the project. One that is in none needs `--python` or `--requires`.
fn listed(name: &str) -> Result<Option<Suite>> {
    let all = Corpus::read(&[], &[], None)?.suites;
    Ok(all.into_iter().find(|suite| suite.name == name))
}

/// pytest and what the tests need beside it.
fn requires(suite: Option<&Suite>, more: &[String]) -> Vec<String> {
    let pytest = suite.map_or_else(
        || "pytest".to_owned(),
        |suite| format!("pytest=={}", suite.pytest),
    );
    let listed = suite.into_iter().flat_map(|suite| suite.requires.clone());
    [pytest]
        .into_iter()
        .chain(listed)
        .chain(more.iter().cloned())
        .collect()
}

fn home(args: &ReplayArgs) -> Result<PathBuf> {
    Ok(match &args.home {
        Some(home) => {
            fs::create_dir_all(home)?;
            home.canonicalize()?
        }
        None => Path::new(&std::env::var_os("HOME").context("no HOME")?).join(".cache/dx-replay"),
    })
}

/// What tells two builds of the binary apart.
fn stamp(binary: &Path) -> Result<(u64, u64)> {
    let about = fs::metadata(binary)?;
    let modified = about.modified()?.duration_since(UNIX_EPOCH)?;
    Ok((about.len(), modified.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_named_by_its_repository() {
        for path in [
            "/a/click",
            "/a/click/.git",
            "/a/click.git",
            "/a/pallets+click/repo",
        ] {
            assert_eq!(name_of(Path::new(path)), "click", "{path}");
        }
    }
}
