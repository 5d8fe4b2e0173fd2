//! Where a suite is run, and how pytest and dx-py are run there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::outcomes::{Outcomes, Run};

const PLUGIN: &str = include_str!("../../testdata/oracle_of_dx.py");
/// A run of a project of the corpus that takes longer hangs: each is chosen to take about a minute.
pub const LIMIT: Duration = Duration::from_secs(900);

/// Where a suite is run.
#[derive(Clone, Debug)]
pub struct Place {
    /// The project's name.
    pub name: String,
    /// The folder that the runners are started in.
    pub source: PathBuf,
    /// The virtual environment.
    pub venv: PathBuf,
    /// Where reports and what was printed go.
    pub scratch: PathBuf,
    /// The arguments that both runners are given.
    pub args: Vec<String>,
    /// Variables that both runners are given.
    pub env: Vec<(String, String)>,
    /// How long a run may take.
    pub limit: Duration,
}

/// What a run of dx-py came to.
#[derive(Debug, Default)]
pub struct DxRun {
    /// The outcome of each test.
    pub outcomes: Outcomes,
    /// The tests that ran.
    pub ran: Vec<String>,
    /// Why they ran, as far as the report says.
    pub reasons: BTreeMap<String, String>,
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

impl Place {
    /// The interpreter.
    pub fn python(&self) -> PathBuf {
        self.venv.join("bin/python")
    }

    /// Where what pytest printed lies.
    pub fn log(&self) -> PathBuf {
        self.scratch.join("log.txt")
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
        let plug = self.scratch.join("plug5");
        fs::create_dir_all(&plug)?;
        fs::write(plug.join("oracle_of_dx.py"), PLUGIN)?;
        let own = self.env.iter().find(|(key, _)| key == "PYTHONPATH");
        let mut python_path = vec![plug];
        python_path.extend(paths.iter().cloned());
        python_path.extend(own.map(|(_, value)| PathBuf::from(value)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut path: Vec<PathBuf> = std::env::split_paths(&path).collect();
        path.insert(0, self.venv.join("bin"));
        command
            .current_dir(&self.source)
            .env("VIRTUAL_ENV", &self.venv)
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
        end_with_parent(command);
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
            if began.elapsed() > self.limit {
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
        let run = self.try_pytest(more, paths)?;
        if !run.has_run() {
            bail!(
                "{}: pytest ended with {} (see {})",
                self.name,
                run.code,
                self.log().display()
            );
        }
        Ok(run)
    }

    /// Runs pytest once, whatever it ends with.
    ///
    /// # Errors
    /// If it can't be started, runs past its time, or its outcomes can't be read.
    pub fn try_pytest(&self, more: &[&str], paths: &[PathBuf]) -> Result<Run> {
        let out = self.scratch.join("pytest.json");
        let _ = fs::remove_file(&out);
        let mut command = self.command(&self.python(), paths, &out)?;
        command
            .args(["-m", "pytest", "-q", "-p", "oracle_of_dx"])
            .args(&self.args)
            .args(more);
        let (code, seconds) = self.timed(&mut command, &self.log())?;
        let outcomes = match fs::read_to_string(&out) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) if matches!(code, 0 | 1) => bail!(
                "{}: pytest told no outcomes (see {})",
                self.name,
                self.log().display()
            ),
            Err(_) => Outcomes::new(),
        };
        Ok(Run {
            outcomes,
            code,
            seconds,
        })
    }

    /// dx-py, without its arguments.
    ///
    /// # Errors
    /// If what is put beside the project can't be written.
    pub fn dx_command(&self, binary: &Path) -> Result<Command> {
        self.command(binary, &[], &self.scratch.join("unused.json"))
    }

    /// Runs dx-py once.
    ///
    /// # Errors
    /// If it can't be started, or reports nothing.
    pub fn dx(&self, binary: &Path, more: &[&str]) -> Result<DxRun> {
        let (json, printed) = (self.scratch.join("dx.json"), self.scratch.join("dx.txt"));
        let _ = fs::remove_file(&json);
        let mut command = self.dx_command(binary)?;
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

/// Lets the command end when this process does: one that goes on would disturb the next.
fn end_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: the closure makes one system call, which may be made between fork and exec.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        );
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

impl DxRun {
    fn read(&mut self, document: &Value) {
        for test in document["tests"].as_array().into_iter().flatten() {
            let id = test["id"].as_str().unwrap_or_default().to_owned();
            let outcome = test["outcome"].as_str().unwrap_or_default().to_owned();
            if test["status"] == "ran" {
                self.ran.push(id.clone());
            }
            if let Some(reason) = test["reason"].as_str() {
                self.reasons.insert(id.clone(), reason.to_owned());
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
