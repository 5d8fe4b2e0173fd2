//! Real projects: pytest, pytest-xdist and dx-py, and beside them the time that a project's own code needs on so many cores.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::counts::{Counts, Expect};
use super::machine::Machine;
use super::measure::{Ran, measure, measure_warm};
use super::peers::Peer;
use super::rows::{factor, median, seconds};
use crate::corpus::Corpus;
use crate::project::replace;
use crate::suite::Suite;

const PLUGIN: &str = include_str!("../../../testdata/bound_of_dx.py");
const LEGEND: &str = "Each project has an interpreter and a pytest of its own. Wall seconds, and how often faster than pytest. *Bound*: what the project's own code needs on so many cores, whatever \
    runs it. A plugin takes the CPU time, with that of child processes, of test functions, of fixtures and of the imports of test \
    modules and conftests, in one run under pytest; those of tests and narrower fixtures are shared by the cores, imports and session \
    fixtures are needed once by each worker. Where the file that took longest in that run takes more, that is the bound (*longest file*). \
    *Tracking off*: `--select off`, from the same records, which are put back afterwards; *tracking costs* how much longer the run takes that sees what tests depend on. *Interpreter kept warm*: as every run finds it outside of CI, unless `daemon = false`, once it has served one and imported ahead what the tests of that one import; *with records* alone is what CI gets. *Of the bound*: bound ÷ time of dx-py with records, without and with such an interpreter. *Without .pyc files*: the project's own are gone, as in a fresh checkout with a `.dx/` that was made in another one. *Outcomes*: the numbers of each outcome against pytest's; `cargo xtask corpus` \
    compares every test.";
const LIMIT: Duration = Duration::from_secs(900);

/// What a project's own code needs.
#[derive(Debug, Default, serde::Deserialize)]
struct Needs {
    /// CPU seconds that each worker needs.
    shared: f64,
    /// CPU seconds of the tests of each file.
    cpu: BTreeMap<String, f64>,
    /// Wall seconds of the tests of each file.
    wall: BTreeMap<String, f64>,
}

impl Needs {
    /// The bound, and whether it is that of the longest file.
    #[expect(clippy::cast_precision_loss, reason = "cores are few")]
    fn bound(&self, cores: usize) -> (f64, bool) {
        let spread = self.cpu.values().sum::<f64>() / cores as f64 + self.shared;
        let longest = self.wall.values().copied().fold(0.0, f64::max);
        (spread.max(longest), longest > spread)
    }
}

/// A runner in one situation.
#[derive(Clone, Copy, Debug)]
enum Way {
    Pytest,
    Xdist,
    First,
    Records,
    Untracked,
    Warm,
    NoBytecode,
}

/// How many ways there are.
const COUNT: usize = 7;

const WAYS: [Way; COUNT] = [
    Way::Pytest,
    Way::Xdist,
    Way::First,
    Way::Records,
    Way::Untracked,
    Way::Warm,
    Way::NoBytecode,
];

impl Way {
    fn peer(self) -> Peer {
        match self {
            Self::Pytest => Peer::Pytest,
            Self::Xdist => Peer::Xdist,
            Self::First | Self::Records | Self::Untracked | Self::Warm | Self::NoBytecode => {
                Peer::Dx
            }
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::Xdist => "pytest-xdist",
            Self::First => "dx-py, first-ever run",
            Self::Records => "dx-py --all, with records",
            Self::Untracked => "the same, tracking off",
            Self::Warm => "with records, interpreter kept warm",
            Self::NoBytecode => "with records, without .pyc files",
        }
    }
}

/// The bytecode of a checkout, out of the way for one run: a fresh one has none.
struct Aside(Vec<(PathBuf, PathBuf)>);

impl Aside {
    /// Moves each `__pycache__` below `source` into `folder`, which is on the same file system.
    fn of(source: &Path, folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let mut moved = Vec::new();
        for place in caches(source)? {
            let kept = folder.join(moved.len().to_string());
            fs::rename(&place, &kept)?;
            moved.push((place, kept));
        }
        Ok(Self(moved))
    }

    /// Moves them back, in place of those that are new.
    fn bring_back(self) -> Result<()> {
        for (place, kept) in self.0 {
            if place.exists() {
                fs::remove_dir_all(&place)?;
            }
            fs::rename(kept, place)?;
        }
        Ok(())
    }
}

