//! Runs a project with pytest and with dx-py, and tells what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use regex::Regex;
use serde_json::Value;

use super::sample::Sample;
use crate::project;

const ORACLE: &str = include_str!("../../../testdata/oracle_of_dx.py");

/// How dx-py is run.
pub type Way = &'static [&'static str];

/// What was seen of a run: for each thing that has a name its text.
#[derive(Debug, Default)]
struct Seen {
    code: i32,
    outcomes: BTreeMap<String, String>,
    /// What is told of a test beside its outcome, by test.
    details: BTreeMap<String, BTreeMap<String, String>>,
    /// What is told of the whole run.
    general: BTreeMap<String, String>,
    /// Warnings by the test that they belong to; those of the collection by the empty name.
    warnings: BTreeMap<String, BTreeSet<String>>,
    /// Tests that ran, rather than being fresh.
    ran: BTreeSet<String>,
}

/// Runs projects.
pub struct Runner {
    dx: PathBuf,
    python: PathBuf,
    scratch: PathBuf,
    temporary: Regex,
    /// A folder there, whose number says how many of its name were made before: by tests that run, which are fewer after an edit.
    numbered: Regex,
    address: Regex,
    environment: Regex,
    /// Which test was the first to ask for a wide fixture depends on which tests ran.
    requester: Regex,
    observer: Regex,
    /// The letters of pytest's progress for sub-tests, which it captures itself as the output of their test.
    progress: Regex,
    /// Whether an interpreter is kept warm between the runs of dx-py, and forks its workers.
    pub warm: bool,
    /// Faulty worker files, as a folder to be copied into `.dx/`, if faults are planted.
    pub worker: Option<PathBuf>,
    /// How often each outcome was seen, by pytest's account.
    pub outcomes: BTreeMap<String, usize>,
}

impl Runner {
    /// A runner that keeps what it needs in `scratch`.
    ///
    /// # Errors
    /// If the plugin for pytest can't be written there.
    pub fn new(dx: PathBuf, python: PathBuf, scratch: &Path) -> Result<Self> {
        fs::write(scratch.join("oracle_of_dx.py"), ORACLE)?;
        Ok(Self {
            dx,
            python,
            scratch: scratch.to_path_buf(),
            temporary: Regex::new(
                r"/[^\s'\x22]*/(?:pytest-of-[^/\s]+/pytest-\d+|dx-py-of-\d+/run-\d+)(?:/popen-gw\d+)?",
            )?,
            numbered: Regex::new(r"(TMP/[^\s/'\x22]*?)\d+\b")?,
            address: Regex::new(r"0x[0-9a-f]{6,}")?,
            observer: Regex::new(
                r#"(?m)^  File ".*/dx_py_test_runner/observe\.py".*\n(?:    .*\n)*"#,
            )?,
            progress: Regex::new(r"^[u,y-]+\z")?,
            environment: Regex::new(r"environ\(\{.*\}\)")?,
            requester: Regex::new(r"<SubRequest ('[^']*') for <[^>]*>>")?,
            warm: false,
            worker: None,
            outcomes: BTreeMap::new(),
        })
    }

    /// The binary and the interpreter.
    pub fn programs(&self) -> (&Path, &Path) {
        (&self.dx, &self.python)
    }

