//! One project of a corpus: where it lies, and how pytest and dx-py are run on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::outcomes::{Outcomes, Run};

const PLUGIN: &str = include_str!("../../../testdata/oracle_of_dx.py");
/// A run that takes longer hangs: each project is chosen to take about a minute.
const LIMIT: Duration = Duration::from_secs(900);

/// A project of a list.
#[derive(Debug)]
pub struct Suite {
    /// Its name in the list.
    pub name: String,
    /// The list.
    pub list: PathBuf,
    dir: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    subdir: String,
    /// What the outcomes were taken with: they are taken again when it changes.
    key: String,
}

/// What a run of dx-py came to.
#[derive(Debug, Default)]
pub struct DxRun {
    /// The outcome of each test.
    pub outcomes: Outcomes,
    /// The tests that ran.
    pub ran: Vec<String>,
    /// The tests whose failure a second opinion overturned.
    pub second_opinions: Vec<String>,
    /// How tests were run, and why not otherwise, as far as the report says.
    pub how: Vec<String>,
    /// What was printed.
    pub text: String,
    /// The exit code.
    pub code: i32,
    /// Wall time.
    pub seconds: f64,
}

/// Reads a list.
///
/// # Errors
/// If it can't be read.
pub fn read_list(path: &Path, home: &Path) -> Result<Vec<Suite>> {
    let text = fs::read_to_string(path).with_context(|| format!("no list {}", path.display()))?;
    let table: BTreeMap<String, toml::Value> =
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?;
    let suites = table.into_iter().map(|(name, spec)| {
        let text = |key: &str| spec.get(key).and_then(|value| value.as_str());
        let args = spec.get("args").and_then(|value| value.as_array());
        let env = spec.get("env").and_then(|value| value.as_table());
        Suite {
            dir: home.join(&name),
            list: path.to_path_buf(),
            args: args
                .into_iter()
                .flatten()
                .filter_map(|arg| arg.as_str().map(str::to_owned))
                .collect(),
            env: env
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            subdir: text("subdir").unwrap_or_default().to_owned(),
            key: spec.to_string(),
            name,
        }
    });
    Ok(suites.collect())
}

impl Suite {
    /// Whether it can be run.
    pub fn is_ready(&self) -> bool {
        self.dir.join("ready").exists()
    }