fn caches(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        match entry.file_name().to_str() {
            Some("__pycache__") => found.push(entry.path()),
            // What dx-py keeps is restored with a checkout.
            Some(".dx" | ".git") => {}
            _ => found.extend(caches(&entry.path())?),
        }
    }
    Ok(found)
}

/// A project's row.
struct Row {
    name: String,
    counts: Counts,
    /// The median time of each way; none if it couldn't be run.
    times: [Option<f64>; COUNT],
    wrong: Vec<String>,
    bound: (f64, bool),
}

struct Bench<'a> {
    suite: &'a Suite,
    dx: &'a Path,
    cores: usize,
    /// Where plugins and what was printed go.
    home: &'a Path,
}

impl Bench<'_> {
    fn command(&self, way: Way) -> Result<Command> {
        let unused = self.home.join("unused.json");
        let cores = self.cores.to_string();
        let mut command = match way {
            Way::Pytest => self
                .suite
                .place
                .command(&self.suite.place.python(), &[], &unused)?,
            Way::Xdist => {
                let paths = self.suite.xdist_paths()?;
                self.suite
                    .place
                    .command(&self.suite.place.python(), &paths, &unused)?
            }
            Way::First | Way::Records | Way::Untracked | Way::Warm | Way::NoBytecode => {
                self.dx()?
            }
        };
        match way {
            Way::Pytest => command.args(["-m", "pytest", "-q"]),
            Way::Xdist => command.args(["-m", "pytest", "-q", "-p", "xdist", "-n", &cores]),
            Way::Untracked => command.args(["test", "-q", "--all", "--select", "off", "--"]),
            Way::First | Way::Records | Way::Warm | Way::NoBytecode => {
                command.args(["test", "-q", "--all", "--"])
            }
        };
        command.args(&self.suite.place.args);
        Ok(command)
    }

    fn run(&self, way: Way) -> Result<(Ran, Counts)> {
        if matches!(way, Way::First) {
            self.suite.forget()?;
        }
        let printed = self.home.join(format!("{}.txt", way.title()));
        let run = || measure(&mut self.command(way)?, &printed, LIMIT);
        let ran = match way {
            Way::Warm => measure_warm(
                (&mut self.command(way)?, || Ok(())),
                (&mut self.command(way)?, || Ok(())),
                &printed,
                LIMIT,
                || self.dx(),
            )?,
            Way::Untracked => self.with_records_put_back(run)?,
            Way::NoBytecode => {
                // A `.dx/` that is restored was made where there was none either.
                self.without_bytecode(run)?;
                self.without_bytecode(run)?
            }
            _ => run()?,
        };
        let counts = Counts::parse(way.peer(), &ran.text).with_context(|| {
            let log = printed.display();
            format!("told no outcomes, exit code {} (see {log})", ran.code)
        })?;
        Ok((ran, counts))
    }

    fn dx(&self) -> Result<Command> {
        let unused = self.home.join("unused.json");
        self.suite.place.command(self.dx, &[], &unused)
    }

    /// Does something that spoils the records for the ways that follow: what was read and imported is missing there.
    fn with_records_put_back<T>(&self, what: impl FnOnce() -> Result<T>) -> Result<T> {
        let records = self.suite.place.source.join(".dx");
        let kept = self.home.join("records");
        replace(&records, &kept)?;
        let done = what();
        replace(&kept, &records)?;
        done
    }

    /// Does something as in a fresh checkout, which has no bytecode.
    fn without_bytecode<T>(&self, what: impl FnOnce() -> Result<T>) -> Result<T> {
        let aside = Aside::of(&self.suite.place.source, &self.home.join("bytecode"))?;
        let done = what();
        // So that the runners that follow find what they left.
        aside.bring_back()?;
        done
    }

    /// Runs pytest once with the plugin that takes the times.
    fn needs(&self) -> Result<Needs> {
        let plugins = self.home.join("plugins");
        fs::create_dir_all(&plugins)?;
        fs::write(plugins.join("bound_of_dx.py"), PLUGIN)?;
        let out = self.home.join("bound.json");
        let _ = fs::remove_file(&out);
        let mut command = self.suite.place.command(
            &self.suite.place.python(),
            &[plugins],
            &self.home.join("unused.json"),
        )?;
        command
            .args(["-m", "pytest", "-q", "-p", "bound_of_dx"])
            .args(&self.suite.place.args)
            .env("BOUND_OUT", &out);
        let printed = self.home.join("bound.txt");
        let ran = measure(&mut command, &printed, LIMIT)?;
        if !matches!(ran.code, 0 | 1) {
            bail!(
                "pytest with the plugin ended with {} (see {})",
                ran.code,
                printed.display()
            );
        }
        Ok(serde_json::from_str(&fs::read_to_string(&out)?)?)
    }

    fn measure(&self, runs: usize) -> Result<Row> {
        let mut times: [Vec<f64>; COUNT] = Default::default();
        let mut failed: [Option<String>; COUNT] = Default::default();
        let mut wrong = BTreeMap::new();
        let mut pytest = None;
        let mut needs = Needs::default();
        for round in 0..=runs {
            for (number, way) in WAYS.into_iter().enumerate() {
                if failed[number].is_some() {
                    continue;
                }
                match (self.run(way), way) {
                    (Ok((ran, counts)), _) => {
                        let wanted = *pytest.get_or_insert(counts);
                        if let Some(text) = counts.wrong(way.peer(), &wanted, Expect::All) {
                            wrong.insert(way.title(), text);
                        }
                        if round > 0 {
                            times[number].push(ran.cost.wall);
                        }
                    }
                    (Err(error), Way::Pytest) => return Err(error),
                    (Err(error), _) => failed[number] = Some(format!("{error:#}")),
                }
            }
            // After the caches of bytecode are filled, since compiling isn't what is asked for.
            if round == 0 {
                needs = self.needs()?;
            }
            eprintln!("{}: round {round} of {runs}", self.suite.name);
        }
        let failed = WAYS.iter().zip(failed);
        let failed = failed.filter_map(|(way, text)| text.map(|text| (way.title(), text)));
        Ok(Row {
            name: self.suite.name.clone(),
            counts: pytest.unwrap_or_default(),
            times: times.map(median),
            wrong: wrong
                .into_iter()
                .chain(failed)
                .map(|(title, text)| format!("**{title}**: {text}"))
                .collect(),
            bound: needs.bound(self.cores),
        })
    }
}