    /// A folder that is removed when it goes out of scope.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn folder(&self) -> Result<tempfile::TempDir> {
        let dir = tempfile::tempdir_in(&self.scratch)?;
        if let Some(worker) = &self.worker {
            let name = worker
                .file_name()
                .context("the worker's folder has a name")?;
            project::copy(worker, &dir.path().join(".dx").join(name))?;
        }
        Ok(dir)
    }

    /// Both sides get this environment: signs of a CI system, hash seeds and old bytecode would make them differ.
    fn start(&self, program: &Path, sample: &Sample, dir: &Path) -> Command {
        let mut command = Command::new(program);
        for name in [
            "CI",
            "BUILD_NUMBER",
            "GITHUB_ACTIONS",
            "PYTEST_ADDOPTS",
            "COLUMNS",
            "SAMPLE_A",
            "SAMPLE_B",
        ] {
            command.env_remove(name);
        }
        command
            .current_dir(dir)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            .env("PYTHONHASHSEED", "1")
            .env("DX_PY_DAEMON", if self.warm { "1" } else { "0" })
            .envs(&sample.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn plain(&self, text: &str) -> String {
        let text = only_the_last_frame_of_pytest(&without_frames_of_pytest(text));
        let text = self.temporary.replace_all(&text, "TMP");
        let text = self.numbered.replace_all(&text, "$1");
        let text = self.environment.replace_all(&text, "ENVIRONMENT");
        let text = self.requester.replace_all(&text, "<SubRequest $1>");
        let text = self.observer.replace_all(&text, "");
        // pytest has it among the fixtures that it offers where dx-py is installed beside it.
        let text = text.replace(", dx_snapshot", "");
        self.address.replace_all(&text, "0xADDRESS").into_owned()
    }

    fn pytest(&self, sample: &Sample, dir: &Path) -> Result<Seen> {
        let (out, details) = (
            self.scratch.join("oracle.json"),
            self.scratch.join("details.json"),
        );
        for file in [&out, &details] {
            let _ = fs::remove_file(file);
        }
        let status = self
            .start(&self.python, sample, dir)
            .args([
                "-m",
                "pytest",
                "-p",
                "oracle_of_dx",
                "-p",
                "no:cacheprovider",
            ])
            .arg("--continue-on-collection-errors")
            .args(&sample.arguments)
            .env("PYTHONPATH", &self.scratch)
            .env("ORACLE_OUT", &out)
            .env("ORACLE_DETAILS", &details)
            .status()?;
        let read = |path: &Path| -> Result<Value> {
            let text = fs::read_to_string(path).unwrap_or_else(|_| "{}".into());
            Ok(serde_json::from_str(&text)?)
        };
        let mut seen = Seen {
            code: status.code().unwrap_or(-1),
            outcomes: serde_json::from_value(read(&out)?)?,
            ..Seen::default()
        };
        let details = read(&details)?;
        for (id, test) in details["tests"].as_object().into_iter().flatten() {
            let of = seen.details.entry(id.clone()).or_default();
            for report in each(&test["reports"]) {
                let name = format!("{} at {}", text(&report[1]), text(&report[0]));
                of.insert(name, self.plain(text(&report[2])));
            }
            for pair in each(&test["sections"]) {
                if self.progress.is_match(text(&pair[1])) {
                    continue;
                }
                let name = format!("section {:?}", text(&pair[0]));
                of.entry(name)
                    .or_default()
                    .push_str(&self.plain(text(&pair[1])));
            }
            for (at, pair) in each(&test["properties"]).enumerate() {
                let pair = format!("{} = {}", text(&pair[0]), text(&pair[1]));
                of.insert(format!("property {at}"), self.plain(&pair));
            }
        }
        for (node, parts) in details["collection_errors"]
            .as_object()
            .into_iter()
            .flatten()
        {
            let name = format!("collection of {node} fails");
            seen.general.insert(name, self.plain(text(&parts[0])));
            for pair in each(parts).skip(1) {
                let name = format!("collection of {node}: section {:?}", text(&pair[0]));
                seen.general.insert(name, self.plain(text(&pair[1])));
            }
        }
        for (node, reason) in details["collection_skipped"]
            .as_object()
            .into_iter()
            .flatten()
        {
            seen.general.insert(
                format!("collection of {node} is skipped"),
                self.plain(text(reason)),
            );
        }
        if let Some(deselected) = details["deselected"].as_u64() {
            seen.general
                .insert("deselected".into(), deselected.to_string());
        }
        for pair in each(&details["warnings"]) {
            let of = seen.warnings.entry(text(&pair[0]).to_owned()).or_default();
            of.insert(self.plain(text(&pair[1])));
        }
        Ok(seen)
    }

    fn dx(&self, sample: &Sample, way: Way, dir: &Path) -> Result<Seen> {
        let json = self.scratch.join("dx.json");
        let _ = fs::remove_file(&json);
        let status = self
            .start(&self.dx, sample, dir)
            .args(["test", "-q", "--timeout", "60", "--json"])
            .arg(&json)
            .arg("--python")
            .arg(&self.python)
            .args(way)
            .args(&sample.arguments)
            .args(["--", "-p", "no:cacheprovider"])
            .status()?;
        let mut seen = Seen {
            code: status.code().unwrap_or(-1),
            ..Seen::default()
        };
        let Ok(document) = fs::read_to_string(&json) else {
            return Ok(seen);
        };
        let document: Value = serde_json::from_str(&document)?;
        for test in each(&document["tests"]) {
            let id = text(&test["id"]).to_owned();
            let before = seen
                .outcomes
                .insert(id.clone(), text(&test["outcome"]).to_owned());
            if before.is_some() {
                seen.general
                    .insert(format!("{id} is told twice"), String::new());
            }
            if test["status"] != "ran" {
                continue;
            }
            seen.ran.insert(id.clone());
            let of = seen.details.entry(id).or_default();
            for report in each(&test["reports"]) {
                let name = format!("{} at {}", text(&report["outcome"]), text(&report["phase"]));
                let is_bad = matches!(text(&report["outcome"]), "failed" | "error");
                let told = &report[if is_bad { "text" } else { "message" }];
                of.insert(name, self.plain(text(told)));
            }
            for section in each(&test["sections"]) {
                let name = format!("section {:?}", text(&section["title"]));
                of.entry(name)
                    .or_default()
                    .push_str(&self.plain(text(&section["text"])));
            }
            for (at, pair) in each(&test["properties"]).enumerate() {
                let pair = format!("{} = {}", text(&pair["name"]), text(&pair["value"]));
                of.insert(format!("property {at}"), self.plain(&pair));
            }
        }
        for error in each(&document["collection_errors"]) {
            let node = text(&error["node"]);
            let name = format!("collection of {node} fails");
            seen.general.insert(name, self.plain(text(&error["text"])));
            for section in each(&error["sections"]) {
                let name = format!(
                    "collection of {node}: section {:?}",
                    text(&section["title"])
                );
                seen.general
                    .insert(name, self.plain(text(&section["text"])));
            }
        }
        for skipped in each(&document["collection_skipped"]) {
            let name = format!("collection of {} is skipped", text(&skipped["node"]));
            seen.general
                .insert(name, self.plain(text(&skipped["reason"])));
        }
        if let Some(deselected) = document["summary"]["deselected"].as_u64() {
            seen.general
                .insert("deselected".into(), deselected.to_string());
        }
        for warning in each(&document["warnings"]) {
            let of = seen
                .warnings
                .entry(text(&warning["node"]).to_owned())
                .or_default();
            of.insert(self.plain(text(&warning["text"])));
        }
        Ok(seen)
    }

    /// What differs, if anything does. Of tests that are fresh only the outcome is known, and of files that needn't be collected
    /// nothing; so after the `first` run only what dx-py tells is compared.
    ///
    /// # Errors
    /// If one side can't be run.
    pub fn difference(
        &mut self,
        sample: &Sample,
        dir: &Path,
        way: Way,
        first: bool,
    ) -> Result<Option<String>> {
        let mut expected = self.pytest(sample, dir)?;
        for outcome in expected.outcomes.values() {
            *self.outcomes.entry(outcome.clone()).or_default() += 1;
        }
        let actual = self
            .dx(sample, way, dir)
            .with_context(|| format!("dx-py {way:?} in {}", dir.display()))?;
        // If paths are given, dx-py collects the rest all the same, and pytest doesn't know what that would tell. Nor do conftests of
        // folders that are named get in each other's way then, where doctests are collected from them.
        let is_place = |argument: &String| !argument.starts_with('-') && argument.contains('/');
        let partial = sample.arguments.iter().any(is_place);
        if partial {
            let before = expected.general.len();
            expected
                .general
                .retain(|name, _| !name.ends_with("conftest.py fails"));
            if expected.general.len() < before {
                expected.code = actual.code;
            }
        }
        let mut lines = Vec::new();
        compare("", &expected.outcomes, &actual.outcomes, true, &mut lines);
        if lines.is_empty() && expected.code != actual.code {
            lines.push(format!(
                "  exit code: pytest {}, dx-py {}",
                expected.code, actual.code
            ));
        }
        let nothing = BTreeMap::new();
        for id in &actual.ran {
            let of = |seen: &Seen| seen.details.get(id).unwrap_or(&nothing).clone();
            compare(
                &format!("{id}: "),
                &of(&expected),
                &of(&actual),
                true,
                &mut lines,
            );
        }
        let mut general = (expected.general.clone(), actual.general.clone());
        // A pytest that ends before it collects leaves nothing out.
        if partial || !expected.general.contains_key("deselected") {
            general.0.remove("deselected");
            general.1.remove("deselected");
        }
        compare("", &general.0, &general.1, first, &mut lines);
        let none = BTreeSet::new();
        let places = expected.warnings.keys().chain(actual.warnings.keys());
        for place in places.collect::<BTreeSet<_>>() {
            let of = |seen: &Seen| seen.warnings.get(place).unwrap_or(&none).clone();
            let (of_pytest, of_dx) = (of(&expected), of(&actual));
            let complete = first || actual.ran.contains(place);
            let known = !(partial && place.is_empty());
            for text in of_dx.difference(&of_pytest).filter(|_| known) {
                lines.push(format!(
                    "  a warning of {place:?} that pytest doesn't have: {text}"
                ));
            }
            for text in of_pytest.difference(&of_dx).filter(|_| complete) {
                lines.push(format!(
                    "  a warning of {place:?} that dx-py doesn't have: {text}"
                ));
            }
        }
        let told = format!("dx-py test {}\n{}", way.join(" "), lines.join("\n"));
        Ok((!lines.is_empty()).then_some(told))
    }
}

/// A text without the frames of pytest and pluggy in tracebacks as Python writes them: groups of exceptions are shown in that form, and
/// the lean path has fewer frames. A frame's line is followed by lines that are indented more.
fn without_frames_of_pytest(text: &str) -> String {
    let begin = |line: &str| line.find(|c: char| c != ' ' && c != '|');
    let mut within = None;
    let mut kept: Vec<&str> = Vec::new();
    for line in text.lines() {
        let at = begin(line);
        if within.is_some_and(|frame| at.is_some_and(|at| at > frame)) {
            continue;
        }
        within = at.filter(|at| line[*at..].starts_with("File \"") && is_of_pytest(line));
        if within.is_none() {
            kept.push(line);
        }
    }
    kept.join("\n")
}

fn is_of_pytest(line: &str) -> bool {
    ["/site-packages/_pytest/", "/site-packages/pluggy/"]
        .iter()
        .any(|place| line.contains(place))
}

/// A traceback that has frames of pytest alone is shown with all of them. On the lean path there are fewer, so only the last one
/// is compared; an empty line comes before it only if others do.
fn only_the_last_frame_of_pytest(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let frames = |line: &&str| {
        let place = line.split_once(".py:").map_or("", |(_, rest)| rest);
        !line.starts_with(' ') && place.starts_with(|c: char| c.is_ascii_digit())
    };
    if !lines.iter().any(|line| is_of_pytest(line)) {
        return text.to_owned();
    }
    if lines
        .iter()
        .filter(|line| frames(line))
        .any(|line| !is_of_pytest(line))
    {
        return text.to_owned();
    }
    let separator = lines.iter().rposition(|line| line.starts_with("_ _ _ "));
    let short = || {
        lines
            .iter()
            .rposition(|line| frames(line) && line.contains(": in "))
    };
    let start = separator.map(|at| at + 1).or_else(short).unwrap_or(0);
    lines[start..]
        .join("\n")
        .trim_start_matches('\n')
        .to_owned()
}

/// Adds a line for each name that has different texts; with `both` also for those that only pytest has.
fn compare(
    of: &str,
    expected: &BTreeMap<String, String>,
    actual: &BTreeMap<String, String>,
    both: bool,
    lines: &mut Vec<String>,
) {
    let names: BTreeSet<&String> = actual
        .keys()
        .chain(expected.keys().filter(|_| both))
        .collect();
    for name in names {
        let (one, other) = (expected.get(name), actual.get(name));
        if one == other {
            continue;
        }
        let shown = |text: Option<&String>| match text {
            None => "-".to_owned(),
            Some(text) if text.contains('\n') => format!("\n{}\n  ", text.trim_end()),
            Some(text) => text.clone(),
        };
        lines.push(format!(
            "  {of}{name}: pytest {}, dx-py {}",
            shown(one),
            shown(other)
        ));
    }
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{only_the_last_frame_of_pytest, without_frames_of_pytest};

    #[test]
    fn of_tracebacks_with_frames_of_pytest_alone_the_last_is_compared() {
        let long = "cls = 1\n>   x\n\n/v/site-packages/_pytest/runner.py:3: \n_ _ _ _\n/v/site-packages/pluggy/a.py:1: in f\n    y\n_ _ _ _\n\n>   z\nE   W\n\n/v/site-packages/_pytest/python.py:191: W";
        let last = ">   z\nE   W\n\n/v/site-packages/_pytest/python.py:191: W";
        assert_eq!(only_the_last_frame_of_pytest(long), last);
        assert_eq!(only_the_last_frame_of_pytest(last), last);
        let short = "/v/site-packages/_pytest/a.py:3: in f\n    x\n/v/site-packages/_pytest/b.py:4: in g\n    y\nE   W";
        let last = "/v/site-packages/_pytest/b.py:4: in g\n    y\nE   W";
        assert_eq!(only_the_last_frame_of_pytest(short), last);
        let mixed = format!("{short}\ntest_a.py:1: W");
        assert_eq!(only_the_last_frame_of_pytest(&mixed), mixed);
    }

    #[test]
    fn frames_of_pytest_are_left_out() {
        let text = "  | Traceback:\n  |   File \"/v/site-packages/_pytest/runner.py\", line 3, in f\n  |     lambda: x\n  |             ^\n  |   File \"/p/test_a.py\", line 2, in g\n  |     assert 0\n  | E";
        let kept =
            "  | Traceback:\n  |   File \"/p/test_a.py\", line 2, in g\n  |     assert 0\n  | E";
        assert_eq!(without_frames_of_pytest(text), kept);
        assert_eq!(without_frames_of_pytest("a\n  b"), "a\n  b");
    }
}