    /// Where what was printed lies.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log.txt")
    }

    fn source(&self) -> PathBuf {
        self.dir.join("src").join(&self.subdir)
    }

    /// The interpreter.
    pub fn python(&self) -> PathBuf {
        self.dir.join("venv/bin/python")
    }

    /// The arguments that both runners are given.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// A command in the project's folder. Both runners see the same environment: tests start processes that inherit it.
    ///
    /// # Errors
    /// If the plugin that reports outcomes can't be laid beside the project.
    pub fn command(&self, program: &Path, paths: &[PathBuf], out: &Path) -> Result<Command> {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["PYTEST_", "DX_", "PYTHONDONTWRITE", "CARGO", "RUST"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        let plug = self.dir.join("plug5");
        fs::create_dir_all(&plug)?;
        fs::write(plug.join("oracle_of_dx.py"), PLUGIN)?;
        let own = self.env.iter().find(|(key, _)| key == "PYTHONPATH");
        let mut python_path = vec![plug];
        python_path.extend(paths.iter().cloned());
        python_path.extend(own.map(|(_, value)| PathBuf::from(value)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut path: Vec<PathBuf> = std::env::split_paths(&path).collect();
        path.insert(0, self.dir.join("venv/bin"));
        command
            .current_dir(self.source())
            .env("VIRTUAL_ENV", self.dir.join("venv"))
            .env("PATH", std::env::join_paths(path)?)
            .env("CI", "true")
            .env("ORACLE_OUT", out)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .env("PYTHONPATH", std::env::join_paths(python_path)?)
            .stdin(Stdio::null());
        Ok(command)
    }

    fn timed(&self, command: &mut Command, printed: &Path) -> Result<(i32, f64)> {
        let output = File::create(printed)?;
        let began = Instant::now();
        let mut child = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't start {command:?}"))?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok((status.code().unwrap_or(-1), began.elapsed().as_secs_f64()));
            }
            if began.elapsed() > LIMIT {
                let _ = Command::new("kill")
                    .args(["-KILL", "--", &format!("-{}", child.id())])
                    .status();
                child.wait()?;
                bail!("{}: ran past its time: {command:?}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs pytest once.
    ///
    /// # Errors
    /// If pytest can't run the tests.
    pub fn pytest(&self, more: &[&str], paths: &[PathBuf]) -> Result<Run> {
        let out = self.dir.join("pytest.json");
        let _ = fs::remove_file(&out);
        let mut command = self.command(&self.python(), paths, &out)?;
        command
            .args(["-m", "pytest", "-q", "-p", "oracle_of_dx"])
            .args(&self.args)
            .args(more);
        let (code, seconds) = self.timed(&mut command, &self.log())?;
        if !matches!(code, 0 | 1) || !out.exists() {
            bail!(
                "{}: pytest ended with {code} (see {})",
                self.name,
                self.log().display()
            );
        }
        Ok(Run {
            outcomes: serde_json::from_str(&fs::read_to_string(&out)?)?,
            code,
            seconds,
        })
    }

    /// pytest's outcomes in so many runs: those that were kept, if they are of this project as it is listed.
    ///
    /// # Errors
    /// If pytest can't run the tests.
    pub fn oracle(&self, count: usize) -> Result<Vec<Run>> {
        let kept = self.dir.join(format!("oracle{count}.json"));
        let document = fs::read_to_string(&kept).ok();
        let document: Value = document
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        if document["key"] == self.key.as_str() {
            let runs = document["runs"].as_array().into_iter().flatten();
            return runs.map(Run::from_json).collect();
        }
        let runs = (0..count.max(1))
            .map(|_| self.pytest(&[], &[]))
            .collect::<Result<Vec<Run>>>()?;
        let document = json!({
            "key": self.key,
            "runs": runs.iter().map(Run::to_json).collect::<Vec<_>>(),
        });
        fs::write(&kept, serde_json::to_vec(&document)?)?;
        Ok(runs)
    }

    /// What must be on the path for pytest-xdist. It is laid beside the environment, not into it: an installed plugin is an input of
    /// every test.
    ///
    /// # Errors
    /// If it can't be installed.
    pub fn xdist_paths(&self) -> Result<Vec<PathBuf>> {
        let overlay = self.dir.join("xdist");
        let has_it = Command::new(self.python())
            .args(["-c", "import xdist"])
            .stderr(Stdio::null())
            .status()?
            .success();
        if has_it {
            return Ok(Vec::new());
        }
        if !overlay.join("xdist").exists() {
            let status = Command::new("uv")
                .args(["pip", "install", "--quiet", "--no-deps", "--target"])
                .arg(&overlay)
                .arg("--python")
                .arg(self.python())
                .args(["pytest-xdist==3.8.0", "execnet==2.1.2"])
                .status()
                .context("can't start uv")?;
            if !status.success() {
                bail!("pytest-xdist can't be installed beside {}", self.name);
            }
        }
        Ok(vec![overlay])
    }

    /// A run under pytest-xdist with two workers for each way that it has to distribute tests: what suites share shows in some only.
    ///
    /// # Errors
    /// If it can't be installed or run.
    pub fn xdist(&self) -> Result<Vec<Outcomes>> {
        let paths = self.xdist_paths()?;
        ["load", "loadfile", "worksteal"]
            .iter()
            .map(|how| {
                let args = ["-p", "xdist", "-n", "2", "--dist", how];
                Ok(self.pytest(&args, &paths)?.outcomes)
            })
            .collect()
    }

    /// Takes what dx-py recorded away.
    ///
    /// # Errors
    /// If it can't be deleted.
    pub fn forget(&self) -> Result<()> {
        // pytest's root may be above the folder that the tests are run from.
        for folder in self.source().ancestors() {
            let recorded = folder.join(".dx");
            if recorded.exists() {
                fs::remove_dir_all(recorded)?;
            }
            if folder == self.dir.join("src") {
                break;
            }
        }
        Ok(())
    }

    /// Runs dx-py once.
    ///
    /// # Errors
    /// If it can't be started, or reports nothing.
    pub fn dx(&self, binary: &Path, more: &[&str]) -> Result<DxRun> {
        let (json, printed) = (self.dir.join("dx.json"), self.dir.join("dx.txt"));
        let _ = fs::remove_file(&json);
        let mut command = self.command(binary, &[], &self.dir.join("unused.json"))?;
        command
            .arg("test")
            .args(more)
            .arg("--json")
            .arg(&json)
            .arg("--")
            .args(&self.args);
        let (code, seconds) = self.timed(&mut command, &printed)?;
        let text = String::from_utf8_lossy(&fs::read(&printed)?).into_owned();
        let report = fs::read_to_string(&json)
            .with_context(|| format!("{}: dx-py reported nothing:\n{text}", self.name))?;
        let mut run = DxRun {
            code,
            seconds,
            text,
            ..DxRun::default()
        };
        run.read(&serde_json::from_str(&report)?);
        Ok(run)
    }
}

impl DxRun {
    fn read(&mut self, document: &Value) {
        for test in document["tests"].as_array().into_iter().flatten() {
            let id = test["id"].as_str().unwrap_or_default().to_owned();
            let outcome = test["outcome"].as_str().unwrap_or_default().to_owned();
            if test["status"] == "ran" {
                self.ran.push(id.clone());
            }
            if test["second_opinion"] == true {
                self.second_opinions.push(id.clone());
            }
            self.outcomes.insert(id, outcome);
        }
        let summary = &document["summary"];
        for key in ["lean", "full_protocol", "workers", "fallbacks"] {
            let said = match &summary[key] {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Array(parts) if parts.is_empty() => continue,
                Value::Object(parts) if parts.is_empty() => continue,
                Value::Number(number) if number.as_u64() == Some(0) => continue,
                Value::Array(parts) => parts
                    .iter()
                    .map(|part| {
                        part.as_str()
                            .map_or_else(|| part.to_string(), str::to_owned)
                    })
                    .collect::<Vec<_>>()
                    .join("; "),
                other => other.to_string(),
            };
            self.how.push(format!("{key} {said}"));
        }
        let notes = document["notes"].as_array().into_iter().flatten();
        self.how
            .extend(notes.filter_map(|note| note.as_str().map(str::to_owned)));
    }
}