/// Measures projects, and gives the section with their table.
///
/// # Errors
/// If the lists of projects can't be read. A project that can't be run is told in its row.
pub fn measure_all(
    names: &[String],
    dx: &Path,
    machine: &Machine,
    runs: usize,
    home: &Path,
) -> Result<String> {
    let corpus = Corpus::read(names, &[], None)?;
    let circumstances = machine.circumstances(runs);
    let (mut rows, mut absent) = (Vec::new(), Vec::new());
    for suite in &corpus.suites {
        let home: PathBuf = home.join("projects").join(&suite.name);
        fs::create_dir_all(&home)?;
        let bench = Bench {
            suite,
            dx,
            cores: machine.cores,
            home: &home,
        };
        match corpus.prepare(suite).and_then(|()| bench.measure(runs)) {
            Ok(row) => rows.push(row),
            Err(error) => {
                eprintln!("{}: {error:#}", suite.name);
                absent.push((suite.name.clone(), format!("{error:#}")));
            }
        }
    }
    Ok(table(&circumstances, &rows, &absent))
}

fn table(circumstances: &str, rows: &[Row], absent: &[(String, String)]) -> String {
    let titles: Vec<&str> = WAYS.iter().map(|way| way.title()).collect();
    let mut text = format!(
        "## real projects\n\n{circumstances} {LEGEND}\n\n| project | tests | {} | tracking costs | bound | of the bound | outcomes |\n| --- |{}\n",
        titles.join(" | "),
        " ---: |".repeat(titles.len() + 4) + " --- |"
    );
    let none = || "–".to_owned();
    for row in rows {
        let [pytest, ..] = row.times;
        let times = row.times.iter().enumerate().map(|(number, time)| {
            let Some(time) = time else { return none() };
            match pytest {
                Some(pytest) if number > 0 => {
                    format!("{} ({}x)", seconds(*time), factor(pytest / time))
                }
                _ => seconds(*time),
            }
        });
        let (bound, is_longest) = row.bound;
        let [tracked, untracked, warm] =
            [Way::Records, Way::Untracked, Way::Warm].map(|way| row.times[way as usize]);
        let reached = [tracked, warm]
            .map(|time| time.map_or_else(none, |time| format!("{:.0} %", 100.0 * bound / time)));
        let tracking = tracked.zip(untracked).map_or_else(none, |(with, without)| {
            format!("{:+.1} %", 100.0 * (with / without - 1.0))
        });
        let outcomes = if row.wrong.is_empty() {
            "right".to_owned()
        } else {
            row.wrong.join("; ").replace('|', "/").replace('\n', " ")
        };
        text.push_str(&format!(
            "| {} | {} | {} | {tracking} | {}{} | {} | {outcomes} |\n",
            row.name,
            row.counts.total(),
            times.collect::<Vec<_>>().join(" | "),
            seconds(bound),
            if is_longest { ", longest file" } else { "" },
            reached.join(", "),
        ));
    }
    for (name, reason) in absent {
        let reason = reason.replace('|', "/").replace('\n', " ");
        text.push_str(&format!(
            "| {name} |{} could not be run: {reason} |\n",
            " – |".repeat(titles.len() + 4)
        ));
    }
    let means = (1..WAYS.len()).map(|way| {
        let times = rows
            .iter()
            .filter_map(|row| Some(row.times[0]? / row.times[way]?));
        geometric_mean(times).map_or_else(none, |mean| format!("{}x", factor(mean)))
    });
    let means = means.collect::<Vec<_>>().join(" | ");
    text.push_str(&format!("| geometric mean | | | {means} | | | | |\n"));
    text
}

