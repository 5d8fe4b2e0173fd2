//! When and where was measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::project::root;

/// The day and the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The day, as in `2026-11-24`.
    pub date: String,
    /// How many cores.
    pub cores: usize,
    description: String,
}

fn printed(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How many processes wanted a core in the last minute.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

impl Machine {
    /// Looks.
    ///
    /// # Errors
    /// If `date`, git or the interpreter can't be started.
    pub fn look(venv: &Path) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown CPU", |(_, name)| name);
        let code = "import sys, pytest; print('Python %d.%d.%d' % sys.version_info[:3] + ', pytest ' + pytest.__version__)";
        let python = printed(Command::new(venv.join("bin/python")).args(["-c", code]))?;
        let commit = printed(
            Command::new("git")
                .args(["describe", "--always", "--dirty", "--exclude=*"])
                .current_dir(root()),
        )?;
        Ok(Self {
            date: printed(Command::new("date").arg("+%Y-%m-%d"))?,
            cores,
            description: format!("{cores} cores of {cpu}, {python}, dx-py at {commit}"),
        })
    }

    /// One sentence; the load is that of now, before the first run.
    pub fn circumstances(&self, runs: usize) -> String {
        let plural = if runs == 1 { "" } else { "s" };
        format!(
            "{}; {}; {runs} run{plural} each, interleaved; load {} before.",
            self.date,
            self.description,
            load()
        )
    }
}