#[expect(clippy::cast_precision_loss, reason = "projects are few")]
fn geometric_mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = numbers.map(f64::ln).collect();
    let sum: f64 = logarithms.iter().sum();
    (!logarithms.is_empty()).then(|| (sum / logarithms.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_work_over_the_cores_or_the_longest_file() {
        let text = r#"{"shared": 0.5, "cpu": {"a": 3.0, "b": 1.0}, "wall": {"a": 2.0, "b": 1.0}}"#;
        let mut needs: Needs = serde_json::from_str(text).unwrap();
        assert_eq!(needs.bound(2), (2.5, false));
        assert_eq!(needs.bound(4), (2.0, true));
        needs.wall.insert("b".into(), 30.0);
        assert_eq!(needs.bound(2), (30.0, true));
    }

    #[test]
    fn bytecode_is_put_aside_and_brought_back() {
        let dir = tempfile::tempdir().unwrap();
        let (source, folder) = (dir.path().join("src"), dir.path().join("aside"));
        let cache = source.join("a/__pycache__");
        let own = source.join(".dx/bytecode/__pycache__");
        for place in [&cache, &own] {
            fs::create_dir_all(place).unwrap();
        }
        fs::write(cache.join("old.pyc"), "1").unwrap();
        let aside = Aside::of(&source, &folder).unwrap();
        assert!(!cache.exists() && own.exists());
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join("new.pyc"), "2").unwrap();
        aside.bring_back().unwrap();
        let names = fs::read_dir(&cache).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["old.pyc"]);
    }

    #[test]
    fn the_table_has_means_and_projects_that_were_not_run() {
        let row = |name: &str, factor: f64| Row {
            name: name.into(),
            counts: Counts {
                passed: 7,
                ..Counts::default()
            },
            times: [
                8.0,
                8.0,
                8.0 / factor,
                8.8 / factor,
                8.0 / factor,
                8.0 / factor,
                8.0 / factor,
            ]
            .map(Some),
            wrong: Vec::new(),
            bound: (1.0, false),
        };
        let absent = [("third".to_owned(), "isn't prepared".to_owned())];
        let text = table("Today.", &[row("one", 1.0), row("two", 4.0)], &absent);
        let end = "| one | 7 | 8.00 | 8.00 (1.00x) | 8.00 (1.00x) | 8.80 (0.91x) | 8.00 (1.00x) | 8.00 (1.00x) | 8.00 (1.00x) | +10.0 % | 1.00 | 11 %, 12 % | right |\n\
            | two | 7 | 8.00 | 8.00 (1.00x) | 2.00 (4.00x) | 2.20 (3.64x) | 2.00 (4.00x) | 2.00 (4.00x) | 2.00 (4.00x) | +10.0 % | 1.00 | 45 %, 50 % | right |\n\
            | third | – | – | – | – | – | – | – | – | – | – | – | could not be run: isn't prepared |\n\
            | geometric mean | | | 1.00x | 2.00x | 1.82x | 2.00x | 2.00x | 2.00x | | | | |\n";
        assert!(text.ends_with(end), "{text}");
    }
}
